"""Discovery: lookups over real sockets on loopback, the front doors that use it, and the command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

import mailbearer
import mailbearer.aio
from discover_cases import StandIn
from mailbearer import discovery
from mailbearer.__main__ import main
from mailbearer.https import HttpsOpener
from mailbearer.lookups import DnsResolver, LookupFailed
from mailbearer.settings import resolve
from mailbearer.testing import ca_file
from scripted import ScriptedServer

USER = "joe@company.example"
HOST = "imap.company.example"


# ---- DNS -------------------------------------------------------------------------------------------------------------


class NameServer:
    """A name server on loopback with a few records."""

    def __init__(self, *records: str, rcode: int = 0, is_silent: bool = False) -> None:
        self._records = [dns.rrset.from_text_list(*self._parts(record)) for record in records]
        self._rcode = rcode
        self._is_silent = is_silent
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @staticmethod
    def _parts(record: str) -> tuple[str, int, str, str, list[str]]:
        name, kind, data = record.split(" ", 2)
        return name, 60, "IN", kind, data.split(" | ")

    @property
    def resolver(self) -> DnsResolver:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], self._socket.getsockname()[1]
        return DnsResolver(resolver)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, sender = self._socket.recvfrom(4096)
                if not self._is_silent:
                    self._socket.sendto(self._reply(dns.message.from_wire(data)).to_wire(), sender)

    def _reply(self, query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        (question,) = query.question
        same_name = [one for one in self._records if one.name == question.name]
        reply.answer = [one for one in same_name if one.rdtype == question.rdtype]
        reply.set_rcode(dns.rcode.Rcode(self._rcode if self._rcode or same_name else dns.rcode.NXDOMAIN))
        return reply

    def __enter__(self) -> DnsResolver:
        return self.resolver

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def test_records_are_read_as_they_stand() -> None:
    with NameServer(
        "company.example. MX 10 mx2.company.example. | 1 mx1.company.example.",
        "_imaps._tcp.company.example. SRV 0 5 993 imap.company.example.",
        "_imap._tcp.company.example. SRV 0 0 0 .",
    ) as resolver:
        assert sorted(resolver.mx("company.example", 2)) == [(1, "mx1.company.example."), (10, "mx2.company.example.")]
        assert resolver.srv("_imaps._tcp.company.example", 2) == [(0, 5, 993, "imap.company.example.")]
        assert resolver.srv("_imap._tcp.company.example", 2) == [(0, 0, 0, ".")]
        # No such name; a name without such a record.
        assert resolver.srv("_pop3s._tcp.company.example", 2) == []
        assert resolver.mx("_imaps._tcp.company.example", 2) == []


@pytest.mark.parametrize(("server", "trouble"), [({"rcode": 2}, "refused"), ({"is_silent": True}, "timed_out")])
def test_a_resolver_without_an_answer_says_why(server: dict[str, Any], trouble: str) -> None:
    with NameServer("company.example. MX 1 mx.company.example.", **server) as resolver:
        with pytest.raises(LookupFailed) as failed:
            resolver.mx("company.example", 0.3)
        assert failed.value.trouble == trouble


def test_all_of_dns_comes_from_the_name_server() -> None:
    def no_files(url: str, **_: object) -> tuple[int, str | None, bytes]:
        raise AssertionError(url)

    with NameServer("company.example. MX 0 company-example.mail.protection.outlook.com.") as resolver:
        found = mailbearer.discover(USER, resolver=resolver, opener=no_files)
    assert (found.provider, found.outcome, found.hoster) == ("microsoft", "found", "Microsoft 365")


# ---- HTTPS -----------------------------------------------------------------------------------------------------------


class WebServer:
    """It answers any request with the same octets, over TLS as ``localhost``."""

    def __init__(self, answer: bytes, *, forever: bytes = b"", tls: bool = True) -> None:
        self._answer, self._forever, self._tls = answer, forever, tls
        self.requests: list[bytes] = []
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(pathlib.Path(ca_file()).with_name("localhost.pem"))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listener.getsockname()[1]}/x?y"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with contextlib.suppress(OSError), client:
                    self._talk(self._context.wrap_socket(client, server_side=True) if self._tls else client)

    def _talk(self, client: socket.socket) -> None:
        with client:
            client.settimeout(5)
            self.requests.append(client.recv(4096))
            client.sendall(self._answer)
            while self._forever:
                client.sendall(self._forever)
                time.sleep(0.02)

    def __enter__(self) -> WebServer:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def trusting() -> HttpsOpener:
    return HttpsOpener(ssl.create_default_context(cafile=ca_file()))


def get(opener: HttpsOpener, url: str, **options: Any) -> tuple[int, str | None, bytes]:
    return opener(url, **({"seconds": 5.0, "octets_max": 1000, "public_only": False} | options))


def trouble_of(opener: HttpsOpener, url: str, **options: Any) -> str:
    with pytest.raises(LookupFailed) as failed:
        get(opener, url, **options)
    return failed.value.trouble


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def test_a_file_is_read_whole_and_tells_nothing_of_the_user() -> None:
    with WebServer(OK) as server:
        assert get(trusting(), server.url) == (200, None, b"hello")
    (request,) = server.requests
    assert request.startswith(b"GET /x?y HTTP/1.1\r\n")
    assert b"mailbearer/" in request
    assert b"Cookie" not in request
    assert b"Authorization" not in request


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 401, 404, 500])
def test_no_redirect_is_followed_and_every_status_is_an_answer(status: int) -> None:
    answer = f"HTTP/1.1 {status} x\r\nLocation: https://localhost:1/\r\nContent-Length: 0\r\n\r\n".encode()
    with WebServer(answer) as server:
        assert get(trusting(), server.url) == (status, "https://localhost:1/", b"")


def test_a_private_address_is_not_asked_where_others_have_named_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with WebServer(OK) as server:
        assert trouble_of(trusting(), server.url, public_only=True) == "not_public"
        assert server.requests == []
        # A name that has another address the second time.
        monkeypatch.setattr("mailbearer.https._check_public", lambda url: None)
        assert trouble_of(trusting(), server.url, public_only=True) == "not_public"


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("10.1.2.3", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("0.0.0.0", False),
    ],
)
def test_public_addresses_are_those_of_the_internet(address: str, is_public: bool) -> None:
    from mailbearer.https import _is_public

    assert _is_public(address) is is_public


def test_an_answer_is_bounded_in_octets_and_in_time() -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    with WebServer(head, forever=b"x" * 500) as server:
        assert trouble_of(trusting(), server.url) == "too_large"
    with WebServer(head, forever=b"x") as server:
        began = time.monotonic()
        assert trouble_of(trusting(), server.url, seconds=0.3, octets_max=1 << 30) == "timed_out"
        assert time.monotonic() - began < 4


def test_what_is_wrong_with_a_server_is_told() -> None:
    with WebServer(OK) as server:
        assert trouble_of(HttpsOpener(ssl.create_default_context()), server.url) == "tls"
    with WebServer(OK, tls=False) as server:
        assert trouble_of(trusting(), server.url) == "tls"
    with WebServer(b"220 smtp.example ESMTP\r\n") as server:
        assert trouble_of(trusting(), server.url) == "malformed"
    assert trouble_of(trusting(), server.url) == "unreachable"


# ---- The whole -------------------------------------------------------------------------------------------------------


class Hanging(StandIn):
    """DNS never answers."""

    def mx(self, domain: str, seconds: float) -> list[tuple[int, str]]:
        time.sleep(30)
        return []


def test_the_deadline_holds_whatever_hangs() -> None:
    began = time.monotonic()
    hanging = Hanging({})
    found = mailbearer.discover(USER, timeout=0.4, resolver=hanging, opener=hanging)
    assert time.monotonic() - began < 4
    assert found.outcome == "nothing"
    assert found.looks[0] == mailbearer.Look(what="MX company.example", seen="failed", text="no answer in time")


def test_a_stand_in_that_raises_anything_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(StandIn):
        def mx(self, domain: str, seconds: float) -> list[tuple[int, str]]:
            raise KeyError(domain)

    broken = Broken({"SRV _imaps._tcp.company.example": [[0, 1, 993, f"{HOST}."]]})
    assert mailbearer.discover(USER, resolver=broken, opener=broken).outcome == "found"
    assert "another way" in caplog.text


def test_asyncio_is_not_blocked_and_a_cancelled_discovery_is_over() -> None:
    async def scene() -> float:
        hanging = Hanging({})
        search = asyncio.create_task(mailbearer.aio.discover(USER, resolver=hanging, opener=hanging))
        await asyncio.sleep(0.05)
        search.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await search
        return time.monotonic() - began

    began = time.monotonic()
    assert asyncio.run(scene()) < 2
    # Nor does the end of the program wait for it.
    assert time.monotonic() - began < 4
    with pytest.raises(mailbearer.ConfigError, match="no mail address"):
        asyncio.run(mailbearer.aio.discover("joe"))


def test_what_most_programs_do_not_need_is_not_imported() -> None:
    program = "import sys, mailbearer, mailbearer.aio; print(*({'dns', 'mailbearer.https'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# ---- Front doors -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Of the host that is discovered: no host of this machine is taken from DNS."""
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate, file = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test -addext"
    command = [*request.split(), f"subjectAltName=DNS:{HOST}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    file.write_text(key.read_text() + certificate.read_text())
    return file


GREETING = b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] hi\r\n"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, certificate: pathlib.Path) -> Iterator[dict[str, Any]]:
    """The Internet as the front doors see it: SRV records that lead to a server on loopback."""
    discovery._remembered.cache_clear()
    with ScriptedServer(GREETING, b"%TAG% OK [CAPABILITY IMAP4rev1] in\r\n", b"%TAG% OK\r\n", tls=True) as server:
        assert server._context is not None
        server._context.load_cert_chain(certificate)
        answers = {"SRV _imaps._tcp.company.example": [[0, 1, server.port, f"{HOST}."]]}
        stand_in = StandIn(answers)
        monkeypatch.setattr(discovery, "DnsResolver", lambda: stand_in)
        monkeypatch.setattr("mailbearer.https.HttpsOpener", lambda context, proxy: stand_in)
        look_up = socket.getaddrinfo

        def local(host: Any, *rest: Any, **more: Any) -> Any:
            return look_up("127.0.0.1" if host == HOST else host, *rest, **more)

        monkeypatch.setattr(socket, "getaddrinfo", local)
        context = ssl.create_default_context(cafile=str(certificate))
        yield {"answers": answers, "ssl_context": context, "stand_in": stand_in, "ca_file": str(certificate)}
    discovery._remembered.cache_clear()


