"""Sends messages, each once, over sessions that stay logged in: with asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from email.message import Message
from types import TracebackType
from typing import Self, Unpack

from .. import log, tokens
from ..errors import Error, Misuse, SessionEnded
from ..front_door import front_door
from ..hiding import hidden
from ..kinds_of_source import AsyncTokenSource
from ..link import READ_OCTETS
from ..options import LoginOptions, LoneOptions
from ..outgoing import outgoing
from ..sending import Queue, SenderOptions, SenderSettings, SendOutcome, Transaction, heard, not_done, parts
from ..words import counted
from .account import Account
from .session_connection import SessionConnection
from .session_iterator import Sessions

_log = logging.getLogger("mailbearer")

# For the goodbye.
_GOODBYE_SECONDS = 5.0


class Receipt:
    """A message that is queued.

    Attributes:
        message_id: its Message-ID, with its angle brackets.

    """

    def __init__(self, sender: Sender, message_id: str) -> None:
        self.message_id = message_id
        self._sender = sender
        self._number = 0
        self._outcome: SendOutcome | None = None

    def done(self) -> bool:
        """Whether it is known what became of it."""
        return self._outcome is not None

    def cancel(self) -> bool:
        """Take it back: true where it has not been sent, and will not be; false where it is being sent, or was."""
        return self._sender._take_back(self)

    async def result(self, timeout: float | None = None) -> SendOutcome:
        """Wait for what becomes of it, as :meth:`mailbearer.Receipt.result` does. To cancel it takes nothing back."""
        try:
            async with asyncio.timeout(timeout):
                return await self._sender._wait_for(self)
        except TimeoutError:
            raise TimeoutError("it is not known yet what became of the message: it stays queued") from None

    def __repr__(self) -> str:
        return f"<aio.Receipt {self.message_id} {self._outcome.status if self._outcome else 'queued'}>"


class Sender:
    """Sends messages, each once: what :func:`mailbearer.aio.sender` gives. It belongs to one event loop.

    Attributes:
        stop: why nothing can be sent before somebody has acted: :class:`~mailbearer.NeedsUser`, ``GaveUp`` or
            ``TokenSourceMistake``; ``None`` while it works.

    """

    def __init__(self, account: Account, sessions: Sequence[Sessions[None]], settings: SenderSettings) -> None:
        self.stop: BaseException | None = None
        self._account = account
        self._sessions = list(sessions)
        self._settings = settings
        self._queue = Queue(settings)
        self._tasks: list[asyncio.Task[None]] = []
        # Connections that wait for a message.
        self._idle = 0
        self._is_closing = self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Task[list[SendOutcome]] | None = None
        # Set, and made anew, when something has changed.
        self._changed = asyncio.Event()

    @front_door("mailbearer.aio.Sender.send")
    def send(
        self,
        message: Message | bytes,
        *,
        sender: str | None = None,
        recipients: Sequence[str] | str | None = None,
    ) -> Receipt:
        """Queue a message, as :meth:`mailbearer.Sender.send` does. It returns at once, and is to be called in the loop.

        Raises:
            ConfigError: it has no sender or no recipient, or an address that cannot be said.
            NeedsUser: a person must act before anything can be sent: see :meth:`retry`. The message is not queued.
            GaveUp, TokenSourceMistake: likewise.
            Misuse: the sender is closed, or belongs to another event loop.

        """
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._is_closing or self._loop is not loop:
            raise Misuse("the sender is closed, or belongs to another event loop: make a new one")
        ready = outgoing(message, sender, recipients)
        if self.stop is not None:
            raise self.stop.with_traceback(None)
        receipt = Receipt(self, ready.message_id)

        def tell(outcome: SendOutcome) -> None:
            receipt._outcome = outcome

        receipt._number = self._queue.add(ready, tell)
        if len(self._tasks) < len(self._sessions) and self._queue.due() > self._idle:
            self._tasks.append(loop.create_task(self._work(self._sessions[len(self._tasks)])))
        self._change()
        return receipt

    def _take_back(self, receipt: Receipt) -> bool:
        is_back = self._queue.take_back(receipt._number)
        self._change()
        return is_back

    def __len__(self) -> int:
        """How many messages are queued, those that are being sent among them."""
        return len(self._queue)

    def retry(self) -> None:
        """Say that a person has acted: what is queued is tried again."""
        self.stop = None
        self._account.retry()
        self._change()

    async def aclose(self, timeout: float | None = None) -> list[SendOutcome]:
        """Take no more messages, wait for those that are queued, and end: as :meth:`mailbearer.Sender.close` does."""
        if self._is_closed:
            return []
        self._is_closing = True
        self._change()
        late = self._queue.left()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.close_timeout if timeout is None else timeout):
                    while len(self._queue) and self.stop is None:
                        await self._changed.wait()
            late = self._queue.left()
            self._is_closed = True
            self._change()
            if not late:
                await self._gone()
        finally:
            # Whoever is cancelled while it waits leaves nothing open either.
            self._is_closed = True
            await self._account.aclose()
            await self._gone()
            self._queue.abandon()
            self._change()
        return not_done(late)

    def close(self) -> None:
        """End it at once: what is closed by this is gone in the next rounds of the event loop."""
        if self._loop is not None and not self._loop.is_closed() and not self._is_closed:
            self._ending = self._loop.create_task(self.aclose(0.0))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Who is cancelled does not wait.
        await self.aclose(None if error is None or isinstance(error, Exception) else 0.0)

    def __repr__(self) -> str:
        return f"<aio.Sender with {counted(len(self), 'message')} queued>"

    # ---- The tasks -----------------------------------------------------------------------------------------------

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _gone(self) -> None:
        """Wait until all tasks have ended; they have time for their goodbye."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=_GOODBYE_SECONDS)
            for task in left:
                task.cancel()

    async def _wait_for(self, receipt: Receipt) -> SendOutcome:
        while receipt._outcome is None:
            if self.stop is not None:
                raise self.stop.with_traceback(None)
            await self._changed.wait()
        return receipt._outcome

    async def _work(self, sessions: Sessions[None]) -> None:
        while await self._wait_for_work():
            try:
                connection = await anext(sessions, None)
                if connection is None:
                    return
                async with connection:
                    await self._send_over(connection)
            except (Exception, SystemExit) as stop:
                if not isinstance(stop, SessionEnded):
                    self._stopped(stop)

    def _stopped(self, stop: BaseException) -> None:
        if not self._is_closed:
            if not isinstance(stop, Error):
                _log.error("a sender cannot go on", exc_info=log.shown(stop, str))
            self.stop = stop
        self._change()

    async def _pause(self, seconds: float | None) -> None:
        """Wait for a change, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _wait_for_work(self) -> bool:
        """Wait until a message may be sent for which no connection is there; false at the end."""
        while not self._is_closed and (len(self._queue) or not self._is_closing):
            if self.stop is None and self._queue.due() > self._idle:
                return True
            await self._pause(None if self.stop is not None else self._queue.seconds_left() or None)
        return False

    async def _send_over(self, connection: SessionConnection[None]) -> None:
        """Send what is queued, until the connection is due, or nothing comes for a while."""
        while (transaction := await self._next(connection)) is not None:
            await self._send(connection, transaction)
        if connection.verdict is None:
            with contextlib.suppress(SessionEnded, OSError):
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    connection.writer.write(b"QUIT\r\n")
                    await connection.reader.read(READ_OCTETS)

    async def _next(self, connection: SessionConnection[None]) -> Transaction | None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._settings.idle
        # So that an end is noticed while nothing is sent.
        connection.tap.listen()
        due = asyncio.ensure_future(connection.due())
        due.add_done_callback(lambda _: self._change())
        self._idle += 1
        try:
            while not connection.is_due and not self._is_closed:
                if (transaction := self._queue.take(connection.capabilities)) is not None:
                    return transaction
                left = until - loop.time()
                if left <= 0 or (self._is_closing and not len(self._queue)):
                    return None
                wait = self._queue.seconds_left()
                await self._pause(left if wait is None else min(left, wait))
            return None
        finally:
            self._idle -= 1
            due.cancel()

    async def _send(self, connection: SessionConnection[None], transaction: Transaction) -> None:
        submit, reader, writer = transaction.submit, connection.reader, connection.writer
        try:
            plan = submit.start()
            while not plan.is_over:
                if plan.data:
                    writer.write(plan.data)
                if plan.wants_message:
                    writer.write(submit.message(transaction.octets))
                    await writer.drain()
                plan = submit.receive(heard(await reader.read(READ_OCTETS)))
        except BaseException:
            aftermath = connection.aftermath
            submit.ended(aftermath.submission if aftermath is not None else None)
            raise
        finally:
            self._queue.settle(transaction)
            self._change()


@front_door("mailbearer.aio.sender", LoginOptions, LoneOptions, SenderOptions)
def sender(user: str, token: AsyncTokenSource = tokens.STORED, **options: Unpack[SenderOptions]) -> Sender:
    """Send messages, each exactly once, over sessions that stay logged in: as :func:`mailbearer.sender` does.

    It needs no mail library. ``on_outcome`` is called in the event loop.

    Args:
        user: the login's user name, as a rule the mail address.
        token: what :func:`mailbearer.connect` takes, or an ``async`` function.
        options: those of :func:`mailbearer.sender`: ``help(mailbearer.SenderOptions)``.

    Raises:
        ConfigError: a setting cannot work.

    >>> import asyncio, email.message, mailbearer.aio, mailbearer.testing
    >>> message = email.message.EmailMessage()
    >>> message["From"], message["To"], message["Subject"] = "joe@gmail.com", "ann@example.org", "hello"
    >>> async def main(server):
    ...     async def token():
    ...         return server.issue_token("joe@gmail.com"), 3600.0
    ...     async with mailbearer.aio.sender("joe@gmail.com", token, **server.at("smtp")) as sender:
    ...         return await sender.send(message).result()
    >>> with mailbearer.testing.Server() as server:
    ...     outcome = asyncio.run(main(server))
    >>> outcome.status, outcome.accepted
    ('sent', ('ann@example.org',))

    """
    own = parts(user, hidden(token), options)
    del token
    account = Account(user, own.source, **own.account)
    sessions = [account.sessions("smtp", client=None, **own.session) for _ in range(own.settings.connections)]
    return Sender(account, sessions, own.settings)
