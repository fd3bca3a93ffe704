"""A clock that goes on while the machine sleeps, and a way to notice that it slept."""

from __future__ import annotations

import sys
import time


def _boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _mac_ns() -> int:
    # Python's monotonic clock stops there while the machine sleeps; this one does not.
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


if hasattr(time, "CLOCK_BOOTTIME"):
    _now_ns = _boot_ns
elif sys.platform == "darwin":
    _now_ns = _mac_ns
else:
    # Windows counts the time asleep.
    _now_ns = time.monotonic_ns


def now_ms() -> int:
    """Milliseconds of a clock that goes on while the machine sleeps, and never runs backwards."""
    return _now_ns() // 1_000_000


def wall_ms() -> int:
    """Milliseconds since 1970: what processes that follow each other share."""
    return time.time_ns() // 1_000_000


class Sleep:
    """Notices that the machine slept between two looks."""

    # Longest time between two looks, so that sleep is noticed soon after.
    LOOK_SECONDS = 30.0
    # Two clocks differ by a little.
    _LEAST_MS = 1_000
    # Stopped, and not only busy: as with SIGSTOP, or a container that is frozen.
    _STOPPED_MS = 60_000

    def __init__(self) -> None:
        self._now_ms = now_ms()
        self._awake_ms = time.monotonic_ns() // 1_000_000

    def slept_ms(self) -> int:
        """Return for how long the machine slept since the last look."""
        at_ms, awake_ms = now_ms(), time.monotonic_ns() // 1_000_000
        passed_ms, awake = at_ms - self._now_ms, awake_ms - self._awake_ms
        self._now_ms, self._awake_ms = at_ms, awake_ms
        late_ms = awake - int(self.LOOK_SECONDS * 1000)
        slept_ms = passed_ms - awake + (late_ms if late_ms > self._STOPPED_MS else 0)
        return slept_ms if slept_ms >= self._LEAST_MS else 0
