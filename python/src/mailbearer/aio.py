"""The same for asyncio: :func:`connect`, :func:`imap` (aioimaplib) and :func:`smtp` (aiosmtplib).

Cancelling a login closes its socket.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import tokens
from ._core import AccessToken, Authenticated, Provider, Step, failure_of_host
from .connection import Trace, masked, show, tls_reason
from .errors import LoginFailed
from .settings import Endpoint, MailProtocol, Settings, Tls, resolve

if TYPE_CHECKING:
    import aioimaplib
    import aiosmtplib

__all__ = ["Connection", "connect", "imap", "smtp"]


class Connection:
    """A TLS connection that is logged in, with asyncio's streams.

    Attributes:
        reader: an :class:`asyncio.StreamReader`; octets that came behind the login are in it.
        writer: its :class:`asyncio.StreamWriter`.
        endpoint, mechanism, capabilities, round_trips, seconds: as in :class:`mailbearer.Connection`.

    """

    def __init__(
        self,
        transport: asyncio.Transport,
        endpoint: Endpoint,
        authenticated: Authenticated,
        round_trips: int,
        seconds: float,
    ) -> None:
        self._transport = transport
        self.endpoint = endpoint
        self.mechanism = authenticated.mechanism
        self.capabilities = list(authenticated.capabilities)
        self.round_trips = round_trips
        self.seconds = seconds
        self._leftover = authenticated.leftover
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def reader(self) -> asyncio.StreamReader:
        """Reads from the server."""
        return self._open_streams()[0]

    @property
    def writer(self) -> asyncio.StreamWriter:
        """Writes to the server."""
        return self._open_streams()[1]

    @property
    def tls_version(self) -> str:
        """``TLSv1.3``, for example."""
        return str(self._transport.get_extra_info("ssl_object").version())

    def _open_streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            loop = asyncio.get_running_loop()
            reader = asyncio.StreamReader(loop=loop)
            protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
            self.hand_over(protocol, b"")
            self._streams = reader, asyncio.StreamWriter(self._transport, protocol, reader, loop)
        return self._streams

    def hand_over(self, protocol: Any, greeting: bytes) -> None:
        """Give the transport to another protocol, which reads the greeting and what is left over first."""
        ended = self._transport.get_protocol()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        first, self._leftover = greeting + self._leftover, b""
        pending = ended.take() if isinstance(ended, _Inbox) else b""
        if first + pending:
            protocol.data_received(first + pending)
        self._transport.resume_reading()

    async def close(self) -> None:
        """Close the connection."""
        self._transport.close()
        if self._streams is not None:
            try:
                await self._streams[1].wait_closed()
            except (OSError, ssl.SSLError):
                return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<aio.Connection {self.endpoint.protocol} {self.endpoint}>"


async def connect(
    protocol: MailProtocol,
    user: str,
    token: tokens.TokenSource,
    *,
    host: str | None = None,
    port: int | None = None,
    tls: Tls | None = None,
    provider: str | Provider | None = None,
    ssl_context: ssl.SSLContext | None = None,
    timeout: float = 60.0,
    authzid: str | None = None,
    mechanisms: Sequence[str] | None = None,
    initial_response: str | None = None,
    ehlo_name: str | None = None,
    assumed_capabilities: Sequence[str] | None = None,
    trace: Trace | None = None,
) -> Connection:
    r"""Connect and log in, as :func:`mailbearer.connect` does, without blocking the event loop.

    >>> import asyncio, mailbearer.aio, mailbearer.testing
    >>> async def main():
    ...     with mailbearer.testing.Server() as server:
    ...         async def token():
    ...             return server.issue_token("joe@gmail.com")
    ...         async with await mailbearer.aio.connect(
    ...             "smtp", "joe@gmail.com", token, **server.at("smtp")
    ...         ) as connection:
    ...             connection.writer.write(b"NOOP\r\n")
    ...             return await connection.reader.readline()
    >>> asyncio.run(main())
    b'250 2.0.0 OK\r\n'
    """
    settings = resolve(
        protocol,
        user,
        host=host,
        port=port,
        tls=tls,
        provider=provider,
        ssl_context=ssl_context,
        timeout=timeout,
        authzid=authzid,
        mechanisms=mechanisms,
        initial_response=initial_response,
        ehlo_name=ehlo_name,
        assumed_capabilities=assumed_capabilities,
    )
    source = tokens.source(token, user=user, scopes=settings.scopes)
    first = (await source.aget(force_refresh=False)).token
    try:
        return await _login(settings, first, trace)
    except LoginFailed as refused:
        if refused.advice != "refresh_token" or not source.can_refresh:
            raise
        second = (await source.aget(force_refresh=True)).token
        if second == first:
            raise
        return await _login(settings, second, trace)


async def imap(user: str, token: tokens.TokenSource, **settings: Any) -> aioimaplib.IMAP4:
    """Return an ``aioimaplib.IMAP4`` that is logged in. It needs the extra ``mailbearer[aioimaplib]``."""
    import aioimaplib

    connection = await connect("imap", user, token, **settings)

    class LoggedIn(aioimaplib.IMAP4):
        """aioimaplib over a connection that is logged in."""

        def create_client(self, host: str, port: int, loop: Any, conn_lost_cb: Any = None, *rest: Any) -> None:
            loop = asyncio.get_running_loop()
            self.protocol = aioimaplib.IMAP4ClientProtocol(loop, conn_lost_cb)
            self._client_task = loop.create_future()
            self._client_task.set_result((connection._transport, self.protocol))

    client = LoggedIn(connection.endpoint.host, connection.endpoint.port)
    connection.hand_over(client.protocol, b"")
    client.protocol.state = aioimaplib.AUTH
    if connection.capabilities:
        client.protocol.capabilities = set(connection.capabilities)
    else:
        await client.protocol.capability()
    return client


async def smtp(user: str, token: tokens.TokenSource, **settings: Any) -> aiosmtplib.SMTP:
    """Return an ``aiosmtplib.SMTP`` that is logged in. It needs the extra ``mailbearer[aiosmtplib]``."""
    import aiosmtplib
    from aiosmtplib.protocol import SMTPProtocol

    connection = await connect("smtp", user, token, **settings)

    class LoggedIn(aiosmtplib.SMTP):
        """aiosmtplib over a connection that is logged in."""

        async def _create_connection(self, timeout: float | None) -> aiosmtplib.SMTPResponse:
            lost = self._on_connection_lost
            self.protocol = SMTPProtocol(loop=asyncio.get_running_loop(), connection_lost_callback=lost)
            self.transport = connection._transport
            connection.hand_over(self.protocol, b"220 logged in\r\n")
            return await self.protocol.read_response(timeout=timeout)

    client = LoggedIn(hostname=connection.endpoint.host, port=connection.endpoint.port, start_tls=False)
    await client.connect()
    # RFC 4954 section 4: what EHLO said before the login stays true, and need not be asked again.
    extensions = "\n".join([connection.endpoint.host, *connection.capabilities])
    client.last_ehlo_response = aiosmtplib.SMTPResponse(250, extensions)
    return client


async def _login(settings: Settings, token: AccessToken, trace: Trace | None) -> Connection:
    attempt = _Attempt(settings, trace)
    try:
        async with asyncio.timeout(settings.timeout):
            return await attempt.run(token)
    except TimeoutError:
        raise _failed("timed_out", "in connection and login together") from None


class _Inbox(asyncio.Protocol):
    """Collects what comes until somebody waits for it. asyncio's own streams keep octets across STARTTLS."""

    # A login is far smaller; a server that sends more is held back.
    _PAUSE_OCTETS = 65_536

    def __init__(self) -> None:
        self._data = bytearray()
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._PAUSE_OCTETS and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data

    async def read(self) -> bytes:
        """Return what has come; nothing at the end."""
        if not self._data and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data = self.take()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        return data


