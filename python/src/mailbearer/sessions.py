"""Stay logged in, in blocking programs: a connection each time that one is due."""

from __future__ import annotations

import contextlib
import imaplib
import math
import os
import poplib
import select
import smtplib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, Unpack, overload

from . import clients, tokens
from ._core import Action, Verdict, verdict_of_host
from .clock import Sleep, now_ms
from .connection import READ_OCTETS, Connection, Link, SocketShell, hang_up
from .driver import Attempt, Driver, SessionOptions, SessionSettings, Watched
from .errors import ConfigError, Error, LoginFailed, Misuse, SessionEnded
from .hiding import hidden
from .settings import MailProtocol, Settings

if TYPE_CHECKING:
    from concurrent.futures import Future

    from imapclient import IMAPClient

ClientT = TypeVar("ClientT")

# Longest wait for threads when all ends; they are daemons, and a slow name server is no reason to hang.
_JOIN_SECONDS = 5.0

# How often who sleeps looks whether the server has hung up.
_LOOK_SECONDS = 0.5

# For the goodbye of a mail client, when its connection is let go.
_GOODBYE_SECONDS = 5.0

# How long the last words of a server are waited for that takes nothing any more.
_LAST_WORDS_SECONDS = 0.5


@overload
def sessions(
    protocol: Literal["imap"],
    user: str,
    token: tokens.TokenSource,
    *,
    client: Literal["imaplib"] | None = None,
    **options: Unpack[SessionOptions],
) -> Sessions[imaplib.IMAP4]: ...
@overload
def sessions(
    protocol: Literal["imap"],
    user: str,
    token: tokens.TokenSource,
    *,
    client: Literal["imapclient"],
    **options: Unpack[SessionOptions],
) -> Sessions[IMAPClient]: ...
@overload
def sessions(
    protocol: Literal["pop3"],
    user: str,
    token: tokens.TokenSource,
    *,
    client: Literal["poplib"] | None = None,
    **options: Unpack[SessionOptions],
) -> Sessions[poplib.POP3]: ...
@overload
def sessions(
    protocol: Literal["smtp"],
    user: str,
    token: tokens.TokenSource,
    *,
    client: Literal["smtplib"] | None = None,
    **options: Unpack[SessionOptions],
) -> Sessions[smtplib.SMTP]: ...
def sessions(
    protocol: MailProtocol,
    user: str,
    token: tokens.TokenSource,
    *,
    client: str | None = None,
    **options: Unpack[SessionOptions],
) -> Sessions[Any]:
    """Stay logged in: iterate, and get a connection each time that one is due.

    A connection is due at first, and each time that the one before has ended, or is to be renewed because its token or
    the provider's limit is near. Its ``client`` is the one of the standard library, or IMAPClient with
    ``client="imapclient"``. Use each in a ``with`` block: an end of the session in it is not an error, and the loop
    goes on; when the block is left normally, the client says goodbye, which commits what POP3 has deleted.

    ``token`` is what :func:`mailbearer.connect` takes. A function may say how many seconds its token still lives, by
    returning ``(token, seconds)``: the session is then renewed ahead of that.

    The settings are those of :func:`mailbearer.connect`, and

    * ``policy``, a :class:`~mailbearer.SessionPolicy`: limits and times, where the provider's are not right;
    * ``snapshot``, what :meth:`Sessions.snapshot` gave: go on where another process was;
    * ``on_event``, called with a :class:`~mailbearer.SessionEvent` for each thing that happens, in any thread.

    Raises:
        ConfigError: a setting cannot work.

    Iterating raises :class:`~mailbearer.NeedsUser` when a person must act and :class:`~mailbearer.GaveUp` when nothing
    helps; to iterate again is to try again.

    >>> import mailbearer, mailbearer.testing
    >>> with mailbearer.testing.Server(token_lifetime=1.0) as server:
    ...     def token():
    ...         return server.issue_token("joe@gmail.com"), 1.0
    ...     seen = []
    ...     for connection in mailbearer.sessions("imap", "joe@gmail.com", token, **server.at("imap")):
    ...         with connection:
    ...             _ = connection.client.select("INBOX")
    ...             seen.append(connection.resumed and connection.resumed.selected.name)
    ...             while not connection.wait(0.1):
    ...                 _ = connection.client.noop()
    ...         if len(seen) == 3:
    ...             break
    >>> seen
    [None, 'INBOX', 'INBOX']

    """
    token = hidden(token)
    settings = SessionSettings.of(protocol, user, options)
    source = tokens.source(token, user=user, scopes=settings.login.scopes)
    if isinstance(source, tokens.AwaitedToken):
        raise ConfigError("token is an async function: use mailbearer.aio.sessions, or give a plain function")
    names = _CLIENTS[protocol]
    if client is not None and client not in names:
        raise ConfigError(f"client is none of the known values for {protocol}: {', '.join(names)}")
    make = names[client] if client is not None else next(iter(names.values()))
    return Sessions(_BlockingDriver(settings, source, make))


