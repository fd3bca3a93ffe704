"""Sessions against the testing server: expiry, renewal, refusals, sources that fail, and what programs see of it."""

from __future__ import annotations

import asyncio
import gc
import imaplib
import os
import poplib
import select
import smtplib
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiosmtplib
import pytest

import mailbearer
import mailbearer.aio
from mailbearer import SessionEvent, SessionPolicy
from mailbearer.testing import Server

USER = "joe@gmail.com"
AT_END = SessionPolicy(renewal="at_end", backoff_base=0.05, login_interval=0.001)
QUICK = SessionPolicy(backoff_base=0.05, backoff_max=0.2, login_interval=0.001)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(token_lifetime=1.0) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    gc.collect()
    deadline = time.monotonic() + 3
    while any(thread.name.startswith("mailbearer-") for thread in threading.enumerate()):
        left = [thread.name for thread in threading.enumerate()]
        assert time.monotonic() < deadline, f"threads are left behind: {left}"
        time.sleep(0.01)


def source(server: Server, seconds: float = 1.0) -> Callable[[], tuple[str, float]]:
    return lambda: (server.issue_token(USER, lifetime=seconds), seconds)


def for_ever(call: Callable[[], Any]) -> None:
    while True:
        call()
        time.sleep(0.01)


async def for_ever_async(call: Callable[[], Any]) -> None:
    while True:
        await call()


class Log:
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[tuple[float, SessionEvent]] = []

    def __call__(self, event: SessionEvent) -> None:
        self.events.append((time.monotonic(), event))

    def of(self, kind: str) -> list[SessionEvent]:
        return [event for _, event in self.events if event.kind == kind]


# ---- The end of a session, as the program sees it -------------------------------------------------------------------


def test_imap_raises_the_end_in_the_middle_of_a_command(server: Server) -> None:
    sessions = mailbearer.sessions("imap", USER, source(server), policy=AT_END, **server.at("imap"))
    with sessions:
        connection = next(sessions)
        connection.client.select("INBOX")
        with pytest.raises(mailbearer.SessionEnded) as caught:
            for_ever(connection.client.noop)
        assert isinstance(caught.value, imaplib.IMAP4.abort)
        assert caught.value.cause == "token_expired"
        assert caught.value.verdict is connection.verdict
        again = next(sessions)
        assert again.generation == 2
        assert again.resumed is not None
        assert again.resumed.selected is not None
        assert again.resumed.selected.name == "INBOX"


def test_imapclient_raises_the_end_that_comes_in_place_of_an_answer(server: Server) -> None:
    sessions = mailbearer.sessions(
        "imap", USER, source(server), client="imapclient", policy=AT_END, **server.at("imap")
    )
    with sessions:
        client = next(sessions).client
        client.select_folder("INBOX")
        # The goodbye is there before the command is written.
        wait_for_sessions(server, 0)
        with pytest.raises(mailbearer.SessionEnded) as caught:
            client.idle()
        assert isinstance(caught.value, imaplib.IMAP4.abort)


def test_pop3_and_smtp_raise_it_as_their_own_exception_too(server: Server) -> None:
    with mailbearer.sessions("pop3", USER, source(server), policy=AT_END, **server.at("pop3")) as pop3_sessions:
        pop3 = next(pop3_sessions).client
        with pytest.raises(mailbearer.SessionEnded) as caught:
            for_ever(pop3.noop)
        assert isinstance(caught.value, poplib.error_proto)
    with mailbearer.sessions("smtp", USER, source(server), policy=AT_END, **server.at("smtp")) as smtp_sessions:
        smtp = next(smtp_sessions).client
        with pytest.raises(mailbearer.SessionEnded) as caught:
            for_ever(smtp.noop)
        assert isinstance(caught.value, smtplib.SMTPServerDisconnected)


@pytest.mark.parametrize("cut", ["words", "silent"])
def test_a_block_that_the_end_leaves_goes_on_with_the_next(server: Server, cut: str) -> None:
    del server
    generations = []
    with Server(token_lifetime=0.5, cut=cut) as other:  # type: ignore[arg-type]
        for connection in mailbearer.sessions("imap", USER, source(other, 0.5), policy=AT_END, **other.at("imap")):
            generations.append(connection.generation)
            with connection:
                while len(generations) < 3:
                    connection.client.noop()
                    time.sleep(0.01)
            if len(generations) == 3:
                break
    assert generations == [1, 2, 3]


