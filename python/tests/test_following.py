"""A mailbox of a real Dovecot is followed: IDLE, a mute path, and each new message told once across sessions."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mailservers
import pytest

import mailbearer
import mailbearer.aio
from mailbearer import SessionPolicy

USER = "joe@example.com"
# A word that is not ASCII, a space and an ampersand: they travel in modified UTF-7.
MAILBOX = "Entwürfe & mehr {}"
EXPIRIES, CUTS = 50, 20


def settings(servers: mailservers.RealServers, port: int | None = None, **more: Any) -> dict[str, Any]:
    trusted = ssl.create_default_context(cafile=servers.ca_file)
    return {"host": "localhost", "port": port or servers.ports["imap-implicit"], "ssl_context": trusted, **more}


def token() -> tuple[str, float]:
    return mailservers.token(USER, expires_in=600), 600.0


@contextlib.contextmanager
def mailbox(servers: mailservers.RealServers, name: str) -> Iterator[Callable[[], None]]:
    """Make a mailbox; what it gives delivers a message to it."""
    wire = f'"{MAILBOX.format(name)}"'.replace("ü", "&APw-").replace("& ", "&- ")
    with mailbearer.imap(USER, mailservers.token(USER, expires_in=600), **settings(servers)) as imap:
        assert imap.create(wire)[0] == "OK"
        yield lambda: imap.append(wire, "", "", b"Subject: hello\r\n\r\nhello\r\n") and None
        imap.delete(wire)


def test_changes_are_told_and_the_client_may_be_used_between_them(servers: mailservers.RealServers) -> None:
    with mailbox(servers, "changes") as deliver:
        for connection in mailbearer.sessions("imap", USER, token, **settings(servers)):
            with connection:
                connection.client.select(f'"{MAILBOX.format("changes")}"'.replace("ü", "&APw-").replace("& ", "&- "))
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


@pytest.mark.parametrize("blocking", [True, False])
def test_a_path_that_swallows_all_is_noticed_and_nothing_is_missed(
    servers: mailservers.RealServers, blocking: bool
) -> None:
    relay = mailservers.Relay(servers.ports["imap-implicit"])
    options = settings(servers, relay.port, timeout=2.0, policy=SessionPolicy(backoff_base=0.2, login_interval=0.001))
    name = f"swallowed {blocking}"
    with mailbox(servers, name) as deliver:
        follower = Follower(MAILBOX.format(name), options, reissue=1.0)
        thread = threading.Thread(target=follower.run if blocking else follower.run_async, daemon=True)
        thread.start()
        follower.wait_until(lambda: follower.sessions == 1)
        deliver()
        follower.wait_until(lambda: len(follower.uids) == 1)
        relay.swallow()
        begun = time.monotonic()
        deliver()
        # Reissue, answer, back-off and login.
        follower.wait_until(lambda: len(follower.uids) == 2)
        assert time.monotonic() - begun < 1.0 + 2.0 + 5.0
        follower.stop(deliver)
        thread.join(10.0)
    relay.close()
    assert follower.uids == [1, 2, 3]


def test_each_message_is_told_once_over_expiries_and_cuts(servers: mailservers.RealServers) -> None:
    # Both kinds at the same time, each in its own mailbox and over its own path.
    with ThreadPoolExecutor() as threads:
        works = [threads.submit(over_expiries_and_cuts, servers, blocking) for blocking in (True, False)]
        for work in works:
            work.result()


def over_expiries_and_cuts(servers: mailservers.RealServers, blocking: bool) -> None:
    relay = mailservers.Relay(servers.ports["imap-implicit"])
    policy = SessionPolicy(ends_with_token=True, backoff_base=0.05, backoff_max=0.2, login_interval=0.001)
    name = f"once {blocking}"
    with mailbox(servers, name) as deliver:
        options = settings(servers, relay.port, timeout=5.0, policy=policy)
        follower = Follower(MAILBOX.format(name), options, reissue=0.4, lives=1.5)
        thread = threading.Thread(target=follower.run if blocking else follower.run_async, daemon=True)
        thread.start()
        follower.wait_until(lambda: follower.sessions == 1)
        delivered = cuts = 0
        while follower.sessions < EXPIRIES + CUTS:
            deliver()
            delivered += 1
            if cuts < CUTS and follower.sessions > 2 * cuts:
                relay.cut()
                cuts += 1
            time.sleep(0.1)
        follower.stop(deliver)
        thread.join(10.0)
    relay.close()
    assert cuts == CUTS
    assert follower.uids == list(range(1, delivered + 2))


class Follower:
    """A program that follows a mailbox, with the cursor that it would store."""

    def __init__(self, mailbox: str, options: dict[str, Any], reissue: float, lives: float = 600.0) -> None:
        self.uids: list[int] = []
        self.sessions = 0
        self._cursor: str | None = None
        self._mailbox, self._options, self._reissue, self._lives = mailbox, options, reissue, lives
        self._is_stopping = False
        self._crash: BaseException | None = None

    def run(self) -> None:
        try:
            for connection in mailbearer.sessions("imap", USER, self._token, **self._options):
                with connection:
                    self.sessions += 1
                    for new in connection.new_messages(self._mailbox, since=self._cursor, reissue=self._reissue):
                        if new.uids:
                            assert connection.client.uid("fetch", str(new.uids[-1]), "(FLAGS)")[0] == "OK"
                        self._note(new)
                        if self._is_stopping:
                            return
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
                async with connection:
                    self.sessions += 1
                    async for new in connection.new_messages(self._mailbox, since=self._cursor, reissue=self._reissue):
                        connection.writer.write(b"X1 NOOP\r\n")
                        while not (await connection.reader.readline()).startswith(b"X1 OK"):
                            pass
                        self._note(new)
                        if self._is_stopping:
                            return

    def wait_until(self, has_come: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30.0
        while not has_come():
            assert self._crash is None, self._crash
            assert time.monotonic() < deadline, (self.sessions, self.uids)
            time.sleep(0.01)

    def stop(self, deliver: Callable[[], None]) -> None:
        """Stop with the next message."""
        self._is_stopping = True
        deliver()

    def _token(self) -> tuple[str, float]:
        return mailservers.token(USER, expires_in=600), self._lives

    def _note(self, new: mailbearer.NewMessages) -> None:
        self.uids += new.uids
        self._cursor = new.cursor
