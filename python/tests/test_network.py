"""TCP, addresses, time-outs and certificates: what every front door does with a network that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import poplib
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

import mailbearer
import mailbearer.aio
import mailbearer.link
from mailbearer import SessionPolicy, verified
from mailbearer.testing import Server, client_context
from scripted import ScriptedServer

USER = "joe@gmail.com"

Door = Callable[..., Any]


def first_of(protocol: Any, *rest: Any, **settings: Any) -> socket.socket:
    with mailbearer.sessions(protocol, *rest, **settings) as sessions:
        return next(sessions).sock._sock.dup()


def of_async(door: Door) -> Door:
    def run(*rest: Any, **settings: Any) -> Any:
        async def main() -> Any:
            return await door(*rest, **settings)

        return asyncio.run(main())

    return run


async def options_of_async(protocol: Any, *rest: Any, **settings: Any) -> dict[str, int]:
    async with await mailbearer.aio.connect(protocol, *rest, **settings) as connection:
        return options(connection.transport.get_extra_info("socket"))


async def options_of_async_session(protocol: Any, *rest: Any, **settings: Any) -> dict[str, int]:
    async with mailbearer.aio.sessions(protocol, *rest, **settings) as sessions:
        return options((await anext(sessions)).transport.get_extra_info("socket"))


def options_of_session(protocol: Any, *rest: Any, **settings: Any) -> dict[str, int]:
    with mailbearer.sessions(protocol, *rest, **settings) as sessions:
        return options(next(sessions).sock)


def options_of(protocol: Any, *rest: Any, **settings: Any) -> dict[str, int]:
    with mailbearer.connect(protocol, *rest, **settings) as connection:
        return options(connection.sock)


def options(sock: Any) -> dict[str, int]:
    tcp = {name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in WISHES if hasattr(socket, name)}
    return tcp | {"SO_KEEPALIVE": sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)}


WISHES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 120_000, "TCP_NODELAY": 1}
PATHS: dict[str, Door] = {
    "connect": options_of,
    "sessions": options_of_session,
    "aio.connect": of_async(options_of_async),
    "aio.sessions": of_async(options_of_async_session),
}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


# ---- TCP -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_a_peer_that_is_gone_is_noticed_by_the_system(server: Server, path: str) -> None:
    found = PATHS[path]("imap", USER, server.issue_token(USER), **server.at("imap"))
    assert found.pop("SO_KEEPALIVE") == 1
    assert {name: bool(value) if name == "TCP_NODELAY" else value for name, value in found.items()} == WISHES


@pytest.mark.parametrize("path", PATHS)
def test_an_option_that_the_system_refuses_is_no_fault(
    server: Server, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "TCP_KEEPCNT", 9999)
    monkeypatch.setattr(socket, "TCP_USER_TIMEOUT", 9998)
    with contextlib.suppress(OSError):
        # Reading them back fails, too: what counts is that there was a connection.
        PATHS[path]("imap", USER, server.issue_token(USER), **server.at("imap"))
    assert "logged_in" in [event.what for event in server.events()]


# ---- Addresses -------------------------------------------------------------------------------------------------------


@pytest.fixture
def swallows() -> Iterator[int]:
    """A port that swallows packets: nobody takes its connections, and their queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.parametrize("path", PATHS)
