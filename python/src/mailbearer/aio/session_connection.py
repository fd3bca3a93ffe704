"""A connection that a session gives to an asyncio program."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from .._core import Account, Aftermath, Delivery, Verdict, verdict_of_host
from ..clock import now_ms
from ..errors import Misuse, SessionEnded
from ..following import MailboxChange, NewMessages, machine
from ..front_door import front_door
from ..settings import Settings, check_seconds
from ..words import Cause
from . import aioimaplib_idle, clients, following
from .connection import Closing, Connection
from .link import Link
from .tap import Reader, Tap, WatchedTransport, Writer

if TYPE_CHECKING:
    from .session_iterator import Clients
    from .tasks import TaskDriver

ClientT_co = TypeVar("ClientT_co", covariant=True)

# For the goodbye of a mail client, when its connection is let go.
_GOODBYE_SECONDS = 5.0


class SessionConnection(Connection, Generic[ClientT_co]):
    """A connection that an account keeps an eye on.

    Attributes:
        client: the mail client: aioimaplib, or aiosmtplib.
        reader, writer: for programs that speak the protocol themselves, in place of it.
        generation: counts the connections of the session, from one.
        resumed: what was in flight in the connection before, an :class:`~mailbearer.Aftermath`; ``None`` at first.
        verdict: why it ended; ``None`` while it lives.
        aftermath: what was in flight when it ended.
        endpoint, mechanism, capabilities, round_trips, seconds: as in :class:`mailbearer.Connection`.

    """

    # Whether answers come in time is the account's business.
    client_timeout: float | None = None
    generation: int
    resumed: Aftermath | None
    verdict: Verdict | None
    aftermath: Aftermath | None
    ticket: int
    session: int
    timeout: float
    machine: Account
    transport: WatchedTransport  # type: ignore[assignment]

    def __init__(self, driver: TaskDriver, given: Delivery, link: Link, settings: Settings) -> None:
        self.ticket, self.session = given.ticket or 0, given.session or 0
        self.generation = given.generation or 0
        self.resumed = given.resumed
        self.renew_by_ms: int | None = None
        self.verdict = self.aftermath = None
        self.machine = driver.machine
        self.timeout, self.data_timeout = settings.answer_timeout, settings.data_timeout
        self._driver = driver
        self._client: Any = None
        # Whoever gives it to the program says it.
        self.clients: Clients
        self._due = asyncio.Event()
        # The last tag of who followed a mailbox over it.
        self.follow_tags = 0
        # Something is to be done in IDLE: to end it, or to begin it anew.
        self.woken = asyncio.Event()
        self.is_asked = False
        self._is_open = True
        self._streams = None
        self.endpoint = settings.endpoint
        self.mechanism = given.mechanism or "XOAUTH2"
        self.capabilities = list(given.capabilities or [])
        self.round_trips, self.seconds = link.round_trips, link.seconds
        self._leftover = given.leftover or b""
        real = link.logged_in()
        self.transport = WatchedTransport(self, real)
        self.tap = Tap(self, real)

    @property
    def client(self) -> ClientT_co:
        """The mail client, logged in. It is made when it is first asked for, and then reads from the connection.

        Raises:
            ConfigError: its package is missing; the text says what to install.
            Misuse: there is none for the protocol, or none is wanted (``client=None``), or the reader is in use.

        """
        if self._client is None:
            if self._streams is not None:
                raise Misuse("the program reads from this connection: use either reader and writer, or the client")
            if self.verdict is not None:
                raise SessionEnded(self.verdict)
            self._client = self.clients.over(self)
        client: ClientT_co = self._client
        return client

    @property
    def is_due(self) -> bool:
        """Whether it is to be let go, or has ended."""
        return self._due.is_set()

    @property
    def renew_by(self) -> float | None:
        """When it is closed, if it has not been let go, as :func:`time.monotonic` counts; ``None``: not yet due."""
        if self.renew_by_ms is None:
            return None
        return time.monotonic() + (self.renew_by_ms - now_ms()) / 1000

    async def wait(self, seconds: float | None = None) -> bool:
        """Sleep, and wake early when the connection is due to be let go, or has ended. True in these two cases."""
        self.tap.listen()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._due.wait()
        return self._due.is_set()

    async def due(self) -> None:
        """Return when it is to be let go, or has ended."""
        await self._due.wait()

    @front_door("mailbearer.aio.SessionConnection.idle")
    def idle(self, *, reissue: float = 90.0) -> AsyncIterator[MailboxChange]:
        """Wait in IDLE, and tell what changes in the mailbox that is selected; until the connection is due.

        Select one before: without one IDLE is allowed (RFC 2177), and tells nothing.

        As in :meth:`mailbearer.SessionConnection.idle`: over ``reader`` and ``writer``, which the program may use
        between two changes, or over aioimaplib, where that is the client.

        Raises:
            Misuse: this is no connection of IMAP.
            SessionEnded: the session has ended.

        """
        check_seconds(reissue=reissue)
        if self._client is not None and self.endpoint.protocol == "imap":
            return aioimaplib_idle.changes(self, reissue)
        return self._follow(None, {"reissue_ms": round(reissue * 1000)})

    @front_door("mailbearer.aio.SessionConnection.new_messages")
    def new_messages(
        self, mailbox: str = "INBOX", *, since: str | None = None, read_only: bool = False, reissue: float = 90.0
    ) -> AsyncIterator[NewMessages]:
        """Select a mailbox, and tell its messages that are new to the program; until the connection is due.

        As in :meth:`mailbearer.SessionConnection.new_messages`, over ``reader`` and ``writer``. Without ``since`` the
        first that it tells, at once, has no ``uids``, and the ``cursor`` from which on messages are new: store it, too.

        Raises:
            ConfigError: ``since`` is no cursor.
            MailboxRefused: the server does not select the mailbox.
            Misuse: this is no connection of IMAP, or a mail client reads from it.
            SessionEnded: the session has ended.

        """
        check_seconds(reissue=reissue)
        options = {"since": since, "read_only": read_only, "reissue_ms": round(reissue * 1000)}
        return self._follow(mailbox, options | {"tells_messages": True})

    def _follow(self, mailbox: str | None, options: dict[str, Any]) -> AsyncIterator[Any]:
        if self._client is not None:
            raise Misuse("a mail client reads from this connection: use its own IDLE, or do not ask for client before")
        return following.follow(self, machine(self, mailbox, options), mailbox)

    async def let_go(self) -> None:
        """Say goodbye, if a mail client is there, and close."""
        try:
            if self._is_open and self.verdict is None and self._client is not None:
                # What fails here has ended the session, and is told with the next one.
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(_GOODBYE_SECONDS):
                        await _say_goodbye(self._client)
        finally:
            self.close()
        await self.tap.wait_closed()

    def close(self) -> Awaitable[None]:
        """Close it without a goodbye, and let the next one come; await it to wait until it is closed."""
        if self._is_open:
            self._is_open = False
            self._driver.let_go(self)
        return Closing(self.tap.wait_closed)

    def hand_over(self, protocol: Any, greeting: bytes) -> None:
        """Give the transport to another protocol, which reads the greeting and what is left over first."""
        first, self._leftover = greeting + self._leftover, b""
        self.tap.give_to(protocol, first)

    def _open_streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._client is not None:
            raise Misuse("a mail client reads from this connection: use either it, or the reader and the writer")
        if self._streams is None:
            loop = asyncio.get_running_loop()
            reader = Reader(self, loop)
            protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
            self._streams = reader, Writer(self, protocol, reader, loop)
            self.hand_over(protocol, b"")
        return self._streams

    # ---- For the driver, and the tap -----------------------------------------------------------------------------

    def received(self, data: bytes) -> int:
        """Show what has come; returns how many octets need not be shown that come next."""
        return self._driver.tell(self.machine.receive, self.ticket, data)

    def lost(self, cause: Cause | None) -> None:
        """Tell of the end that the transport found."""
        self._driver.lost(self, cause)

    def late(self) -> None:
        """Tell that an answer did not come in the time of the mail client; in IDLE none is due."""
        if not self.machine.is_quiet(self.ticket):
            self.lost("timed_out")

    def over(self, verdict: Verdict, aftermath: Aftermath | None) -> None:
        """Take notice of the end: whoever waits for an answer learns of it."""
        self.verdict, self.aftermath = verdict, aftermath
        self._due.set()
        self.woken.set()
        self.tap.end()

    @contextlib.contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """Wait for so long for an answer, for a while."""
        usual, self.timeout = self.timeout, max(self.timeout, seconds)
        try:
            yield
        finally:
            self.timeout = usual

    def hang_up(self) -> None:
        """End the connection under whoever uses it: why comes with the next delivery."""
        self.tap.abort()

    def renew(self, by_ms: int) -> None:
        """Take notice that it is to be let go."""
        self.renew_by_ms = by_ms
        self._due.set()
        self.woken.set()

    def keep_alive(self) -> None:
        """Let the client say NOOP, if it does nothing else, or IDLE anew."""
        self.is_asked = True
        self.woken.set()
        if self._client is not None and self.machine.is_quiet(self.ticket) and not clients.is_idling(self._client):
            self._driver.start(self._say_noop)

    async def _say_noop(self) -> None:
        # What fails here has ended the connection.
        with contextlib.suppress(Exception):
            await self._client.noop()

    def closed(self) -> None:
        """Close the transport, which was let go."""
        self.tap.close()
        self.verdict = self.verdict or verdict_of_host("no_fault")
        self._due.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(  # type: ignore[override]
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is None:
            await self.let_go()
            return False
        has_ended = self.verdict is not None
        self.close()
        # The end of the session is the reason to leave the block, and no error.
        return isinstance(error, SessionEnded) and has_ended

    def __repr__(self) -> str:
        return f"<aio.SessionConnection {self.endpoint.protocol} {self.endpoint} generation={self.generation}>"


async def _say_goodbye(client: Any) -> None:
    await (client.quit() if hasattr(client, "quit") else client.logout())
