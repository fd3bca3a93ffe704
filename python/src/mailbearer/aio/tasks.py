"""The driver of asyncio programs: all in one event loop, with a timer, and tasks for the token and for each login."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from .. import observing
from .._core import AccountPlan, Delivery
from ..account_settings import AccountSettings
from ..clock import Sleep
from ..driver import Driver
from ..errors import Error, LoginFailed, Misuse
from ..failures import failed
from ..tokens import Source
from ..words import Cause
from .link import Link
from .session_connection import SessionConnection
from .tap import Tap


class TaskDriver(Driver):
    """The machine is told things in one event loop: that of the first wait."""

    def __init__(self, settings: AccountSettings, source: Source) -> None:
        super().__init__(settings, source)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sleep = Sleep()
        # Connections that were let go, and are not gone yet.
        self._leaving: set[Tap] = set()

    # ---- For the program -----------------------------------------------------------------------------------------

    async def next(self, session: int) -> SessionConnection[Any] | None:
        """Wait for the next connection; ``None``: there is no other."""
        if self.is_closed or session not in self.sessions:
            return None
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise Misuse("the sessions belong to another event loop: make new ones for this one")
        waiter: Any = self.want(session)
        self.changed()
        try:
            connection: SessionConnection[Any] | None = await waiter
            return connection
        except BaseException:
            self.no_longer(session, waiter)
            raise

    def say(self, fact: Callable[..., AccountPlan]) -> None:
        """Tell what the program says of all its sessions; before the first wait there is nothing to be done."""
        if not self.is_closed:
            self.tell(fact)

    def let_go(self, connection: SessionConnection[Any]) -> None:
        """Close a connection, and tell that the program is done with it."""
        self._leaving.add(connection.tap)
        connection.tap.lost.add_done_callback(lambda _: self._leaving.discard(connection.tap))
        was_over = connection.verdict is not None
        connection.closed()
        observing.let_go(self, connection.ticket)
        self.given.pop(connection.ticket, None)
        if not was_over:
            self.tell(self.machine.let_go, connection.ticket)

    def lost(self, connection: SessionConnection[Any], cause: Cause | None) -> None:
        """Tell that a connection has ended."""
        if connection.verdict is None and not self.is_closed:
            self.ended(connection.ticket, None if cause is None else failed(cause, ""))

    def remove(self, session: int) -> None:
        """End one session, and whoever waits for its connections."""
        if not self.is_closed and session in self.sessions:
            self.tell(self.machine.remove, session)
            del self.sessions[session]

    def end_all(self) -> None:
        """End all, at once: what is closed by this is gone in the next rounds of the loop."""
        if self.is_closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        if self._loop is None or self._loop.is_closed():
            self.is_closed = True
            return
        self.shut()
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self, taps: set[Tap]) -> None:
        """Return when all is gone that was ended."""
        tasks = self._tasks - {asyncio.current_task()}
        if tasks and self.is_closed:
            await asyncio.wait(tasks)
        for tap in taps:
            await tap.wait_closed()

    def taps(self, session: int | None = None) -> set[Tap]:
        """Return what is open, and what is about to be closed."""
        given = [one for one in self.given.values() if isinstance(one, SessionConnection)]
        return {one.tap for one in given if session in (None, one.session)} | self._leaving

    # ---- What the shared driver needs ----------------------------------------------------------------------------

    def ask(self, request: int, force: bool, refused: Any) -> None:
        """Ask the source, in a task."""
        if self._asking is not None:
            self._asking.cancel()
        self._asking = self._run(self._get_token, request, force, refused)

    async def _get_token(self, request: int, force: bool, refused: Any) -> None:
        try:
            token = await self.source.aget(force, refused=refused)
        except Error as error:
            self.no_token(request, error)
        else:
            self.token_came(request, token)

    def connect(self, ticket: int, session: int) -> _Login:
        """Begin a login, in a task of its own."""
        login = _Login(self, ticket, session)
        login.task = self._run(login.run)
        return login

    def hand_over(self, wire: Any, given: Delivery) -> SessionConnection[Any]:
        """Give the transport of a login to the program."""
        return SessionConnection(self, given, wire.link, self.sessions[wire.session])

    def new_waiter(self) -> asyncio.Future[Any]:
        """Make something to wait for."""
        return asyncio.get_running_loop().create_future()

    def changed(self) -> None:
        """Set the timer anew."""
        if self._loop is None or self.is_closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        left = Sleep.LOOK_SECONDS
        if self.wake_at_ms is not None:
            left = min(left, max(0.0, (self.wake_at_ms - self.now_ms()) / 1000))
        self._timer = self._loop.call_later(left, self._tick)

    def _tick(self) -> None:
        with self._guard():
            if slept_ms := self._sleep.slept_ms():
                self.tell(self.machine.slept, slept_ms)
            if self.wake_at_ms is not None and self.now_ms() >= self.wake_at_ms:
                self.tell(self.machine.tick)
            self.changed()

    # ---- The tasks -----------------------------------------------------------------------------------------------

    def start(self, work: Callable[..., Awaitable[None]]) -> None:
        """Do something aside."""
        self._run(work)

    def _run(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(self._guarded(work, *arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        with self._guard():
            await work(*arguments)

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Nothing is lost that goes wrong in a task or a timer of ours."""
        try:
            yield
        except (Exception, SystemExit) as error:
            self.fail(error)


class _Login:
    """A connection on its way, in a task of its own."""

    def __init__(self, driver: TaskDriver, ticket: int, session: int) -> None:
        self.session = session
        self.link = Link(driver.sessions[session])
        self.link.key = id(driver), ticket
        self.dialogue = driver.new_dialogue(session)
        self.task: asyncio.Task[None] | None = None
        self._driver = driver
        self._ticket = ticket
        # Nobody waits for facts of it any more: it is logged in, or closed.
        self._is_over = False
        self._is_logged_in = False
        self._is_to_secure = False

    async def run(self) -> None:
        """Open it, and read until the login is over."""
        try:
            async with asyncio.timeout(self._driver.sessions[self.session].timeout):
                await self._read()
        except TimeoutError:
            self._ended(failed("timed_out", "in connection and login together"))
        except LoginFailed as problem:
            self._ended(problem)
        finally:
            if not self._is_logged_in:
                self.link.abort()

    async def _read(self) -> None:
        machine = self._driver.machine
        await self.link.open()
        self._driver.tell(machine.opened, self._ticket)
        while not self._is_over:
            if self._is_to_secure:
                self._is_to_secure = False
                if injected := self.link.take():
                    self.dialogue.received(injected)
                    self._driver.tell(machine.receive, self._ticket, injected)
                    continue
                await self.link.start_tls()
                self._driver.tell(machine.secured, self._ticket)
            elif data := await self.link.read():
                self.dialogue.received(data)
                self._driver.tell(machine.receive, self._ticket, data)
            else:
                self._ended()

    def _ended(self, problem: LoginFailed | None = None) -> None:
        if not self._is_over:
            self._is_over = True
            self._driver.ended(self._ticket, problem)

    def start_tls(self) -> None:
        """Let the task do the handshake."""
        self._is_to_secure = True

    def send(self, data: bytes) -> None:
        """Write all of it."""
        self.link.write(data)

    def pause(self) -> None:
        """Read no more."""
        self._is_over = self._is_logged_in = True
        self.link.pause()

    def close(self) -> None:
        """End it, and its task."""
        self._is_over = True
        if self._is_logged_in:
            self.link.abort()
        elif self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()
