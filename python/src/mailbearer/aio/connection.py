"""A login with asyncio: from nothing to a TLS connection that is logged in."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from types import TracebackType
from typing import Any, Self, cast

from .. import log, observing, tokens
from .._core import AccessToken, Authenticated, Negotiation, Provider, Step, Verdict, failure_of_host
from ..connection import certificate_refused
from ..dialogue import Dialogue
from ..errors import Error, LoginFailed, Misuse, of_fixed_token, of_same_token, of_second_token
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
from ..hiding import hidden
from ..kinds_of_source import AsyncTokenSource
from ..options import Trace
from ..proxy import Place, Proxy, hidden_proxy
from ..route import DIRECT, Sock
from ..settings import Endpoint, Settings, resolve
from ..stored import of_store
from ..tcp import NEXT_ADDRESS_SECONDS, Address, bind, interleaved, reachable, tuned
from ..verified import check_peer
from ..words import InitialResponse, MailProtocol, Mechanism, ProviderName, Tls
from .discovery import for_login

# For the goodbye of TLS when a connection is closed.
_GOODBYE_SECONDS = 1.0


class Closing:
    """What is being closed: whoever awaits it waits until that is done."""

    def __init__(self, wait_closed: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._wait_closed = wait_closed

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait_closed().__await__()


class Connection:
    """A TLS connection that is logged in, with asyncio's streams.

    Attributes:
        reader: an :class:`asyncio.StreamReader`; octets that came behind the login are in it.
        writer: its :class:`asyncio.StreamWriter`.
        transport: the :class:`asyncio.Transport` below them.
        endpoint, mechanism, capabilities, round_trips, seconds: as in :class:`mailbearer.Connection`.
        verdict: why it ended, where a session watches it: see :func:`mailbearer.aio.sessions`.

    """

    transport: asyncio.Transport
    endpoint: Endpoint
    mechanism: Mechanism
    capabilities: list[str]
    round_trips: int
    seconds: float
    verdict: Verdict | None = None
    # How long mail clients wait for an answer, and for the one to the end of a message.
    client_timeout: float | None
    data_timeout: float

    def __init__(
        self,
        transport: asyncio.Transport,
        endpoint: Endpoint,
        authenticated: Authenticated,
        round_trips: int,
        seconds: float,
        timeout: float = 60.0,
        data_timeout: float = 600.0,
    ) -> None:
        self.client_timeout, self.data_timeout = timeout, data_timeout
        self.transport = transport
        self.endpoint = endpoint
        self.mechanism = authenticated.mechanism
        self.capabilities = list(authenticated.capabilities)
        self.round_trips = round_trips
        self.seconds = seconds
        self._leftover = authenticated.leftover
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        # Who had the transport when it was closed: after that asyncio does not say it.
        self._ended_by: asyncio.BaseProtocol | None = None

    @property
    def reader(self) -> asyncio.StreamReader:
        """Reads from the server."""
        return self._open_streams()[0]

    @property
    def writer(self) -> asyncio.StreamWriter:
        """Writes to the server."""
        return self._open_streams()[1]

    @property
    def tls_version(self) -> str:
        """``TLSv1.3``, for example."""
        return str(self.transport.get_extra_info("ssl_object").version())

    def _open_streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            loop = asyncio.get_running_loop()
            reader = asyncio.StreamReader(loop=loop)
            protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
            self.hand_over(protocol, b"")
            self._streams = reader, asyncio.StreamWriter(self.transport, protocol, reader, loop)
        return self._streams

    def hand_over(self, protocol: Any, greeting: bytes) -> None:
        """Give the transport to another protocol, which reads the greeting and what is left over first."""
        ended = self.transport.get_protocol()
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        first, self._leftover = greeting + self._leftover, b""
        pending = ended.take() if isinstance(ended, Inbox) else b""
        if first + pending:
            protocol.data_received(first + pending)
        self.transport.resume_reading()

    def late(self) -> None:
        """Tell that an answer did not come in the time of the mail client: only a session minds."""

    def patience(self, seconds: float) -> contextlib.AbstractContextManager[None]:
        """Wait for so long for an answer, for a while: only a session minds."""
        return contextlib.nullcontext()

    def close(self) -> Awaitable[None]:
        """Close the connection; await it to wait until it is closed."""
        if self._ended_by is None:
            self._ended_by = self.transport.get_protocol()
        self.transport.close()
        return Closing(self._wait_closed)

    async def aclose(self) -> None:
        """Close the connection, and return when it is closed."""
        await self.close()

    async def _wait_closed(self) -> None:
        try:
            # A peer that does not say goodbye is not waited for.
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._closed()
        except TimeoutError:
            self.transport.abort()
        except (OSError, ssl.SSLError):
            return

    async def _closed(self) -> None:
        if self._streams is not None:
            await self._streams[1].wait_closed()
        elif isinstance(self._ended_by, Inbox):
            await self._ended_by.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<aio.Connection {self.endpoint.protocol} {self.endpoint}>"


async def connect(
    protocol: MailProtocol,
    user: str,
    token: AsyncTokenSource = tokens.STORED,
    *,
    host: str | None = None,
    port: int | None = None,
    tls: Tls | None = None,
    provider: ProviderName | Provider | None = None,
    ssl_context: ssl.SSLContext | None = None,
    timeout: float = 60.0,
    answer_timeout: float | None = None,
    data_timeout: float = 600.0,
    authzid: str | None = None,
    mechanisms: Sequence[Mechanism] | None = None,
    initial_response: InitialResponse | None = None,
    ehlo_name: str | None = None,
    assumed_capabilities: Sequence[str] | None = None,
    unusual_port: bool = False,
    discover: bool = True,
    trace: Trace | None = None,
    proxy: str | Proxy | None = None,
    local_address: str | None = None,
    sock: Sock | None = None,
) -> Connection:
    r"""Connect and log in, as :func:`mailbearer.connect` does, without blocking the event loop.

    The arguments are the same: ``help(mailbearer.connect)`` and ``help(mailbearer.LoginOptions)`` tell each. ``token``
    may be an ``async`` function, too. Use it so: ``async with await mailbearer.aio.connect(...) as connection:``.

    The token source, too, has at most ``timeout`` seconds to answer.

    >>> import asyncio, mailbearer.aio, mailbearer.testing
    >>> async def main():
    ...     with mailbearer.testing.Server() as server:
    ...         async def token():
    ...             return server.issue_token("joe@gmail.com")
    ...         async with await mailbearer.aio.connect(
    ...             "smtp", "joe@gmail.com", token, **server.at("smtp")
    ...         ) as connection:
    ...             connection.writer.write(b"NOOP\r\n")
    ...             return await connection.reader.readline()
    >>> asyncio.run(main())
    b'250 2.0.0 OK\r\n'

    """
    proxy = hidden_proxy(proxy)
    token, provider = of_store(user, hidden(token), provider, host, proxy)
    settings = resolve(
        protocol,
        user,
        host=host,
        port=port,
        tls=tls,
        provider=provider,
        ssl_context=ssl_context,
        timeout=timeout,
        answer_timeout=answer_timeout,
        data_timeout=data_timeout,
        authzid=authzid,
        mechanisms=mechanisms,
        initial_response=initial_response,
        ehlo_name=ehlo_name,
        assumed_capabilities=assumed_capabilities,
        unusual_port=unusual_port,
        discover=discover,
        trace=trace,
        proxy=proxy,
        local_address=local_address,
        sock=sock,
        discovered=await for_login(user, host, provider, discover, ssl_context, proxy),
    )
    source = tokens.source(token, user=user, scopes=settings.scopes)
    first = await _token(source, settings, force_refresh=False)
    try:
        return await _login(settings, first, trace)
    except LoginFailed as refused:
        if refused.advice != "refresh_token":
            raise
        if not source.can_refresh:
            raise of_fixed_token(refused) from refused.__cause__
        second = await _token(source, settings, force_refresh=True)
        if second == first:
            raise of_same_token(refused) from refused.__cause__
        try:
            return await _login(settings, second, trace)
        except LoginFailed as again:
            if again.advice != "refresh_token":
                raise
            raise of_second_token(again, user) from again.__cause__


async def _token(source: tokens.Source, settings: Settings, *, force_refresh: bool) -> AccessToken:
    try:
        return (await source.aget(force_refresh, settings.timeout)).token
    except Error as error:
        log.token_failed(settings.user, error)
        raise


async def _login(settings: Settings, token: AccessToken, trace: Trace | None) -> Connection:
    try:
        with observing.logging_in(settings.endpoint):
            connection = await _log_in(settings, token, trace)
    except LoginFailed as error:
        log.login_failed(settings.user, settings.endpoint, error)
        raise
    log.logged_in(settings.user, connection)
    return connection


async def _log_in(settings: Settings, token: AccessToken, trace: Trace | None) -> Connection:
    login = _Login(settings, trace)
    try:
        async with asyncio.timeout(settings.timeout):
            return await login.run(token)
    except TimeoutError:
        raise failed("timed_out", "in connection and login together") from None


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


class _Login:
    """One login: it gives the octets to the machine, and what the machine says to the link."""

    def __init__(self, settings: Settings, trace: Trace | None) -> None:
        self._settings = settings
        self._dialogue = Dialogue(trace, settings.endpoint)
        self._link = Link(settings)

    async def run(self, token: AccessToken) -> Connection:
        negotiation = self._settings.negotiation(token)
        self._dialogue.begin(token)
        try:
            await self._link.open()
            step = await self._read(negotiation)
            while True:
                self._send(step)
                match step.next:
                    case "read":
                        step = await self._read(negotiation)
                    case "start_tls":
                        step = await self._start_tls(negotiation)
                    case _:
                        self._dialogue.pause()
                        return self._done(step)
        except BaseException as error:
            self._link.abort()
            if isinstance(error, LoginFailed):
                self._dialogue.pause()
            raise

    def _done(self, step: Step) -> Connection:
        if step.authenticated is None:
            raise LoginFailed(step.failure or failure_of_host("unrecognized", ""))
        link = self._link
        settings = self._settings
        counted = link.round_trips, link.seconds
        times = settings.answer_timeout, settings.data_timeout
        return Connection(link.logged_in(), settings.endpoint, step.authenticated, *counted, *times)

    async def _start_tls(self, negotiation: Negotiation) -> Step:
        injected = self._link.take()
        if injected:
            return self._heard(negotiation, injected)
        self._dialogue.pause()
        await self._link.start_tls()
        return negotiation.tls_established()

    async def _read(self, negotiation: Negotiation) -> Step:
        return self._heard(negotiation, await self._link.read())

    def _heard(self, negotiation: Negotiation, data: bytes) -> Step:
        try:
            self._dialogue.received(data)
            return negotiation.receive(data) if data else negotiation.closed()
        finally:
            # A server may have sent the token back.
            del data

    def _send(self, step: Step) -> None:
        if step.send:
            self._dialogue.sent(step.send, step.sensitive)
            self._link.write(step.send)


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
