"""No connection, the wrong way of TLS, a certificate that is not accepted: the true reason, at every front door."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import mailbearer
import mailbearer.aio
from mailbearer.testing import Server, ca_file, client_context
from scripted import ScriptedServer

USER = "joe@example.test"
TOKEN = "t" * 40
# What a person waits for a wrong port.
LONGEST_SECONDS = 6.0
# The machine is shared.
SLACK_SECONDS = 4.0

Door = Callable[..., Any]


def of_session(protocol: str) -> Door:
    def first(user: str, token: str, **settings: Any) -> Any:
        """Return the first failure of a session: what it raises, or what it tells before it waits."""
        told = []

        def tell(event: mailbearer.SessionEvent) -> None:
            if event.kind == "login_failed":
                told.append(event)
                sessions.close()

        sessions = mailbearer.sessions(protocol, user, token, on_event=tell, **settings)  # type: ignore[call-overload]
        with sessions, contextlib.suppress(StopIteration):
            next(sessions)
        raise Told(told[0])

    return first


def of_async_session(protocol: str) -> Door:
    def first(user: str, token: str, **settings: Any) -> Any:
        told = []

        async def main() -> None:
            def tell(event: mailbearer.SessionEvent) -> None:
                if event.kind == "login_failed":
                    told.append(event)
                    sessions.close()

            sessions = mailbearer.aio.sessions(protocol, user, token, on_event=tell, **settings)  # type: ignore[call-overload]
            async with sessions:
                with contextlib.suppress(StopAsyncIteration):
                    await anext(sessions)

        asyncio.run(main())
        raise Told(told[0])

    return first


class Told(Exception):
    """A failure as a session tells it."""

    def __init__(self, event: mailbearer.SessionEvent) -> None:
        super().__init__(event.text)
        self.cause = event.cause


def of_async(door: Callable[..., Any]) -> Door:
    return lambda *arguments, **settings: asyncio.run(door(*arguments, **settings))


LOGINS: dict[str, tuple[str, Door]] = {
    "connect": ("imap", lambda *rest, **settings: mailbearer.connect("imap", *rest, **settings)),
    "imap": ("imap", mailbearer.imap),
    "imapclient": ("imap", mailbearer.imapclient),
    "pop3": ("pop3", mailbearer.pop3),
    "smtp": ("smtp", mailbearer.smtp),
    "aio.connect": ("imap", of_async(lambda *rest, **settings: mailbearer.aio.connect("imap", *rest, **settings))),
    "aio.imap": ("imap", of_async(mailbearer.aio.imap)),
    "aio.smtp": ("smtp", of_async(mailbearer.aio.smtp)),
}
DOORS = {**LOGINS, "sessions": ("imap", of_session("imap")), "aio.sessions": ("smtp", of_async_session("smtp"))}
# One of each way to make a connection.
PATHS = ["connect", "aio.connect"]


def refused(door: str, **settings: Any) -> Any:
    """Log in where it cannot work, in the time that a person waits."""
    begun = time.monotonic()
    with pytest.raises((mailbearer.LoginFailed, Told)) as caught:
        DOORS[door][1](USER, TOKEN, **settings)
    assert time.monotonic() - begun < LONGEST_SECONDS + SLACK_SECONDS
    return caught.value


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


# ---- No connection ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
def test_nobody_listens(door: str) -> None:
    port = closed_port()
    error = refused(door, host="127.0.0.1", port=port)
    assert error.cause == "connection_refused"
    assert f"127.0.0.1:{port}: Connection refused" in str(error)
    if door in LOGINS:
        assert isinstance(error.__cause__, ConnectionRefusedError)
        assert error.advice == "back_off"


@pytest.mark.parametrize("door", DOORS)
def test_a_host_name_that_nobody_knows(door: str) -> None:
    # RFC 6761 section 6.4: it never exists. Without any name server the system says something else.
    with pytest.raises(socket.gaierror) as known:
        socket.getaddrinfo("mail.invalid", 993)
    error = refused(door, host="mail.invalid")
    assert error.cause == ("host_not_found" if known.value.errno == socket.EAI_NONAME else "unreachable")
    assert "mail.invalid:" in str(error)
    assert known.value.strerror in str(error)
    if door in LOGINS:
        assert isinstance(error.__cause__, socket.gaierror)


@pytest.mark.parametrize("door", PATHS)
def test_no_way_to_the_host(door: str) -> None:
    # Nobody's address: the system refuses it by itself.
    error = refused(door, host="255.255.255.255", port=1)
    assert error.cause == "unreachable"
    assert isinstance(error.__cause__, OSError)
    assert error.__cause__.strerror in str(error)


@pytest.mark.parametrize("door", PATHS)
def test_of_two_addresses_the_more_telling_failure_is_told(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = closed_port()

    def two(host: Any, number: Any, *rest: Any, **options: Any) -> Any:
        places = [("127.0.0.1", port), ("255.255.255.255", port)]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    assert refused(door, host="two.example").cause == "connection_refused"


@pytest.mark.parametrize("door", PATHS)
def test_a_listener_that_is_full_is_left_in_time(door: str) -> None:
    # Linux drops the SYN where the queue is full: nobody answers.
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        error = refused(door, host="127.0.0.1", port=listener.getsockname()[1], timeout=1.0)
    assert error.cause == "timed_out"


# ---- The wrong way of TLS --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
def test_a_plain_server_under_implicit_tls(door: str) -> None:
    protocol = DOORS[door][0]
    with Server() as server:
        settings = server.at(protocol) | {"port": server.port(protocol, "starttls")}  # type: ignore[arg-type]
        error = refused(door, **settings)
    assert error.cause == "wrong_tls_mode"
    assert "wrong version number" in str(error) or "record layer failure" in str(error)
    if door in LOGINS:
        assert isinstance(error.__cause__, ssl.SSLError)
        assert error.advice == "fix_configuration"


def at_once(work: Callable[[Any], None], of: Sequence[Any]) -> None:
    """Do the same for each: they wait for the same silence at the same time."""
    with ThreadPoolExecutor(max_workers=len(of)) as threads:
        for future in [threads.submit(work, one) for one in of]:
            future.result()


def test_a_tls_port_under_starttls_is_found_by_its_silence() -> None:
    def found_by(door: str) -> None:
        protocol = DOORS[door][0]
        with Server() as server:
            settings = server.at(protocol, "starttls") | {"port": server.port(protocol)}  # type: ignore[arg-type]
            error = refused(door, **settings)
            assert not server.events(), door
        assert error.cause == "wrong_tls_mode", door
        assert "STARTTLS" in str(error)

    at_once(found_by, ["connect", "aio.connect", "sessions", "aio.sessions"])


def test_it_is_found_whatever_the_certificate_is() -> None:
    def found_by(door: str) -> None:
        with Server() as server:
            # The testing server's authority is not known to the system.
            error = refused(door, host="127.0.0.1", port=server.port("imap"), tls="starttls")
        assert error.cause == "wrong_tls_mode", door

    at_once(found_by, PATHS)


class Slow:
    """A relay to a server that holds its greeting back; it keeps what each connection sent before it."""

    def __init__(self, port: int, seconds: float) -> None:
        self._port, self._seconds = port, seconds
        self.early: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        number = len(self.early)
        self.early.append(b"")
        with client, contextlib.suppress(OSError):
            client.settimeout(self._seconds)
            with contextlib.suppress(TimeoutError):
                self.early[number] = client.recv(4096)
                return
            client.settimeout(None)
            with socket.create_connection(("127.0.0.1", self._port)) as server:
                back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
                back.start()
                self._copy(client, server)

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()


def test_a_slow_plain_server_is_not_disturbed() -> None:
    doors = ["connect", "aio.connect"]
    at_once(is_not_disturbed, [(door, protocol) for door in doors for protocol in ("imap", "pop3", "smtp")])


def is_not_disturbed(what: tuple[str, Any]) -> None:
    door, protocol = what
    with Server() as server:
        slow = Slow(server.port(protocol, "starttls"), 5.6)
        settings = server.at(protocol, "starttls") | {"port": slow.port}
        token = server.issue_token(USER)
        if door == "connect":
            mailbearer.connect(protocol, USER, token, **settings).close()
        else:

            async def main() -> None:
                await (await mailbearer.aio.connect(protocol, USER, token, **settings)).close()

            asyncio.run(main())
        slow.close()
    login, asked = slow.early
    assert login == b"", what
    # A handshake record, and nothing of ours behind it.
    assert asked[0] == 22, what
    assert len(asked) == 5 + int.from_bytes(asked[3:5]), what
    assert TOKEN.encode() not in asked


@pytest.mark.parametrize("door", PATHS)
@pytest.mark.parametrize("reset", [True, False])
def test_an_end_in_the_handshake_is_a_lost_connection(door: str, reset: bool) -> None:
    def hang_up(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                client.recv(4096)
                if reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=hang_up, args=(listener,), daemon=True).start()
        error = refused(door, host="127.0.0.1", port=listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
    assert error.cause == "connection_lost"
    assert "TLS handshake" in str(error)
    assert isinstance(error.__cause__, OSError)


@pytest.mark.parametrize("door", PATHS)
@pytest.mark.parametrize("said", [b"", b"* OK"])
def test_a_reset_before_the_handshake_begins_is_a_lost_connection(
    door: str, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes before the first octet of ours is a fault of the same kind, whichever call of the system meets it."""
    is_reset = threading.Event()

    def reset(listener: socket.socket) -> None:
        client, _ = listener.accept()
        client.sendall(said)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        is_reset.set()

    def tuned(sock: socket.socket) -> socket.socket:
        assert is_reset.wait(LONGEST_SECONDS)
        return sock

    for module in (mailbearer.route, mailbearer.aio.link):
        monkeypatch.setattr(module, "tuned", tuned)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=reset, args=(listener,), daemon=True).start()
        error = refused(door, host="127.0.0.1", port=listener.getsockname()[1])
    assert error.cause == "connection_lost"
    assert isinstance(error.__cause__, OSError)


