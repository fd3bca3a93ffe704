"""A login with asyncio: from nothing to a TLS connection that is logged in."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Self, Unpack

from .. import log, observing, tokens
from .._core import AccessToken, Authenticated, Negotiation, Step, Verdict, failure_of_host
from ..dialogue import Dialogue
from ..errors import Error, LoginFailed, of_fixed_token, of_same_token, of_second_token
from ..failures import failed
from ..front_door import front_door
from ..hiding import hidden
from ..kinds_of_source import AsyncTokenSource
from ..options import LoginOptions
from ..proxy import hide_proxy
from ..settings import Endpoint, Settings, resolve
from ..stored import of_store_into
from ..words import MailProtocol, Mechanism
from .discovery import for_login
from .link import Inbox, Link

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


@front_door("mailbearer.aio.connect", LoginOptions)
async def connect(
    protocol: MailProtocol, user: str, token: AsyncTokenSource = tokens.STORED, **options: Unpack[LoginOptions]
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
    hide_proxy(options)
    token = of_store_into(options, user, hidden(token))
    settings = resolve(protocol, user, **options, discovered=await for_login(user, options))
    source = tokens.source(token, user=user, scopes=settings.scopes)
    first = await _token(source, settings, force_refresh=False)
    try:
        return await _login(settings, first)
    except LoginFailed as refused:
        if refused.advice != "refresh_token":
            raise
        if not source.can_refresh:
            raise of_fixed_token(refused) from refused.__cause__
        second = await _token(source, settings, force_refresh=True)
        if second == first:
            raise of_same_token(refused) from refused.__cause__
        try:
            return await _login(settings, second)
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


async def _login(settings: Settings, token: AccessToken) -> Connection:
    try:
        with observing.logging_in(settings.endpoint):
            connection = await _log_in(settings, token)
    except LoginFailed as error:
        log.login_failed(settings.user, settings.endpoint, error)
        raise
    log.logged_in(settings.user, connection)
    return connection


async def _log_in(settings: Settings, token: AccessToken) -> Connection:
    login = _Login(settings)
    try:
        async with asyncio.timeout(settings.timeout):
            return await login.run(token)
    except TimeoutError:
        raise failed("timed_out", "in connection and login together") from None


class _Login:
    """One login: it gives the octets to the machine, and what the machine says to the link."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._dialogue = Dialogue(settings.trace, settings.endpoint)
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
