"""TCP connections: every address of a name, the next one while the first is silent; a peer that is gone is noticed."""

from __future__ import annotations

import contextlib
import errno
import itertools
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeAlias

from .errors import LoginFailed
from .failures import failed, more_telling, not_connected

# RFC 8305 section 5: the next address is tried while the one before is silent for so long.
NEXT_ADDRESS_SECONDS = 0.25

Address: TypeAlias = tuple[Any, ...]
"""What :func:`socket.getaddrinfo` gives."""


class Placed(Protocol):
    """What has a host and a port: a mail server, a proxy."""

    @property
    def host(self) -> str:
        """Its name or address."""

    @property
    def port(self) -> int:
        """Its port."""


def interleaved(addresses: Iterable[Address]) -> list[Address]:
    """Put the families in turn, beginning with that of the first (RFC 8305 section 4)."""
    families: dict[Any, deque[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], deque()).append(address)
    turns = itertools.zip_longest(*families.values())
    return [address for turn in turns for address in turn if address is not None]


def reachable(addresses: list[Address], local_address: str | None) -> list[Address]:
    """Leave those out that cannot be reached from an address of this machine, being of another family."""
    if local_address is None:
        return addresses
    family = socket.AF_INET6 if ":" in local_address else socket.AF_INET
    found = [address for address in addresses if address[0] == family]
    if not found:
        raise failed("unreachable", f"the host has no address that can be reached from {local_address}")
    return found


def bind(sock: socket.socket, local_address: str | None) -> None:
    """Let a connection come from an address of this machine."""
    if local_address is not None:
        sock.bind((local_address, 0))


def tuned(sock: socket.socket) -> socket.socket:
    """Send at once, and let the system notice within two minutes that a peer is gone, also while nothing is said.

    A system that refuses an option has its reasons: the connection works without it.
    """
    wishes = [
        # A login is short lines and answers: Nagle's algorithm would hold each second line back.
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 60),
        # What macOS calls it.
        (socket.IPPROTO_TCP, "TCP_KEEPALIVE", 60),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 15),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
        # What was written and is not acknowledged, in milliseconds: else Linux tries for a quarter of an hour.
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 120_000),
    ]
    for level, name, value in wishes:
        if hasattr(socket, name):
            with contextlib.suppress(OSError):
                sock.setsockopt(level, getattr(socket, name), value)
    return sock


class Opening:
    """A connection that is being opened by a blocking program. Another thread may interrupt it."""

    def __init__(self, endpoint: Placed, deadline: float, local_address: str | None = None) -> None:
        self._endpoint = endpoint
        self._deadline = deadline
        self._local_address = local_address
        self._pending: list[socket.socket] = []
        self._problem: LoginFailed | None = None
        self._is_interrupted = False

    def run(self) -> socket.socket:
        """Return the first socket that is connected, without blocking mode's timeout set."""
        left = deque(reachable(interleaved(self._addresses()), self._local_address))
        with selectors.DefaultSelector() as selector:
            try:
                while left or self._pending:
                    if left and not self._is_interrupted:
                        self._begin(left.popleft(), selector)
                    sock = self._first(
                        selector, self._deadline if not left else time.monotonic() + NEXT_ADDRESS_SECONDS
                    )
                    if sock is not None:
                        self._pending.remove(sock)
                        return sock
                    if self._is_interrupted or time.monotonic() >= self._deadline:
                        break
            finally:
                for sock in self._pending:
                    sock.close()
        raise self._problem or failed(
            "timed_out", f"{self._endpoint.host}:{self._endpoint.port} did not accept the connection"
        )

    def _addresses(self) -> Sequence[Address]:
        """Ask the system; a name server that does not answer is not waited for longer than all the rest."""
        host, port = self._endpoint.host, self._endpoint.port
        with contextlib.suppress(OSError):
            # An address in digits needs no name server.
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        answer: Future[Sequence[Address]] = Future()

        def ask() -> None:
            try:
                answer.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except BaseException as error:
                answer.set_exception(error)

        thread = threading.Thread(target=ask, name="mailbearer-names", daemon=True)
        thread.start()
        thread.join(max(0.0, self._deadline - time.monotonic()))
        if not answer.done():
            raise failed("timed_out", f"the name server did not answer for {host}")
        try:
            return answer.result()
        except OSError as error:
            raise not_connected(error, self._endpoint) from error

    def _begin(self, address: Address, selector: selectors.BaseSelector) -> None:
        family, kind, number, _, place = address
        sock: socket.socket | None = None
        try:
            sock = socket.socket(family, kind, number)
            sock.setblocking(False)
            bind(sock, self._local_address)
            code = sock.connect_ex(place)
            if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
                raise OSError(code, "")
        except OSError as error:
            self._note(error)
            if sock is not None:
                sock.close()
            return
        self._pending.append(sock)
        selector.register(sock, selectors.EVENT_WRITE)

    def _first(self, selector: selectors.BaseSelector, until: float) -> socket.socket | None:
        """Wait for one that is connected; nothing where all have failed, or the time is over."""
        while self._pending and (left := min(until, self._deadline) - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                sock: Any = key.fileobj
                selector.unregister(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code == 0 and not self._is_interrupted:
                    return sock  # type: ignore[no-any-return]
                if not self._is_interrupted:
                    self._note(OSError(code, ""))
                self._pending.remove(sock)
                sock.close()
        return None

    def _note(self, error: OSError) -> None:
        self._problem = more_telling(self._problem, not_connected(error, self._endpoint))

    def interrupt(self) -> None:
        """End it, from another thread."""
        self._is_interrupted = True
        for sock in list(self._pending):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