class _Attempt:
    """One attempt: it owns the transport until it is logged in."""

    def __init__(self, settings: Settings, trace: Trace | None) -> None:
        self._settings = settings
        self._trace = trace
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._inbox = _Inbox()
        self._transport: asyncio.Transport | None = None
        self._round_trips = 0

    async def run(self, token: AccessToken) -> Connection:
        negotiation = self._settings.negotiation(token)
        try:
            await self._open()
            step = await self._read(negotiation)
            while True:
                self._send(step)
                match step.next:
                    case "read":
                        step = await self._read(negotiation)
                    case "start_tls":
                        step = await self._start_tls(negotiation)
                    case "done":
                        assert step.authenticated is not None
                        return self._done(step.authenticated)
                    case _:
                        assert step.failure is not None
                        raise LoginFailed(step.failure)
        except BaseException:
            if self._transport is not None:
                self._transport.abort()
            raise

    def _done(self, authenticated: Authenticated) -> Connection:
        assert self._transport is not None
        self._transport.pause_reading()
        seconds = self._loop.time() - self._begun
        return Connection(self._transport, self._settings.endpoint, authenticated, self._round_trips, seconds)

    async def _open(self) -> None:
        endpoint = self._settings.endpoint
        implicit = endpoint.tls == "implicit"
        try:
            transport, _ = await self._loop.create_connection(
                lambda: self._inbox,
                endpoint.host,
                endpoint.port,
                ssl=self._settings.ssl_context if implicit else None,
                server_hostname=endpoint.host if implicit else None,
            )
        except ssl.SSLError as error:
            raise _failed("tls_failed", tls_reason(error)) from None
        except socket.gaierror:
            raise _failed("connection_lost", f"the host {endpoint.host} was not found") from None
        except OSError as error:
            cause = "tls_failed" if implicit and isinstance(error, ConnectionResetError) else "connection_lost"
            raise _failed(cause, f"{endpoint.host}:{endpoint.port}: {error.strerror or 'refused'}") from None
        self._transport = transport
        # asyncio sets TCP_NODELAY by itself.

    async def _start_tls(self, negotiation: Any) -> Step:
        assert self._transport is not None
        injected = self._inbox.take()
        if injected:
            step: Step = negotiation.receive(injected)
            return step
        try:
            upgraded = await self._loop.start_tls(
                self._transport,
                self._inbox,
                self._settings.ssl_context,
                server_hostname=self._settings.endpoint.host,
            )
        except ssl.SSLError as error:
            raise _failed("tls_failed", tls_reason(error)) from None
        except OSError:
            raise _failed("tls_failed", "the connection ended in the handshake") from None
        if upgraded is None:
            raise _failed("tls_failed", "the connection ended in the handshake")
        self._transport = upgraded
        self._inbox.connection_made(upgraded)
        established: Step = negotiation.tls_established()
        return established

    async def _read(self, negotiation: Any) -> Step:
        data = await self._inbox.read()
        if self._trace:
            show(self._trace, "S", data, negotiation)
        step: Step = negotiation.receive(data) if data else negotiation.closed()
        return step

    def _send(self, step: Step) -> None:
        if not step.send:
            return
        assert self._transport is not None
        if self._trace:
            show(self._trace, "C", masked(step))
        self._round_trips += 1
        self._transport.write(step.send)


def _failed(cause: str, detail: str) -> LoginFailed:
    return LoginFailed(failure_of_host(cause, detail))
