"""Between a transport and the mail client's protocol: the account sees what goes through."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from ..errors import SessionEnded
from .link import Inbox

if TYPE_CHECKING:
    from .session_connection import SessionConnection

# Kept of what a server says while nobody reads; more stays in the system's buffers.
_EARLY_OCTETS_MAX = 65_536


class Reader(asyncio.StreamReader):
    """Raises the end of the session where the stream ends, and not before all is read that came."""

    def __init__(self, connection: SessionConnection[Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._connection = connection

    async def read(self, n: int = -1) -> bytes:
        """Read; at the end of the session, raise it."""
        data = await super().read(n)
        if not data and n != 0:
            self._check(None)
        return data

    async def readexactly(self, n: int) -> bytes:
        """Read so many octets, or raise the end."""
        try:
            return await super().readexactly(n)
        except asyncio.IncompleteReadError as error:
            self._check(error)
            raise

    async def readuntil(self, separator: bytes = b"\n") -> bytes:  # type: ignore[override]
        """Read up to a separator, or raise the end."""
        try:
            return await super().readuntil(separator)
        except asyncio.IncompleteReadError as error:
            self._check(error)
            raise

    def _check(self, error: Exception | None) -> None:
        if self._connection.verdict is not None:
            raise SessionEnded(self._connection.verdict) from error


class Writer(asyncio.StreamWriter):
    """Raises the end of the session in place of a lost connection."""

    def __init__(
        self,
        connection: SessionConnection[Any],
        protocol: asyncio.StreamReaderProtocol,
        reader: asyncio.StreamReader,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(connection.transport, protocol, reader, loop)  # type: ignore[arg-type]
        self._connection = connection

    async def drain(self) -> None:
        """Wait until there is room again, or raise the end."""
        try:
            await super().drain()
        except OSError as error:
            if self._connection.verdict is not None:
                raise SessionEnded(self._connection.verdict) from error
            raise


class WatchedTransport:
    """A transport that shows to the session what is written. It is everything else that the transport is."""

    def __init__(self, connection: SessionConnection[Any], transport: asyncio.Transport) -> None:
        self._connection = connection
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write.

        Raises:
            SessionEnded: the session is over.

        """
        connection = self._connection
        if connection.verdict is not None:
            raise SessionEnded(connection.verdict)
        octets = bytes(data)
        connection.machine.sent(connection.ticket, octets)
        connection.tap.expect()
        self._transport.write(octets)

    def writelines(self, data: Any) -> None:
        """Write the pieces."""
        self.write(b"".join(data))

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()


class Tap(asyncio.Protocol):
    """Stands between the transport and the mail client's protocol: the session sees what comes."""

    def __init__(self, connection: SessionConnection[Any], transport: asyncio.Transport) -> None:
        self._connection = connection
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._inner: Any = None
        self._early = bytearray()
        self._is_delivering = False
        self._is_told = False
        self.lost: asyncio.Future[None] = self._loop.create_future()
        # Octets of message content that come next, and those of them that have come.
        self._skip = self._skipped = 0
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        inbox = cast("Inbox", transport.get_protocol())
        pending, is_lost = inbox.take(), inbox.is_lost
        transport.set_protocol(self)
        if pending:
            self.data_received(pending)
        if is_lost:
            self._loop.call_soon(self.connection_lost, None)

    def give_to(self, inner: Any, first: bytes) -> None:
        """Give all that comes to the mail client's protocol, and this first."""
        self._inner = inner
        inner.connection_made(self._connection.transport)
        early, self._early = first + bytes(self._early), bytearray()
        if early:
            inner.data_received(early)
        if self._connection.verdict is not None:
            self._tell_inner()
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def listen(self) -> None:
        """Hear the server, although nobody reads yet, so that an end is noticed."""
        if self._inner is None and self._connection.verdict is None and len(self._early) < _EARLY_OCTETS_MAX:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Show what came, and hand it on."""
        self._heard_at = self._loop.time()
        self._is_delivering = True
        try:
            self._show(data)
            if self._inner is None:
                self._early += data
                if len(self._early) >= _EARLY_OCTETS_MAX:
                    self._transport.pause_reading()
            else:
                self._inner.data_received(data)
        finally:
            self._is_delivering = False
            if self._connection.verdict is not None:
                self.end()

    def _show(self, data: bytes) -> None:
        """Show to the session what has come, but for message content that it does not want to see."""
        count = min(self._skip, len(data))
        self._skip -= count
        self._skipped += count
        if count == len(data):
            return
        if self._skipped:
            self._connection.machine.skipped(self._connection.ticket, self._skipped)
            self._skipped = 0
        self._skip = self._connection.received(data[count:] if count else data)

    def eof_received(self) -> bool:
        """Tell the end."""
        self._connection.lost(None)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Tell that it is gone."""
        if not self.lost.done():
            self.lost.set_result(None)
        self._connection.lost(None)
        self._tell_inner()

    def pause_writing(self) -> None:
        """Hand it on."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand it on."""
        if self._inner is not None:
            self._inner.resume_writing()

    def end(self) -> None:
        """Close, and tell the mail client; but first it gets what came with the end."""
        if self._is_delivering:
            return
        self._transport.abort()
        self._tell_inner()

    def abort(self) -> None:
        """Close under whoever uses it."""
        self._transport.abort()

    def _tell_inner(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._inner is None or self._is_told:
            return
        self._is_told = True
        verdict = self._connection.verdict
        ended = None if verdict is None else SessionEnded(verdict)
        # The streams would throw away what nobody has read yet; their reader knows the end by itself.
        streams = isinstance(self._inner, asyncio.StreamReaderProtocol)
        self._inner.connection_lost(None if streams else ended)

    def expect(self) -> None:
        """Something was written: an answer must come in time, unless none is due."""
        self._heard_at = self._loop.time()
        if self._timer is None:
            seconds = min(self._connection.timeout, self._connection.data_timeout)
            self._timer = self._loop.call_later(seconds, self._check_answer)

    def _check_answer(self) -> None:
        self._timer = None
        connection = self._connection
        if connection.verdict is not None or connection.machine.is_quiet(connection.ticket):
            return
        # The end of a message may take longer than another answer (RFC 5321 section 4.5.3.2.6).
        is_delivering = connection.machine.is_delivering(connection.ticket)
        left = self._heard_at + (connection.data_timeout if is_delivering else connection.timeout) - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_answer)
        else:
            connection.lost("timed_out")

    def close(self) -> None:
        """Close the connection, which was let go."""
        self._transport.close()
        self._is_told = True
        if self._inner is not None:
            self._inner.connection_lost(None)
        if self._timer is not None:
            self._timer.cancel()

    async def wait_closed(self) -> None:
        """Return when the connection is closed; a peer that does not say goodbye is not waited for."""
        done, _ = await asyncio.wait([self.lost], timeout=1.0)
        if not done:
            self._transport.abort()
