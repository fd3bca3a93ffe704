"""A loop that lets each connection go as soon as it has it: what a forgotten ``with`` or ``wait()`` looks like."""

from __future__ import annotations

import time
from typing import Protocol

from . import log
from ._core import Verdict

# Of the program's own time: whoever has something to do with a connection, or waits, takes longer.
_QUICK_SECONDS = 1.0
_IN_A_ROW = 3


class Given(Protocol):
    """A connection of either kind."""

    verdict: Verdict | None
    renew_by_ms: int | None


class Haste:
    """Counts the connections of one session that were let go at once, and tells the logger of it, once."""

    def __init__(self) -> None:
        self._given_at = 0.0
        self._in_a_row = 0

    def given(self) -> None:
        """Take notice that the program has one."""
        self._given_at = time.monotonic()

    def back(self, connection: Given) -> None:
        """Take notice that the program asks for the next one."""
        was_due = connection.renew_by_ms is not None
        has_ended = connection.verdict is not None and connection.verdict.cause != "no_fault"
        if was_due or has_ended or time.monotonic() - self._given_at >= _QUICK_SECONDS:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._in_a_row == _IN_A_ROW:
            log.in_haste(_IN_A_ROW)
