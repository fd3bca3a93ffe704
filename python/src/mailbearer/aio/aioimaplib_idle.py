"""IMAP IDLE (RFC 2177) over aioimaplib, which reads the connection by itself."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import TYPE_CHECKING, Any

from ..following import ANSWER_MS_MAX, MailboxChange, late

if TYPE_CHECKING:
    from .session_connection import SessionConnection

_ANSWER_SECONDS = ANSWER_MS_MAX / 1000

_CHANGE = re.compile(rb"(\d+) (EXISTS|EXPUNGE|FETCH)\b", re.IGNORECASE)


async def changes(connection: SessionConnection[Any], reissue: float) -> AsyncIterator[MailboxChange]:
    """Tell what changes, until the connection is due to be let go."""
    client = connection.client
    while not connection.is_due:
        with _answer_due(connection):
            async with asyncio.timeout(_ANSWER_SECONDS):
                # Its own limit is never reached.
                ended = await client.idle_start(timeout=reissue + 2 * _ANSWER_SECONDS)
        # The end of the session is told by what is waited for here, and is not to be logged as lost.
        ended.add_done_callback(lambda task: task.cancelled() or task.exception())
        command = client.protocol.pending_sync_command
        told: list[MailboxChange] = []
        async for lines in _pushed(connection, client.wait_server_push, reissue):
            told = _changes_of(lines) if isinstance(lines, list) else []
            if told:
                break
        client.idle_done()
        with _answer_due(connection):
            await asyncio.wait_for(ended, _ANSWER_SECONDS)
        for one in told + _left_of(client.protocol.idle_queue, command):
            yield one


def _left_of(queue: asyncio.Queue[Any], command: Any) -> list[MailboxChange]:
    """Take what came after DONE: in the queue, or with the answer, where aioimaplib would leave it."""
    told = []
    while not queue.empty():
        lines = queue.get_nowait()
        told += _changes_of(lines) if isinstance(lines, list) else []
    return told + _changes_of(getattr(command, "buffer", []))


def _changes_of(lines: list[bytes]) -> list[MailboxChange]:
    return [_change_of(found) for line in lines if (found := _CHANGE.match(line))]


def _change_of(found: re.Match[bytes]) -> MailboxChange:
    number, kind = int(found[1]), found[2].upper()
    return MailboxChange(
        exists=number if kind == b"EXISTS" else None,
        expunged=[number] if kind == b"EXPUNGE" else [],
        flagged=[number] if kind == b"FETCH" else [],
    )


async def _pushed(connection: SessionConnection[Any], read: Any, reissue: float) -> AsyncIterator[Any]:
    """Return what comes, until IDLE is to be begun anew or the connection is due to be let go."""
    connection.is_asked = False
    loop = asyncio.get_running_loop()
    until = loop.time() + reissue
    while not connection.is_due and not connection.is_asked and (left := until - loop.time()) > 0:
        came = await _first(read(), connection.woken, left)
        if came is not None:
            yield came


async def _first(reading: Awaitable[Any], woken: asyncio.Event, seconds: float) -> Any:
    """Wait for what is read; ``None`` where something else is to be done first, and nothing was taken."""
    woken.clear()
    tasks = [asyncio.ensure_future(reading), asyncio.ensure_future(woken.wait())]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    # It may have come in the very moment.
    return None if tasks[0].cancelled() else tasks[0].result()


@contextlib.contextmanager
def _answer_due(connection: SessionConnection[Any]) -> Iterator[None]:
    """Tell the session that an answer did not come in time."""
    try:
        yield
    except TimeoutError as error:
        raise late(connection) from error
