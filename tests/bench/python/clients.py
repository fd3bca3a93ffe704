"""The clients: how each one logs in over TLS, as its documentation says; and how it says NOOP and closes.

Every one gets the same `ssl.SSLContext`. What a client needs is imported where it logs in: its memory is its own.
"""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

# Longest line with its CRLF: RFC 2449 section 4 for POP3, RFC 5321 section 4.5.3.1.4 for SMTP.
POP3_LINE = 255
SMTP_LINE = 512


@dataclass(frozen=True)
class At:
    """Where to log in, and as whom."""

    host: str
    port: int
    user: str
    token: str
    context: ssl.SSLContext

    @property
    def text(self) -> str:
        """What XOAUTH2 says, before base64."""
        return f"user={self.user}\1auth=Bearer {self.token}\1\1"

    @property
    def response(self) -> bytes:
        """What XOAUTH2 says."""
        return base64.b64encode(self.text.encode())


@dataclass(frozen=True)
class LoggedIn:
    """What a client can do once it is in: ask something, and be gone without a goodbye."""

    close: Callable[[], Any]
    noop: Callable[[], Any] | None = None


# ---- The floor, blocking: the least that can log in and keeps the line limits ----------------------------------------


def bare(at: At) -> ssl.SSLSocket:
    """Only TCP and TLS."""
    sock = socket.create_connection((at.host, at.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return at.context.wrap_socket(sock, server_hostname=at.host)


def _ask(sock: ssl.SSLSocket, line: bytes, end: bytes) -> bytes:
    if line:
        sock.sendall(line)
    reply = b""
    while not reply.endswith(b"\r\n") or not reply[reply.rfind(b"\n", 0, -1) + 1 :].startswith(end):
        data = sock.recv(65_536)
        if not data:
            raise ConnectionError(repr(reply))
        reply += data
    return reply


def floor_imap(at: At) -> ssl.SSLSocket:
    """Greeting, and AUTHENTICATE with the token in the line."""
    sock = bare(at)
    _ask(sock, b"", b"*")
    _ask(sock, b"A1 AUTHENTICATE XOAUTH2 %b\r\n" % at.response, b"A1 OK")
    return sock


def floor_pop3(at: At) -> ssl.SSLSocket:
    """Greeting, and AUTH; in two steps where the token is too long for a line."""
    sock = bare(at)
    _ask(sock, b"", b"+OK")
    response = at.response
    line = b"AUTH XOAUTH2 %b\r\n" % response
    if len(line) > POP3_LINE:
        _ask(sock, b"AUTH XOAUTH2\r\n", b"+ ")
        line = response + b"\r\n"
    _ask(sock, line, b"+OK")
    return sock


def floor_smtp(at: At) -> ssl.SSLSocket:
    """Greeting, EHLO, and AUTH; in two steps where the token is too long for a line."""
    sock = bare(at)
    _ask(sock, b"", b"220 ")
    _ask(sock, b"EHLO [127.0.0.1]\r\n", b"250 ")
    response = at.response
    line = b"AUTH XOAUTH2 %b\r\n" % response
    if len(line) > SMTP_LINE:
        _ask(sock, b"AUTH XOAUTH2\r\n", b"334 ")
        line = response + b"\r\n"
    _ask(sock, line, b"235 ")
    return sock


def _closable(login: Callable[[At], ssl.SSLSocket]) -> Callable[[At], LoggedIn]:
    def logged_in(at: At) -> LoggedIn:
        sock = login(at)
        return LoggedIn(sock.close)

    return logged_in


def _asyncio_floor(name: str) -> Callable[[At], Awaitable[LoggedIn]]:
    async def logged_in(at: At) -> LoggedIn:
        import floor_asyncio

        lines = await getattr(floor_asyncio, name)(at)
        return LoggedIn(lines.transport.abort)

    return logged_in


# ---- mailbearer ------------------------------------------------------------------------------------------------------

# The server speaks as Gmail does; a login that knows no provider is measured apart.
_PROVIDER = "gmail"


def _settings(at: At, provider: str | None = _PROVIDER) -> dict[str, Any]:
    return {"host": at.host, "port": at.port, "provider": provider, "ssl_context": at.context}


def _connect(protocol: Any, provider: str | None = _PROVIDER) -> Callable[[At], LoggedIn]:
    def login(at: At) -> LoggedIn:
        import mailbearer

        connection = mailbearer.connect(protocol, at.user, at.token, **_settings(at, provider))
        return LoggedIn(connection.close)

    return login


def _mailbearer_imap(at: At) -> LoggedIn:
    import mailbearer

    client = mailbearer.imap(at.user, at.token, **_settings(at))
    return LoggedIn(client.sock.close, noop=client.noop)


def _mailbearer_pop3(at: At) -> LoggedIn:
    import mailbearer

    client = mailbearer.pop3(at.user, at.token, **_settings(at))
    return LoggedIn(client.close, noop=client.noop)


def _mailbearer_smtp(at: At) -> LoggedIn:
    import mailbearer

    client = mailbearer.smtp(at.user, at.token, **_settings(at))
    return LoggedIn(client.close, noop=client.noop)


def _async_connect(protocol: Any) -> Callable[[At], Awaitable[LoggedIn]]:
    async def login(at: At) -> LoggedIn:
        import mailbearer.aio

        connection = await mailbearer.aio.connect(protocol, at.user, at.token, **_settings(at))
        return LoggedIn(connection.transport.abort)

    return login


async def _async_mailbearer_imap(at: At) -> LoggedIn:
    import mailbearer.aio

    client = await mailbearer.aio.imap(at.user, at.token, **_settings(at))
    return LoggedIn(client.protocol.transport.abort, noop=client.noop)


async def _async_mailbearer_smtp(at: At) -> LoggedIn:
    import mailbearer.aio

    client = await mailbearer.aio.smtp(at.user, at.token, **_settings(at))
    assert client.transport is not None
    return LoggedIn(client.transport.abort, noop=client.noop)  # type: ignore[attr-defined]


def _session(protocol: Any) -> Callable[[At], LoggedIn]:
    def login(at: At) -> LoggedIn:
        import mailbearer

        sessions = mailbearer.sessions(protocol, at.user, at.token, **_settings(at))
        connection = next(sessions)
        return LoggedIn(sessions.close, noop=lambda: connection.client.noop())

    return login


def _async_session(protocol: Any) -> Callable[[At], Awaitable[LoggedIn]]:
    async def login(at: At) -> LoggedIn:
        import mailbearer.aio

        sessions = mailbearer.aio.sessions(protocol, at.user, at.token, client=_AIO_CLIENTS[protocol], **_settings(at))
        connection = await anext(sessions)
        return LoggedIn(sessions.aclose, noop=lambda: connection.client.noop())

    return login


_AIO_CLIENTS: dict[str, Any] = {"imap": "aioimaplib", "smtp": "aiosmtplib"}


# ---- The peers -------------------------------------------------------------------------------------------------------


def _imaplib(at: At) -> LoggedIn:
    import imaplib

    client = imaplib.IMAP4_SSL(at.host, at.port, ssl_context=at.context)
    client.authenticate("XOAUTH2", lambda _: at.text.encode())
    return LoggedIn(client.shutdown, noop=client.noop)


def _imapclient(at: At) -> LoggedIn:
    import imapclient

    client = imapclient.IMAPClient(at.host, at.port, ssl_context=at.context)
    client.oauth2_login(at.user, at.token)
    return LoggedIn(client.shutdown, noop=client.noop)


def _poplib(at: At) -> LoggedIn:
    import poplib

    # It has no AUTH: this is the recipe that circulates.
    client = poplib.POP3_SSL(at.host, at.port, context=at.context)
    client._shortcmd("AUTH XOAUTH2 " + at.response.decode())  # type: ignore[attr-defined]
    return LoggedIn(client.close, noop=client.noop)


def _smtplib(at: At) -> LoggedIn:
    import smtplib

    client = smtplib.SMTP_SSL(at.host, at.port, context=at.context)
    client.ehlo()
    client.auth("XOAUTH2", lambda _=None: at.text)
    return LoggedIn(client.close, noop=client.noop)


async def _aioimaplib(at: At) -> LoggedIn:
    import aioimaplib

    client = aioimaplib.IMAP4_SSL(at.host, at.port, ssl_context=at.context)
    await client.wait_hello_from_server()
    response = await client.xoauth2(at.user, at.token)
    if response.result != "OK":
        raise aioimaplib.Error(f"xoauth2 returned {response.result} {response.lines}")
    return LoggedIn(client.protocol.transport.abort, noop=client.noop)


async def _aiosmtplib(at: At) -> LoggedIn:
    import aiosmtplib

    client = aiosmtplib.SMTP(hostname=at.host, port=at.port, use_tls=True, tls_context=at.context)
    await client.connect()
    await client.auth_xoauth2(at.user, at.token)
    assert client.transport is not None
    return LoggedIn(client.transport.abort, noop=client.noop)  # type: ignore[attr-defined]


# ---- All of them -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Client:
    """A client.

    Attributes:
        name, protocol: what it is called, and what it speaks.
        role: `bare`, `floor`, `mailbearer` or `peer`.
        style: `blocking` or `asyncio`: it is compared within its own.
        package: what it comes from.
        asks: whether it is a mail client, which can ask something once it is in.
        login: how it logs in; awaitable with asyncio.

    """

    name: str
    protocol: str
    role: str
    style: str
    package: str
    asks: bool
    login: Callable[[At], Any]


def _clients(
    name: str, role: str, package: str, style: str = "blocking", *, asks: bool = False, **logins: Callable[[At], Any]
) -> list[Client]:
    return [Client(name, protocol, role, style, package, asks, login) for protocol, login in logins.items()]


_OURS, _PYTHON = "mailbearer", "python"

CLIENTS = [
    *_clients("bare connect", "bare", _PYTHON, imap=_closable(bare)),
    *_clients(
        "floor", "floor", _PYTHON, imap=_closable(floor_imap), pop3=_closable(floor_pop3), smtp=_closable(floor_smtp)
    ),
    *_clients("mailbearer.connect", _OURS, _OURS, imap=_connect("imap"), pop3=_connect("pop3"), smtp=_connect("smtp")),
    *_clients(
        "mailbearer.connect, no provider", _OURS, _OURS, imap=_connect("imap", None), pop3=_connect("pop3", None)
    ),
    *_clients("mailbearer.imap (imaplib)", _OURS, _OURS, asks=True, imap=_mailbearer_imap),
    *_clients("mailbearer.pop3 (poplib)", _OURS, _OURS, asks=True, pop3=_mailbearer_pop3),
    *_clients("mailbearer.smtp (smtplib)", _OURS, _OURS, asks=True, smtp=_mailbearer_smtp),
    *_clients("mailbearer.sessions (imaplib)", _OURS, _OURS, asks=True, imap=_session("imap")),
    *_clients("mailbearer.sessions (poplib)", _OURS, _OURS, asks=True, pop3=_session("pop3")),
    *_clients("mailbearer.sessions (smtplib)", _OURS, _OURS, asks=True, smtp=_session("smtp")),
    *_clients("imaplib", "peer", _PYTHON, asks=True, imap=_imaplib),
    *_clients("IMAPClient", "peer", "IMAPClient", asks=True, imap=_imapclient),
    *_clients("poplib", "peer", _PYTHON, asks=True, pop3=_poplib),
    *_clients("smtplib", "peer", _PYTHON, asks=True, smtp=_smtplib),
    *_clients("bare connect, asyncio", "bare", _PYTHON, "asyncio", imap=_asyncio_floor("bare")),
    *_clients(
        "floor, asyncio",
        "floor",
        _PYTHON,
        "asyncio",
        imap=_asyncio_floor("floor_imap"),
        smtp=_asyncio_floor("floor_smtp"),
    ),
    *_clients(
        "mailbearer.aio.connect", _OURS, _OURS, "asyncio", imap=_async_connect("imap"), smtp=_async_connect("smtp")
    ),
    *_clients("mailbearer.aio.imap (aioimaplib)", _OURS, _OURS, "asyncio", asks=True, imap=_async_mailbearer_imap),
    *_clients("mailbearer.aio.smtp (aiosmtplib)", _OURS, _OURS, "asyncio", asks=True, smtp=_async_mailbearer_smtp),
    *_clients("mailbearer.aio.sessions (aioimaplib)", _OURS, _OURS, "asyncio", asks=True, imap=_async_session("imap")),
    *_clients("mailbearer.aio.sessions (aiosmtplib)", _OURS, _OURS, "asyncio", asks=True, smtp=_async_session("smtp")),
    *_clients("aioimaplib", "peer", "aioimaplib", "asyncio", asks=True, imap=_aioimaplib),
    *_clients("aiosmtplib", "peer", "aiosmtplib", "asyncio", asks=True, smtp=_aiosmtplib),
]
