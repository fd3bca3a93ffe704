"""The socket of a session's connection: the account sees what it reads and writes."""

from __future__ import annotations

import contextlib
import os
import select
import ssl
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .errors import Misuse, SessionEnded, SessionTimedOut
from .greeted_socket import SocketShell
from .link import READ_OCTETS, hang_up

if TYPE_CHECKING:
    from .session_connection import SessionConnection

# How long the last words of a server are waited for that takes nothing any more.
_LAST_WORDS_SECONDS = 0.5

# A read or write that does not come back so long after its time-out is ended from outside.
_GRACE_SECONDS = 1.0


class WatchedSocket(SocketShell):
    """A TLS socket that shows to the account what it reads and writes. It is everything else that the socket is.

    When the session is over, it raises :class:`~mailbearer.SessionEnded`. That is no ``OSError``, so that the clients
    of the standard library let it through.
    """

    def __init__(self, connection: SessionConnection[Any], sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        self._connection = connection
        self._timeout = sock.gettimeout()
        self._is_closed = False
        self._process = os.getpid()
        # Octets of message content that come next, and those of them that have come.
        self._skip = self._skipped = 0
        # The thread that wrote last.
        self.writer: int | None = None
        # When a read or write that is under way must have come back, as time.monotonic() counts.
        self.late_at: float | None = None
        self._is_expired = False

    def recv(self, octets: int = READ_OCTETS, flags: int = 0) -> bytes:
        """Read, at most so many octets."""
        self._check()
        try:
            with self._patient(), self._guarded():
                data: bytes = self._sock.recv(octets, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError, InterruptedError):
            raise
        except TimeoutError as error:
            self._late(error)
            raise
        except OSError:
            data = b""
        if not data:
            self._find_the_end()
        self._show(data)
        return data

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Write all of it."""
        self._check()
        octets = bytes(data)
        self._note(octets)
        try:
            with self._guarded():
                self._sock.sendall(octets, flags)
        except TimeoutError as error:
            self._late(error)
            raise
        except OSError:
            self._hear_last_words()

    def send(self, data: Any, flags: int = 0) -> int:
        """Write some of it."""
        self._check()
        with self._guarded():
            count: int = self._sock.send(data, flags)
        self._note(bytes(data)[:count])
        return count

    def settimeout(self, seconds: float | None) -> None:
        """Set the client's own timeout; ``None`` goes back to the session's. After either, the session is over."""
        self._sock.settimeout(self._timeout if seconds is None else seconds)

    def set_patience(self, seconds: float | None) -> None:
        """Set how long an answer may take now."""
        self._sock.settimeout(seconds)

    def setblocking(self, flag: bool) -> None:
        """Block, for the session's timeout, or do not."""
        self.settimeout(None if flag else 0.0)

    @property
    def is_foreign(self) -> bool:
        """Whether this is a child of the process that opened it: the connection is not its own."""
        return os.getpid() != self._process

    @property
    def is_hung_up(self) -> bool:
        """Whether the peer has closed its side, as far as the system can tell without reading."""
        if self._is_closed or not hasattr(select, "POLLRDHUP"):
            return False
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLRDHUP)
        return bool(poll.poll(0))

    def hear_the_end(self) -> None:
        """Read what a peer that has closed its side said before, and tell the account of the end."""
        with contextlib.suppress(SessionEnded):
            self._hear_last_words()

    def hang_up(self) -> None:
        """End the connection under whoever reads from it."""
        if not self._is_closed:
            hang_up(self._sock)

    def expire(self) -> None:
        """End a read or write that does not come back, from another thread."""
        self._is_expired = True
        self.hang_up()

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
        if self.is_foreign:
            raise Misuse("the connection belongs to the process that opened it: log in anew after a fork")

    @contextlib.contextmanager
    def _patient(self) -> Iterator[None]:
        """Wait longer for the answer to the end of a message, unless the program has set a time of its own.

        RFC 5321 section 4.5.3.2.6, and for the last chunk of BDAT as well.
        """
        usual = self._sock.gettimeout()
        if usual != self._timeout or not self._connection.is_delivering:
            yield
            return
        self._sock.settimeout(self._connection.data_timeout)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                self._sock.settimeout(usual)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Let the account's own thread end what comes next, if it is late.

        A server that keeps TLS busy, as by asking for new keys again and again, keeps OpenSSL from ever coming back to
        look at the time (issue 13).
        """
        seconds = self._sock.gettimeout()
        if seconds is not None:
            self.late_at = time.monotonic() + seconds + _GRACE_SECONDS
            self._connection.expects_by(self.late_at)
        try:
            yield
        finally:
            self.late_at = None

    def _find_the_end(self) -> None:
        """Tell that the connection has ended, and raise it."""
        self._connection.lost("timed_out" if self._is_expired else None)
        self._check()

    def _note(self, data: bytes) -> None:
        self.writer = threading.get_ident()
        self._connection.machine.sent(self._connection.ticket, data)

    def _show(self, data: bytes) -> None:
        """Show to the account what has come, but for message content that it does not want to see."""
        count = min(self._skip, len(data))
        self._skip -= count
        self._skipped += count
        if count == len(data):
            return
        if self._skipped:
            self._connection.machine.skipped(self._connection.ticket, self._skipped)
            self._skipped = 0
        self._skip = self._connection.received(data[count:] if count else data)

    def _late(self, error: TimeoutError) -> None:
        """End a session whose server does not answer, whosever time-out it was; in IDLE that is no fault."""
        if not self._connection.machine.is_quiet(self._connection.ticket):
            self._connection.lost("timed_out")
            if self._connection.verdict is not None:
                raise SessionTimedOut(self._connection.verdict) from error

    def _hear_last_words(self) -> None:
        """Read why the server takes nothing any more."""
        with contextlib.suppress(OSError):
            self._sock.settimeout(_LAST_WORDS_SECONDS)
            while self._connection.verdict is None:
                data = self._sock.recv(READ_OCTETS)
                if not data:
                    break
                self._show(data)
        self._find_the_end()
