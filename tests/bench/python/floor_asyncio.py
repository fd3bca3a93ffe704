"""The least that can log in with asyncio and keeps the line limits. It is the measure of what asyncio itself costs."""

from __future__ import annotations

import asyncio

from clients import SMTP_LINE, At


class Lines(asyncio.Protocol):
    """Collects a reply."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._reply = b""
        self._end = b""
        self._waiter: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep what came."""
        self._reply += data
        self._look()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionError(repr(self._reply)))

    def _look(self) -> None:
        reply = self._reply
        if self._waiter is None or not reply.endswith(b"\r\n"):
            return
        if reply[reply.rfind(b"\n", 0, -1) + 1 :].startswith(self._end):
            self._reply = b""
            self._waiter.set_result(reply)
            self._waiter = None

    async def ask(self, line: bytes, end: bytes) -> bytes:
        """Send a line, and wait for the reply that ends with such a line."""
        if line:
            self.transport.write(line)
        self._end = end
        self._waiter = waiter = asyncio.get_running_loop().create_future()
        self._look()
        return await waiter


async def bare(at: At) -> Lines:
    """Only TCP and TLS."""
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(Lines, at.host, at.port, ssl=at.context, server_hostname=at.host)
    return protocol


async def floor_imap(at: At) -> Lines:
    """Greeting, and AUTHENTICATE with the token in the line."""
    lines = await bare(at)
    await lines.ask(b"", b"*")
    await lines.ask(b"A1 AUTHENTICATE XOAUTH2 %b\r\n" % at.response, b"A1 OK")
    return lines


async def floor_smtp(at: At) -> Lines:
    """Greeting, EHLO, and AUTH; in two steps where the token is too long for a line."""
    lines = await bare(at)
    await lines.ask(b"", b"220 ")
    await lines.ask(b"EHLO [127.0.0.1]\r\n", b"250 ")
    response = at.response
    line = b"AUTH XOAUTH2 %b\r\n" % response
    if len(line) > SMTP_LINE:
        await lines.ask(b"AUTH XOAUTH2\r\n", b"334 ")
        line = response + b"\r\n"
    await lines.ask(line, b"235 ")
    return lines