def test_other_exceptions_are_not_swallowed(server: Server) -> None:
    with (
        mailbearer.sessions("imap", USER, source(server), **server.at("imap")) as sessions,
        pytest.raises(ZeroDivisionError),
        next(sessions),
    ):
        _ = 1 / 0


def test_asyncio_streams_give_what_came_and_then_the_end(server: Server) -> None:
    async def main() -> list[bytes]:
        lines = []
        sessions = mailbearer.aio.sessions("imap", USER, source(server), policy=AT_END, **server.at("imap"))
        async with sessions:
            connection = await anext(sessions)

            async def readline() -> None:
                lines.append(await connection.reader.readline())

            connection.writer.write(b"A1 NOOP\r\n")
            with pytest.raises(mailbearer.SessionEnded) as caught:
                await for_ever_async(readline)
            assert caught.value.cause == "token_expired"
            with pytest.raises(mailbearer.SessionEnded):
                connection.writer.write(b"A2 NOOP\r\n")
            assert (await anext(sessions)).generation == 2
        return lines

    lines = asyncio.run(main())
    assert lines[0] == b"A1 OK Success\r\n"
    assert lines[1].startswith(b"* BYE")


def test_aioimaplib_and_aiosmtplib_raise_the_end(server: Server) -> None:
    async def imap() -> None:
        sessions = mailbearer.aio.sessions(
            "imap", USER, source(server), client="aioimaplib", policy=AT_END, **server.at("imap")
        )
        async with sessions:
            client = (await anext(sessions)).client
            await client.select("INBOX")
            idle = await client.idle_start(timeout=30)
            with pytest.raises(mailbearer.SessionEnded):
                await for_ever_async(client.wait_server_push)
            with pytest.raises(mailbearer.SessionEnded):
                await idle
            again = await anext(sessions)
            assert again.resumed is not None
            assert again.resumed.idling

    async def smtp() -> None:
        sessions = mailbearer.aio.sessions(
            "smtp", USER, source(server), client="aiosmtplib", policy=AT_END, **server.at("smtp")
        )
        async with sessions:
            connection = await anext(sessions)
            with pytest.raises(mailbearer.SessionEnded) as caught:
                await for_ever_async(connection.client.noop)
            assert isinstance(caught.value, aiosmtplib.SMTPServerDisconnected)

    asyncio.run(imap())
    asyncio.run(smtp())


# ---- Renewal --------------------------------------------------------------------------------------------------------


def test_a_session_is_renewed_before_its_end(server: Server) -> None:
    log = Log()
    sessions = mailbearer.sessions("pop3", USER, source(server), on_event=log, **server.at("pop3"))
    for connection in sessions:
        with connection:
            begun = time.monotonic()
            assert connection.renew_by is None
            assert connection.wait(5)
            assert connection.renew_by is not None
            assert begun < connection.renew_by < begun + 1.0
            connection.client.noop()
        if connection.generation == 2:
            break
    assert [event.cause for event in log.of("ended")] == ["no_fault", "no_fault"]
    assert [event.text for event in log.of("renewing")] == ["token_expiry", "token_expiry"]


def test_who_ignores_a_renewal_is_cut_before_the_server_does_it(server: Server) -> None:
    with mailbearer.sessions("smtp", USER, source(server), **server.at("smtp")) as sessions:
        connection = next(sessions)
        with pytest.raises(mailbearer.SessionEnded) as caught:
            for_ever(connection.client.noop)
        assert caught.value.cause == "session_limit"
    assert "ended" not in [event.what for event in server.events()]


def test_with_overlap_the_next_is_there_before_the_last_is_gone() -> None:
    policy = SessionPolicy(renewal="overlap", login_interval=0.001)
    # Both are there for a part of this: on a machine that is busy, a second has too small a part.
    with Server(token_lifetime=4.0) as server:
        options = server.at("imap")
        with mailbearer.sessions("imap", USER, source(server, 4.0), policy=policy, **options) as sessions:
            first = next(sessions)
            assert first.wait(20)
            wait_for_sessions(server, 2)
            assert first.client.noop()[0] == "OK"
            assert next(sessions).generation == 2