_CLIENTS: dict[str, dict[str, Callable[[Connection], Any]]] = {
    "imap": {"imaplib": clients.Imap, "imapclient": clients.imapclient_over},
    "pop3": {"poplib": clients.Pop3},
    "smtp": {"smtplib": clients.Smtp},
}


class Sessions(Generic[ClientT]):
    """The connections of :func:`sessions`, one after the other. Its end, or :meth:`close`, ends what runs behind it."""

    def __init__(self, driver: _BlockingDriver) -> None:
        self._driver = driver
        self._given: SessionConnection[ClientT] | None = None
        self._process = os.getpid()

    def __iter__(self) -> Iterator[SessionConnection[ClientT]]:
        return self

    def __next__(self) -> SessionConnection[ClientT]:
        """Let the last connection go, if it is there still, and wait for the next."""
        if self._given is not None:
            self._given.let_go()
        self._given = None
        self._given = self._driver.next()
        return self._given

    def status(self) -> dict[str, Any]:
        """Tell how the session stands. Times are milliseconds since the machine was started, asleep or not.

        * ``phase``: ``stopped``, ``waiting``, ``fetching_token``, ``connecting``, ``logging_in``, ``online``,
          ``renewing``, ``needs_user`` or ``gave_up``;
        * ``generation``: how many sessions there were; ``ticket``: the number of the connection that is online;
        * ``online_since_ms``, ``ends_at_ms`` (when the session is expected to end), ``retry_at_ms`` (when the wait
          after a failure is over), ``failures`` (in a row);
        * ``learnt_session_ms``, ``learnt_ends_with_token``: what this server was seen to do;
        * ``last_failure``, a :class:`~mailbearer.Failure`, and ``last_ending``, a :class:`~mailbearer.Verdict`.
        """
        return self._driver.session.status()

    def snapshot(self) -> bytes:
        """Return what must outlive the process: generation, learnt limits, back-off, a stop, what was in flight.

        It holds no secret.
        """
        return self._driver.session.snapshot()

    def woke(self) -> None:
        """Say that the network has changed: the connection is not trusted, and made anew."""
        self._driver.woke()

    def close(self) -> None:
        """End it: connections are closed without a goodbye, and no thread is left."""
        if os.getpid() != self._process:
            # A child of a fork must not hang up on its parent's connection.
            return
        self._driver.close()
        if self._given is not None:
            self._given.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.close()

    def __repr__(self) -> str:
        return f"<Sessions {self._driver.session!r}>"