# ---- Another service, and a name that it does not take ---------------------------------------------------------------

SMTP = b"220 mail.example.test ESMTP\r\n"


@pytest.mark.parametrize("door", [door for door in DOORS if DOORS[door][0] != "smtp"])
def test_another_service_answers(door: str) -> None:
    with ScriptedServer(SMTP, tls=True) as server:
        error = refused(door, host="localhost", port=server.port, ssl_context=client_context())
    assert error.cause == "wrong_service"
    assert "SMTP" in str(error)


@pytest.mark.parametrize("door", ["smtp", "aio.smtp", "aio.sessions"])
def test_a_refused_ehlo_name(door: str) -> None:
    refusal = b"504 5.5.2 <example.test>: Helo command rejected: need fully-qualified hostname\r\n"
    with ScriptedServer(SMTP, refusal, refusal, tls=True) as server:
        error = refused(door, host="localhost", port=server.port, ssl_context=client_context())
    assert error.cause == "client_name_refused"
    assert "ehlo_name" in str(error)


def test_the_ehlo_name_is_an_option_at_every_front_door() -> None:
    said: list[str] = []

    def look(side: str, line: str) -> None:
        if line.startswith("EHLO"):
            said.append(line)

    for door in ("smtp", "aio.smtp"):
        with ScriptedServer(SMTP, b"421 no\r\n", tls=True) as server:
            settings = {"host": "localhost", "port": server.port, "ssl_context": client_context(), "trace": look}
            refused(door, **settings, ehlo_name="client.example.org")
    assert said == ["EHLO client.example.org"] * 2