def test_pop3_deletions_are_committed_when_the_block_is_left_and_not_when_it_is_cut(server: Server) -> None:
    sessions = mailbearer.sessions("pop3", USER, source(server), policy=AT_END, **server.at("pop3"))
    with sessions:
        with next(sessions) as connection:
            connection.client.dele(1)
        assert len(server.messages(USER)) == 2
        with next(sessions) as connection:
            connection.client.dele(1)
            for_ever(connection.client.noop)
        assert len(server.messages(USER)) == 2
        again = next(sessions)
        assert again.resumed is not None
        assert again.resumed.uncommitted_deletes == [1]


# ---- Tokens that are refused, and sources that fail -----------------------------------------------------------------


@pytest.fixture(params=["blocking", "asyncio"])
def needs_user(server: Server, request: pytest.FixtureRequest) -> Callable[..., mailbearer.NeedsUser]:
    """Waits for a connection that never comes, and returns why."""

    def blocking(token: Any, log: Log) -> None:
        with mailbearer.sessions("imap", USER, token, on_event=log, policy=QUICK, **server.at("imap")) as sessions:
            next(sessions)

    def with_asyncio(token: Any, log: Log) -> None:
        async def main() -> None:
            settings = server.at("imap")
            async with mailbearer.aio.sessions("imap", USER, token, on_event=log, policy=QUICK, **settings) as sessions:
                await anext(sessions)

        asyncio.run(main())

    def run(token: Any, log: Log) -> mailbearer.NeedsUser:
        with pytest.raises(mailbearer.NeedsUser) as caught:
            (blocking if request.param == "blocking" else with_asyncio)(token, log)
        return caught.value

    return run


def test_two_refusals_ask_the_user_and_no_third_is_made(server: Server, needs_user: Any) -> None:
    log = Log()
    error = needs_user(lambda: server.issue_token(USER, lifetime=0.0), log)
    assert error.cause == "token_rejected"
    assert error.advice == "ask_user"
    assert [event.what for event in server.events()].count("refused") == 2


def test_the_refused_token_handed_back_asks_the_user(server: Server, needs_user: Any) -> None:
    log = Log()
    error = needs_user(server.issue_token(USER, lifetime=0.0), log)
    assert error.cause == "token_rejected"
    assert [event.what for event in server.events()].count("refused") == 1


def test_a_source_that_fails_for_good_asks_the_user(needs_user: Any) -> None:
    def revoked() -> str:
        raise mailbearer.TokenSourceFailed("the consent is gone", permanent=True)

    error = needs_user(revoked, Log())
    assert error.cause == "token_unavailable"
    assert isinstance(error.__cause__, mailbearer.TokenSourceFailed)


def test_a_source_whose_tokens_have_expired_asks_the_user(server: Server, needs_user: Any) -> None:
    log = Log()
    assert needs_user(lambda: (server.issue_token(USER), 0.0), log).cause == "token_expired"
    assert log.of("connecting") == []
    assert len(log.of("fetching_token")) == 2


@pytest.mark.parametrize("blocking", [True, False])
def test_a_source_that_raises_is_asked_again_later(server: Server, blocking: bool) -> None:
    log = Log()
    calls = []

    def broken() -> tuple[str, float]:
        calls.append(time.monotonic())
        if len(calls) < 4:
            raise ConnectionError("no route")
        return source(server)()

    async def main() -> None:
        settings = server.at("imap")
        async with mailbearer.aio.sessions("imap", USER, broken, on_event=log, policy=QUICK, **settings) as sessions:
            assert (await anext(sessions)).generation == 1

    if blocking:
        with mailbearer.sessions("imap", USER, broken, on_event=log, policy=QUICK, **server.at("imap")) as sessions:
            assert next(sessions).client.noop()[0] == "OK"
    else:
        asyncio.run(main())
    assert len(log.of("token_failed")) == 3
    waits = [event.seconds for event in log.of("waiting")]
    # Orders are at most one in a second after the first four.
    assert all(wait is not None and wait <= 1.05 for wait in waits)


def test_a_source_that_hangs_is_given_up_and_asked_again_and_leaves_few_threads(server: Server) -> None:
    log = Log()
    go_on = threading.Event()

    def hangs() -> tuple[str, float]:
        go_on.wait(10)
        return source(server)()

    policy = SessionPolicy(token_timeout=0.1, backoff_base=0.05, backoff_max=0.1, login_interval=0.001)
    with mailbearer.sessions("imap", USER, hangs, on_event=log, policy=policy, **server.at("imap")) as sessions:
        threading.Timer(1.0, go_on.set).start()
        assert next(sessions).client.noop()[0] == "OK"
        assert len([one for one in threading.enumerate() if one.name == "mailbearer-token"]) <= 5
    assert 2 <= len(log.of("fetching_token")) <= 12


