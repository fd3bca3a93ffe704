"""Stay logged in, with asyncio: a connection each time that one is due."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, Unpack, overload

from .. import tokens
from .._core import Action, Verdict, verdict_of_host
from ..clock import Sleep, now_ms
from ..driver import Attempt, Driver, SessionOptions, SessionSettings, Watched
from ..errors import ConfigError, Error, LoginFailed, Misuse, SessionEnded
from ..failures import failed
from ..hiding import hidden
from ..settings import MailProtocol, Settings
from . import clients
from .connection import Connection, Inbox, Link

if TYPE_CHECKING:
    import aioimaplib
    import aiosmtplib

ClientT = TypeVar("ClientT")

# For the goodbye of a mail client, when its connection is let go.
_GOODBYE_SECONDS = 5.0

# Kept of what a server says while nobody reads; more stays in the system's buffers.
_EARLY_OCTETS_MAX = 65_536


@overload
def sessions(
    protocol: Literal["imap"],
    user: str,
    token: tokens.TokenSource,
    *,
    client: Literal["aioimaplib"],
    **options: Unpack[SessionOptions],
) -> Sessions[aioimaplib.IMAP4]: ...
@overload
def sessions(
    protocol: Literal["smtp"],
    user: str,
    token: tokens.TokenSource,
    *,
    client: Literal["aiosmtplib"],
    **options: Unpack[SessionOptions],
) -> Sessions[aiosmtplib.SMTP]: ...
@overload
def sessions(
    protocol: MailProtocol,
    user: str,
    token: tokens.TokenSource,
    *,
    client: None = None,
    **options: Unpack[SessionOptions],
) -> Sessions[None]: ...
def sessions(
    protocol: MailProtocol,
    user: str,
    token: tokens.TokenSource,
    *,
    client: str | None = None,
    **options: Unpack[SessionOptions],
) -> Sessions[Any]:
    r"""Stay logged in: iterate with ``async for``, and get a connection each time that one is due.

    All is as in :func:`mailbearer.sessions`. A connection has a ``reader`` and a ``writer``; with
    ``client="aioimaplib"`` or ``client="aiosmtplib"`` it has that client, logged in, as ``client``.

    >>> import asyncio, mailbearer.aio, mailbearer.testing
    >>> async def main(server):
    ...     async def token():
    ...         return server.issue_token("joe@gmail.com"), 1.0
    ...     replies = []
    ...     async for connection in mailbearer.aio.sessions("smtp", "joe@gmail.com", token, **server.at("smtp")):
    ...         async with connection:
    ...             connection.writer.write(b"NOOP\r\n")
    ...             replies.append(await connection.reader.readline())
    ...             await connection.wait()
    ...         if len(replies) == 2:
    ...             return replies
    >>> with mailbearer.testing.Server(token_lifetime=1.0) as server:
    ...     asyncio.run(main(server))
    [b'250 2.0.0 OK\r\n', b'250 2.0.0 OK\r\n']

    """
    token = hidden(token)
    settings = SessionSettings.of(protocol, user, options)
    source = tokens.source(token, user=user, scopes=settings.login.scopes)
    if client is not None and client not in _CLIENTS[protocol]:
        names = ", ".join(_CLIENTS[protocol]) or "none"
        raise ConfigError(f"client is none of the known values for {protocol}: {names}")
    make = _CLIENTS[protocol][client] if client is not None else None
    return Sessions(_AsyncDriver(settings, source), make)


_CLIENTS: dict[str, dict[str, Callable[[Connection], Awaitable[Any]]]] = {
    "imap": {"aioimaplib": clients.imap_over},
    "pop3": {},
    "smtp": {"aiosmtplib": clients.smtp_over},
}


class Sessions(Generic[ClientT]):
    """The connections of :func:`sessions`, one after the other. :meth:`aclose` ends what runs behind it."""

    def __init__(self, driver: _AsyncDriver, make: Callable[[Connection], Awaitable[Any]] | None) -> None:
        self._driver = driver
        self._make = make
        self._given: SessionConnection[ClientT] | None = None

    def __aiter__(self) -> AsyncIterator[SessionConnection[ClientT]]:
        return self

    async def __anext__(self) -> SessionConnection[ClientT]:
        """Let the last connection go, if it is there still, and wait for the next."""
        given, self._given = self._given, None
        if given is not None:
            await given.let_go()
        while True:
            connection = await self._driver.next()
            try:
                if self._make is not None:
                    connection._client = await self._make(connection)
            except SessionEnded:
                connection.close()
                continue
            except BaseException:
                connection.close()
                raise
            self._given = connection
            return connection

    def status(self) -> dict[str, Any]:
        """Tell how the session stands: phase, generation, failures, what was learnt, the last failure and ending."""
        return self._driver.session.status()

    def snapshot(self) -> bytes:
        """Return what must outlive the process: generation, learnt limits, back-off, a stop, what was in flight.

        It holds no secret.
        """
        return self._driver.session.snapshot()

    def woke(self) -> None:
        """Say that the network has changed: the connection is not trusted, and made anew."""
        self._driver.woke()

    async def aclose(self) -> None:
        """End it: connections are closed without a goodbye, and no task is left."""
        await self._driver.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        driver = getattr(self, "_driver", None)
        if driver is not None:
            driver.close()

    def __repr__(self) -> str:
        return f"<aio.Sessions {self._driver.session!r}>"


class SessionConnection(Connection, Watched, Generic[ClientT]):
    """A connection that a session keeps an eye on.

    Attributes:
        client: the mail client, where one was asked for.
        reader, writer: for programs that speak the protocol themselves.
        generation: counts the sessions, from one.
        resumed: what was in flight in the session before, an :class:`~mailbearer.Aftermath`; ``None`` at first.
        verdict: why it ended; ``None`` while it lives.
        endpoint, mechanism, capabilities, round_trips, seconds: as in :class:`mailbearer.Connection`.

    """

    # Whether answers come in time is the session's business.
    client_timeout = None
    transport: WatchedTransport  # type: ignore[assignment]

    def __init__(self, driver: _AsyncDriver, order: Action, link: Link) -> None:
        assert order.ticket is not None
        assert order.generation is not None
        Watched.__init__(self, order.ticket, order.generation, order.resumed)
        self._driver = driver
        self._client: Any = None
        self._due = asyncio.Event()
        self._is_open = True
        self._streams = None
        self.endpoint = driver.settings.endpoint
        assert order.mechanism is not None
        self.mechanism = order.mechanism
        self.capabilities = list(order.capabilities or [])
        self.round_trips, self.seconds = link.round_trips, link.seconds
        self._leftover = order.data or b""
        real = link.logged_in()
        self.transport = WatchedTransport(self, real)
        self._tap = _Tap(self, real)

    @property
    def client(self) -> ClientT:
        """The mail client, logged in."""
        if self._client is None:
            raise Misuse("no mail client was asked for: give client= to sessions")
        client: ClientT = self._client
        return client

    @property
    def renew_by(self) -> float | None:
        """When it is closed, if it has not been let go, as :func:`time.monotonic` counts; ``None``: not yet due."""
        if self.renew_by_ms is None:
            return None
        return time.monotonic() + (self.renew_by_ms - now_ms()) / 1000

    async def wait(self, seconds: float | None = None) -> bool:
        """Sleep, and wake early when the connection is due to be let go, or has ended. True in these two cases."""
        self._tap.listen()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._due.wait()
        return self._due.is_set()

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
        await self._tap.wait_closed()

    def close(self) -> None:  # type: ignore[override]
        """Close it without a goodbye, and let the next one come."""
        self._driver.let_go(self)

    def hand_over(self, protocol: Any, greeting: bytes) -> None:
        """Give the transport to another protocol, which reads the greeting and what is left over first."""
        first, self._leftover = greeting + self._leftover, b""
        self._tap.give_to(protocol, first)

    def _open_streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            loop = asyncio.get_running_loop()
            reader = _Reader(self, loop)
            protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
            self._streams = reader, _Writer(self, protocol, reader, loop)
            self.hand_over(protocol, b"")
        return self._streams

    def end(self, verdict: Verdict) -> None:
        """Take notice of the end: whoever waits for an answer learns of it."""
        self.verdict = verdict
        self._due.set()
        self._tap.end()

    def renew(self, by_ms: int) -> None:
        """Take notice that it is to be let go."""
        self.renew_by_ms = by_ms
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


class _Reader(asyncio.StreamReader):
    """Raises the end of the session where the stream ends, and not before all is read that came."""

    def __init__(self, connection: SessionConnection[Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._connection = connection

    async def read(self, n: int = -1) -> bytes:
        data = await super().read(n)
        if not data and n != 0:
            self._check(None)
        return data

    async def readexactly(self, n: int) -> bytes:
        try:
            return await super().readexactly(n)
        except asyncio.IncompleteReadError as error:
            self._check(error)
            raise

    async def readuntil(self, separator: bytes = b"\n") -> bytes:  # type: ignore[override]
        try:
            return await super().readuntil(separator)
        except asyncio.IncompleteReadError as error:
            self._check(error)
            raise

    def _check(self, error: Exception | None) -> None:
        if self._connection.verdict is not None:
            raise SessionEnded(self._connection.verdict) from error


class _Writer(asyncio.StreamWriter):
    """Raises the end of the session in place of a lost connection."""

    def __init__(
        self,
        connection: SessionConnection[Any],
        protocol: asyncio.StreamReaderProtocol,
        reader: asyncio.StreamReader,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(connection.transport, protocol, reader, loop)  # type: ignore[arg-type]
        self._connection = connection

    async def drain(self) -> None:
        try:
            await super().drain()
        except OSError as error:
            if self._connection.verdict is not None:
                raise SessionEnded(self._connection.verdict) from error
            raise


class WatchedTransport:
    """A transport that shows to the session what is written. It is everything else that the transport is."""

    def __init__(self, connection: SessionConnection[Any], transport: asyncio.Transport) -> None:
        self._connection = connection
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write.

        Raises:
            SessionEnded: the session is over.

        """
        connection = self._connection
        if connection.verdict is not None:
            raise SessionEnded(connection.verdict)
        octets = bytes(data)
        connection._driver.session.sent(connection.ticket, octets)
        connection._tap.expect()
        self._transport.write(octets)

    def writelines(self, data: Any) -> None:
        """Write the pieces."""
        self.write(b"".join(data))

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()