class SessionConnection(Connection, Watched, Generic[ClientT]):
    """A connection that a session keeps an eye on.

    Attributes:
        client: the mail client, logged in: made when it is first asked for.
        sock: the socket, for programs that speak the protocol themselves; the session sees what it reads and writes.
        generation: counts the sessions, from one.
        resumed: what was in flight in the session before, an :class:`~mailbearer.Aftermath`; ``None`` at first.
        verdict: why it ended; ``None`` while it lives.
        endpoint, mechanism, capabilities, leftover, round_trips, seconds: as in :class:`mailbearer.Connection`.

    """

    sock: WatchedSocket  # type: ignore[assignment]

    def __init__(
        self, driver: _BlockingDriver, order: Action, link: Link, make: Callable[[Connection], ClientT]
    ) -> None:
        assert order.ticket is not None
        assert order.generation is not None
        Watched.__init__(self, order.ticket, order.generation, order.resumed)
        self._driver = driver
        self._make = make
        self._client: ClientT | None = None
        self._is_open = True
        self.round_trips, self.seconds = link.round_trips, link.seconds
        self.sock = WatchedSocket(self, link.logged_in())
        self.endpoint = driver.settings.endpoint
        assert order.mechanism is not None
        self.mechanism = order.mechanism
        self.capabilities = list(order.capabilities or [])
        self.leftover = order.data or b""

    @property
    def client(self) -> ClientT:
        """The mail client, logged in."""
        if self._client is None:
            self._client = self._make(self)
        return self._client

    @property
    def is_due(self) -> bool:
        """Whether it is to be let go, or has ended."""
        return self.renew_by_ms is not None or self.verdict is not None

    @property
    def renew_by(self) -> float | None:
        """When it is closed, if it has not been let go, as :func:`time.monotonic` counts; ``None``: not yet due."""
        if self.renew_by_ms is None:
            return None
        return time.monotonic() + (self.renew_by_ms - now_ms()) / 1000

    def wait(self, seconds: float | None = None) -> bool:
        """Sleep, and wake early when the connection is due to be let go, or has ended. True in these two cases.

        Nobody reads from the server meanwhile. A server that closes the connection is noticed (on Linux); what it says
        in words is seen with the next command.
        """
        return self._driver.wait_for_renewal(self, seconds)

    def let_go(self) -> None:
        """Say goodbye, if a mail client is there, and close. POP3 commits its deletions by that."""
        try:
            if self._is_open and self.verdict is None and self._client is not None:
                _say_goodbye(self._client, self.sock)
        finally:
            self.close()

    def close(self) -> None:
        """Close it without a goodbye, and let the next one come."""
        self._driver.let_go(self)

    def end(self, verdict: Verdict) -> None:
        """Take notice of the end: whoever reads from it is woken."""
        self.verdict = verdict
        self.sock.hang_up()

    def renew(self, by_ms: int) -> None:
        """Take notice that it is to be let go."""
        self.renew_by_ms = by_ms

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
            # A refusal is told: the deletions were not committed.
            with contextlib.suppress(SessionEnded, OSError):
                client.quit()
            return
        # What fails here has ended the session, and is told with the next one.
        with contextlib.suppress(Exception):
            client.quit() if isinstance(client, smtplib.SMTP) else client.logout()
    finally:
        timer.cancel()


class WatchedSocket(SocketShell):
    """A TLS socket that shows to the session what it reads and writes. It is everything else that the socket is.

    When the session is over, it raises :class:`~mailbearer.SessionEnded`. That is no ``OSError``, so that the clients
    of the standard library let it through.
    """

    def __init__(self, connection: SessionConnection[Any], sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        self._connection = connection
        self._timeout = sock.gettimeout()
        self._is_own_timeout = True
        self._is_closed = False
        # Octets of message content that come next, and those of them that have come.
        self._skip = self._skipped = 0
        _keep_alive(sock)

    def recv(self, octets: int = READ_OCTETS, flags: int = 0) -> bytes:
        """Read, at most so many octets."""
        self._check()
        try:
            data: bytes = self._sock.recv(octets, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError, InterruptedError):
            raise
        except TimeoutError:
            self._late()
            raise
        except OSError:
            data = b""
        if not data:
            self._connection._driver.lost(self._connection, None)
            self._check()
        self._show(data)
        return data

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Write all of it."""
        self._check()
        octets = bytes(data)
        self._connection._driver.sent(self._connection, octets)
        try:
            self._sock.sendall(octets, flags)
        except TimeoutError:
            self._late()
            raise
        except OSError:
            self._hear_last_words()

    def send(self, data: Any, flags: int = 0) -> int:
        """Write some of it."""
        self._check()
        count: int = self._sock.send(data, flags)
        self._connection._driver.sent(self._connection, bytes(data)[:count])
        return count

    def settimeout(self, seconds: float | None) -> None:
        """Set the client's own timeout; ``None`` goes back to the session's."""
        self._is_own_timeout = seconds is None
        self._sock.settimeout(self._timeout if seconds is None else seconds)

    def setblocking(self, flag: bool) -> None:
        """Block, for the session's timeout, or do not."""
        self.settimeout(None if flag else 0.0)

    @property
    def is_hung_up(self) -> bool:
        """Whether the peer has closed its side, as far as the system can tell without reading."""
        if self._is_closed or not hasattr(select, "POLLRDHUP"):
            return False
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLRDHUP)
        return bool(poll.poll(0))

    def hang_up(self) -> None:
        """End the connection under whoever reads from it."""
        if not self._is_closed:
            hang_up(self._sock)

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def close_now(self) -> None:
        """Close the socket itself."""
        self._is_closed = True
        super().close()

    def _check(self) -> None:
        if self._connection.verdict is not None:
            raise SessionEnded(self._connection.verdict)

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

    def _late(self) -> None:
        """End a session whose server does not answer; in IDLE, or with a client's own timeout, that is no fault."""
        if self._is_own_timeout and not self._connection._driver.session.is_quiet:
            self._connection._driver.lost(self._connection, "timed_out")
            self._check()

    def _hear_last_words(self) -> None:
        """Read why the server takes nothing any more."""
        with contextlib.suppress(OSError):
            self._sock.settimeout(_LAST_WORDS_SECONDS)
            while self._connection.verdict is None:
                data = self._sock.recv(READ_OCTETS)
                if not data:
                    break
                self._show(data)
        self._connection._driver.lost(self._connection, None)
        self._check()


