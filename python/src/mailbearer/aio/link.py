"""A connection on its way to be logged in: TCP, TLS, reads and writes, with asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import cast

from .. import observing
from ..connection import certificate_refused
from ..errors import LoginFailed, Misuse
from ..failures import (
    GREETING_SECONDS,
    PROBE_SECONDS,
    client_hello,
    failed,
    is_tls,
    more_telling,
    not_connected,
    tls_failed,
    waits_for_tls,
)
from ..proxy import Place
from ..route import DIRECT
from ..settings import Settings
from ..tcp import NEXT_ADDRESS_SECONDS, Address, bind, interleaved, reachable, tuned
from ..verified import check_peer


class Inbox(asyncio.Protocol):
    """Collects what comes until somebody waits for it. asyncio's own streams keep octets across STARTTLS."""

    # A login is far smaller; a server that sends more is held back.
    _PAUSE_OCTETS = 65_536

    def __init__(self) -> None:
        self._data = bytearray()
        self._ended = False
        self.is_lost = False
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        # Those of other event loops, as uvloop's, are no asyncio.Transport, and have all that one has.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep what came."""
        self._data += data
        if len(self._data) > self._PAUSE_OCTETS and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Note the end."""
        self._ended = True
        self._wake()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Note that it is gone."""
        self._ended = self.is_lost = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take(self) -> bytes:
        """Return what nobody has read."""
        data = bytes(self._data)
        self._data.clear()
        return data

    async def wait_closed(self) -> None:
        """Return when the connection is gone."""
        while not self.is_lost:
            await self._wait()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    async def read(self) -> bytes:
        """Return what has come; nothing at the end."""
        if not self._data and not self._ended:
            await self._wait()
        data = self.take()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        return data


