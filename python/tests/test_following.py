"""A mailbox of a real Dovecot is followed: IDLE, a mute path, and each new message told once across sessions."""

from __future__ import annotations

import asyncio
import contextlib
import math
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import mailservers
import paths
import pytest

import mailbearer
import mailbearer.aio
from mailbearer import SessionPolicy

USER = "joe@example.com"
# A word that is not ASCII, a space and an ampersand: they travel in modified UTF-7.
MAILBOX = "Entwürfe & mehr {}"
MAILBOX_ON_THE_WIRE = "Entw&APw-rfe &- mehr {}"
EXPIRIES, CUTS = 50, 20


def settings(servers: mailservers.RealServers, port: int | None = None, **more: Any) -> dict[str, Any]:
    trusted = ssl.create_default_context(cafile=servers.ca_file)
    return {"host": "localhost", "port": port or servers.ports["imap-implicit"], "ssl_context": trusted, **more}


def token() -> tuple[str, float]:
    return mailservers.token(USER, expires_in=600), 600.0


@contextlib.contextmanager
def mailbox(servers: mailservers.RealServers, name: str) -> Iterator[Callable[[], None]]:
    """Make a mailbox; what it gives delivers a message to it."""
    wire = f'"{MAILBOX_ON_THE_WIRE.format(name)}"'
    with mailbearer.imap(USER, mailservers.token(USER, expires_in=600), **settings(servers)) as imap:
        assert imap.create(wire)[0] == "OK"
        yield lambda: imap.append(wire, "", "", b"Subject: hello\r\n\r\nhello\r\n") and None
        imap.delete(wire)


def test_changes_are_told_and_the_client_may_be_used_between_them(servers: mailservers.RealServers) -> None:
    with mailbox(servers, "changes") as deliver:
        for connection in mailbearer.sessions("imap", USER, token, **settings(servers)):
            with connection:
                connection.client.select(f'"{MAILBOX_ON_THE_WIRE.format("changes")}"')
                threading.Timer(0.2, deliver).start()
                seen = []
                for changes in connection.idle(reissue=0.5):
                    seen.append(changes.exists)
                    assert connection.client.fetch(b"1", "(UID)")[0] == "OK"
                    if changes.exists == 2:
                        break
                    # It is told also when IDLE was said anew in between.
                    threading.Timer(1.3, deliver).start()
                assert seen == [1, 2]
                break


def test_a_mailbox_that_does_not_exist_is_refused_with_the_servers_words(servers: mailservers.RealServers) -> None:
    for connection in mailbearer.sessions("imap", USER, token, **settings(servers)):
        with connection, pytest.raises(mailbearer.MailboxRefused) as caught:
            next(iter(connection.new_messages("Nope")))
        assert "Mailbox doesn't exist" in str(caught.value)
        break


def test_what_is_no_cursor_is_refused(servers: mailservers.RealServers) -> None:
    for connection in mailbearer.sessions("imap", USER, token, **settings(servers)):
        with connection, pytest.raises(mailbearer.ConfigError, match="3857529045:4392"):
            next(iter(connection.new_messages(since="soon")))
        break


def test_pop3_has_no_mailboxes_to_follow(servers: mailservers.RealServers) -> None:
    for connection in mailbearer.sessions("pop3", USER, token, **settings(servers, servers.ports["pop3-implicit"])):
        with connection, pytest.raises(mailbearer.Misuse, match="pop3 has no mailboxes"):
            connection.idle()
        break


@pytest.fixture(scope="module")
def ways() -> Iterator[paths.Paths]:
    with paths.Paths() as running:
        yield running


def test_a_path_that_swallows_all_is_noticed_and_nothing_is_missed(ways: paths.Paths) -> None:
    for work in at_the_same_time(swallowed, ways):
        work.result()


def swallowed(ways: paths.Paths, blocking: bool) -> None:
    path = ways.path()
    name = f"swallowed {blocking}"
    policy = SessionPolicy(backoff_base=0.2, login_interval=0.001)
    options = along(path, ways.ca_file, timeout=2.0, policy=policy)
    with contextlib.closing(ways.mailbox(MAILBOX_ON_THE_WIRE.format(name))) as mailbox:
        follower = Follower(MAILBOX.format(name), options, reissue=1.0)
        follower.begin(blocking)
        follower.wait_until(lambda: follower.is_following)
        mailbox.deliver()
        follower.wait_until(lambda: len(follower.uids) == 1)
        path.cut()
        begun = time.monotonic()
        mailbox.deliver()
        # Reissue, answer, back-off and login.
        follower.wait_until(lambda: len(follower.uids) == 2)
        assert time.monotonic() - begun < 1.0 + 2.0 + 5.0
        follower.stop(mailbox.deliver, 2)
    assert follower.uids == [1, 2, 3]
    assert follower.endings == ["timed_out"]


