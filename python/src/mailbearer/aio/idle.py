"""IMAP IDLE (RFC 2177) with asyncio: over the streams of a connection, or over aioimaplib."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import SessionTimedOut
from ..idle import ANSWER_SECONDS, REISSUE_SECONDS, refused

if TYPE_CHECKING:
    from .session_connection import SessionConnection


async def over_streams(connection: SessionConnection[Any]) -> AsyncIterator[bytes]:
    """Return the lines that a server says in IDLE, until the connection is due to be let go."""
    reader, writer = connection.reader, connection.writer
    for count in itertools.count(1):
        if connection.is_due:
            return
        tag = b"IDLE%d" % count
        writer.write(tag + b" IDLE\r\n")
        async for line in _until(connection, reader, b"+", tag):
            yield line
        async for line in _pushed(connection, reader.readline):
            yield line
        writer.write(b"DONE\r\n")
        async for line in _until(connection, reader, tag + b" OK", tag):
            yield line


async def over_client(connection: SessionConnection[Any]) -> AsyncIterator[bytes]:
    """Return the same lines, as aioimaplib hands them on."""
    client = connection.client
    while not connection.is_due:
        with _answer_due(connection):
            async with asyncio.timeout(ANSWER_SECONDS):
                ended = await client.idle_start(timeout=2 * REISSUE_SECONDS)
        async for lines in _pushed(connection, client.wait_server_push):
            for line in lines if isinstance(lines, list) else []:
                yield b"* " + line
        client.idle_done()
        with _answer_due(connection):
            await asyncio.wait_for(ended, ANSWER_SECONDS)


async def _pushed(connection: SessionConnection[Any], read: Any) -> AsyncIterator[Any]:
    """Return what comes, until IDLE is to be begun anew or the connection is due to be let go."""
    connection.is_asked = False
    loop = asyncio.get_running_loop()
    until = loop.time() + REISSUE_SECONDS
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
        return tasks[0].result() if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _until(
    connection: SessionConnection[Any], reader: asyncio.StreamReader, end: bytes, tag: bytes
) -> AsyncIterator[bytes]:
    """Read until a line that begins so; an answer is due."""
    while True:
        with _answer_due(connection):
            async with asyncio.timeout(ANSWER_SECONDS):
                line = await reader.readline()
        if line.startswith(end):
            return
        if line.startswith(tag + b" "):
            raise refused(line)
        yield line


@contextlib.contextmanager
def _answer_due(connection: SessionConnection[Any]) -> Iterator[None]:
    """Tell the session that an answer did not come in time."""
    try:
        yield
    except TimeoutError as error:
        connection.lost("timed_out")
        if connection.verdict is None:
            raise
        raise SessionTimedOut(connection.verdict) from error
