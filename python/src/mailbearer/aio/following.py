"""One mailbox followed over a session's connection: what changes, and which messages are new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from .._core import Follow, FollowPlan
from ..clock import now_ms
from ..following import TELLS, Told, late, refused
from ..link import READ_OCTETS

if TYPE_CHECKING:
    from .session_connection import SessionConnection


async def follow(connection: SessionConnection[Any], follow: Follow, mailbox: str | None) -> AsyncIterator[Told]:
    """Follow, until the connection is due; while the program has what was told, the connection is the program's."""
    plan = follow.start(now_ms())
    told: list[Told] = []
    due = asyncio.ensure_future(connection.due())
    reading: asyncio.Future[bytes] | None = None
    try:
        while True:
            if plan.data:
                connection.writer.write(plan.data)
            is_free = False
            for event in plan.events:
                match event.kind:
                    case "free":
                        is_free = True
                    case "refused":
                        raise refused(event, mailbox)
                    case "late":
                        raise late(connection)
                    case _:
                        told.append(TELLS[event.kind](event))
            if is_free:
                connection.follow_tags = follow.tags
                for one in told:
                    yield one
                told.clear()
                if connection.is_due:
                    return
                plan = follow.resume(now_ms())
                continue
            if reading is None:
                reading = asyncio.ensure_future(connection.reader.read(READ_OCTETS))
            plan, reading = await _next(connection, follow, plan, reading, due)
    finally:
        due.cancel()
        if reading is not None:
            reading.cancel()


async def _next(
    connection: SessionConnection[Any],
    follow: Follow,
    plan: FollowPlan,
    reading: asyncio.Future[bytes],
    due: asyncio.Future[None],
) -> tuple[FollowPlan, asyncio.Future[bytes] | None]:
    """Wait for the server, for the time, or for the connection to be due."""
    while True:
        now = now_ms()
        if plan.wake_at_ms is not None and now >= plan.wake_at_ms:
            return follow.tick(now), reading
        may_leave = follow.state in ("idle", "resting")
        if connection.renew_by_ms is not None and may_leave:
            return follow.interrupt(now), reading
        left = None if plan.wake_at_ms is None else (plan.wake_at_ms - now) / 1000
        awaited: set[asyncio.Future[Any]] = {reading, due} if may_leave and not due.done() else {reading}
        await asyncio.wait(awaited, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            return follow.receive(now_ms(), reading.result()), None
