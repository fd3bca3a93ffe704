"""The driver of blocking programs: a thread keeps the time, each login has one while it lasts."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from . import observing
from ._core import AccountPlan, Delivery
from .account_settings import AccountSettings
from .answers import Token
from .clock import Sleep
from .connection import Connection
from .driver import Driver
from .errors import Error, LoginFailed, Misuse
from .failures import failed
from .login_thread import Login
from .policy import SessionPolicy
from .session_connection import SessionConnection
from .settings import Settings
from .tokens import Source
from .words import Cause

Make = Callable[[Connection], Any]

# Longest wait for threads when all ends; they are daemons, and a slow name server is no reason to hang.
_JOIN_SECONDS = 5.0

# How often who sleeps looks whether the server has hung up.
_LOOK_SECONDS = 0.5


class ThreadDriver(Driver):
    """The machine is told things in turn, whatever thread they come from."""

    def __init__(self, settings: AccountSettings, source: Source) -> None:
        super().__init__(settings, source)
        self._turn = threading.Condition(threading.RLock())
        self._makes: dict[int, Make] = {}
        self._handed: weakref.WeakSet[SessionConnection[Any]] = weakref.WeakSet()  # ended ones, too
        self._threads: set[threading.Thread] = set()
        self._timer: threading.Thread | None = None
        # Until when it sleeps, as time.monotonic() counts.
        self._sleeps_until = math.inf
        self._asked: Future[Token] | None = None
        self._process = os.getpid()

    @property
    def is_foreign(self) -> bool:
        """Whether this is a child of the process that made it: nothing here is its own."""
        return os.getpid() != self._process

    # ---- For the program -----------------------------------------------------------------------------------------

    def add_for(self, settings: Settings, policy: SessionPolicy, make: Make) -> int:
        """Add a session, whose connections have a mail client over them."""
        with self._turn:
            key = self.add(settings, policy)
            self._makes[key] = make
            return key

    def next(self, session: int) -> SessionConnection[Any] | None:
        """Wait for the next connection; ``None``: there is no other."""
        if self.is_foreign:
            raise Misuse("the sessions belong to the process that made them: make new ones after a fork")
        with self._turn:
            if self.is_closed or session not in self.sessions:
                return None
            waiter: Any = self.want(session)
            self._keep_time()
        try:
            connection: SessionConnection[Any] | None = waiter.result()
            return connection
        except BaseException:
            with self._turn:
                self.no_longer(session, waiter)
            raise

    def wait_for_renewal(self, connection: SessionConnection[Any], seconds: float | None) -> bool:
        """Sleep, but for the times at which the client has to say something."""
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        while not connection.is_due and not self.is_closed and not connection.sock.is_hung_up:
            if connection.is_asked:
                connection.answer()
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._turn:
                if not connection.is_due and not connection.is_asked and not self.is_closed:
                    self._turn.wait(min(left, _LOOK_SECONDS))
        connection.notice_the_end()
        return True

    def let_go(self, connection: SessionConnection[Any]) -> None:
        """Close a connection, and tell that the program is done with it."""
        with self._turn:
            was_over = connection.verdict is not None
            connection.closed()
            observing.let_go(self, connection.ticket)
            self.given.pop(connection.ticket, None)
            if not was_over:
                self.tell(self.machine.let_go, connection.ticket)
            self.changed()

    def lost(self, connection: SessionConnection[Any], cause: Cause | None) -> None:
        """Tell that a connection has ended."""
        with self._turn:
            if connection.verdict is None:
                self.ended(connection.ticket, None if cause is None else failed(cause, ""))

    def remove(self, session: int) -> None:
        """End one session, and whoever waits for its connections."""
        if self.is_foreign:
            return
        with self._turn:
            if self.is_closed or session not in self.sessions:
                return
            handed = [one for one in self._handed if one.session == session]
            self.tell(self.machine.remove, session)
            del self.sessions[session], self._makes[session]
        for connection in handed:
            connection.sock.close_now()

    def end_all(self) -> None:
        """End all sessions; no thread is left."""
        if self.is_foreign:
            # A child of a fork must not hang up on its parent's connections, nor wait for a lock of its threads.
            return
        with self._turn:
            if self.is_closed:
                return
            self.shut()
            self.changed()
            threads = {*self._threads, *({self._timer} if self._timer else ())}
            if self.is_telling:
                # From an observer: the threads wait for it.
                threads = set()
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in threads - {threading.current_thread()}:
            thread.join(max(0.0, deadline - time.monotonic()))
        for connection in list(self._handed):
            connection.sock.close_now()

    # ---- What the shared driver needs ----------------------------------------------------------------------------

    def tell(self, fact: Callable[..., AccountPlan], *said: Any) -> int:
        """Tell the machine a fact, in turn."""
        with self._turn:
            return super().tell(fact, *said)

    def ask(self, request: int, force: bool, refused: Any) -> None:
        """Ask the source, in another thread."""
        if self._asked is not None and not self._asked.done():
            self.source.give_up(self._asked)
        self._asked = self.source.request(force, refused)
        self._asked.add_done_callback(lambda future: self._answered(request, future))

    def _answered(self, request: int, future: Future[Token]) -> None:
        with self._guard():
            # To raise it here would keep our callers, and with them a session that nobody uses any more.
            error = future.exception()
            if isinstance(error, Error):
                self.no_token(request, error)
            else:
                self.token_came(request, future.result())

    def connect(self, ticket: int, session: int) -> Login:
        """Begin a login, in a thread of its own."""
        login = Login(self, ticket, session)
        thread = threading.Thread(target=self._run, args=(login,), name="mailbearer-login", daemon=True)
        self._threads.add(thread)
        thread.start()
        return login

    def hand_over(self, wire: Any, given: Delivery) -> SessionConnection[Any]:
        """Give the socket of a login to the program."""
        settings, make = self.sessions[wire.session], self._makes[wire.session]
        connection: SessionConnection[Any] = SessionConnection(self, given, wire.link, settings, make)
        self._handed.add(connection)
        return connection

    def new_waiter(self) -> Future[Any]:
        """Make something to wait for."""
        return Future()

    def changed(self) -> None:
        """Wake the timer, and who sleeps until a connection is due."""
        self._turn.notify_all()

    # ---- The threads ---------------------------------------------------------------------------------------------

    def _run(self, login: Login) -> None:
        with self._guard():
            pass
        try:
            login.run()
        except LoginFailed as problem:
            self.login_ended(login, problem)
        except Exception as error:
            with self._guard():
                raise Misuse("a login could not go on") from error
        finally:
            login.done()
            with self._turn:
                self._threads.discard(threading.current_thread())

    def report(self, login: Login, fact: Callable[..., AccountPlan], *said: Any) -> None:
        """Tell what a login saw, unless nobody waits for it any more."""
        with self._guard():
            if not login.is_over:
                self.tell(fact, login.ticket, *said)

    def login_ended(self, login: Login, problem: LoginFailed | None = None) -> None:
        """Tell that a login found the end of its connection, or could not open it."""
        with self._guard():
            if not login.is_over:
                login.is_over = True
                self.ended(login.ticket, problem)

    def _keep_time(self) -> None:
        if self._timer is None:
            self._timer = threading.Thread(target=self._tick, name="mailbearer-timer", daemon=True)
            self._timer.start()

    def _tick(self) -> None:
        sleep = Sleep()
        with self._turn:
            while not self.is_closed and self.crash is None:
                with self._guard():
                    if slept_ms := sleep.slept_ms():
                        self.tell(self.machine.slept, slept_ms)
                    if self.wake_at_ms is not None and self.now_ms() >= self.wake_at_ms:
                        self.tell(self.machine.tick)
                if self.is_closed:
                    return
                left = min(sleep.LOOK_SECONDS, self._end_what_is_late())
                if self.wake_at_ms is not None:
                    left = min(left, max(0.0, (self.wake_at_ms - self.now_ms()) / 1000))
                self._sleeps_until = time.monotonic() + left
                self._turn.wait(left)

    def _end_what_is_late(self) -> float:
        """Hang up on reads and writes that do not come back; returns after how many seconds the next may be late."""
        left = math.inf
        for connection in list(self._handed):
            late_at = connection.sock.late_at
            if late_at is None:
                continue
            if late_at <= time.monotonic():
                connection.sock.expire()
            else:
                left = min(left, late_at - time.monotonic())
        return left

    def expects_by(self, late_at: float) -> None:
        """Be awake when a read or write is late; mostly the timer is by itself."""
        if late_at < self._sleeps_until:
            with self._turn:
                self._sleeps_until = late_at
                self._turn.notify_all()

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Speak with the machine from a thread of ours: in turn, and what goes wrong reaches the program."""
        with self._turn:
            try:
                yield
            except BaseException as error:
                # Also an exit that the program asked for, in its token function or observer.
                self.fail(error)
