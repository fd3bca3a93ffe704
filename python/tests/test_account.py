"""Accounts: what their sessions share, stops, and what a token source may do, in blocking and asyncio programs."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import mailbearer
import mailbearer.aio
from mailbearer import SessionEvent, SessionPolicy
from mailbearer.testing import Server, client_context
from scripted import ScriptedServer

USER = "joe@gmail.com"
QUICK = SessionPolicy(backoff_base=0.05, backoff_max=0.2, login_interval=0.001)


class Blocking:
    """The same words for both kinds: here for blocking programs."""

    @staticmethod
    def account(*arguments: Any, **options: Any) -> Any:
        return mailbearer.Account(*arguments, **options)

    def __init__(self, account: Any, protocol: str, **options: Any) -> None:
        self.account = account
        self.sessions = account.sessions(protocol, **options)

    def next(self) -> Any:
        return next(self.sessions)

    def say(self, line: bytes) -> bytes:
        sock = self.sessions._given.sock
        sock.sendall(line)
        return bytes(sock.recv())

    def let_go(self) -> None:
        self.sessions._given.let_go()

    def close(self) -> None:
        self.account.close()


class Asyncio(Blocking):
    """The same in an event loop of its own."""

    loop: asyncio.AbstractEventLoop

    @staticmethod
    def account(*arguments: Any, **options: Any) -> Any:
        return mailbearer.aio.Account(*arguments, **options)

    def next(self) -> Any:
        return self.loop.run_until_complete(anext(self.sessions))

    def say(self, line: bytes) -> bytes:
        async def talk() -> bytes:
            given = self.sessions._given
            given.writer.write(line)
            return bytes(await given.reader.readline() or await given.reader.readline())

        return self.loop.run_until_complete(talk())

    def let_go(self) -> None:
        self.loop.run_until_complete(self.sessions._given.let_go())

    def close(self) -> None:
        self.loop.run_until_complete(self.account.aclose())


Kind = type[Blocking]


@pytest.fixture(params=["blocking", "asyncio"])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    if request.param == "blocking":
        yield Blocking
        return
    Asyncio.loop = asyncio.new_event_loop()
    yield Asyncio
    Asyncio.loop.run_until_complete(asyncio.sleep(0.05))
    Asyncio.loop.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


class Counted(ScriptedServer):
    """Counts its clients."""

    clients = 0

    def _talk(self, client: Any) -> None:
        self.clients += 1
        super()._talk(client)


def whats(server: Server) -> list[str]:
    return [event.what for event in server.events()]


# ---- Stops -----------------------------------------------------------------------------------------------------------

POP3_OFF = (
    b"+OK ready\r\n",
    b"+OK\r\nSASL XOAUTH2\r\n.\r\n",
    b"+OK in\r\n",
    b"-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your settings\r\n",
)
WEB_LOGIN = (
    b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready\r\n",
    b"%TAG% OK in\r\n",
    b"* BYE [ALERT] Web login required (Failure)\r\n",
)


@pytest.mark.parametrize(
    ("protocol", "says", "words", "cause"),
    [
        ("pop3", POP3_OFF, "not enabled for POP access", "protocol_disabled"),
        ("imap", WEB_LOGIN, "Web login required", "interaction_required"),
    ],
)
def test_a_stop_behind_a_login_that_works(
    kind: Kind, protocol: str, says: tuple[bytes, ...], words: str, cause: str
) -> None:
    with Counted(*says, tls=True) as scripted:
        at = {"host": "localhost", "port": scripted.port, "ssl_context": client_context(), "tls": "implicit"}
        account = kind.account(USER, "t" * 40, policy=QUICK)
        one = kind(account, protocol, **at)
        given = one.next()
        # The stop comes while the program holds the connection, in answer to what it says.
        with contextlib.suppress(mailbearer.SessionEnded):
            for _ in range(3):
                one.say(b"STAT\r\n" if protocol == "pop3" else b"A1 NOOP\r\n")
        assert given.verdict.cause == cause
        for _ in range(5):
            with pytest.raises(mailbearer.NeedsUser, match=words):
                one.next()
        assert scripted.clients <= 3
        one.close()


def test_a_revoked_refresh_token_says_so_in_the_words_of_the_source(kind: Kind, server: Server) -> None:
    calls = []

    def revoked() -> dict[str, Any]:
        calls.append(None)
        return {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}

    account = kind.account(USER, revoked, policy=QUICK)
    one = kind(account, "imap", **server.at("imap"))
    for _ in range(3):
        with pytest.raises(mailbearer.NeedsUser, match="invalid_grant: Token has been expired or revoked") as caught:
            one.next()
        assert isinstance(caught.value.__cause__, mailbearer.TokenSourceFailed)
    # It stops every protocol.
    other = kind(account, "smtp", **server.at("smtp"))
    with pytest.raises(mailbearer.NeedsUser):
        other.next()
    assert len(calls) == 1
    assert "connected" not in whats(server)
    assert [failure.cause for failure in account.status()["stops"]] == ["token_unavailable"]
    one.close()


def test_a_permanent_failure_while_the_program_holds_a_connection(kind: Kind) -> None:
    failing = False
    calls = []

    def token() -> tuple[str, float]:
        if failing:
            calls.append(None)
            raise mailbearer.TokenSourceFailed("the consent was withdrawn", permanent=True)
        return server.issue_token(USER), 1.0

    with Server(token_lifetime=1.0) as server:
        account = kind.account(USER, token, policy=QUICK)
        one = kind(account, "imap", **server.at("imap"))
        one.next()
        failing = True
        deadline = time.monotonic() + 15
        with contextlib.suppress(mailbearer.SessionEnded):
            while time.monotonic() < deadline:
                one.say(b"A1 NOOP\r\n")
                time.sleep(0.02)
        for _ in range(3):
            with pytest.raises(mailbearer.NeedsUser, match="the consent was withdrawn"):
                one.next()
        # Once more, before a person is called.
        assert len(calls) == 2
        assert whats(server).count("logged_in") == 1
        one.close()


def test_a_stop_outlives_the_process(kind: Kind, server: Server) -> None:
    def revoked() -> str:
        raise mailbearer.TokenSourceFailed("revoked", permanent=True)

    account = kind.account(USER, revoked, policy=QUICK)
    one = kind(account, "imap", **server.at("imap"))
    with pytest.raises(mailbearer.NeedsUser):
        one.next()
    snapshot = account.snapshot()
    one.close()
    calls = []

    def good() -> str:
        calls.append(None)
        return server.issue_token(USER)

    account = kind.account(USER, good, snapshot=snapshot)
    one = kind(account, "imap", **server.at("imap"))
    with pytest.raises(mailbearer.NeedsUser, match="revoked"):
        one.next()
    assert calls == []
    account.retry()
    assert one.next().generation == 1
    one.close()


def test_a_snapshot_of_a_single_session_is_refused_clearly(kind: Kind) -> None:
    with pytest.raises(mailbearer.ConfigError, match="snapshot"):
        kind.account(USER, "t" * 40, snapshot=b"mailbearer-session 1 0000000000000000\n{}")


# ---- What sessions share ---------------------------------------------------------------------------------------------


def test_two_sessions_share_one_token_and_one_stop(kind: Kind, server: Server) -> None:
    calls = []

    def token() -> tuple[str, float]:
        calls.append(None)
        return server.issue_token(USER, lifetime=60.0), 60.0

    account = kind.account(USER, token, policy=QUICK)
    imap, smtp = kind(account, "imap", **server.at("imap")), kind(account, "smtp", **server.at("smtp"))
    assert (imap.next().generation, smtp.next().generation) == (1, 1)
    assert len(calls) == 1
    imap.close()
    server.events()

    account = kind.account(USER, lambda: server.issue_token(USER, lifetime=0.0), policy=QUICK)
    imap, smtp = kind(account, "imap", **server.at("imap")), kind(account, "smtp", **server.at("smtp"))
    for one in (imap, smtp):
        with pytest.raises(mailbearer.NeedsUser, match="second one in a row"):
            one.next()
    assert whats(server).count("refused") == 2
    imap.close()


def test_twenty_sessions_at_a_limit_of_fifteen() -> None:
    async def main() -> None:
        with Server(connections_max=15) as server:
            token = server.issue_token(USER)
            async with mailbearer.aio.Account(USER, lambda: (token, 3600.0), policy=QUICK) as account:
                sessions = [account.sessions("imap", **server.at("imap")) for _ in range(20)]
                waits = [asyncio.ensure_future(anext(one)) for one in sessions]

                async def done(count: int) -> None:
                    for _ in range(300):
                        if sum(wait.done() for wait in waits) >= count:
                            return
                        await asyncio.sleep(0.05)

                await done(15)
                await asyncio.sleep(1.0)
                assert sum(wait.done() for wait in waits) == server.sessions == 15
                assert [wait.exception() for wait in waits if wait.done()] == [None] * 15
                logins = [what for what in whats(server) if what in ("logged_in", "refused")]
                assert len(logins) <= 30
                # Who lets go makes room for who waits.
                first = next(wait for wait in waits if wait.done())
                await first.result().let_go()
                await done(16)
                assert sum(wait.done() for wait in waits) == 16
                for wait in waits:
                    wait.cancel()

    asyncio.run(main())


def test_sessions_of_an_account_end_alone_and_with_it(kind: Kind, server: Server) -> None:
    account = kind.account(USER, server.issue_token(USER))
    one, other = kind(account, "imap", **server.at("imap")), kind(account, "imap", **server.at("imap"))
    given, left = one.next(), other.next()
    one.sessions.close()
    assert given.verdict.cause == "cancelled"
    assert left.verdict is None
    assert [status["session"] for status in account.status()["sessions"]] == [2]
    other.close()
    assert left.verdict.cause == "cancelled"
    with pytest.raises((StopIteration, StopAsyncIteration)):
        other.next()


def test_somebody_else_cannot_wait_for_the_same_connection(server: Server) -> None:
    server.refuse("unavailable")
    with mailbearer.Account(USER, server.issue_token(USER)) as account:
        sessions = account.sessions("imap", **server.at("imap"))
        waiting = threading.Thread(target=lambda: list(sessions))
        waiting.start()
        deadline = time.monotonic() + 5
        while not sessions.status()["is_wanted"] and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(mailbearer.Misuse, match="waits"):
            next(sessions)
        account.close()
        waiting.join(5)
        assert not waiting.is_alive()


# ---- Policy ----------------------------------------------------------------------------------------------------------


def test_the_policy_of_a_session_cannot_set_what_is_of_the_account(kind: Kind, server: Server) -> None:
    account = kind.account(USER, "t" * 40)
    for policy in (SessionPolicy(first=1.0), SessionPolicy(token_timeout=1.0), SessionPolicy(keep_alive=False)):
        with pytest.raises(mailbearer.ConfigError, match="whole account"):
            kind(account, "imap", policy=policy, **server.at("imap"))
    kind(account, "imap", policy=SessionPolicy(session_limit=60.0), **server.at("imap"))
    with pytest.raises(TypeError, match="snapshot"):
        account.sessions("imap", snapshot=b"")
    with pytest.raises(TypeError, match="policy"):
        kind.account(USER, "t", policy=5)
    with pytest.raises(mailbearer.ConfigError, match="provider"):
        kind.account(USER, "t", provider="nobody")


def test_failures_are_waited_out_for_as_long_as_the_policy_says(kind: Kind, server: Server) -> None:
    server.refuse("unavailable")
    policy = SessionPolicy(first=0.5, backoff_base=0.05, backoff_max=0.1, login_interval=0.001)
    account = kind.account(USER, server.issue_token(USER), policy=policy)
    one = kind(account, "imap", **server.at("imap"))
    begun = time.monotonic()
    with pytest.raises(mailbearer.GaveUp) as caught:
        one.next()
    assert caught.value.cause == "unavailable"
    assert 0.4 < time.monotonic() - begun < 5
    # It is no stop: to want again is to go on.
    server.refuse(None)
    assert one.next().generation == 1
    one.close()


@pytest.mark.parametrize(
    ("at", "cause"), [({"host": "127.0.0.1", "port": 1}, "connection_refused"), ({"host": "mail.invalid"}, None)]
)
def test_what_cannot_get_better_is_raised_at_once(kind: Kind, at: dict[str, Any], cause: str | None) -> None:
    account = kind.account(USER, "t" * 40, policy=SessionPolicy(first=5.0))
    one = kind(account, "imap", tls="implicit", unusual_port=True, **at)
    begun = time.monotonic()
    with pytest.raises(mailbearer.GaveUp) as caught:
        one.next()
    assert cause is None or caught.value.cause == cause
    assert isinstance(caught.value.__cause__, OSError)
    assert cause is None or time.monotonic() - begun < 4
    one.close()


# ---- Token sources ---------------------------------------------------------------------------------------------------


def misspelt() -> Any:
    return undefined  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("token", "original", "words"),
    [
        (misspelt, NameError, "undefined"),
        (lambda: len(5), TypeError, "has no len"),  # type: ignore[arg-type]
        (lambda: None, mailbearer.TokenSourceMistake, "returned None"),
        (lambda: {"acces_token": "x"}, mailbearer.TokenSourceMistake, "acces_token: it is called access_token"),
        (lambda: ("t" * 40, "soon"), mailbearer.TokenSourceMistake, "lifetime"),
        (lambda: "two words", mailbearer.ConfigError, "not allowed"),
    ],
)
def test_a_mistake_in_the_source_is_raised_at_once(
    kind: Kind, server: Server, token: Callable[[], Any], original: type[Exception], words: str
) -> None:
    account = kind.account(USER, token)
    one = kind(account, "imap", **server.at("imap"))
    begun = time.monotonic()
    with pytest.raises(mailbearer.TokenSourceMistake, match=words) as caught:
        one.next()
    assert time.monotonic() - begun < 2
    assert isinstance(caught.value, mailbearer.Misuse)
    assert isinstance(caught.value.__cause__, original)
    # It stops nothing: the source is asked again.
    with pytest.raises(mailbearer.TokenSourceMistake):
        one.next()
    one.close()


def test_connect_raises_a_mistake_too(server: Server) -> None:
    with pytest.raises(mailbearer.TokenSourceMistake) as caught:
        mailbearer.connect("imap", USER, misspelt, **server.at("imap"))
    assert isinstance(caught.value.__cause__, NameError)


def test_an_outage_of_the_source_is_told_and_tried_again(kind: Kind, server: Server) -> None:
    events: list[SessionEvent] = []
    problems = [ConnectionError("no route to the token endpoint"), TimeoutError("late")]

    def token() -> str:
        if problems:
            raise problems.pop(0)
        return server.issue_token(USER)

    account = kind.account(USER, token, policy=QUICK, on_event=events.append)
    one = kind(account, "imap", **server.at("imap"))
    assert one.next().generation == 1
    failed = [event for event in events if event.kind == "token_failed"]
    assert ["no route" in str(event.text) for event in failed] == [True, False]
    assert [type(event.error) for event in failed] == [mailbearer.TokenSourceFailed] * 2
    assert isinstance(failed[0].error.__cause__, ConnectionError)
    assert failed[0].protocol is None
    one.close()


def in_an_hour() -> float:
    return time.time() + 3600


@pytest.mark.parametrize(
    "answer",
    [
        lambda token: token,
        lambda token: (token, 3600),
        lambda token: {"access_token": token},
        lambda token: {"access_token": token, "expires_in": "3600", "ext_expires_in": 3600, "token_type": "Bearer"},
        lambda token: {"access_token": token, "expires_in": 1, "expires_at": in_an_hour()},
        lambda token: {
            "access_token": token,
            "expires_at": datetime.datetime.fromtimestamp(in_an_hour(), datetime.UTC),
        },
        lambda token: SimpleNamespace(access_token=token, expires_in=3600),
        lambda token: SimpleNamespace(token=token, expires_on=in_an_hour()),
        lambda token: mailbearer.AccessToken(token),
    ],
)
def test_what_a_source_may_return(server: Server, answer: Callable[[str], Any]) -> None:
    token = server.issue_token(USER)
    events: list[SessionEvent] = []
    with mailbearer.Account(USER, lambda: answer(token), on_event=events.append) as account:
        sessions = account.sessions("imap", **server.at("imap"))
        assert next(sessions).generation == 1
    assert [event.kind for event in events].count("fetching_token") == 1


def test_a_source_is_told_which_token_was_refused(kind: Kind, server: Server) -> None:
    asked: list[tuple[bool, Any]] = []
    bad, good = server.issue_token(USER, lifetime=0.0), server.issue_token(USER)

    def token(force_refresh: bool, refused: mailbearer.AccessToken | None) -> str:
        asked.append((force_refresh, refused))
        return good if force_refresh else bad

    account = kind.account(USER, token, policy=QUICK)
    one = kind(account, "imap", **server.at("imap"))
    assert one.next().generation == 1
    assert asked[0] == (False, None)
    assert asked[-1] == (True, mailbearer.AccessToken(bad))
    one.close()


# ---- Processes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["let_go", "close", "with", "sessions", "read"])
def test_a_child_never_touches_the_connection_of_its_parent(server: Server, way: str) -> None:
    with mailbearer.Account(USER, server.issue_token(USER)) as account:
        sessions = account.sessions("imap", **server.at("imap"))
        connection = next(sessions)
        assert connection.client.noop()[0] == "OK"
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = leave(way, connection, sessions)
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert connection.client.noop()[0] == "OK"


def leave(way: str, connection: Any, sessions: Any) -> int:
    match way:
        case "let_go":
            connection.let_go()
        case "close":
            connection.close()
        case "with":
            with connection:
                pass
        case "sessions":
            sessions.close()
            with pytest.raises(mailbearer.Misuse):
                next(sessions)
        case _:
            with pytest.raises(mailbearer.Misuse, match="fork"):
                connection.sock.recv(10)
    return 0