# ---- The setting itself ----------------------------------------------------------------------------------------------

REGISTERED = [
    ("imap", 993, "starttls"),
    ("imap", 143, "implicit"),
    ("pop3", 995, "starttls"),
    ("pop3", 110, "implicit"),
    ("smtp", 465, "starttls"),
    ("smtp", 587, "implicit"),
    ("smtp", 25, "implicit"),
    ("imap", 465, None),
    ("smtp", 993, None),
]


@pytest.mark.parametrize(("protocol", "port", "tls"), REGISTERED)
def test_a_registered_port_is_refused_for_the_other_way(protocol: Any, port: int, tls: Any) -> None:
    for door in (mailbearer.connect, mailbearer.sessions):
        with pytest.raises(mailbearer.ConfigError, match="unusual_port") as caught:
            door(protocol, USER, TOKEN, host="127.0.0.1", port=port, tls=tls)  # type: ignore[operator]
        assert "port" in str(caught.value)
    with pytest.raises(mailbearer.ConfigError, match="unusual_port"):
        asyncio.run(mailbearer.aio.connect(protocol, USER, TOKEN, host="127.0.0.1", port=port, tls=tls))
    with pytest.raises(mailbearer.LoginFailed):
        mailbearer.connect(protocol, USER, TOKEN, host="127.0.0.1", port=port, tls=tls, unusual_port=True, timeout=2)


@pytest.mark.parametrize(
    ("protocol", "port", "tls"),
    [("imap", 143, "starttls"), ("imap", 993, "implicit"), ("smtp", 587, "starttls"), ("smtp", 2465, "implicit")],
)
def test_without_tls_the_port_decides(protocol: Any, port: int, tls: str) -> None:
    sessions = mailbearer.sessions(protocol, USER, TOKEN, host="127.0.0.1", port=port)
    assert sessions._driver.sessions[1].endpoint.tls == tls
    sessions.close()