class _Tap(asyncio.Protocol):
    """Stands between the transport and the mail client's protocol: the session sees what comes."""

    def __init__(self, connection: SessionConnection[Any], transport: asyncio.Transport) -> None:
        self._connection = connection
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._inner: Any = None
        self._early = bytearray()
        self._is_delivering = False
        self._is_told = False
        self._lost: asyncio.Future[None] = self._loop.create_future()
        # Octets of message content that come next, and those of them that have come.
        self._skip = self._skipped = 0
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        inbox = transport.get_protocol()
        assert isinstance(inbox, Inbox)
        pending, is_lost = inbox.take(), inbox.is_lost
        transport.set_protocol(self)
        if pending:
            self.data_received(pending)
        if is_lost:
            self._loop.call_soon(self.connection_lost, None)

    def give_to(self, inner: Any, first: bytes) -> None:
        """Give all that comes to the mail client's protocol, and this first."""
        self._inner = inner
        inner.connection_made(self._connection.transport)
        early, self._early = first + bytes(self._early), bytearray()
        if early:
            inner.data_received(early)
        if self._connection.verdict is not None:
            self._tell_inner()
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def listen(self) -> None:
        """Hear the server, although nobody reads yet, so that an end is noticed."""
        if self._inner is None and self._connection.verdict is None and len(self._early) < _EARLY_OCTETS_MAX:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._is_delivering = True
        try:
            self._show(data)
            if self._inner is None:
                self._early += data
                if len(self._early) >= _EARLY_OCTETS_MAX:
                    self._transport.pause_reading()
            else:
                self._inner.data_received(data)
        finally:
            self._is_delivering = False
            if self._connection.verdict is not None:
                self.end()

    def _show(self, data: bytes) -> None:
        """Show to the session what has come, but for message content that it does not want to see."""
        count = min(self._skip, len(data))
        self._skip -= count
        self._skipped += count
        if count == len(data):
            return
        driver = self._connection._driver
        if self._skipped:
            driver.session.skipped(self._connection.ticket, self._skipped)
            self._skipped = 0
        self._skip = driver.received(self._connection, data[count:] if count else data)

    def eof_received(self) -> bool:
        self._connection._driver.lost(self._connection, None)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if not self._lost.done():
            self._lost.set_result(None)
        self._connection._driver.lost(self._connection, None)
        self._tell_inner()

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def end(self) -> None:
        """Close, and tell the mail client; but first it gets what came with the end."""
        if self._is_delivering:
            return
        self._transport.abort()
        self._tell_inner()

    def _tell_inner(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._inner is None or self._is_told:
            return
        self._is_told = True
        verdict = self._connection.verdict
        ended = None if verdict is None else SessionEnded(verdict)
        # The streams would throw away what nobody has read yet; their reader knows the end by itself.
        streams = isinstance(self._inner, asyncio.StreamReaderProtocol)
        self._inner.connection_lost(None if streams else ended)

    def expect(self) -> None:
        """Something was written: an answer must come in time, unless none is due."""
        self._heard_at = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._connection._driver.settings.timeout, self._check_answer)

    def _check_answer(self) -> None:
        self._timer = None
        driver = self._connection._driver
        if self._connection.verdict is not None or driver.session.is_quiet:
            return
        left = self._heard_at + driver.settings.timeout - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_answer)
        else:
            driver.lost(self._connection, "timed_out")

    def close(self) -> None:
        """Close the connection, which was let go."""
        self._transport.close()
        self._is_told = True
        if self._inner is not None:
            self._inner.connection_lost(None)
        if self._timer is not None:
            self._timer.cancel()

    async def wait_closed(self) -> None:
        """Return when the connection is closed; a peer that does not say goodbye is not waited for."""
        done, _ = await asyncio.wait([self._lost], timeout=1.0)
        if not done:
            self._transport.abort()


