"""Sockets around a socket, for mail clients that read in ways of their own."""

from __future__ import annotations

import contextlib
import io
from typing import Any


class SocketShell:
    """A socket around a socket: whatever it does not do by itself, the inner one does."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def makefile(self, mode: str = "rb", *arguments: Any, **options: Any) -> io.BufferedReader:
        """Return a binary reader: what the clients of the standard library read from."""
        return io.BufferedReader(_Reader(self))

    def recv(self, octets: int, flags: int = 0) -> bytes:
        """Read, at most so many octets."""
        data: bytes = self._sock.recv(octets, flags)
        return data

    def recv_into(self, buffer: Any, octets: int = 0, flags: int = 0) -> int:
        """Read into a buffer."""
        data = self.recv(octets or len(buffer))
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self._sock.close()


class GreetedSocket(SocketShell):
    """A socket whose reader finds some octets first."""

    def __init__(self, sock: Any, first: bytes) -> None:
        super().__init__(sock)
        self._first = bytearray(first)

    def recv(self, octets: int, flags: int = 0) -> bytes:
        """Read the first octets, then from the socket."""
        if self._first:
            first = bytes(self._first[:octets])
            del self._first[:octets]
            return first
        return super().recv(octets, flags)


class _Reader(io.RawIOBase):
    """The raw side of :meth:`SocketShell.makefile`."""

    def __init__(self, sock: SocketShell) -> None:
        super().__init__()
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._sock.recv_into(buffer)
