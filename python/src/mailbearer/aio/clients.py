"""The clients that people already use with asyncio, logged in: aioimaplib and aiosmtplib."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import socket
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, Unpack, cast

from .._core import Verdict
from ..errors import InternalError, SessionEnded, SessionTimedOut, timed
from ..extras import need_client
from ..front_door import front_door
from ..hiding import hidden
from ..kinds_of_source import AsyncTokenSource
from ..options import LoginOptions
from ..tokens import STORED
from .connection import Connection, connect

if TYPE_CHECKING:
    import aiosmtplib

    from ..foreign import AioImap, AioSmtp

Make: TypeAlias = Callable[[Connection], Coroutine[Any, Any, Any]]


@front_door("mailbearer.aio.imap", LoginOptions)
async def imap(user: str, token: AsyncTokenSource = STORED, **options: Unpack[LoginOptions]) -> AioImap:
    """Return an ``aioimaplib.IMAP4`` that is logged in: ``pip install 'mailbearer[aioimaplib]'``.

    ``async with await mailbearer.aio.imap(...) as imap:`` says goodbye at the end.

    Args:
        user: the login's user name, as a rule the mail address.
        token: what :func:`mailbearer.connect` takes.
        options: those of :func:`mailbearer.connect`; ``help(mailbearer.LoginOptions)`` tells each.

    Raises:
        ConfigError: aioimaplib is missing, or a setting cannot work; no login was made.

    """
    token = hidden(token)
    need_client("aioimaplib")
    return await imap_over(await connect("imap", user, token, **options))


@front_door("mailbearer.aio.smtp", LoginOptions)
async def smtp(user: str, token: AsyncTokenSource = STORED, **options: Unpack[LoginOptions]) -> AioSmtp:
    """Return an ``aiosmtplib.SMTP`` that is logged in: ``pip install 'mailbearer[aiosmtplib]'``.

    ``async with await mailbearer.aio.smtp(...) as smtp:`` says goodbye at the end.

    Args:
        user: the login's user name, as a rule the mail address.
        token: what :func:`mailbearer.connect` takes.
        options: those of :func:`mailbearer.connect`; ``help(mailbearer.LoginOptions)`` tells each.

    Raises:
        ConfigError: aiosmtplib is missing, or a setting cannot work; no login was made.

    """
    token = hidden(token)
    need_client("aiosmtplib")
    return await smtp_over(await connect("smtp", user, token, **options))


async def imap_over(connection: Connection) -> AioImap:
    """Make an ``aioimaplib.IMAP4`` over a connection that is logged in."""
    import aioimaplib

    class LoggedIn(aioimaplib.IMAP4):
        """aioimaplib over a connection that is logged in."""

        def create_client(self, host: str, port: int, loop: Any, conn_lost_cb: Any = None, *rest: Any) -> None:
            loop = asyncio.get_running_loop()
            self.protocol = Imap(loop, conn_lost_cb)
            self._client_task = loop.create_future()
            self._client_task.set_result((connection.transport, self.protocol))

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(
            self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
        ) -> None:
            try:
                if error is None and self.protocol.ended is None:
                    await self.logout()
            finally:
                await connection.close()

        async def idle_start(self, *arguments: Any, **options: Any) -> Any:
            ended = await super().idle_start(*arguments, **options)
            # Whoever does not wait for the end of IDLE learns of that of the session elsewhere.
            ended.add_done_callback(lambda done: done.cancelled() or done.exception())
            return ended

        async def wait_server_push(self, *arguments: Any, **options: Any) -> Any:
            push = await super().wait_server_push(*arguments, **options)
            if not push and self.protocol.ended is not None:
                raise self.protocol.ended
            return push

    class Imap(aioimaplib.IMAP4ClientProtocol):
        """Its protocol: whoever waits, or asks later, learns of the end; aioimaplib would let them wait."""

        ended: Exception | None = None
        has_asked = False

        def connection_lost(self, error: Exception | None) -> None:
            super().connection_lost(error)
            # A session gives its own reason.
            self.ended = error or aioimaplib.Abort("the connection has ended")
            pending = [*self.pending_async_commands.values(), self.pending_sync_command]
            for command in pending:
                if command is not None:
                    command._exception = self.ended
                    command.close(b"", "KO")
            # Whoever waits for the server in IDLE.
            self.idle_queue.put_nowait([])

        async def execute(self, command: Any, *arguments: Any, **options: Any) -> Any:
            if self.ended is not None:
                raise self.ended
            if not self.capabilities and not self.has_asked:
                self.has_asked = True
                await self.capability()
            return await super().execute(command, *arguments, **options)

    def in_time(method: Any) -> Any:
        """Let the session know that an answer did not come in the time of the client."""

        @functools.wraps(method)
        async def call(*arguments: Any, **options: Any) -> Any:
            try:
                return await method(*arguments, **options)
            except (TimeoutError, aioimaplib.CommandTimeout) as error:
                connection.late()
                if connection.verdict is None:
                    raise
                raise SessionTimedOut(connection.verdict) from error

        return call

    for name, method in vars(aioimaplib.IMAP4).items():
        if inspect.iscoroutinefunction(method) and name[0] != "_" and name not in vars(LoggedIn):
            setattr(LoggedIn, name, in_time(method))
    client = LoggedIn(connection.endpoint.host, connection.endpoint.port, timeout=connection.client_timeout)
    connection.hand_over(client.protocol, b"")
    client.protocol.state = aioimaplib.AUTH
    # Where the server has not said what it can do, it is asked before the first command.
    client.protocol.capabilities = set(connection.capabilities)
    return client


def made_now(make: Make, connection: Connection) -> Any:
    """Make a client without waiting: over a connection that is logged in, none of them has to."""
    made = make(connection)
    try:
        made.send(None)
    except StopIteration as done:
        return done.value
    made.close()
    raise InternalError("a mail client waits before it is used")


async def smtp_over(connection: Connection) -> AioSmtp:
    """Make an ``aiosmtplib.SMTP`` over a connection that is logged in."""
    import aiosmtplib
    from aiosmtplib.protocol import SMTPProtocol

    class Protocol(SMTPProtocol):
        """Its protocol: the session learns of a time-out before the client closes for it."""

        async def read_response(self, *arguments: Any, **options: Any) -> aiosmtplib.SMTPResponse:
            try:
                return await super().read_response(*arguments, **options)
            except TimeoutError:
                connection.late()
                raise

    class LoggedIn(aiosmtplib.SMTP):
        """aiosmtplib over a connection that is logged in."""

        async def _create_connection(self, timeout: float | None) -> aiosmtplib.SMTPResponse:
            lost = self._on_connection_lost
            self.protocol = Protocol(loop=asyncio.get_running_loop(), connection_lost_callback=lost)
            self.transport = connection.transport
            connection.hand_over(self.protocol, b"220 logged in\r\n")
            # The greeting is there already: this never waits, and `made_now` relies on that.
            return await self.protocol.read_response(timeout=None)

        async def ehlo(self, hostname: str | None = None, **options: Any) -> aiosmtplib.SMTPResponse:
            return await super().ehlo(hostname=hostname or await _own_name(), **options)

        async def helo(self, hostname: str | None = None, **options: Any) -> aiosmtplib.SMTPResponse:
            return await super().helo(hostname=hostname or await _own_name(), **options)

        async def execute_command(self, *arguments: Any, **options: Any) -> aiosmtplib.SMTPResponse:
            with _typed(connection):
                reply = await super().execute_command(*arguments, **options)
                if reply.code == _CLOSING and connection.verdict is not None:
                    raise aiosmtplib.SMTPServerDisconnected(reply.message)
            return reply

        async def data(self, *arguments: Any, **options: Any) -> aiosmtplib.SMTPResponse:
            if not isinstance(options.get("timeout"), int | float):
                options["timeout"] = connection.data_timeout
            with _typed(connection), connection.patience(connection.data_timeout):
                return await super().data(*arguments, **options)

    client = LoggedIn(
        hostname=connection.endpoint.host,
        port=connection.endpoint.port,
        start_tls=False,
        timeout=connection.client_timeout,
        # Else it asks DNS for it, here and not where it is said.
        local_hostname=_NOT_ASKED_YET,
    )
    await client.connect()
    # RFC 4954 section 4: what EHLO said before the login stays true, and need not be asked again.
    extensions = "\n".join([connection.endpoint.host, *connection.capabilities])
    client.last_ehlo_response = aiosmtplib.SMTPResponse(250, extensions)
    return cast("AioSmtp", client)


_NOT_ASKED_YET = "localhost"


async def _own_name() -> str:
    """Ask for the full name of this machine, as aiosmtplib and smtplib do; after a login it is seldom said again."""
    return await asyncio.to_thread(socket.getfqdn)


# RFC 5321 section 4.2.2: service not available, closing transmission channel.
_CLOSING = 421


@contextlib.contextmanager
def _typed(connection: Connection) -> Iterator[None]:
    """Where the session has ended, turn what aiosmtplib raises into our exception, which is one of its own as well."""
    import aiosmtplib

    try:
        yield
    except (SessionEnded, aiosmtplib.SMTPException) as error:
        if connection.verdict is None:
            raise
        kind = _smtp_session_ended()
        if connection.verdict.cause == "timed_out":
            kind = timed(kind)
        raise kind(connection.verdict) from error


@functools.cache
def _smtp_session_ended() -> type[SessionEnded]:
    import aiosmtplib

    class SmtpSessionEnded(SessionEnded, aiosmtplib.SMTPServerDisconnected):
        """The session is over, as aiosmtplib says it."""

        def __init__(self, verdict: Verdict) -> None:
            SessionEnded.__init__(self, verdict)
            self.message = str(self)

    # As a traceback shows it.
    SmtpSessionEnded.__qualname__ = SmtpSessionEnded.__name__
    return SmtpSessionEnded


def is_idling(client: Any) -> bool:
    """Whether a client is in IDLE, where it can say nothing else."""
    return bool(hasattr(client, "has_pending_idle") and client.has_pending_idle())