def test_a_source_that_hangs_once_holds_nobody_up(server: Server) -> None:
    calls = []
    go_on = threading.Event()

    def hangs_once() -> tuple[str, float]:
        calls.append(None)
        if len(calls) == 1:
            go_on.wait(20)
        return source(server, 60)()

    policy = SessionPolicy(token_timeout=0.2, backoff_base=0.05, login_interval=0.001)
    with mailbearer.sessions("imap", USER, hangs_once, policy=policy, **server.at("imap")) as sessions:
        assert next(sessions).client.noop()[0] == "OK"
    assert len(calls) == 2
    go_on.set()


@pytest.mark.parametrize("place", ["source", "observer"])
def test_an_exit_reaches_the_program_from_any_thread(server: Server, place: str) -> None:
    def leave(event: SessionEvent) -> None:
        if event.kind == "online" and place == "observer":
            raise SystemExit("enough")

    def token() -> tuple[str, float]:
        time.sleep(0.05)
        if place == "source":
            raise SystemExit("no token")
        return source(server, 60)()

    sessions = mailbearer.sessions("imap", USER, token, on_event=leave, **server.at("imap"))
    with sessions, pytest.raises(SystemExit):
        next(sessions)


def test_a_token_that_somebody_else_no_longer_waits_for_comes_all_the_same(server: Server) -> None:
    async def slow() -> tuple[str, float]:
        try:
            await asyncio.sleep(0.2)
        finally:
            await asyncio.sleep(0.05)
        return source(server, 60)()

    async def main() -> None:
        connect = mailbearer.aio.connect
        first = asyncio.create_task(connect("imap", USER, slow, **server.at("imap")))
        await asyncio.sleep(0.05)
        first.cancel()
        async with await connect("imap", USER, slow, **server.at("imap")) as second:
            assert second.mechanism == "XOAUTH2"
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(main())


def test_an_async_source_that_hangs_is_cancelled_and_asked_again(server: Server) -> None:
    calls = []

    async def hangs() -> tuple[str, float]:
        calls.append(None)
        if len(calls) < 3:
            await asyncio.sleep(3600)
        return source(server, 120)()

    async def main() -> None:
        policy = SessionPolicy(token_timeout=0.1, backoff_base=0.05, login_interval=0.001)
        async with mailbearer.aio.sessions("imap", USER, hangs, policy=policy, **server.at("imap")) as sessions:
            assert (await anext(sessions)).generation == 1
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert len(calls) == 3


def test_a_stop_is_raised_again_without_a_login_until_somebody_has_acted(server: Server) -> None:
    good = False

    def token() -> str:
        return server.issue_token(USER, lifetime=60.0 if good else 0.0)

    with mailbearer.sessions("imap", USER, token, **server.at("imap")) as sessions:
        for _ in range(3):
            with pytest.raises(mailbearer.NeedsUser):
                next(sessions)
        assert [event.what for event in server.events()].count("refused") == 2
        good = True
        with pytest.raises(mailbearer.NeedsUser):
            next(sessions)
        sessions.retry()
        assert next(sessions).client.noop()[0] == "OK"


def test_a_wrong_certificate_gives_up_and_says_what_was_wrong(server: Server) -> None:
    settings = server.at("imap") | {"ssl_context": None}
    with mailbearer.sessions("imap", USER, source(server), **settings) as sessions:
        with pytest.raises(mailbearer.GaveUp, match="certificate") as caught:
            next(sessions)
        assert caught.value.cause == "tls_failed"


def test_requests_for_a_token_are_joined(server: Server) -> None:
    calls = []

    def slow() -> tuple[str, float]:
        calls.append(None)
        time.sleep(0.3)
        return server.issue_token(USER, lifetime=60.0), 60.0

    async def main() -> None:
        async def one(protocol: Any) -> None:
            async with mailbearer.aio.sessions(protocol, USER, slow, **server.at(protocol)) as sessions:
                assert (await anext(sessions)).generation == 1

        await asyncio.gather(one("imap"), one("pop3"), one("smtp"))

    asyncio.run(main())
    assert len(calls) == 1


# ---- The server refuses, restarts, or is not there ------------------------------------------------------------------


