"""A connection of the testing server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable

from .. import _core
from ..words import MailProtocol, Tls

# Servers do not wait until a client says that it has read the last words (RFC 8446 section 6.1): a client that only
# waits, and reads nothing, would never see the end.
SHUTDOWN_SECONDS = 1.0


class Peer(asyncio.Protocol):
    """One connection: it gives octets to the machine, and does what that says."""

    def __init__(
        self,
        machine: _core.Server,
        peers: dict[int, Peer],
        act: Callable[[int, bytes, str], None],
        protocol: MailProtocol,
        tls: Tls,
        context: ssl.SSLContext,
    ) -> None:
        self._machine = machine
        self._peers = peers
        # Does what the machine says for a connection, and looks when it is to be asked next.
        self._act = act
        self._protocol = protocol
        self._tls = tls
        self._context = context
        self._id = 0
        self._transport: asyncio.Transport | None = None
        self._upgrade: asyncio.Task[None] | None = None
        # A fast client speaks before the task that did the handshake goes on.
        self._early = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, unless it is the same connection with TLS."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._id == 0:
            self._id, send, then = self._machine.open(now_ms(), self._protocol, self._tls)
            self._peers[self._id] = self
            self.act(send, then)

    def data_received(self, data: bytes) -> None:
        """Give the machine what came."""
        if self._upgrade is not None:
            self._early += data
            return
        self._act(*self._machine.receive(now_ms(), self._id, data))

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the machine that the client is gone."""
        self._machine.closed(now_ms(), self._id)
        self._peers.pop(self._id, None)

    def act(self, send: bytes, then: str) -> None:
        """Do what the machine says."""
        if self._transport is None or self._transport.is_closing():
            return
        if send:
            self._transport.write(send)
        match then:
            case "close":
                self._transport.close()
            case "start_tls":
                self._transport.pause_reading()
                self._upgrade = asyncio.get_running_loop().create_task(self._start_tls())
            case _:
                return

    async def _start_tls(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._transport is not None
        with contextlib.suppress(OSError, ssl.SSLError):
            upgraded = await loop.start_tls(
                self._transport, self, self._context, server_side=True, ssl_shutdown_timeout=SHUTDOWN_SECONDS
            )
            if upgraded is not None:
                self._transport = upgraded
                self._act(*self._machine.tls_established(self._id))
        self._upgrade = None
        if self._early:
            early, self._early = bytes(self._early), bytearray()
            self.data_received(early)

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()


def close_if_cancelled(client: socket.socket, greeting: asyncio.Task[None]) -> None:
    """Close the socket of a client whose handshake may not even have begun."""
    if greeting.cancelled():
        client.close()


def now_ms() -> int:
    """Tell the time as the machine counts it."""
    return time.monotonic_ns() // 1_000_000
