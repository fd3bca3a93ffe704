"""A connection that a session gives to a blocking program."""

from __future__ import annotations

import contextlib
import poplib
import smtplib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from . import clients, following
from ._core import Account, Aftermath, Delivery, Verdict, verdict_of_host
from .clock import now_ms
from .connection import Connection
from .errors import SessionEnded
from .front_door import front_door
from .link import Link
from .settings import Settings, check_seconds
from .watched_socket import WatchedSocket
from .words import Cause

if TYPE_CHECKING:
    from .threads import ThreadDriver

ClientT_co = TypeVar("ClientT_co", covariant=True)

# For the goodbye of a mail client, when its connection is let go.
_GOODBYE_SECONDS = 5.0


class SessionConnection(Connection, Generic[ClientT_co]):
    """A connection that an account keeps an eye on.

    Attributes:
        client: the mail client, logged in: made when it is first asked for.
        sock: the socket, for programs that speak the protocol themselves; the account sees what it reads and writes.
        generation: counts the connections of the session, from one.
        resumed: what was in flight in the connection before, an :class:`~mailbearer.Aftermath`; ``None`` at first.
        verdict: why it ended; ``None`` while it lives.
        aftermath: what was in flight when it ended.
        endpoint, mechanism, capabilities, leftover, round_trips, seconds: as in :class:`mailbearer.Connection`.

    """

    # Whether answers come in time is the account's business.
    client_timeout: float | None = None
    sock: WatchedSocket  # type: ignore[assignment]
    generation: int
    resumed: Aftermath | None
    verdict: Verdict | None
    aftermath: Aftermath | None
    ticket: int
    session: int
    timeout: float
    machine: Account

    def __init__(
        self,
        driver: ThreadDriver,
        given: Delivery,
        link: Link,
        settings: Settings,
        make: Callable[[Connection], ClientT_co],
    ) -> None:
        self.ticket, self.session = given.ticket or 0, given.session or 0
        self.generation = given.generation or 0
        self.resumed = given.resumed
        self.renew_by_ms: int | None = None
        self.verdict = self.aftermath = None
        self.machine = driver.machine
        self._driver = driver
        self._make = make
        self._client: ClientT_co | None = None
        self._is_open = True
        self._is_hung_up = False
        self.is_asked = False
        # The last tag of who followed a mailbox over it.
        self.follow_tags = 0
        self.round_trips, self.seconds = link.round_trips, link.seconds
        self.sock = WatchedSocket(self, link.logged_in())
        self.endpoint = settings.endpoint
        self.timeout, self.data_timeout = settings.answer_timeout, settings.data_timeout
        self.mechanism = given.mechanism or "XOAUTH2"
        self.capabilities = list(given.capabilities or [])
        self.leftover = given.leftover or b""

    @property
    def client(self) -> ClientT_co:
        """The mail client, logged in."""
        if self._client is None:
            self._client = self._make(self)
            # Whoever made it uses it: also where nothing was said yet, this thread may say NOOP in its sleep.
            self.sock.writer = threading.get_ident()
        return self._client

    @property
    def is_due(self) -> bool:
        """Whether it is to be let go, or has ended."""
        return self.renew_by_ms is not None or self.verdict is not None or self._is_hung_up

    @property
    def renew_by(self) -> float | None:
        """When it is closed, if it has not been let go, as :func:`time.monotonic` counts; ``None``: not yet due."""
        if self.renew_by_ms is None:
            return None
        return time.monotonic() + (self.renew_by_ms - now_ms()) / 1000

    def wait(self, seconds: float | None = None) -> bool:
        """Sleep, and wake early when the connection is due to be let go, or has ended. True in these two cases.

        Nobody reads from the server meanwhile. A server that closes the connection is noticed (on Linux), and with a
        mail client what it said: ``verdict`` has it. Where it is the time to keep an idle connection alive, the client
        says NOOP, if this thread is the one that made or used it last.
        """
        return self._driver.wait_for_renewal(self, seconds)

    @front_door("mailbearer.SessionConnection.idle")
    def idle(self, *, reissue: float = 90.0) -> Iterator[following.MailboxChange]:
        """Wait in IDLE, and tell what changes in the mailbox that is selected; until the connection is due.

        Select one before, as with ``client.select("INBOX")``: without one IDLE is allowed (RFC 2177), and tells
        nothing.

        IDLE is said anew each ``reissue`` seconds, so that a server or a path that is mute is noticed within two
        minutes: the session ends then, and :class:`~mailbearer.SessionEnded` leaves the ``with`` block. A server
        without IDLE is asked with NOOP each minute. Between two changes the mail client may be used.

        Raises:
            Misuse: this is no connection of IMAP.
            SessionEnded: the session has ended.

        """
        check_seconds(reissue=reissue)
        return self._follow(None, {"reissue_ms": round(reissue * 1000)})

    @front_door("mailbearer.SessionConnection.new_messages")
    def new_messages(
        self, mailbox: str = "INBOX", *, since: str | None = None, read_only: bool = False, reissue: float = 90.0
    ) -> Iterator[following.NewMessages]:
        """Select a mailbox, and tell its messages that are new to the program; until the connection is due.

        ``since`` is the ``cursor`` of the last :class:`~mailbearer.NewMessages` that the program has done with, from
        this or an earlier connection or process: nothing that came since is missed, and nothing is told twice.
        ``None``: what comes from now on. ``read_only`` marks nothing as read. It waits as :meth:`idle` does; when
        it has told messages, the mail client may fetch them.

        The first that it tells comes at once. Without ``since`` it has no ``uids``: its ``cursor`` is the place from
        which on messages are new, and is to be stored as every other, or what comes before the next one is missed
        after a restart. With ``since`` it has the messages that came meanwhile, and none is told before one comes.

        Raises:
            ConfigError: ``since`` is no cursor.
            MailboxRefused: the server does not select the mailbox.
            Misuse: this is no connection of IMAP.
            SessionEnded: the session has ended.

        """
        check_seconds(reissue=reissue)
        options = {"since": since, "read_only": read_only, "reissue_ms": round(reissue * 1000)}
        return self._follow(mailbox, options | {"tells_messages": True})

    def _follow(self, mailbox: str | None, options: dict[str, Any]) -> Iterator[Any]:
        # What cannot work is raised here, and not with the first message.
        machine = following.machine(self, mailbox, options)
        return following.follow(self, machine, mailbox)

    def note_selected(self) -> None:
        """Let the mail client know that a mailbox was selected past it."""
        clients.note_selected(self.client)

    def read_ahead(self) -> bytes:
        """Take what was read already and that nobody has used: by the mail client, or with the login."""
        if self._client is None:
            first, self.leftover = self.leftover, b""
            return first
        client = clients.innermost(self._client)
        with self.patience_of(0.0), contextlib.suppress(ssl.SSLWantReadError):
            held: bytes = client._reader.read(len(client._reader.peek(1)))
            return held
        return b""

    @contextlib.contextmanager
    def patience_of(self, seconds: float) -> Iterator[None]:
        """Wait for exactly so long for an answer, for a while."""
        usual = self.sock.gettimeout()
        self.sock.set_patience(seconds)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                self.sock.set_patience(usual)

    def let_go(self) -> None:
        """Say goodbye, if a mail client is there, and close. POP3 commits its deletions by that."""
        try:
            self.notice_the_end()
            if self._is_open and self.verdict is None and self._client is not None and not self.sock.is_foreign:
                _say_goodbye(self._client, self.sock)
        except poplib.error_proto:
            # A refusal is told: the deletions were not committed. What was no answer to QUIT ended the session.
            self.notice_the_end()
            if self.verdict is None:
                raise
        finally:
            self.close()

    def close(self) -> None:
        """Close it without a goodbye, and let the next one come."""
        if not self._is_open:
            return
        self._is_open = False
        if self.sock.is_foreign:
            # In a child of a fork: its copy of the socket, and not the connection.
            self.sock.close_now()
            return
        self._driver.let_go(self)

    # ---- For the driver, and the socket --------------------------------------------------------------------------

    def notice_the_end(self) -> None:
        """Take note of a peer that has closed its side while nobody read.

        A program that speaks without a mail client reads by itself what came.
        """
        if not self._is_open or self.verdict is not None or self.sock.is_foreign or not self.sock.is_hung_up:
            return
        self._is_hung_up = True
        if self._client is not None or self.sock.writer is None:
            self.sock.hear_the_end()

    def received(self, data: bytes) -> int:
        """Show what has come; returns how many octets need not be shown that come next."""
        before = self.verdict
        skip = self._driver.tell(self.machine.receive, self.ticket, data)
        # What ends it now was said by the server, in these octets.
        self.said_goodbye = self.said_goodbye or (before is None and self.verdict is not None)
        return skip

    @property
    def is_delivering(self) -> bool:
        """Whether the end of a message was written, and the server has not said yet whether it takes it."""
        return self.endpoint.protocol == "smtp" and self.machine.is_delivering(self.ticket)

    def expects_by(self, late_at: float) -> None:
        """Let a read or write be ended that does not come back by then."""
        self._driver.expects_by(late_at)

    def _be_patient(self, seconds: float) -> None:
        self.sock.set_patience(seconds)

    def lost(self, cause: Cause | None) -> None:
        """Tell of the end that the socket found."""
        self._driver.lost(self, cause)

    def over(self, verdict: Verdict, aftermath: Aftermath | None) -> None:
        """Take notice of the end: whoever reads from it is woken."""
        self.verdict, self.aftermath = verdict, aftermath
        self.sock.hang_up()

    def hang_up(self) -> None:
        """End the connection under whoever reads from it."""
        self.sock.hang_up()

    def renew(self, by_ms: int) -> None:
        """Take notice that it is to be let go."""
        self.renew_by_ms = by_ms

    def keep_alive(self) -> None:
        """Take notice that the client is to say something harmless: who waits does it."""
        self.is_asked = True

    def answer(self) -> None:
        """Let the client say NOOP, if nobody else may be using it."""
        self.is_asked = False
        if self.sock.writer == threading.get_ident() and self.machine.is_quiet(self.ticket):
            # What fails here has ended the connection.
            with contextlib.suppress(Exception):
                clients.innermost(self._client).noop()

    def closed(self) -> None:
        """Close the socket, which was let go; whoever reads from it in another thread is woken."""
        self.sock.hang_up()
        self.sock.close_now()
        self.verdict = self.verdict or verdict_of_host("no_fault")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if error is None:
            self.let_go()
            return None
        has_ended = self.verdict is not None
        self.close()
        # The end of the session is the reason to leave the block, and no error.
        return isinstance(error, SessionEnded) and has_ended

    def __repr__(self) -> str:
        return f"<SessionConnection {self.endpoint.protocol} {self.endpoint} generation={self.generation}>"


def _say_goodbye(client: Any, sock: WatchedSocket) -> None:
    """Say goodbye, and do not wait for ever for the answer."""
    timer = threading.Timer(_GOODBYE_SECONDS, sock.hang_up)
    timer.daemon = True
    timer.start()
    try:
        if isinstance(client, poplib.POP3):
            with contextlib.suppress(SessionEnded, OSError):
                client.quit()
            return
        # What fails here has ended the session, and is told with the next one.
        with contextlib.suppress(Exception):
            client.quit() if isinstance(client, smtplib.SMTP) else client.logout()
    finally:
        timer.cancel()
        timer.join()