def test_a_server_that_is_busy_is_tried_again_within_the_wait_that_was_named(server: Server) -> None:
    log = Log()
    server.refuse("too_many_connections")
    threading.Timer(0.5, server.refuse, [None]).start()
    with mailbearer.sessions("imap", USER, source(server), on_event=log, policy=QUICK, **server.at("imap")) as sessions:
        assert next(sessions).client.noop()[0] == "OK"
    check_waits(log)
    assert {event.cause for event in log.of("login_failed")} == {"too_many_connections"}


def check_waits(log: Log) -> None:
    """After each wait that was named, and not before, something is done."""
    waits = 0
    for (at, event), (next_at, _) in zip(log.events, log.events[1:], strict=False):
        if event.kind == "waiting":
            waits += 1
            assert event.seconds is not None
            assert event.seconds - 0.02 < next_at - at < event.seconds + 0.3
    assert waits > 0


def test_a_server_that_restarts_is_found_again(server: Server) -> None:
    with mailbearer.sessions("imap", USER, source(server, 60), policy=QUICK, **server.at("imap")) as sessions:
        with next(sessions) as connection:
            server.restart()
            for_ever(connection.client.noop)
        assert next(sessions).client.noop()[0] == "OK"


# ---- The end of all -------------------------------------------------------------------------------------------------


def test_to_break_ends_everything(server: Server) -> None:
    for connection in mailbearer.sessions("imap", USER, source(server, 60), **server.at("imap")):
        assert connection.client.noop()[0] == "OK"
        break
    del connection
    wait_for_sessions(server, 0)


def test_who_leaves_the_loop_in_good_order_logs_in_once(server: Server) -> None:
    log = Log()
    sessions = mailbearer.sessions("imap", USER, source(server, 60), on_event=log, **server.at("imap"))
    for connection in sessions:
        with connection:
            assert connection.client.noop()[0] == "OK"
        break
    time.sleep(0.1)
    sessions.close()

    async def main() -> None:
        async with mailbearer.aio.sessions(
            "imap", USER, source(server, 60), on_event=log, **server.at("imap")
        ) as sessions:
            async for connection in sessions:
                async with connection:
                    connection.writer.write(b"A1 NOOP\r\n")
                    assert await connection.reader.readline() == b"A1 OK Success\r\n"
                break
            await asyncio.sleep(0.1)

    asyncio.run(main())
    assert [event.kind for event in log.of("connecting")] == ["connecting"] * 2
    assert [event.cause for event in log.of("ended")] == ["no_fault"] * 2


def wait_for_sessions(server: Server, count: int) -> None:
    gc.collect()
    deadline = time.monotonic() + 10
    while server.sessions != count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_to_close_wakes_who_waits(server: Server) -> None:
    server.refuse("unavailable")
    sessions = mailbearer.sessions("imap", USER, source(server), **server.at("imap"))
    threading.Timer(0.3, sessions.close).start()
    assert list(sessions) == []


def test_to_close_wakes_who_reads(server: Server) -> None:
    sessions = mailbearer.sessions("imap", USER, source(server, 60), **server.at("imap"))
    connection = next(sessions)
    threading.Timer(0.3, sessions.close).start()
    with pytest.raises(mailbearer.SessionEnded) as caught:
        connection.sock.recv(100)
    assert caught.value.cause == "cancelled"


def test_to_close_a_connection_wakes_who_reads_and_who_waits(server: Server) -> None:
    with mailbearer.sessions("imap", USER, source(server, 60), **server.at("imap")) as sessions:
        connection = next(sessions)
        threading.Timer(0.2, connection.close).start()
        with pytest.raises(mailbearer.SessionEnded, match="was let go"):
            connection.sock.recv(100)
        connection = next(sessions)
        threading.Timer(0.2, connection.close).start()
        assert connection.wait(10)
        with pytest.raises(mailbearer.SessionEnded):
            connection.sock.sendall(b"A1 NOOP\r\n")

    async def main() -> None:
        async with mailbearer.aio.sessions("imap", USER, source(server, 60), **server.at("imap")) as sessions:
            connection = await anext(sessions)
            asyncio.get_running_loop().call_later(0.2, connection.close)
            assert await connection.wait(10)
            with pytest.raises(mailbearer.SessionEnded):
                connection.writer.write(b"A1 NOOP\r\n")

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="the system does not tell that a peer has hung up")
def test_who_sleeps_is_woken_when_the_server_ends_the_session(server: Server) -> None:
    with mailbearer.sessions("imap", USER, source(server, 60), **server.at("imap")) as sessions:
        connection = next(sessions)
        threading.Timer(0.2, server.stop).start()
        assert connection.wait(10)
    server.start()

    async def main() -> None:
        async with mailbearer.aio.sessions("imap", USER, source(server, 60), **server.at("imap")) as sessions:
            connection = await anext(sessions)
            threading.Timer(0.2, server.restart).start()
            assert await connection.wait(10)
            assert connection.verdict is not None

    asyncio.run(main())