def test_each_message_is_told_once_over_expiries_and_black_holes(
    ways: paths.Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\npaths to Dovecot: {ways.kind}")
    # Both kinds at the same time, each in its own mailbox and over its own path.
    for work in at_the_same_time(over_expiries_and_cuts, ways):
        work.result()


def over_expiries_and_cuts(ways: paths.Paths, blocking: bool) -> None:
    path = ways.path()
    name = f"once {blocking}"
    policy = SessionPolicy(ends_with_token=True, backoff_base=0.05, backoff_max=0.2, login_interval=0.001)
    options = along(path, ways.ca_file, timeout=1.0, policy=policy)
    with contextlib.closing(ways.mailbox(MAILBOX_ON_THE_WIRE.format(name))) as mailbox:
        follower = Follower(MAILBOX.format(name), options, reissue=0.4, lives=1.0)
        follower.begin(blocking)
        follower.wait_until(lambda: follower.is_following)
        delivered = cuts = 0
        while follower.sessions < EXPIRIES + CUTS or cuts < CUTS:
            mailbox.deliver()
            delivered += 1
            if cuts < CUTS and follower.is_following and follower.sessions > 2 * cuts:
                path.cut()
                cuts += 1
                cut_in = follower.sessions
                follower.wait_until(lambda: follower.sessions > cut_in)  # noqa: B023 (it is waited for here)
            time.sleep(0.1)
        follower.stop(mailbox.deliver, delivered)
    assert follower.uids == list(range(1, delivered + 2))
    assert cuts == CUTS


def at_the_same_time(work: Callable[[paths.Paths, bool], None], ways: paths.Paths) -> list[Future[None]]:
    with ThreadPoolExecutor() as threads:
        return [threads.submit(work, ways, blocking) for blocking in (True, False)]


def along(path: paths.Path, ca_file: str, **more: Any) -> dict[str, Any]:
    return {
        "host": path.host,
        "port": path.port,
        "tls": "implicit",
        "ssl_context": ssl.create_default_context(cafile=ca_file),
        **more,
    }


class Follower:
    """A program that follows a mailbox, with the cursor that it would store."""

    def __init__(self, mailbox: str, options: dict[str, Any], reissue: float, lives: float = 600.0) -> None:
        self.uids: list[int] = []
        # Why the sessions ended that did not end by a renewal.
        self.endings: list[str] = []
        self.sessions = 0
        # Whether something was told in this session.
        self.is_following = False
        self._cursor: str | None = None
        self._mailbox, self._options, self._reissue, self._lives = mailbox, options, reissue, lives
        self._stops_at = math.inf
        self._crash: BaseException | None = None

    def begin(self, blocking: bool) -> None:
        self._thread = threading.Thread(target=self.run if blocking else self.run_async, daemon=True)
        self._thread.start()

    def run(self) -> None:
        try:
            for connection in mailbearer.sessions("imap", USER, self._token, **self._options):
                self.is_following = False
                with connection:
                    self.sessions += 1
                    for new in connection.new_messages(self._mailbox, since=self._cursor, reissue=self._reissue):
                        if new.uids:
                            assert connection.client.uid("fetch", str(new.uids[-1]), "(FLAGS)")[0] == "OK"
                        self._note(new)
                        if len(self.uids) >= self._stops_at:
                            return
                self._note_end(connection)
        except BaseException as error:
            self._crash = error
            raise

    def run_async(self) -> None:
        try:
            asyncio.run(self._run_async())
        except BaseException as error:
            self._crash = error
            raise

    async def _run_async(self) -> None:
        async with mailbearer.aio.sessions("imap", USER, self._token, **self._options) as sessions:
            async for connection in sessions:
                self.is_following = False
                async with connection:
                    self.sessions += 1
                    async for new in connection.new_messages(self._mailbox, since=self._cursor, reissue=self._reissue):
                        connection.writer.write(b"X1 NOOP\r\n")
                        while not (await connection.reader.readline()).startswith(b"X1 OK"):
                            pass
                        self._note(new)
                        if len(self.uids) >= self._stops_at:
                            return
                self._note_end(connection)

    def wait_until(self, has_come: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30.0
        while not has_come():
            assert self._crash is None, self._crash
            assert time.monotonic() < deadline, (self.sessions, self.uids)
            time.sleep(0.01)

    def stop(self, deliver: Callable[[], None], delivered: int) -> None:
        """Stop with the next message, when those before it are told, too."""
        self._stops_at = delivered + 1
        deliver()
        self._thread.join(30.0)

    def _token(self) -> tuple[str, float]:
        # One like the one before would be no newer one.
        return mailservers.token(USER, expires_in=600, jti=self.sessions), self._lives

    def _note_end(self, connection: Any) -> None:
        if connection.verdict.cause != "no_fault":
            self.endings.append(connection.verdict.cause)

    def _note(self, new: mailbearer.NewMessages) -> None:
        self.uids += new.uids
        self._cursor = new.cursor
        self.is_following = True
