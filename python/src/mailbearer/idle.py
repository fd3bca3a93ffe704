"""IMAP IDLE (RFC 2177): what changes in a mailbox, for as long as a connection lives."""

from __future__ import annotations

import contextlib
import itertools
import re
import select
import ssl
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import Misuse, SessionTimedOut

if TYPE_CHECKING:
    from .session_connection import SessionConnection

# A server or a path that has gone mute is noticed within two minutes: IDLE is begun anew after so long, and the answers
# to that are due in so long.
REISSUE_SECONDS = 90.0
ANSWER_SECONDS = 20.0

# How often who waits looks whether the connection is due to be let go.
LOOK_SECONDS = 0.5

_CHANGE = re.compile(rb"\* (?:(\d+) (EXISTS|RECENT|EXPUNGE|FETCH)|(VANISHED))\b", re.IGNORECASE)


class Change(NamedTuple):
    """What a server says of a mailbox, unasked.

    Attributes:
        kind: ``EXISTS`` (there are ``number`` messages now), ``RECENT``, ``EXPUNGE`` (message ``number`` is gone),
            ``FETCH`` (its flags have changed) or ``VANISHED`` (RFC 7162).
        number: a number of messages, or of a message; ``None`` for ``VANISHED``.
        line: the whole line, without its end.

    """

    kind: str
    number: int | None
    line: bytes


def change_of(line: bytes) -> Change | None:
    """Read a line of the server; ``None``: it says nothing of the mailbox."""
    found = _CHANGE.match(line)
    if found is None:
        return None
    number, kind, vanished = found.groups()
    return Change((kind or vanished).decode().upper(), None if number is None else int(number), line.rstrip(b"\r\n"))


def refused(line: bytes) -> Misuse:
    """Say that a server does not do IDLE, or not in this state."""
    return Misuse(f"the server refused IDLE: select a mailbox first ({line.decode('ascii', 'replace').strip()})")


class Idle:
    """IDLE over the socket of a blocking program, below its mail client."""

    def __init__(self, connection: SessionConnection[Any], reader: Any) -> None:
        self._connection = connection
        self._sock = connection.sock
        self._reader = reader

    def changes(self) -> Iterator[Change]:
        """Return what changes, until the connection is due to be let go."""
        for count in itertools.count(1):
            if self._connection.is_due:
                return
            tag = b"IDLE%d" % count
            self._sock.sendall(tag + b" IDLE\r\n")
            yield from self._until(b"+", tag)
            yield from self._in_idle()
            self._sock.sendall(b"DONE\r\n")
            yield from self._until(tag + b" OK", tag)

    def _in_idle(self) -> Iterator[Change]:
        self._connection.is_asked = False
        until = time.monotonic() + REISSUE_SECONDS
        while not self._connection.is_due and not self._connection.is_asked and time.monotonic() < until:
            if not self._has_come():
                select.select([self._sock.fileno()], [], [], min(LOOK_SECONDS, REISSUE_SECONDS))
                continue
            change = change_of(self._reader.readline())
            if change is not None:
                yield change

    def _until(self, end: bytes, tag: bytes) -> Iterator[Change]:
        """Read until a line that begins so; an answer is due."""
        with self._connection.patience_of(ANSWER_SECONDS):
            while not (line := self._answer()).startswith(end):
                if line.startswith(tag + b" "):
                    raise refused(line)
                change = change_of(line)
                if change is not None:
                    yield change

    def _answer(self) -> bytes:
        try:
            line: bytes = self._reader.readline()
        except TimeoutError as error:
            self._connection.lost("timed_out")
            if self._connection.verdict is None:
                raise
            raise SessionTimedOut(self._connection.verdict) from error
        return line

    def _has_come(self) -> bool:
        """Whether there is something to read, without waiting for it."""
        with self._connection.patience_of(0.0), contextlib.suppress(ssl.SSLWantReadError):
            return bool(self._reader.peek(1))
        return False