class _AsyncAttempt(Attempt):
    """An attempt, in a task of its own."""

    def __init__(self, ticket: int, settings: Settings) -> None:
        super().__init__(ticket)
        self.link = Link(settings)
        self.task: asyncio.Task[None] | None = None

    def interrupt(self) -> None:
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()


class _AsyncDriver(Driver):
    """All in one event loop: a timer, and tasks for the token and for the attempt under way."""

    def __init__(self, settings: SessionSettings, source: tokens.Source) -> None:
        super().__init__(settings, source)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: deque[SessionConnection[Any]] = deque()
        self._waiters: set[asyncio.Future[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._token_task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sleep = Sleep()
        self._crash: BaseException | None = None
        # Connections that were let go, and are not gone yet.
        self._leaving: set[_Tap] = set()

    # ---- For the program ---------------------------------------------------------------------------------------

    async def next(self) -> SessionConnection[Any]:
        if self.is_closed:
            raise StopAsyncIteration
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise Misuse("the sessions belong to another event loop: make new ones for this one")
        self.go_on()
        self._set_timer()
        while True:
            if self._crash is not None:
                raise self._crash
            if self.failure is not None:
                raise self.failure
            if self.is_closed:
                raise StopAsyncIteration
            while self._ready:
                connection = self._ready.popleft()
                if connection.verdict is None:
                    return connection
            waiter = self._loop.create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def woke(self) -> None:
        if not self.is_closed and self._loop is not None:
            self.tell(self.session.woke)

    def close(self) -> None:
        """End all, at once: what is closed by this is gone in the next rounds of the loop."""
        if self.is_closed:
            return
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._loop is None or self._loop.is_closed():
            return
        self.carry_out(self.session.stop(now_ms()))
        for task in self._tasks:
            task.cancel()
        self.woken()

    async def aclose(self) -> None:
        taps = {one._tap for one in self._online.values() if isinstance(one, SessionConnection)} | self._leaving
        self.close()
        tasks = self._tasks - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks)
        for tap in taps:
            await tap.wait_closed()

    # ---- What the connections report -----------------------------------------------------------------------------

    def received(self, connection: SessionConnection[Any], data: bytes) -> int:
        plan = self.session.receive(now_ms(), connection.ticket, data)
        if plan.actions or plan.wake_at_ms != self.wake_at_ms:
            self.carry_out(plan)
        return plan.skip

    def lost(self, connection: SessionConnection[Any], cause: str | None) -> None:
        if connection.ticket in self._online and not self.is_closed:
            self.connection_lost(connection.ticket, cause)

    def let_go(self, connection: SessionConnection[Any]) -> None:
        if not connection._is_open:
            return
        connection._is_open = False
        self.note_let_go(connection.ticket)
        self._leaving.add(connection._tap)
        connection._tap._lost.add_done_callback(lambda _: self._leaving.discard(connection._tap))
        connection._tap.close()
        connection.verdict = connection.verdict or verdict_of_host("no_fault")
        connection._due.set()

    # ---- The orders ------------------------------------------------------------------------------------------------

    def fetch_token(self, request: int, force_refresh: bool) -> None:
        if self._token_task is not None:
            # The machine gave that one up.
            self._token_task.cancel()
        self._token_task = self._run(self._get_token, request, force_refresh)

    async def _get_token(self, request: int, force_refresh: bool) -> None:
        try:
            token, lives_ms = await self.source.aget(force_refresh)
        except Error as error:
            self.token_failed(request, error)
        else:
            self.tell(self.session.token, request, token, lives_ms)

    def connect(self, ticket: int) -> None:
        attempt = _AsyncAttempt(ticket, self.settings)
        self._attempts[ticket] = attempt
        attempt.task = self._run(self._log_in, attempt)

    def _run(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> asyncio.Task[None]:
        assert self._loop is not None
        task: asyncio.Task[None] = self._loop.create_task(self._guarded(work, *arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Nothing is lost that goes wrong in a task of ours."""
        try:
            await work(*arguments)
        except (Exception, SystemExit) as error:
            self._crash = error
            self.woken()

    def woken(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._set_timer()

    # ---- Logins and time -----------------------------------------------------------------------------------------

    async def _log_in(self, attempt: _AsyncAttempt) -> None:
        link = attempt.link
        try:
            async with asyncio.timeout(self.settings.timeout):
                await link.open()
                self._report(attempt, self.session.connected)
                while await self._perform(attempt):
                    data = await link.read()
                    if data:
                        self._report(attempt, self.session.receive, data)
                    else:
                        self.attempt_ended(attempt)
        except TimeoutError:
            self._fail(attempt, failed("timed_out", "in connection and login together"))
        except LoginFailed as problem:
            self._fail(attempt, problem)
        finally:
            link.abort()
            self._attempts.pop(attempt.ticket, None)

    async def _perform(self, attempt: _AsyncAttempt) -> bool:
        """Carry out the orders for this attempt; false when its login is over, in one way or the other."""
        while attempt.orders and not attempt.is_over:
            order = attempt.orders.popleft()
            match order.kind:
                case "send":
                    attempt.link.write(order.data or b"")
                case "start_tls":
                    await self._start_tls(attempt)
                case _:
                    self._hand_over(attempt, order)
        return not attempt.is_over

    async def _start_tls(self, attempt: _AsyncAttempt) -> None:
        injected = attempt.link.take()
        if injected:
            self._report(attempt, self.session.receive, injected)
            return
        await attempt.link.start_tls()
        self._report(attempt, self.session.tls_established)

    def _hand_over(self, attempt: _AsyncAttempt, order: Action) -> None:
        attempt.is_over = True
        self._attempts.pop(attempt.ticket)
        connection: SessionConnection[Any] = SessionConnection(self, order, attempt.link)
        self._online[attempt.ticket] = connection
        self._ready.append(connection)
        self.woken()

    def _report(self, attempt: _AsyncAttempt, answer: Callable[..., Any], *facts: Any) -> None:
        if not attempt.is_over:
            self.tell(answer, attempt.ticket, *facts)

    def _fail(self, attempt: _AsyncAttempt, problem: LoginFailed) -> None:
        if not attempt.is_over:
            self.attempt_ended(attempt, problem)

    def _set_timer(self) -> None:
        if self._loop is None or self.is_closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        left = Sleep.LOOK_SECONDS
        if self.wake_at_ms is not None and not self._let_go:
            left = min(left, max(0.0, (self.wake_at_ms - now_ms()) / 1000))
        self._timer = self._loop.call_later(left, self._tick)

    def _tick(self) -> None:
        with self._caught():
            if self._sleep.happened() and not self._let_go:
                self.tell(self.session.woke)
            elif self.is_due:
                self.tell(self.session.tick)
        self._set_timer()

    @contextlib.contextmanager
    def _caught(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._crash = error
            self.woken()