def test_to_close_in_the_middle_of_a_handshake_leaves_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        sessions = mailbearer.sessions("imap", USER, "token", host="127.0.0.1", port=port, timeout=20)
        waiting = threading.Thread(target=lambda: list(sessions))
        waiting.start()
        time.sleep(0.3)
        begun = time.monotonic()
        sessions.close()
        assert time.monotonic() - begun < 2
        waiting.join(2)


@pytest.mark.parametrize("kind", ["fetching_token", "connecting", "online", "renewing"])
def test_an_observer_may_close(server: Server, kind: str) -> None:
    closed = []

    def close(event: SessionEvent) -> None:
        if event.kind == kind:
            begun = time.monotonic()
            sessions.close()
            closed.append(time.monotonic() - begun)

    sessions = mailbearer.sessions("imap", USER, source(server), on_event=close, **server.at("imap"))
    for connection in sessions:
        connection.wait(5)
    assert len(closed) == 1
    assert closed[0] < 1
    # From an observer nobody waits for the threads: the server is not to be stopped under one.
    deadline = time.monotonic() + 5
    while any(thread.name == "mailbearer-login" for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_child_that_ends_takes_no_connection_along(server: Server) -> None:
    with mailbearer.sessions("imap", USER, source(server, 60), **server.at("imap")) as sessions:
        connection = next(sessions)
        assert connection.client.noop()[0] == "OK"
        child = os.fork()
        if child == 0:
            sessions.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert connection.client.noop()[0] == "OK"


def test_a_goodbye_that_is_never_answered_is_not_waited_for_for_ever(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["mailbearer.session_connection"], "_GOODBYE_SECONDS", 0.3)
    with mailbearer.sessions("imap", USER, source(server, 60), **server.at("imap")) as sessions:
        begun = time.monotonic()
        with next(sessions) as connection:
            connection.client.noop()
            server.set_fault("command", "vanish")
        assert time.monotonic() - begun < 10

    async def main() -> None:
        options: dict[str, Any] = {"client": "aioimaplib", **server.at("imap")}
        async with mailbearer.aio.sessions("imap", USER, source(server, 60), **options) as sessions:
            first = await anext(sessions)
            server.set_fault("command", "vanish")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(sessions), 0.3)
            assert (await asyncio.wait_for(anext(sessions), 10)).generation == 2
            assert first.verdict is not None

    asyncio.run(main())


def test_deletions_that_quit_did_not_commit_are_told(server: Server) -> None:
    with mailbearer.sessions("pop3", USER, source(server, 60), **server.at("pop3")) as sessions:
        with next(sessions) as connection:
            connection.client.dele(1)
            server.set_fault("command", "drop")
        assert connection.verdict is not None
        assert connection.verdict.cause == "connection_lost"
        again = next(sessions)
        assert again.resumed is not None
        assert again.resumed.uncommitted_deletes == [1]


def test_a_cancelled_task_leaves_nothing(server: Server) -> None:
    async def work() -> None:
        async for connection in mailbearer.aio.sessions("imap", USER, source(server, 60), **server.at("imap")):
            async with connection:
                await connection.reader.readline()

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.to_thread(wait_for_sessions, server, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wait_for_sessions, server, 0)

    asyncio.run(asyncio.wait_for(main(), 5))


def test_to_wait_for_the_first_connection_can_be_cancelled(server: Server) -> None:
    async def main() -> None:
        server.refuse("unavailable")
        async with mailbearer.aio.sessions("imap", USER, source(server), policy=QUICK, **server.at("imap")) as sessions:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(sessions), 0.3)
            server.refuse(None)
            assert (await anext(sessions)).generation == 1

    asyncio.run(main())


# ---- Snapshots, sleep, settings -------------------------------------------------------------------------------------


