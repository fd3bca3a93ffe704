"""A socket on its way to be logged in: TCP, TLS, reads and writes, in blocking programs."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time

from . import observing
from .errors import LoginFailed, Misuse
from .failures import (
    GREETING_SECONDS,
    PROBE_SECONDS,
    client_hello,
    failed,
    is_tls,
    refused_certificate,
    tls_failed,
    waits_for_tls,
)
from .proxy import Place
from .route import DIRECT
from .settings import Settings
from .tcp import Opening
from .verified import check_peer

# Larger than what a login brings in one piece: one foreign call for each read.
READ_OCTETS = 65_536


class Link:
    """A socket on its way to be logged in: TCP, TLS, reads and writes, all within the one deadline.

    Everything that fails is a :class:`~mailbearer.LoginFailed`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._begun = time.monotonic()
        self._deadline = self._begun + settings.timeout
        self._sock: socket.socket | None = None
        self._opening: Opening | None = None
        self._secured: ssl.SSLSocket | None = None
        self._is_expired = False
        self._is_greeting_due = settings.endpoint.tls == "starttls"
        self.round_trips = 0
        # Of a session: its account, and the number of the attempt.
        self.key: observing.Key | None = None

    @property
    def seconds(self) -> float:
        """How long this has taken so far."""
        return time.monotonic() - self._begun

    def open(self) -> None:
        """Connect, with TLS where it is implicit."""
        endpoint = self._settings.endpoint
        with observing.dialling(endpoint, self.key):
            self._sock = self._connected(Place(endpoint.host, endpoint.port))
            if endpoint.tls == "implicit":
                self.start_tls()

    def _connected(self, to: Place) -> socket.socket:
        route = self._settings.route
        try:
            return route.open(to, self._deadline, self._show)
        except LoginFailed as problem:
            if route.proxy is None or not self._is_expired:
                raise
            # It was ended under the handshake, which took that for an answer.
            told = route.proxy.unreachable("it did not answer in time", problem.__cause__)
            raise told from told.__cause__

    def _show(self, opening: Opening | socket.socket) -> None:
        """Note what is under way, so that it can be interrupted."""
        if isinstance(opening, Opening):
            self._opening = opening
        else:
            self._sock = opening

    def start_tls(self) -> None:
        """Do the handshake; certificate and host name are verified."""
        sock = self._open_socket()
        sock.settimeout(self._left())
        wrapped: ssl.SSLSocket | None = None
        try:
            # One that was reset already is not given to wrap_socket, which would leave its descriptor open.
            sock.getpeername()
            # The handshake apart: while wrap_socket does it, there is no socket that could be interrupted.
            self._sock = wrapped = self._settings.ssl_context.wrap_socket(
                sock, server_hostname=self._settings.endpoint.host, do_handshake_on_connect=False
            )
            wrapped.do_handshake()
        except TimeoutError as error:
            raise failed("timed_out", "in the TLS handshake") from error
        except OSError as error:
            if self._is_expired:
                raise failed("timed_out", "in the TLS handshake") from error
            raise tls_failed(error, refused_certificate(wrapped)) from error
        check_peer(wrapped, self._settings.endpoint.host)
        self._secured = wrapped

    def read(self) -> bytes:
        """Return what has come; nothing at the end."""
        is_greeting, self._is_greeting_due = self._is_greeting_due, False
        if is_greeting:
            greeting = self._read(GREETING_SECONDS)
            if greeting is not None:
                return greeting
            if self._left() > 0 and self._speaks_tls():
                raise waits_for_tls(self._settings.endpoint)
        data = self._read(None)
        if data is None:
            raise failed("timed_out", "in the login")
        return data

    def _read(self, seconds: float | None) -> bytes | None:
        """Return what has come in the time that is left, or in fewer seconds; ``None`` where nothing has."""
        sock = self._open_socket()
        left = self._left()
        sock.settimeout(left if seconds is None else min(left, seconds))
        try:
            data = sock.recv(READ_OCTETS)
        except TimeoutError:
            return None
        except OSError:
            data = b""
        return data if data or not self._is_expired else None

    def _speaks_tls(self) -> bool:
        """Ask on a connection of its own whether the port waits for TLS. The login's is not disturbed."""
        route = self._settings.route
        if isinstance(route.sock, socket.socket):
            return False
        try:
            seconds = min(PROBE_SECONDS, self._left())
            # The address that took the first connection; a way of the program's own is gone once more.
            peer = self._open_socket().getpeername()[:2]
            if route != DIRECT:
                peer = self._settings.endpoint.host, self._settings.endpoint.port
            with route.open(Place(*peer), time.monotonic() + seconds, lambda _: None) as probe:
                probe.settimeout(seconds)
                probe.sendall(client_hello(self._settings))
                return is_tls(probe.recv(1))
        except (OSError, LoginFailed):
            return False

    def write(self, data: bytes) -> None:
        """Write all of it."""
        sock = self._open_socket()
        self.round_trips += 1
        sock.settimeout(self._left())
        try:
            sock.sendall(data)
        except TimeoutError as error:
            raise failed("timed_out", "in the login") from error
        except OSError:
            # The server may have said why before it closed: the next read tells.
            return
        finally:
            # It may hold the token, and a traceback the locals.
            del data

    def logged_in(self) -> ssl.SSLSocket:
        """Return the socket, which belongs to somebody else from now on."""
        sock, self._sock = self._secured, None
        if sock is None:
            raise Misuse("a login without TLS")
        sock.settimeout(self._settings.answer_timeout)
        return sock

    def interrupt(self) -> None:
        """Wake a thread that waits here: its read or write ends."""
        if self._opening is not None:
            self._opening.interrupt()
        if self._sock is not None:
            hang_up(self._sock)

    def expire(self) -> None:
        """End it at the deadline, from another thread."""
        self._is_expired = True
        self.interrupt()

    def close(self) -> None:
        """Close the socket."""
        if self._sock is not None:
            self._sock.close()

    def _open_socket(self) -> socket.socket:
        if self._sock is None:
            raise Misuse("a login that is not open")
        return self._sock

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise failed("timed_out", "in connection and login together")
        return left


def hang_up(sock: socket.socket) -> None:
    """End the connection under a thread that may read from it; the owner closes the socket."""
    with contextlib.suppress(OSError):
        # Not SSLSocket's own: that would take the TLS layer away from under the reader.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