class Link:
    """A transport on its way to be logged in: TCP, TLS, reads and writes. The caller keeps the deadline.

    Everything that fails is a :class:`~mailbearer.LoginFailed`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._inbox = Inbox()
        self._open_transport: asyncio.Transport | None = None
        self._is_greeting_due = settings.endpoint.tls == "starttls"
        self.round_trips = 0
        # Of a session: its account, and the number of the attempt.
        self.key: observing.Key | None = None

    @property
    def seconds(self) -> float:
        """How long this has taken so far."""
        return self._loop.time() - self._begun

    @property
    def _transport(self) -> asyncio.Transport:
        if self._open_transport is None:
            raise Misuse("a login that is not open")
        return self._open_transport

    async def open(self) -> None:
        """Connect, with TLS where it is implicit. asyncio sets TCP_NODELAY by itself."""
        with observing.dialling(self._settings.endpoint, self.key):
            await self._open()

    async def _open(self) -> None:
        endpoint = self._settings.endpoint
        sock = await self._open_way(Place(endpoint.host, endpoint.port))
        implicit = endpoint.tls == "implicit"
        try:
            transport, _ = await self._loop.create_connection(
                lambda: self._inbox,
                sock=sock,
                ssl=self._settings.ssl_context if implicit else None,
                server_hostname=endpoint.host if implicit else None,
            )
        except OSError as error:
            raise await self._tls_failed(error) from error
        self._open_transport = transport
        if implicit:
            check_peer(transport.get_extra_info("ssl_object"), endpoint.host)

    async def _open_way(self, to: Place) -> socket.socket:
        """Go the way to a place: directly, through a proxy, or over the program's own socket."""
        route = self._settings.route
        if route.sock is not None:
            sock = await route.own(to, max(0.001, self._settings.timeout - self.seconds))
            sock.setblocking(False)
            return sock
        if route.proxy is None:
            return await self._open_tcp(to)
        try:
            sock = await self._open_tcp(route.proxy.place)
        except LoginFailed as problem:
            told = route.proxy.unreachable(problem.failure.detail, problem.__cause__)
            raise told from told.__cause__
        return await route.through(sock, to)

    async def _open_tcp(self, endpoint: Place) -> socket.socket:
        """Try every address of the host, the next one while the one before is silent."""
        try:
            addresses = await self._loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise not_connected(error, endpoint) from error
        problem: LoginFailed | None = None
        running: set[asyncio.Task[socket.socket]] = set()
        left = reachable(interleaved(addresses), self._settings.route.local_address)
        try:
            while left or running:
                if left:
                    running.add(self._loop.create_task(self._open_one(left.pop(0))))
                seconds = NEXT_ADDRESS_SECONDS if left else None
                done, running = await asyncio.wait(running, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                connected = [task for task in done if task.exception() is None]
                if connected:
                    running.update(connected[1:])
                    return tuned(connected[0].result())
                for task in done:
                    refusal = task.exception()
                    if not isinstance(refusal, OSError):
                        raise refusal or LookupError
                    problem = more_telling(problem, not_connected(refusal, endpoint))
        finally:
            await _drop(running)
        raise problem or failed("unreachable", f"{endpoint.host} has no address")

    async def _open_one(self, address: Address) -> socket.socket:
        family, kind, number, _, place = address
        sock = socket.socket(family, kind, number)
        try:
            sock.setblocking(False)
            bind(sock, self._settings.route.local_address)
            await self._loop.sock_connect(sock, place)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _tls_failed(self, error: OSError) -> LoginFailed:
        """Say why a handshake failed, and whose certificate it was."""
        named: LoginFailed | None = None
        if isinstance(error, ssl.SSLCertVerificationError) and self._settings.route.sock is None:
            # Half of what is left: the reason is known already, and is not to be lost to the deadline.
            seconds = (self._settings.timeout - self.seconds) / 2
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    named = await asyncio.to_thread(certificate_refused, self._settings, seconds)
        return named or tls_failed(error, None)

    def take(self) -> bytes:
        """Return what has come and nobody has read: before the handshake, that must be nothing."""
        return self._inbox.take()

    async def start_tls(self) -> None:
        """Do the handshake; certificate and host name are verified."""
        try:
            upgraded = await self._loop.start_tls(
                self._transport,
                self._inbox,
                self._settings.ssl_context,
                server_hostname=self._settings.endpoint.host,
            )
        except OSError as error:
            raise await self._tls_failed(error) from error
        if upgraded is None:
            raise failed("connection_lost", "in the TLS handshake")
        self._open_transport = upgraded
        check_peer(upgraded.get_extra_info("ssl_object"), self._settings.endpoint.host)
        self._inbox.connection_made(upgraded)

    async def read(self) -> bytes:
        """Return what has come; nothing at the end."""
        is_greeting, self._is_greeting_due = self._is_greeting_due, False
        if is_greeting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GREETING_SECONDS):
                    return await self._inbox.read()
            if await self._speaks_tls():
                raise waits_for_tls(self._settings.endpoint)
        return await self._inbox.read()

    async def _speaks_tls(self) -> bool:
        """Ask on a connection of its own whether the port waits for TLS. The login's is not disturbed."""
        inbox = Inbox()
        # The address that took the first connection; none where it was reset before asyncio saw it.
        peer = self._transport.get_extra_info("peername")
        if peer is None:
            return False
        if isinstance(self._settings.route.sock, socket.socket):
            return False
        place = Place(peer[0], peer[1])
        if self._settings.route != DIRECT:
            # A way of the program's own is gone once more.
            place = Place(self._settings.endpoint.host, self._settings.endpoint.port)
        transport: asyncio.Transport | None = None
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                sock = await self._open_way(place)
                transport, _ = await self._loop.create_connection(lambda: inbox, sock=sock)
                transport.write(client_hello(self._settings))
                return is_tls(await inbox.read())
        except (OSError, LoginFailed):
            return False
        finally:
            if transport is not None:
                transport.abort()

    def write(self, data: bytes) -> None:
        """Write all of it."""
        self.round_trips += 1
        try:
            self._transport.write(data)
        finally:
            # It may hold the token, and a traceback the locals.
            del data

    def pause(self) -> None:
        """Read no more: what comes next is not ours."""
        if self._open_transport is not None:
            self._open_transport.pause_reading()

    def logged_in(self) -> asyncio.Transport:
        """Return the transport, paused: it belongs to somebody else from now on."""
        self.pause()
        transport, self._open_transport = self._transport, None
        return transport

    def abort(self) -> None:
        """Drop the connection."""
        if self._open_transport is not None:
            self._open_transport.abort()


async def _drop(tasks: set[asyncio.Task[socket.socket]]) -> None:
    """Close what is being connected, and what has just been."""
    for task in tasks:
        task.cancel()
    for one in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(one, socket.socket):
            one.close()