def test_an_address_that_swallows_packets_costs_a_quarter_of_a_second(
    server: Server, swallows: int, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    ask = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if port != server.port("imap"):
            return ask(host, port, *rest, **options)
        if options.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "a name")
        return [(*kind, ("127.0.0.1", swallows)), (*kind, ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    begun = time.monotonic()
    PATHS[path]("imap", USER, server.issue_token(USER), **server.at("imap"), timeout=10.0)
    assert 0.2 < time.monotonic() - begun < 5


def test_families_take_turns() -> None:
    from mailbearer.tcp import interleaved

    six, four = [(10, number) for number in range(3)], [(2, number) for number in range(2)]
    assert interleaved([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]


# ---- Time-outs -------------------------------------------------------------------------------------------------------


TIMED: dict[str, Door] = {
    "connect": lambda *rest, **at: mailbearer.connect("imap", *rest, **at),
    "imap": mailbearer.imap,
    "imapclient": mailbearer.imapclient,
    "aio.connect": of_async(lambda *rest, **at: mailbearer.aio.connect("imap", *rest, **at)),
    "aio.imap": of_async(mailbearer.aio.imap),
}


@pytest.mark.parametrize("door", TIMED)
def test_all_addresses_share_one_deadline(swallows: int, door: str) -> None:
    begun = time.monotonic()
    with pytest.raises(mailbearer.LoginFailed) as caught:
        TIMED[door](USER, "t" * 40, host="127.0.0.1", port=swallows, tls="implicit", timeout=0.7)
    assert caught.value.cause == "timed_out"
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("door", TIMED)
def test_a_source_that_hangs_is_not_waited_for_longer_than_the_timeout(server: Server, door: str) -> None:
    go_on = threading.Event()
    begun = time.monotonic()
    with pytest.raises(mailbearer.TokenSourceFailed, match="in time"):
        TIMED[door](USER, lambda: go_on.wait(20) and "t", timeout=0.5, **server.at("imap"))
    assert time.monotonic() - begun < 5
    go_on.set()


def test_a_name_server_that_hangs_is_not_waited_for_longer_than_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def slow(*rest: Any, **options: Any) -> Any:
        if not options.get("flags"):
            go_on.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    begun = time.monotonic()
    with pytest.raises(mailbearer.LoginFailed, match="name server") as caught:
        mailbearer.connect("imap", USER, "t" * 40, host="mail.example.test", timeout=0.5)
    assert caught.value.cause == "timed_out"
    assert time.monotonic() - begun < 5
    go_on.set()


@pytest.mark.parametrize("stage", ["greeting", "handshake"])
def test_a_read_that_never_comes_back_is_ended_at_the_deadline(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a server floods TLS with requests to begin anew: the time-outs of the reads themselves do not strike."""
    monkeypatch.setattr(mailbearer.link.Link, "_left", lambda self: 60.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = {"host": "127.0.0.1", "port": silent.getsockname()[1], "unusual_port": True}
        tls = "implicit" if stage == "handshake" else "starttls"
        monkeypatch.setattr(mailbearer.link, "GREETING_SECONDS", 60.0)
        begun = time.monotonic()
        with pytest.raises(mailbearer.LoginFailed) as caught:
            mailbearer.connect("imap", USER, "t" * 40, timeout=0.7, tls=tls, **at)
        assert caught.value.cause == "timed_out"
        assert time.monotonic() - begun < 10


def test_mail_clients_wait_no_longer_than_the_timeout(server: Server) -> None:
    async def imap() -> None:
        client = await mailbearer.aio.imap(USER, server.issue_token(USER), timeout=0.7, **server.at("imap"))
        server.set_fault("command", "vanish")
        try:
            await client.noop()
        finally:
            client.protocol.transport.abort()
            await asyncio.sleep(0.05)

    async def smtp() -> None:
        client = await mailbearer.aio.smtp(USER, server.issue_token(USER), timeout=0.7, **server.at("smtp"))
        server.set_fault("command", "vanish")
        try:
            await client.noop()
        finally:
            client.close()
            await asyncio.sleep(0.05)

    def imapclient() -> None:
        client = mailbearer.imapclient(USER, server.issue_token(USER), timeout=0.7, **server.at("imap"))
        server.set_fault("command", "vanish")
        try:
            client.noop()
        finally:
            client.shutdown()

    for work in (imapclient, lambda: asyncio.run(imap()), lambda: asyncio.run(smtp())):
        begun = time.monotonic()
        with pytest.raises(Exception):  # noqa: B017, PT011 - each library has its own
            work()
        assert 0.5 < time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("protocol", "native"),
    [("imap", imaplib.IMAP4.abort), ("pop3", poplib.error_proto), ("smtp", smtplib.SMTPServerDisconnected)],
)
def test_a_time_out_of_the_program_itself_ends_the_session_and_is_a_time_out(
    server: Server, protocol: Any, native: type[Exception]
) -> None:
    server.set_fault("command", "vanish")
    with mailbearer.sessions(protocol, USER, server.issue_token(USER), **server.at(protocol)) as sessions:
        connection = next(sessions)
        connection.client.sock.settimeout(0.3)
        with pytest.raises(TimeoutError) as caught:
            connection.client.noop()
        assert isinstance(caught.value, mailbearer.SessionEnded)
        assert isinstance(caught.value, native)
        assert connection.verdict.cause == "timed_out"
        assert next(sessions).client.noop()


@pytest.mark.parametrize(("protocol", "client"), [("imap", "aioimaplib"), ("smtp", "aiosmtplib")])
def test_the_same_with_asyncio(server: Server, protocol: Any, client: Any) -> None:
    async def main() -> None:
        options = {"client": client, **server.at(protocol)}
        async with mailbearer.aio.sessions(protocol, USER, server.issue_token(USER), **options) as sessions:
            server.set_fault("command", "vanish")
            connection: Any = await anext(sessions)
            if client == "aioimaplib":
                connection.client.timeout = 0.3
                connection.client.protocol.timeout = 0.3
            with pytest.raises(TimeoutError) as caught:
                await (connection.client.noop(timeout=0.3) if client == "aiosmtplib" else connection.client.noop())
            assert isinstance(caught.value, mailbearer.SessionEnded)
            assert connection.verdict.cause == "timed_out"
            assert (await anext(sessions)).generation == 2

    asyncio.run(main())


@pytest.mark.parametrize("blocking", [True, False])
def test_the_end_of_a_message_may_take_its_time(blocking: bool) -> None:
    """RFC 5321 section 4.5.3.2.6: ten minutes."""
    with SlowMessages(1.5) as slow:
        at = {"host": "localhost", "port": slow.port, "ssl_context": client_context(), "tls": "implicit"}

        def send() -> None:
            with mailbearer.smtp(USER, "t" * 40, timeout=0.7, **at) as smtp:
                assert smtp.sendmail(USER, ["ann@example.org"], b"Subject: hello\r\n\r\n") == {}

        def send_in_a_session() -> None:
            with mailbearer.sessions("smtp", USER, "t" * 40, timeout=0.7, **at) as sessions:
                assert next(sessions).client.sendmail(USER, ["ann@example.org"], b"Subject: hello\r\n\r\n") == {}

        async def send_async() -> None:
            client = await mailbearer.aio.smtp(USER, "t" * 40, timeout=0.7, **at)
            await client.sendmail(USER, ["ann@example.org"], b"Subject: hello\r\n\r\n")
            await client.quit()
            options = {"client": "aiosmtplib", "timeout": 0.7, **at}
            async with mailbearer.aio.sessions("smtp", USER, "t" * 40, **options) as sessions:
                await (await anext(sessions)).client.sendmail(USER, ["ann@example.org"], b"Subject: hello\r\n\r\n")

        def send_in_chunks() -> None:
            with mailbearer.sessions("smtp", USER, "t" * 40, answer_timeout=0.7, **at) as sessions:
                sock = next(sessions).sock
                sock.sendall(CHUNKS)
                lines = sock.makefile()
                assert [lines.readline() for _ in range(3)] == [b"250 ok\r\n"] * 3
                # Any other answer is due in time.
                sock.sendall(b"BDAT 6\r\n")
                with pytest.raises(mailbearer.SessionEnded) as caught:
                    lines.readline()
                assert caught.value.cause == "timed_out"

        async def send_in_chunks_async() -> None:
            options = {"answer_timeout": 0.7, **at}
            async with mailbearer.aio.sessions("smtp", USER, "t" * 40, **options) as sessions:
                connection: Any = await anext(sessions)
                connection.writer.write(CHUNKS)
                assert [await connection.reader.readline() for _ in range(3)] == [b"250 ok\r\n"] * 3

        if blocking:
            send()
            send_in_a_session()
            send_in_chunks()
        else:
            asyncio.run(send_async())
            asyncio.run(send_in_chunks_async())
        assert slow.messages == 3


# RFC 3030: a message in one chunk.
CHUNKS = b"MAIL FROM:<joe@gmail.com>\r\nRCPT TO:<ann@example.org>\r\nBDAT 7 LAST\r\nhello\r\n"


def test_the_end_of_a_message_has_a_time_of_its_own() -> None:
    with SlowMessages(5.0) as slow:
        at = {"host": "localhost", "port": slow.port, "ssl_context": client_context(), "tls": "implicit"}
        begun = time.monotonic()
        with mailbearer.sessions("smtp", USER, "t" * 40, data_timeout=0.5, **at) as sessions:
            sock = next(sessions).sock
            sock.sendall(CHUNKS)
            lines = sock.makefile()
            assert [lines.readline() for _ in range(2)] == [b"250 ok\r\n"] * 2
            with pytest.raises(mailbearer.SessionEnded) as caught:
                lines.readline()
            assert caught.value.cause == "timed_out"
        assert time.monotonic() - begun < 5.0


@pytest.mark.parametrize("name", ["timeout", "answer_timeout", "data_timeout"])
def test_times_that_cannot_be_are_refused(name: str) -> None:
    for seconds in (0, -1, True, "1", float("inf"), float("nan")):
        options: Any = {name: seconds}
        with pytest.raises(mailbearer.ConfigError, match=f"^{name} must be"):
            mailbearer.connect("imap", USER, "t", **options)


class SlowMessages(ScriptedServer):
    """Takes a message only after a while."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.messages = 0
        super().__init__(b"", tls=True)

    def _talk(self, client: Any) -> None:
        with client, client.makefile("rb") as lines:
            client.sendall(b"220 hello ESMTP\r\n")
            in_data = False
            for line in lines:
                if in_data and line not in (b".\r\n", b"hello\r\n"):
                    continue
                if in_data:
                    time.sleep(self.seconds)
                    self.messages += 1
                in_data = line.upper().startswith((b"DATA", b"BDAT"))
                says = {
                    b"EHLO": b"250-hello\r\n250 AUTH XOAUTH2\r\n",
                    b"AUTH": b"235 in\r\n",
                    b"DATA": b"354 go\r\n",
                    b"BDAT": b"",
                    b"QUIT": b"221 bye\r\n",
                }
                client.sendall(says.get(line[:4].upper(), b"250 ok\r\n"))


# ---- uvloop ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_uvloop_works(server: Server, tls: Any) -> None:
    async def main() -> None:
        token = server.issue_token(USER)
        async with await mailbearer.aio.connect("imap", USER, token, **server.at("imap", tls)) as connection:
            connection.writer.write(b"A1 NOOP\r\n")
            assert await connection.reader.readline() == b"A1 OK Success\r\n"
        client = await mailbearer.aio.imap(USER, token, **server.at("imap", tls))
        assert (await client.noop()).result == "OK"
        await client.logout()
        async with mailbearer.aio.Account(USER, token) as account:
            options = server.at("smtp", tls)
            async for connection in account.sessions("smtp", client="aiosmtplib", **options):
                async with connection:
                    assert (await connection.client.noop()).code == 250
                break
        await asyncio.sleep(0.05)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


# ---- Certificates ----------------------------------------------------------------------------------------------------


def relaxed_later(context: ssl.SSLContext) -> None:
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
@pytest.mark.parametrize("path", PATHS)
def test_a_context_that_is_relaxed_later_is_noticed_before_the_token_is_sent(
    server: Server, path: str, tls: Any
) -> None:
    at = server.at("imap", tls)

    def token() -> str:
        # After the settings were checked, and before the handshake.
        relaxed_later(at["ssl_context"])
        return server.issue_token(USER)

    policy = {"policy": SessionPolicy(first=0.5)} if "sessions" in path else {}
    with pytest.raises(mailbearer.LoginFailed, match="not verified") as caught:
        PATHS[path]("imap", USER, token, **at, **policy)
    assert caught.value.cause == "tls_failed"
    assert "logged_in" not in [event.what for event in server.events()]


def test_whose_certificate_it_is() -> None:
    certificate = {
        "subject": ((("commonName", "mail.example.test"),),),
        "subjectAltName": (("DNS", "imap.example.test"), ("DNS", "*.example.org"), ("IP Address", "127.0.0.1")),
    }
    for host in ("imap.example.test", "IMAP.Example.Test", "imap.example.test.", "mail.example.org", "127.0.0.1"):
        assert verified.names(certificate, host)
    for host in ("mail.example.test", "a.b.example.org", "example.org", "127.0.0.2", "::1", "xexample.org"):
        assert not verified.names(certificate, host)
    # A common name alone does not count (RFC 9525 section 2).
    assert not verified.names({"subject": certificate["subject"]}, "mail.example.test")