def test_the_profile_says_how_tls_begins_at_its_own_port() -> None:
    facts = {"host": "127.0.0.1", "port": 10_143, "tls": "starttls"}
    provider = mailbearer.Provider("ours", {"imap": facts})
    for settings in ({}, {"port": 10_143}):
        sessions = mailbearer.sessions("imap", USER, TOKEN, provider=provider, **settings)  # type: ignore[arg-type]
        assert (sessions._driver.sessions[1].endpoint.port, sessions._driver.sessions[1].endpoint.tls) == (
            10_143,
            "starttls",
        )
        sessions.close()


# ---- Certificates ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Certificates of an authority that is called Example Shield, as those programs are that read along."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(
        "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/O=Example Shield/CN=Example Shield CA"
    )
    for name, host, days in (("good", "localhost", "2"), ("other", "mail.other.test", "2"), ("old", "localhost", "0")):
        (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{host},DNS:www.{host}\nextendedKeyUsage=serverAuth\n")
        openssl("req", "-new", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=nobody")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days, "-extfile", f"{name}.ext"]
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
    time.sleep(1.1)
    return folder


class Shield:
    """A server with a certificate that the client does not accept; it keeps what it gets behind the handshake."""

    def __init__(self, folder: pathlib.Path, name: str, tls: str) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        self._tls = tls
        self.plain = b""
        self.secret = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, contextlib.suppress(OSError):
                    client.settimeout(5)
                    self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        if self._tls == "starttls":
            client.sendall(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n")
            line = client.recv(4096)
            self.plain += line
            client.sendall(line.split()[0] + b" OK go\r\n")
        with self._context.wrap_socket(client, server_side=True) as tls:
            self.secret += tls.recv(4096)

    def __enter__(self) -> Shield:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
@pytest.mark.parametrize("door", ["connect", "imap", "sessions", "aio.connect", "aio.imap"])
@pytest.mark.parametrize(
    ("name", "trusted", "words"),
    [
        ("good", False, "unable to get local issuer certificate; the certificate is for localhost, www.localhost, "),
        ("other", True, "the certificate is for mail.other.test, www.mail.other.test, "),
        ("old", True, "certificate has expired; the certificate is for localhost, www.localhost, "),
    ],
)
def test_a_certificate_that_is_not_accepted_is_named(
    certificates: pathlib.Path, door: str, tls: Any, name: str, trusted: bool, words: str
) -> None:
    trust = str(certificates / "ca.pem") if trusted else None
    context = ssl.create_default_context(cafile=trust) if trusted else client_context()
    with Shield(certificates, name, tls) as shield:
        error = refused(door, host="localhost", port=shield.port, tls=tls, ssl_context=context)
    assert error.cause == "tls_failed"
    assert words in str(error)
    assert "issued by Example Shield CA (Example Shield), valid from 2" in str(error)
    # Nothing came behind a handshake, and before it nothing but the wish for one.
    assert shield.secret == b""
    assert all(line.split()[1] == b"STARTTLS" for line in shield.plain.splitlines())
    if door in LOGINS:
        assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
        assert error.advice == "fix_configuration"


@pytest.mark.parametrize("blocking", [True, False])
def test_a_session_gives_up_with_the_same_words_and_the_same_cause(certificates: pathlib.Path, blocking: bool) -> None:
    async def first(**settings: Any) -> None:
        async with mailbearer.aio.sessions("imap", USER, TOKEN, **settings) as sessions:
            await anext(sessions)

    def go(**settings: Any) -> None:
        if blocking:
            with mailbearer.sessions("imap", USER, TOKEN, **settings) as sessions:
                next(sessions)
        else:
            asyncio.run(first(**settings))

    with Shield(certificates, "good", "implicit") as shield, pytest.raises(mailbearer.GaveUp) as caught:
        go(host="localhost", port=shield.port, ssl_context=client_context())
    assert "issued by Example Shield CA (Example Shield)" in str(caught.value)
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 6
    while any(thread.name.startswith("mailbearer-") for thread in threading.enumerate()):
        assert time.monotonic() < deadline, [thread.name for thread in threading.enumerate()]
        time.sleep(0.01)


def test_a_second_look_that_hangs_does_not_cost_the_reason() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pathlib.Path(ca_file()).with_name("localhost.pem"))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refused_once() -> None:
            with contextlib.suppress(OSError):
                context.wrap_socket(listener.accept()[0], server_side=True)

        threading.Thread(target=refused_once, daemon=True).start()
        place = {"host": "localhost", "port": listener.getsockname()[1], "tls": "implicit", "timeout": 2.0}
        with pytest.raises(mailbearer.LoginFailed) as refused:
            asyncio.run(mailbearer.aio.connect("imap", USER, TOKEN, **place))
    assert refused.value.cause == "tls_failed"
    assert "certificate" in refused.value.failure.sentence