def test_a_snapshot_goes_on_where_it_was(server: Server) -> None:
    options: dict[str, Any] = server.at("imap")
    with mailbearer.sessions("imap", USER, source(server, 60), **options) as sessions:
        next(sessions).client.select("INBOX")
        snapshot = sessions.snapshot()
    with mailbearer.sessions("imap", USER, source(server, 60), snapshot=snapshot, **options) as sessions:
        connection = next(sessions)
        assert connection.generation == 2
        assert connection.resumed is not None
        assert connection.resumed.selected is not None
    with pytest.raises(mailbearer.ConfigError):
        mailbearer.sessions("imap", USER, source(server), snapshot=snapshot[:-1], **options)


def test_a_network_that_comes_back_ends_a_wait_and_no_connection_that_works(server: Server) -> None:
    with mailbearer.sessions("imap", USER, source(server, 60), **server.at("imap")) as sessions:
        first = next(sessions)
        sessions.network_lost()
        sessions.network_back()
        assert first.client.noop()[0] == "OK"
        assert sessions.status()["standing"] == "given"
        assert sessions.status()["phase"] == "online"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"client": "imapclient", "protocol": "pop3"}, "client"),
        ({"policy": SessionPolicy(renewal="overlap"), "protocol": "smtp"}, "overlap"),
        ({"snapshot": b"no snapshot"}, "snapshot"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_a_setting_that_cannot_work_is_an_error_at_once(server: Server, options: dict[str, Any], words: str) -> None:
    protocol = options.pop("protocol", "imap")
    for sessions in (mailbearer.sessions, mailbearer.aio.sessions):
        with pytest.raises(mailbearer.ConfigError, match=words):
            sessions(protocol, USER, source(server), **server.at(protocol) | options)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("renewal", "zzz"),
        ("renewal", None),
        ("ends_with_token", "yes"),
        ("connections", -1),
        ("connections", 0),
        ("connections", 2**32),
        ("connections", "2"),
        ("lead", -1.0),
        ("lead", "soon"),
        ("session_limit", float("nan")),
        ("token_lifetime", float("inf")),
        ("backoff_max", True),
    ],
)
def test_a_policy_that_cannot_work_is_an_error_at_once(name: str, value: object) -> None:
    with pytest.raises(mailbearer.ConfigError, match=name):
        SessionPolicy(**{name: value})  # type: ignore[arg-type]


def test_a_longest_wait_below_the_first_one_is_an_error_at_once() -> None:
    with pytest.raises(mailbearer.ConfigError, match="backoff_max must not be less than backoff_base"):
        SessionPolicy(backoff_base=10.0, backoff_max=1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("snapshot", "str"),
        ("policy", 0),
        ("policy", 5),
        ("on_event", 5),
        ("trace", 1),
        ("port", "993"),
        ("ssl_context", 1),
    ],
)
def test_a_setting_of_a_wrong_type_is_named(server: Server, name: str, value: object) -> None:
    for sessions in (mailbearer.sessions, mailbearer.aio.sessions):
        with pytest.raises(TypeError, match=rf"{name}\b") as caught:
            sessions("imap", USER, source(server), **server.at("imap") | {name: value})
        assert "resolve" not in str(caught.value)


def test_an_async_source_needs_asyncio(server: Server) -> None:
    async def token() -> str:
        return ""

    with pytest.raises(mailbearer.ConfigError, match=r"mailbearer\.aio"):
        mailbearer.sessions("imap", USER, token, **server.at("imap"))