def test_connect_finds_the_server_and_says_so(world: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mailbearer")
    with mailbearer.connect("imap", USER, "token", ssl_context=world["ssl_context"]) as connection:
        assert connection.endpoint.host == HOST
    assert "company.example has its mail at imap.company.example, as its SRV records say (likely)" in caplog.text


def test_what_was_found_is_remembered(world: dict[str, Any]) -> None:
    for _ in range(2):
        discovery.for_login(USER)
    assert world["stand_in"].asked.count("MX company.example") == 1
    # What was not found is not.
    world["answers"].clear()
    for _ in range(2):
        discovery.for_login("joe@other.example")
    assert world["stand_in"].asked.count("MX other.example") == 2


def test_it_can_be_forbidden_and_is_not_used_where_the_server_is_named(world: dict[str, Any]) -> None:
    with pytest.raises(mailbearer.ConfigError, match="host is missing"):
        mailbearer.connect("imap", USER, "token", discover=False)
    with pytest.raises(mailbearer.ConfigError, match="host is missing"):
        next(mailbearer.sessions("imap", USER, "token", discover=False))
    with pytest.raises(mailbearer.LoginFailed):
        mailbearer.connect("imap", USER, "token", host="localhost", port=1, timeout=5)
    with pytest.raises(TypeError, match="discover must be a bool"):
        mailbearer.connect("imap", USER, "token", discover="no")  # type: ignore[arg-type]
    assert world["stand_in"].asked == []


def test_a_server_of_another_domain_that_dns_names_gets_no_token(world: dict[str, Any]) -> None:
    world["answers"]["SRV _imaps._tcp.company.example"] = [[0, 1, 993, "imap.evil.example."]]
    with pytest.raises(mailbearer.ConfigError, match=r"if it is right, give imap\.evil\.example as host"):
        mailbearer.connect("imap", USER, "token")
    with pytest.raises(mailbearer.ConfigError, match="another domain"):
        asyncio.run(mailbearer.aio.connect("imap", USER, "token"))


def test_what_has_no_server_says_what_was_looked_at(world: dict[str, Any]) -> None:
    world["answers"].clear()
    for login in (
        lambda: mailbearer.connect("imap", USER, "token"),
        lambda: mailbearer.sessions("imap", USER, "token"),
        lambda: mailbearer.Account(USER, "token").sessions("smtp"),
    ):
        with pytest.raises(mailbearer.ConfigError, match=r"no mail server is known for company\.example: it has no MX"):
            login()


Open = Callable[[dict[str, Any]], None]


def _sessions(options: dict[str, Any]) -> None:
    on_event = options.pop("on_event")
    with mailbearer.sessions("imap", USER, "token", on_event=on_event, **options) as sessions:
        assert next(sessions).endpoint.host == HOST


def _account(options: dict[str, Any]) -> None:
    on_event = options.pop("on_event")
    with mailbearer.Account(USER, "token", on_event=on_event) as account:
        sessions = account.sessions("imap", **options)
        assert next(sessions).endpoint.host == HOST


def _aio_sessions(options: dict[str, Any]) -> None:
    async def scene() -> None:
        async with mailbearer.aio.sessions("imap", USER, "token", **options) as sessions:
            assert sessions.status()["session"] is None
            async with await anext(sessions) as connection:
                assert connection.endpoint.host == HOST
            assert sessions.status()["protocol"] == "imap"

    asyncio.run(scene())


def _aio_account(options: dict[str, Any]) -> None:
    on_event = options.pop("on_event")

    async def scene() -> None:
        account = mailbearer.aio.Account(USER, "token", on_event=on_event)
        async with account, await anext(account.sessions("imap", **options)) as connection:
            assert connection.endpoint.host == HOST

    asyncio.run(scene())


@pytest.mark.parametrize("front_door", [_sessions, _account, _aio_sessions, _aio_account])
def test_sessions_find_the_server_and_tell_it_as_an_event(world: dict[str, Any], front_door: Open) -> None:
    events: list[mailbearer.SessionEvent] = []
    front_door({"ssl_context": world["ssl_context"], "on_event": events.append})
    first = events[0]
    assert (first.kind, first.protocol, first.user, first.session) == ("discovered", "imap", USER, 1)
    assert first.text is not None
    assert "as its SRV records say (likely)" in first.text
    assert [one.kind for one in events].count("discovered") == 1


class Application:
    """As MSAL's, but that it only notes what it is asked for."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    def get_accounts(self, username: str | None = None) -> list[dict[str, str]]:
        return [{"username": USER}]

    def acquire_token_silent_with_error(self, scopes: Any, **_: object) -> dict[str, str]:
        self.scopes.append(scopes)
        return {"error": "invalid_grant", "error_description": "not in this test"}

    acquire_token_silent = acquire_token_silent_with_error


def _of_account(application: Application) -> None:
    next(mailbearer.Account(USER, application).sessions("imap"))


def _alone(application: Application) -> None:
    next(mailbearer.sessions("imap", USER, application))


def _in_asyncio(application: Application) -> None:
    asyncio.run(anext(mailbearer.aio.sessions("imap", USER, application)))  # type: ignore[arg-type]


def _of_account_in_asyncio(application: Application) -> None:
    async def scene() -> None:
        async with mailbearer.aio.Account(USER, application) as account:
            await anext(account.sessions("imap"))

    asyncio.run(scene())


@pytest.mark.parametrize("login", [_of_account, _alone, _in_asyncio, _of_account_in_asyncio])
def test_the_token_source_is_asked_for_the_scopes_that_were_found(world: dict[str, Any], login: Any) -> None:
    world["answers"]["MX company.example"] = [[1, "smtp.google.com."]]
    application = Application()
    with pytest.raises(mailbearer.Error):
        login(application)
    assert application.scopes[0] == ["https://mail.google.com/"]


def test_a_session_of_asyncio_that_is_closed_while_it_looks_up_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    discovery._remembered.cache_clear()
    begun = threading.Event()

    class Slow(StandIn):
        def mx(self, domain: str, seconds: float) -> list[tuple[int, str]]:
            begun.set()
            time.sleep(0.3)
            return [(1, "smtp.google.com.")]

    slow = Slow({})
    monkeypatch.setattr(discovery, "DnsResolver", lambda: slow)

    async def scene() -> int:
        async with mailbearer.aio.Account(USER, "token") as account:
            sessions = account.sessions("imap")
            waiting = asyncio.ensure_future(anext(sessions))
            await asyncio.to_thread(begun.wait, 5)
            sessions.close()
            with pytest.raises(StopAsyncIteration):
                await waiting
            return len(account.status()["sessions"])

    assert asyncio.run(scene()) == 0
    discovery._remembered.cache_clear()


def test_the_user_name_that_was_found_logs_in(world: dict[str, Any]) -> None:
    server = (
        f'<incomingServer type="imap"><hostname>{HOST}</hostname><port>993</port><socketType>SSL</socketType>'
        "<authentication>OAuth2</authentication><username>%EMAILLOCALPART%</username></incomingServer>"
    )
    file = f"<clientConfig><emailProvider>{server}</emailProvider></clientConfig>"
    world["answers"]["https://autoconfig.company.example/mail/config-v1.1.xml"] = {"status": 200, "body": file}
    assert resolve("imap", USER).user == "joe"
    with mailbearer.sessions("imap", USER, "token") as sessions:
        assert sessions._driver.settings.user == "joe"
    # An account has one user name, and it was given.
    with (
        mailbearer.Account(USER, "token") as account,
        pytest.raises(mailbearer.ConfigError, match=r"user name at imap\.company\.example is not the mail address"),
    ):
        account.sessions("imap")


def test_settings_that_cannot_work_are_told_before_anything_is_looked_up(world: dict[str, Any]) -> None:
    with pytest.raises(mailbearer.ConfigError, match="timeout"):
        mailbearer.aio.sessions("imap", USER, "token", timeout=-1)
    with pytest.raises(TypeError, match="unexpected"):
        mailbearer.aio.sessions("imap", USER, "token", colour="red")  # type: ignore[call-arg]
    assert world["stand_in"].asked == []


# ---- The command -----------------------------------------------------------------------------------------------------


def test_the_command_says_what_from_where_and_how_sure(
    world: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["discover", USER]) == 0
    said = capsys.readouterr().out
    assert "imap   imap.company.example:" in said
    assert "(TLS), user joe@company.example, OAuth not known; srv, likely" in said
    assert "nothing  MX company.example: no record" in said
    assert main(["discover", USER, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["services"][0]["source"] == "srv"
    world["answers"].clear()
    assert main(["discover", USER]) == 1
    assert main(["discover", "joe"]) == 2
    assert "no mail address" in capsys.readouterr().err


def test_check_looks_up_once_for_all_protocols(
    world: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILBEARER_TOKEN", "token")
    assert main(["check", USER, "--ca-file", world["ca_file"]]) == 1
    said = capsys.readouterr().out
    assert "as its SRV records say (likely)" in said
    assert "1 of 3 worked" in said
    assert "no pop3 server was found" in said
    assert world["stand_in"].asked.count("MX company.example") == 1
    assert main(["check", USER, "--ca-file", world["ca_file"], "--no-discover", "--no-pop3", "--no-smtp"]) == 1
    assert "host is missing" in capsys.readouterr().out
    assert main(["check", USER, "--json", "--ca-file", world["ca_file"], "--no-pop3", "--no-smtp"]) == 0
    assert json.loads(capsys.readouterr().out)["discovered"]["outcome"] == "found"


def test_the_example_of_the_documentation_runs() -> None:
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "discovery.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    assert (names["profile"].name, names["user"]) == ("gmail", USER)


def test_the_output_in_the_documentation_is_what_is_printed(
    world: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "discovery.md").read_text()
    (shown,) = re.findall(r"```text\n\$ mailbearer discover joe@company.example\n(.*?)  …\n```", page, re.DOTALL)
    world["answers"] |= {"MX company.example": [[1, "aspmx.l.google.com."]]}
    del world["answers"]["SRV _imaps._tcp.company.example"]
    main(["discover", USER])
    assert capsys.readouterr().out.startswith(shown)
