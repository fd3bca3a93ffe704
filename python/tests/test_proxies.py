"""Connections through real proxies, from an address, over a socket of the program's own: blocking and with asyncio."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import inspect
import logging
import pickle
import re
import socket
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any

import proxies
import pytest

import mailbearer
import mailbearer.aio
from mailbearer import check, discovery, logout, token_command
from mailbearer.oauth_http import Https
from mailbearer.proxy import Proxy, proxy_to
from mailbearer.testing import Server

USER = "joe@gmail.com"
KINDS = ("socks5", "http")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with proxies.socks5() as socks5, proxies.http(tmp_path_factory.mktemp("tinyproxy")) as http:
        yield {"socks5": socks5, "http": http}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for a name in this process fails: the proxies are other processes."""
    asked = socket.getaddrinfo

    def only_numbers(host: Any, *arguments: Any, **options: Any) -> Any:
        assert host == "127.0.0.1", f"{host} was looked up"
        return asked(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", only_numbers)


def log_in(way: str, server: Server, protocol: Any = "imap", tls: Any = "implicit", **options: Any) -> str:
    """Log in, and ask something: what came of it."""
    token, settings = server.issue_token(USER), {**server.at(protocol, tls), **options}
    question = {"imap": b"a NOOP\r\n", "pop3": b"NOOP\r\n", "smtp": b"NOOP\r\n"}[protocol]
    if way == "blocking":
        with mailbearer.connect(protocol, USER, token, **settings) as connection:
            connection.sock.sendall(question)
            return connection.sock.recv(100).decode()

    async def main() -> str:
        async with await mailbearer.aio.connect(protocol, USER, token, **settings) as connection:
            connection.writer.write(question)
            return (await connection.reader.readline()).decode()

    return asyncio.run(main())


ways = pytest.mark.parametrize("way", ["blocking", "asyncio"])
kinds = pytest.mark.parametrize("kind", KINDS)


@ways
@kinds
@pytest.mark.parametrize(("protocol", "tls"), [("imap", "implicit"), ("smtp", "starttls"), ("pop3", "starttls")])
@pytest.mark.usefixtures("no_names")
def test_a_login_goes_through_and_looks_no_name_up(
    way: str, kind: str, protocol: Any, tls: Any, server: Server, places: dict[str, str]
) -> None:
    proxy = f"{kind}://{proxies.QUOTED}@{places[kind]}"
    assert "OK" in log_in(way, server, protocol, tls, proxy=proxy)


@kinds
def test_with_uvloop(kind: str, server: Server, places: dict[str, str]) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        proxy = f"{kind}://{proxies.QUOTED}@{places[kind]}"
        at = server.at("smtp", "starttls")
        await (await mailbearer.aio.connect("smtp", USER, server.issue_token(USER), proxy=proxy, **at)).close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@ways
@kinds
def test_sessions_go_through(way: str, kind: str, server: Server, places: dict[str, str]) -> None:
    proxy, token = f"{kind}://{proxies.QUOTED}@{places[kind]}", lambda: (server.issue_token(USER), 3600.0)
    if way == "blocking":
        with mailbearer.sessions("imap", USER, token, proxy=proxy, **server.at("imap")) as sessions:
            assert next(sessions).client.select("INBOX") == ("OK", [b"3"])
            sessions._driver.end_all()
        return

    async def main() -> None:
        async with mailbearer.aio.Account(USER, token) as account:
            sessions = account.sessions("imap", proxy=proxy, **server.at("imap"))
            connection = await anext(sessions)
            connection.writer.write(b"a SELECT INBOX\r\n")
            assert b"3 EXISTS" in await connection.reader.readuntil(b"a OK")

    asyncio.run(main())


@ways
def test_the_sessions_of_an_account_go_its_way_unless_they_are_given_another(way: str, server: Server) -> None:
    """The proxy is not there: who goes through it comes to nothing."""
    proxy, token = f"socks5://127.0.0.1:{proxies.free_port()}", server.issue_token(USER)
    policy = mailbearer.SessionPolicy(first=0.1, backoff_base=0.01)
    ways_of_their_own: list[dict[str, Any]] = [{"proxy": None}, {"sock": socket.create_connection}]

    def now() -> None:
        with mailbearer.Account(USER, token, policy=policy, proxy=proxy) as account:
            with pytest.raises(mailbearer.LoginFailed) as caught:
                next(account.sessions("imap", **server.at("imap")))
            assert caught.value.cause == "proxy_failed"
            account.retry()
            for own in ways_of_their_own:
                straight = account.sessions("imap", **server.at("imap"), **own)
                assert next(straight).client.noop()[0] == "OK"

    async def later() -> None:
        async with mailbearer.aio.Account(USER, token, policy=policy, proxy=proxy) as account:
            with pytest.raises(mailbearer.LoginFailed) as caught:
                await anext(account.sessions("imap", **server.at("imap")))
            assert caught.value.cause == "proxy_failed"
            account.retry()
            for own in ways_of_their_own:
                straight = account.sessions("smtp", **server.at("smtp"), **own)
                assert (await anext(straight)).mechanism == "XOAUTH2"

    now() if way == "blocking" else asyncio.run(later())


@pytest.mark.parametrize("module", [mailbearer, mailbearer.aio])
def test_a_stored_login_is_renewed_through_the_proxy_of_who_uses_it(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def stored(user: str, *, proxy: Proxy | None) -> str:
        asked.append(str(proxy))
        return "token"

    stored_module = sys.modules["mailbearer.stored"]
    monkeypatch.setattr(stored_module, "stored", stored)
    monkeypatch.setattr(stored_module.store, "need", lambda user: types.SimpleNamespace(profile=lambda: "gmail"))  # type: ignore[attr-defined]
    proxy = "socks5://127.0.0.1:1"
    module.Account(USER, proxy=proxy)
    module.sessions("imap", USER, proxy=proxy)
    module.sender(USER, proxy=proxy)
    assert asked == [proxy] * 3


def failure(way: str, server: Server, **options: Any) -> mailbearer.LoginFailed:
    with pytest.raises(mailbearer.LoginFailed) as caught:
        log_in(way, server, **options)
    return caught.value


@ways
@kinds
def test_a_proxy_that_does_not_know_the_user(
    way: str, kind: str, server: Server, places: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = failure(way, server, proxy=f"{kind}://joe:s3cret@{places[kind]}")
    cause = error.__cause__
    assert isinstance(cause, mailbearer.ProxyFailed)
    assert (error.cause, cause.reason, cause.proxy) == ("proxy_failed", "authentication", f"{kind}://{places[kind]}")
    assert str(error) == (
        f"The proxy does not lead to the server (the proxy {kind}://{places[kind]} does not take the user name and "
        "password). Check the proxy: address, user name and password, and whether it may connect to this host and "
        "port. The mail server was not spoken to."
    )
    # What a tool shows that prints the locals of our frames, as well.
    stacks = [walk for one in (error, cause) for walk in traceback.walk_tb(one.__traceback__)]
    ours = [repr(frame.f_locals) for frame, _ in stacks if "/mailbearer/" in frame.f_code.co_filename]
    assert ours
    assert "s3cret" not in "".join([*ours, caplog.text, repr(error.failure)])
    assert str(pickle.loads(pickle.dumps(cause))) == str(cause)
    assert server.events() == []
    anonymous = failure(way, server, proxy=f"{kind}://{places[kind]}")
    assert "wants a user name and password" in str(anonymous)


@ways
@kinds
def test_a_proxy_that_cannot_connect(way: str, kind: str, server: Server, places: dict[str, str]) -> None:
    error = failure(way, server, proxy=f"{kind}://{proxies.QUOTED}@{places[kind]}", port=proxies.free_port())
    assert error.cause == "proxy_failed"
    assert isinstance(error.__cause__, mailbearer.ProxyFailed)
    assert error.__cause__.reason in ("refused", "no_way")
    assert "cannot connect to localhost:" in str(error)


@ways
def test_a_proxy_that_does_not_allow_it(way: str, server: Server, tmp_path: Any) -> None:
    with proxies.http(tmp_path, allowed=443) as place:
        error = failure(way, server, proxy=f"http://{proxies.QUOTED}@{place}")
    assert isinstance(error.__cause__, mailbearer.ProxyFailed)
    assert error.__cause__.reason == "forbidden"


@ways
@kinds
def test_a_proxy_that_is_not_there(way: str, kind: str, server: Server) -> None:
    error = failure(way, server, proxy=f"{kind}://127.0.0.1:{proxies.free_port()}")
    assert error.cause == "proxy_failed"
    assert "cannot be reached" in str(error)
    assert error.advice == "back_off"
    assert isinstance(error.__cause__, mailbearer.ProxyFailed)
    assert (error.__cause__.reason, type(error.__cause__.__cause__)) == ("unreachable", ConnectionRefusedError)


@ways
@kinds
@pytest.mark.parametrize("answer", [b"", b"* OK IMAP4 ready\r\n\r\n"])
def test_what_is_no_such_proxy(way: str, kind: str, answer: bytes, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer, contextlib.suppress(OSError):
                peer.recv(1000)
                peer.sendall(answer)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(1000):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        error = failure(way, server, proxy=f"{kind}://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert (error.cause, "http" in str(error) or "socks5" in str(error)) == ("proxy_failed", True)


@ways
@kinds
def test_a_proxy_that_says_nothing_costs_no_more_than_the_time_of_the_login(
    way: str, kind: str, server: Server
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        error = failure(way, server, proxy=f"{kind}://127.0.0.1:{listener.getsockname()[1]}", timeout=0.3)
    assert error.cause in ("proxy_failed", "timed_out")
    assert time.monotonic() - began < 20


def test_a_greeting_that_comes_with_the_answer_to_connect_is_not_lost(server: Server) -> None:
    """A server of STARTTLS speaks first: its greeting may come in the same read."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            peer.recv(1000)
            with socket.create_connection(("127.0.0.1", server.port("smtp", "starttls"))) as real:
                greeting = real.recv(1000)
                # In pieces, with the greeting behind the last one.
                peer.sendall(b"HTTP/1.1 200 Connec")
                time.sleep(0.05)
                peer.sendall(b"tion established\r\nVia: x\r\n\r" + b"\n" + greeting)
                pumps = [threading.Thread(target=pump, args=pair) for pair in ((peer, real), (real, peer))]
                for one in pumps:
                    one.start()
                for one in pumps:
                    one.join()
            peer.close()

        def pump(source: socket.socket, target: socket.socket) -> None:
            try:
                while data := source.recv(65536):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        for way in ("blocking", "asyncio"):
            thread = threading.Thread(target=serve)
            thread.start()
            proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
            assert "OK" in log_in(way, server, "smtp", "starttls", proxy=proxy)
            thread.join()


@ways
def test_the_certificate_is_still_that_of_the_mail_server(way: str, server: Server, places: dict[str, str]) -> None:
    error = failure(way, server, proxy=f"socks5://{proxies.QUOTED}@{places['socks5']}", host="127.1")
    assert error.cause == "tls_failed"


def test_cancelling_a_login_closes_the_connection_to_the_proxy(server: Server) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            proxy = f"socks5://127.0.0.1:{listener.getsockname()[1]}"
            login = asyncio.create_task(mailbearer.aio.connect("imap", USER, "token", proxy=proxy, **server.at("imap")))
            peer = (await asyncio.to_thread(listener.accept))[0]
            peer.settimeout(20)
            await asyncio.to_thread(peer.recv, 100)
            login.cancel()
            await asyncio.gather(login, return_exceptions=True)
            assert await asyncio.to_thread(peer.recv, 100) == b""
            peer.close()

    asyncio.run(main())


# ---- The option ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxy", "text"),
    [
        ("localhost:1080", "proxy must be socks5"),
        ("https://proxy.example", "proxy must be socks5"),
        ("socks5://", "proxy must be socks5"),
        ("socks5://h:99999999", "proxy must be socks5"),
        ("socks5://user:s3cret@host/path", "nothing behind them"),
        (f"socks5://user:{'s3cret' * 50}@host", "no proxy takes"),
    ],
)
def test_what_is_no_proxy_is_told_without_its_password(proxy: str, text: str, server: Server) -> None:
    for front in (mailbearer.connect, mailbearer.sessions):
        with pytest.raises(mailbearer.ConfigError, match=text) as caught:
            front("imap", USER, "token", proxy=proxy, **server.at("imap"))
        assert "s3cret" not in str(caught.value)
    with pytest.raises(mailbearer.ConfigError, match=text):
        mailbearer.discover("joe@unknown.example", proxy=proxy)


def test_what_is_missing_is_told_before_any_login(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setitem(__import__("sys").modules, "python_socks", None)
    with pytest.raises(mailbearer.ConfigError, match=r"pip install 'mailbearer\[proxy\]'"):
        mailbearer.connect("imap", USER, "token", proxy="socks5://h", **server.at("imap"))


def test_the_environment_counts_only_where_it_is_asked(
    server: Server, places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxies.free_port()}")
    assert "OK" in log_in("blocking", server)
    assert failure("blocking", server, proxy="environment").cause == "proxy_failed"
    monkeypatch.setenv("NO_PROXY", "example.org,localhost")
    assert "OK" in log_in("blocking", server, proxy="environment")
    monkeypatch.setenv("NO_PROXY", ".example.org")
    monkeypatch.setenv("all_proxy", f"socks5://{proxies.QUOTED}@{places['socks5']}")
    assert "OK" in log_in("asyncio", server, proxy="environment")
    assert proxy_to("mail.example.org", "environment") is None
    assert str(proxy_to("imap.gmail.com", "environment")) == f"socks5://{places['socks5']}"


def test_a_proxy_shows_no_password() -> None:
    proxy = Proxy.parse("socks5h://joe:s3cret@[::1]:9050")
    assert (repr(proxy), str(Proxy.parse("http://h"))) == ("<Proxy socks5://[::1]:9050>", "http://h:80")


def test_check_and_discover_take_a_proxy(
    server: Server, places: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mailbearer.__main__ import main
    from mailbearer.testing import ca_file

    monkeypatch.setenv("ALL_PROXY", f"socks5://{proxies.QUOTED}@{places['socks5']}")
    monkeypatch.setenv("MAILBEARER_TOKEN", server.issue_token(USER))
    at = [f"--imap=localhost:{server.port('imap')}", "--no-pop3", "--no-smtp", "--unusual-port", "--ca-file", ca_file()]
    assert main(["check", USER, *at, "--proxy", "environment"]) == 0
    assert main(["check", USER, *at, "--proxy", f"socks5://127.0.0.1:{proxies.free_port()}"]) == 1
    assert "The proxy does not lead to the server" in capsys.readouterr().out
    assert main(["check", USER, "--proxy", "socks5://joe:s3cret@host"]) == 2
    refused = capsys.readouterr().err
    assert ("takes no password" in refused, "s3cret" in refused) == (True, False)


@pytest.mark.usefixtures("no_names")
def test_discovery_behind_a_proxy_asks_no_name_server(places: dict[str, str]) -> None:
    found = mailbearer.discover("joe@unknown.invalid", proxy=f"http://{proxies.QUOTED}@{places['http']}", timeout=10)
    assert found.outcome in ("nothing", "unreachable")
    assert {look.seen for look in found.looks} <= {"failed", "nothing", "ignored"}


def test_files_over_https_go_through(places: dict[str, str], server: Server) -> None:
    """The mail server's port stands for one of https: TLS is verified for its name, and what it says is no HTTP."""
    from mailbearer.https import HttpsOpener
    from mailbearer.testing import client_context

    opener = HttpsOpener(client_context(), f"socks5://{proxies.QUOTED}@{places['socks5']}")
    with pytest.raises(mailbearer.LookupFailed, match="malformed"):
        opener(f"https://localhost:{server.port('imap')}/", seconds=10, octets_max=100, public_only=True)
    with pytest.raises(mailbearer.LookupFailed, match="tls"):
        opener(f"https://127.1:{server.port('imap')}/", seconds=10, octets_max=100, public_only=True)
    assert discovery.NoResolver is not None


# ---- Other ways ------------------------------------------------------------------------------------------------------


@ways
def test_a_connection_comes_from_the_address_that_is_given(way: str, server: Server) -> None:
    assert "OK" in log_in(way, server, local_address="127.0.0.2")
    error = failure(way, server, local_address="192.0.2.1")
    assert error.cause == "unreachable"
    assert failure(way, server, local_address="::1", host="127.0.0.1").cause == "unreachable"
    with pytest.raises(mailbearer.ConfigError, match="local_address must be an IP address"):
        log_in(way, server, local_address="eth0")


def test_the_server_sees_the_address(server: Server) -> None:
    with mailbearer.connect(
        "imap", USER, server.issue_token(USER), local_address="127.0.0.3", **server.at("imap")
    ) as connection:
        assert connection.sock.getsockname()[0] == "127.0.0.3"


@ways
def test_a_socket_of_the_programs_own(way: str, server: Server) -> None:
    ready = socket.create_connection(("127.0.0.1", server.port("imap")))
    assert "OK" in log_in(way, server, sock=ready)
    assert "OK" in log_in(way, server, sock=lambda place, seconds: socket.create_connection(place, seconds))
    assert "OK" in log_in(way, server, "smtp", "starttls", sock=socket.create_connection)
    with pytest.raises(mailbearer.Misuse, match="closed already"):
        log_in(way, server, sock=ready)
    with pytest.raises(mailbearer.Misuse, match="sock must give a socket, not int"):
        log_in(way, server, sock=lambda place, seconds: 5)
    with pytest.raises(mailbearer.ConfigError, match="does not go together"):
        log_in(way, server, sock=socket.create_connection, local_address="127.0.0.1")

    def refused(place: Any, seconds: float) -> Any:
        raise ConnectionRefusedError(111, "Connection refused")

    error = failure(way, server, sock=refused)
    assert (error.cause, "the program's own socket" in str(error)) == ("connection_refused", True)


def test_an_async_function_opens_the_socket(server: Server) -> None:
    async def opened(place: tuple[str, int], seconds: float) -> socket.socket:
        return await asyncio.to_thread(socket.create_connection, place, seconds)

    assert "OK" in log_in("asyncio", server, sock=opened)


def test_a_socket_that_comes_after_a_cancelled_login_is_closed(server: Server) -> None:
    begun, go = threading.Event(), threading.Event()
    made: list[socket.socket] = []

    def slow(place: tuple[str, int], seconds: float) -> socket.socket:
        begun.set()
        assert go.wait(30)
        made.append(socket.create_connection(place, seconds))
        return made[0]

    async def main() -> None:
        login = asyncio.create_task(mailbearer.aio.connect("imap", USER, "token", sock=slow, **server.at("imap")))
        await asyncio.to_thread(begun.wait, 30)
        login.cancel()
        await asyncio.gather(login, return_exceptions=True)
        go.set()
        while not made or made[0].fileno() >= 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), 30))


def test_sessions_take_a_function_and_no_socket(server: Server) -> None:
    ready = socket.socket()
    with pytest.raises(mailbearer.ConfigError, match="sock must be a function here"):
        mailbearer.sessions("imap", USER, "token", sock=ready, **server.at("imap"))
    ready.close()
    made: list[Any] = []

    def opened(place: tuple[str, int], seconds: float) -> socket.socket:
        made.append(place)
        return socket.create_connection(place, seconds)

    with mailbearer.sessions("imap", USER, server.issue_token(USER), sock=opened, **server.at("imap")) as sessions:
        next(sessions).client.select("INBOX")
    assert made == [("localhost", server.port("imap"))]


def test_every_front_door_takes_them() -> None:
    names = {"proxy", "local_address", "sock"}
    for front in (mailbearer.connect, mailbearer.aio.connect, mailbearer.sessions, mailbearer.sender):
        options = inspect.signature(front).parameters["options"].annotation
        (taken,) = re.findall(r"Unpack\[(\w+)\]", str(options))
        told = {**vars(mailbearer.options), **vars(mailbearer.sending)}[taken]
        assert names <= told.__annotations__.keys()
    assert callable(check.add_proxy)
    assert Callable is not None


def test_the_commands_that_ask_an_authorization_server_go_through_the_proxy_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def of_store(_user: str, *, proxy: object) -> None:
        asked.append(proxy)
        raise mailbearer.ConfigError("it is not stored")

    def taken_back(_account: object, https: Https) -> str:
        asked.append(https._proxy)
        return "taken back"

    monkeypatch.setattr(token_command, "stored", of_store)
    monkeypatch.setattr(logout, "_taken_back", taken_back)
    monkeypatch.setattr(logout.store, "locked", lambda _user: contextlib.nullcontext())
    for name in ("need", "forget"):
        monkeypatch.setattr(logout.store, name, lambda _user: None)
    for command in (token_command, logout):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        command.run(parser.parse_args([USER, "--proxy", "socks5://127.0.0.1:1080"]))
    assert [str(proxy) for proxy in asked] == ["socks5://127.0.0.1:1080"] * 2