def _keep_alive(sock: ssl.SSLSocket) -> None:
    """Let the system notice within two minutes that a peer is gone, also when nothing is said for hours."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class _BlockingAttempt(Attempt):
    """An attempt, in a thread of its own."""

    def __init__(self, ticket: int, settings: Settings) -> None:
        super().__init__(ticket)
        self.link = Link(settings)

    def interrupt(self) -> None:
        self.link.interrupt()


class _BlockingDriver(Driver):
    """One thread keeps the time; each attempt has a thread while it lasts. The machine is told things in turn."""

    def __init__(self, settings: SessionSettings, source: tokens.Source, make: Callable[[Connection], Any]) -> None:
        super().__init__(settings, source)
        self._make = make
        self._changed = threading.Condition(threading.RLock())
        self._ready: deque[SessionConnection[Any]] = deque()
        self._threads: set[threading.Thread] = set()
        self._crash: BaseException | None = None
        self._asked: Future[tokens.Token] | None = None
        self._timer: threading.Thread | None = None

    # ---- For the program ---------------------------------------------------------------------------------------

    def next(self) -> SessionConnection[Any]:
        with self._changed:
            if self.is_closed:
                raise StopIteration
            self.go_on()
            self._keep_time()
            while True:
                if self._crash is not None:
                    raise self._crash
                if self.failure is not None:
                    raise self.failure
                if self.is_closed:
                    raise StopIteration
                while self._ready:
                    connection = self._ready.popleft()
                    if connection.verdict is None:
                        return connection
                    connection.sock.close_now()
                self._changed.wait()

    def wait_for_renewal(self, connection: SessionConnection[Any], seconds: float | None) -> bool:
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        with self._changed:
            while not (connection.is_due or self.is_closed or connection.sock.is_hung_up):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, _LOOK_SECONDS))
            return True

    def woke(self) -> None:
        with self._changed:
            if not self.is_closed:
                self.tell(self.session.woke)

    def close(self) -> None:
        with self._changed:
            if self.is_closed:
                return
            self.is_closed = True
            open_connections = [one for one in self._online.values() if isinstance(one, SessionConnection)]
            self.carry_out(self.session.stop(now_ms()))
            self.woken()
            threads = {*self._threads, *({self._timer} if self._timer else ())}
            if self._is_in_call:
                # From an observer: the threads wait for it.
                threads = set()
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in threads - {threading.current_thread()}:
            thread.join(max(0.0, deadline - time.monotonic()))
        for connection in open_connections:
            connection.sock.close_now()

    # ---- What the connections report -----------------------------------------------------------------------------

    def received(self, connection: SessionConnection[Any], data: bytes) -> int:
        with self._changed:
            plan = self.session.receive(now_ms(), connection.ticket, data)
            if plan.actions or plan.wake_at_ms != self.wake_at_ms:
                # What ends it now was said by the server, in these octets.
                before = connection.verdict
                self.carry_out(plan)
                connection.said_goodbye = before is None and connection.verdict is not None
            return plan.skip

    def sent(self, connection: SessionConnection[Any], data: bytes) -> None:
        self.session.sent(connection.ticket, data)

    def lost(self, connection: SessionConnection[Any], cause: str | None) -> None:
        with self._changed:
            if connection.verdict is None and not self.is_closed:
                self.connection_lost(connection.ticket, cause)

    def let_go(self, connection: SessionConnection[Any]) -> None:
        with self._changed:
            if not connection._is_open:
                return
            connection._is_open = False
            # Whoever reads from it in another thread is woken.
            connection.sock.hang_up()
            connection.sock.close_now()
            self.note_let_go(connection.ticket)
            connection.verdict = connection.verdict or verdict_of_host("no_fault")
            self.woken()

    # ---- The orders ------------------------------------------------------------------------------------------------

    def fetch_token(self, request: int, force_refresh: bool) -> None:
        if self._asked is not None and not self._asked.done():
            # The machine gave that one up.
            self.source.give_up(self._asked)
        self._asked = self.source.request(force_refresh)
        self._asked.add_done_callback(lambda future: self._token_came(request, future))

    def _token_came(self, request: int, future: Future[tokens.Token]) -> None:
        with self._guard():
            try:
                token, lives_ms = future.result()
            except Error as error:
                self.token_failed(request, error)
            else:
                self.tell(self.session.token, request, token, lives_ms)

    def connect(self, ticket: int) -> None:
        attempt = _BlockingAttempt(ticket, self.settings)
        self._attempts[ticket] = attempt
        thread = threading.Thread(target=self._log_in, args=(attempt,), name="mailbearer-login", daemon=True)
        self._threads.add(thread)
        thread.start()

    def woken(self) -> None:
        self._changed.notify_all()

    # ---- The threads -------------------------------------------------------------------------------------------------

    def _log_in(self, attempt: _BlockingAttempt) -> None:
        link = attempt.link
        try:
            link.open()
            self._report(attempt, self.session.connected)
            while self._perform(attempt):
                data = link.read()
                if data:
                    self._report(attempt, self.session.receive, data)
                else:
                    with self._guard():
                        self.attempt_ended(attempt)
        except LoginFailed as problem:
            with self._guard():
                if not attempt.is_over:
                    self.attempt_ended(attempt, problem)
        except Exception as error:
            with self._guard():
                raise Misuse("a login could not go on") from error
        finally:
            link.close()
            with self._changed:
                self._attempts.pop(attempt.ticket, None)
                self._threads.discard(threading.current_thread())

    def _perform(self, attempt: _BlockingAttempt) -> bool:
        """Carry out the orders for this attempt; false when its login is over, in one way or the other."""
        while attempt.orders and not attempt.is_over:
            order = attempt.orders.popleft()
            match order.kind:
                case "send":
                    attempt.link.write(order.data or b"")
                case "start_tls":
                    attempt.link.start_tls()
                    self._report(attempt, self.session.tls_established)
                case _:
                    self._hand_over(attempt, order)
        return not attempt.is_over

    def _hand_over(self, attempt: _BlockingAttempt, order: Action) -> None:
        with self._changed:
            if attempt.is_over or self.is_closed:
                return
            attempt.is_over = True
            connection: SessionConnection[Any] = SessionConnection(self, order, attempt.link, self._make)
            self._attempts.pop(attempt.ticket)
            self._online[attempt.ticket] = connection
            self._ready.append(connection)
            self.woken()

    def _report(self, attempt: _BlockingAttempt, answer: Callable[..., Any], *facts: Any) -> None:
        with self._guard():
            if not attempt.is_over:
                self.tell(answer, attempt.ticket, *facts)

    def _keep_time(self) -> None:
        if self._timer is None:
            self._timer = threading.Thread(target=self._tick, name="mailbearer-timer", daemon=True)
            self._timer.start()

    def _tick(self) -> None:
        sleep = Sleep()
        with self._changed:
            while not self.is_closed:
                with self._guard():
                    if sleep.happened() and not self._let_go:
                        self.tell(self.session.woke)
                    elif self.is_due:
                        self.tell(self.session.tick)
                if self.is_closed:
                    return
                left = sleep.LOOK_SECONDS
                if self.wake_at_ms is not None and not self._let_go:
                    left = min(left, max(0.0, (self.wake_at_ms - now_ms()) / 1000))
                self._changed.wait(left)

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Speak with the machine from a thread of ours: in turn, and what goes wrong reaches the program."""
        with self._changed:
            try:
                yield
            except BaseException as error:
                # Also an exit that the program asked for, in its token function or observer.
                self._crash = error
                self.woken()