def test_an_observer_that_raises_ends_nothing(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    def observer(event: SessionEvent) -> None:
        raise ValueError(event.kind)

    with mailbearer.sessions("imap", USER, source(server), on_event=observer, **server.at("imap")) as sessions:
        assert next(sessions).client.noop()[0] == "OK"
    assert "on_event raised" in caplog.text


def test_a_silent_server_ends_in_time(server: Server) -> None:
    server.set_fault("command", "vanish")
    with mailbearer.sessions("imap", USER, source(server, 60), timeout=0.5, **server.at("imap")) as sessions:
        with pytest.raises(mailbearer.SessionEnded) as caught:
            next(sessions).client.noop()
        assert caught.value.cause == "timed_out"

    async def main() -> AsyncIterator[None]:
        server.set_fault("command", "vanish")
        async with mailbearer.aio.sessions(
            "imap", USER, source(server, 60), timeout=0.5, **server.at("imap")
        ) as sessions:
            connection = await anext(sessions)
            connection.writer.write(b"A1 NOOP\r\n")
            with pytest.raises(mailbearer.SessionEnded) as caught:
                await connection.reader.readline()
            assert caught.value.cause == "timed_out"
        yield

    async def run() -> None:
        async for _ in main():
            pass

    asyncio.run(run())


# ---- Keep-alive ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["imaplib", "imapclient", "poplib", "smtplib", "aioimaplib", "aiosmtplib"])
def test_a_client_that_nobody_has_used_yet_says_something_when_it_is_time(client: str) -> None:
    protocol: Any = "pop3" if client == "poplib" else "smtp" if "smtp" in client else "imap"
    with Server() as server:

        def has_spoken() -> bool:
            return any(event.what.upper() == "NOOP" for event in server.events())

        def blocking() -> None:
            options: Any = {"client": client} if client == "imapclient" else {}
            with mailbearer.sessions(
                protocol, USER, source(server, 600.0), **options, **server.at(protocol)
            ) as sessions:
                connection = next(sessions)
                assert connection.client is not None
                # A keep-alive and a probe are carried out alike.
                threading.Timer(0.2, sessions.network_back).start()
                deadline = time.monotonic() + 10.0
                while not has_spoken() and time.monotonic() < deadline:
                    assert not connection.wait(0.5)
                assert time.monotonic() < deadline

        async def in_a_loop() -> None:
            options = {"client": client, **server.at(protocol)}
            async with mailbearer.aio.sessions(protocol, USER, source(server, 600.0), **options) as sessions:
                connection = await anext(sessions)
                sessions.network_back()
                async with asyncio.timeout(10.0):
                    while not has_spoken():
                        assert not await connection.wait(0.1)

        asyncio.run(in_a_loop()) if client.startswith("aio") else blocking()


def test_a_source_that_fails_at_once_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import wait

    from mailbearer import tokens

    request = tokens.CalledToken.request

    def at_once(self: tokens.CalledToken, force_refresh: bool, refused: Any = None) -> Any:
        future = request(self, force_refresh, refused)
        wait([future])
        return future

    def revoked() -> str:
        raise mailbearer.TokenSourceFailed("revoked", permanent=True)

    monkeypatch.setattr(tokens.CalledToken, "request", at_once)
    with Server() as server, pytest.raises(mailbearer.NeedsUser):
        # It is closed by nobody: that it ends is what `nothing_is_left` sees.
        next(mailbearer.sessions("imap", USER, revoked, **server.at("imap")))


@pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="only Linux tells of a peer that has closed its side")
@pytest.mark.parametrize("protocol", ["imap", "pop3", "smtp"])
@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("speaks", [True, False])
def test_an_end_while_nobody_reads_is_told_and_is_no_error(protocol: Any, waits: bool, speaks: bool) -> None:
    """It was an endless loop over `is_due`, the end of POP3 an error of poplib's, and the end called no fault."""
    events: list[mailbearer.SessionEvent] = []
    # Gmail's POP3 says it with SYS/TEMP.
    cause = "unavailable" if protocol == "pop3" else "shutdown"
    with Server() as server:
        options = server.at(protocol)
        sessions = mailbearer.sessions(protocol, USER, source(server, 60), on_event=events.append, **options)
        with sessions:
            for connection in sessions:
                if connection.generation == 2:
                    break
                with connection:
                    if speaks:
                        connection.client.noop()
                    server.restart()
                    if waits:
                        assert connection.wait(30)
                        assert connection.is_due
                        assert connection.verdict is not None
                        assert connection.verdict.cause == cause
                    else:
                        while not connection.sock.is_hung_up:
                            time.sleep(0.01)
    assert cause in [event.cause for event in events if event.kind == "ended"]


@pytest.mark.parametrize("ends", [False, True])
def test_a_refused_quit_is_told_unless_it_is_the_end_of_the_session(ends: bool, monkeypatch: Any) -> None:
    """RFC 1939 section 6: deletions that were not committed are the program's to know."""
    if ends and not hasattr(select, "POLLRDHUP"):
        pytest.skip("only Linux tells of a peer that has closed its side")
    with Server() as server:
        sessions = mailbearer.sessions("pop3", USER, source(server, 60), **server.at("pop3"))
        with sessions:
            connection = next(sessions)

            def refused() -> None:
                if ends:
                    server.restart()
                    while not connection.sock.is_hung_up:
                        time.sleep(0.01)
                raise poplib.error_proto(b"-ERR some deleted messages not removed")

            monkeypatch.setattr(connection.client, "quit", refused)
            if ends:
                connection.let_go()
            else:
                with pytest.raises(poplib.error_proto, match="not removed"):
                    connection.let_go()
