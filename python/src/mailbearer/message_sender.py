"""Sends messages, each once, over sessions that stay logged in: for blocking programs."""

from __future__ import annotations

import contextlib
import logging
import os
import smtplib
import threading
import time
from collections.abc import Sequence
from email.message import Message
from types import TracebackType
from typing import Self, Unpack

from . import log, tokens
from .account import Account
from .errors import Error, Misuse, SessionEnded
from .front_door import front_door
from .hiding import hidden
from .kinds_of_source import TokenSource
from .options import LoginOptions, LoneOptions
from .outgoing import outgoing
from .sending import Queue, SenderOptions, SenderSettings, SendOutcome, Transaction, heard, not_done, parts
from .session_connection import SessionConnection
from .session_iterator import Sessions
from .words import counted

_log = logging.getLogger("mailbearer")

# How often who waits for a message looks whether the connection is due.
_LOOK_SECONDS = 0.5

# Longest wait for threads when all ends; they are daemons.
_JOIN_SECONDS = 5.0

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

    def result(self, timeout: float | None = None) -> SendOutcome:
        """Wait for what becomes of it; ``timeout`` is in seconds.

        Raises:
            NeedsUser: a person must act before anything can be sent. The message stays queued.
            GaveUp, TokenSourceMistake: likewise.
            TimeoutError: it is not known in that time. The message stays queued.

        """
        return self._sender._wait_for(self, timeout)

    def __repr__(self) -> str:
        return f"<Receipt {self.message_id} {self._outcome.status if self._outcome else 'queued'}>"


class Sender:
    """Sends messages, each once: what :func:`mailbearer.sender` gives.

    Attributes:
        stop: why nothing can be sent before somebody has acted: :class:`~mailbearer.NeedsUser`, ``GaveUp`` or
            ``TokenSourceMistake``; ``None`` while it works.

    """

    def __init__(self, account: Account, sessions: Sequence[Sessions[smtplib.SMTP]], settings: SenderSettings) -> None:
        self.stop: BaseException | None = None
        self._account = account
        self._sessions = list(sessions)
        self._settings = settings
        self._queue = Queue(settings)
        self._turn = threading.Condition()
        self._threads: list[threading.Thread] = []
        # Connections that wait for a message.
        self._idle = 0
        self._is_closing = self._is_closed = False
        self._process = os.getpid()

    @front_door("mailbearer.Sender.send")
    def send(
        self,
        message: Message | bytes,
        *,
        sender: str | None = None,
        recipients: Sequence[str] | str | None = None,
    ) -> Receipt:
        """Queue a message: an :class:`email.message.EmailMessage`, or its octets.

        ``sender`` and ``recipients`` are the envelope; else they are taken from its header fields. It gets a Message-ID
        and a Date where it has none, and loses its Bcc.

        Raises:
            ConfigError: it has no sender or no recipient, or an address that cannot be said.
            NeedsUser: a person must act before anything can be sent: see :meth:`retry`. The message is not queued.
            GaveUp, TokenSourceMistake: likewise.
            Misuse: the sender is closed.

        """
        ready = outgoing(message, sender, recipients)
        receipt = Receipt(self, ready.message_id)

        def tell(outcome: SendOutcome) -> None:
            receipt._outcome = outcome

        with self._turn:
            if self._is_closing or os.getpid() != self._process:
                raise Misuse("the sender is closed, or belongs to another process: make a new one")
            if self.stop is not None:
                raise self.stop
            receipt._number = self._queue.add(ready, tell)
            if len(self._threads) < len(self._sessions) and self._queue.due() > self._idle:
                sessions = self._sessions[len(self._threads)]
                thread = threading.Thread(target=self._work, args=(sessions,), name="mailbearer-sender", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._turn.notify_all()
        return receipt

    def _take_back(self, receipt: Receipt) -> bool:
        with self._turn:
            is_back = self._queue.take_back(receipt._number)
            self._turn.notify_all()
        return is_back

    def __len__(self) -> int:
        """How many messages are queued, those that are being sent among them."""
        with self._turn:
            return len(self._queue)

    def retry(self) -> None:
        """Say that a person has acted: what is queued is tried again."""
        with self._turn:
            self.stop = None
            self._turn.notify_all()
        self._account.retry()

    def close(self, timeout: float | None = None) -> list[SendOutcome]:
        """Take no more messages, wait for those that are queued, and end.

        ``timeout`` is in seconds, ``close_timeout`` where it is left out; where a person must act, nothing is waited
        for. Returns what was not done by then: ``not_sent``, or ``unknown`` where the end of a message was written and
        not answered.
        """
        deadline = time.monotonic() + (self._settings.close_timeout if timeout is None else timeout)
        with self._turn:
            if self._is_closed or os.getpid() != self._process:
                return []
            self._is_closing = True
            self._turn.notify_all()
            while len(self._queue) and self.stop is None and (left := deadline - time.monotonic()) > 0:
                self._turn.wait(left)
            late = self._queue.left()
            self._is_closed = True
            self._turn.notify_all()
        if not late:
            # For their goodbye.
            self._join()
        self._account.close()
        self._join()
        with self._turn:
            self._queue.abandon()
            self._turn.notify_all()
        return not_done(late)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Who presses ^C does not wait.
        self.close(None if error is None or isinstance(error, Exception) else 0.0)

    def __repr__(self) -> str:
        return f"<Sender with {counted(len(self), 'message')} queued>"

    # ---- The threads ---------------------------------------------------------------------------------------------

    def _join(self) -> None:
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _wait_for(self, receipt: Receipt, timeout: float | None) -> SendOutcome:
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._turn:
            while receipt._outcome is None:
                if self.stop is not None:
                    raise self.stop.with_traceback(None)
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError("it is not known yet what became of the message: it stays queued")
                self._turn.wait(left)
            return receipt._outcome

    def _work(self, sessions: Sessions[smtplib.SMTP]) -> None:
        while self._wait_for_work():
            try:
                connection = next(sessions, None)
                if connection is None:
                    return
                with connection:
                    self._send_over(connection)
            except BaseException as stop:
                if not isinstance(stop, SessionEnded):
                    self._stopped(stop)

    def _stopped(self, stop: BaseException) -> None:
        with self._turn:
            if not self._is_closed:
                if not isinstance(stop, Error):
                    _log.error("a sender cannot go on", exc_info=log.shown(stop, str))
                self.stop = stop
            self._turn.notify_all()

    def _wait_for_work(self) -> bool:
        """Wait until a message may be sent for which no connection is there; false at the end."""
        with self._turn:
            while not self._is_closed and (len(self._queue) or not self._is_closing):
                if self.stop is None and self._queue.due() > self._idle:
                    return True
                self._turn.wait(None if self.stop is not None else self._queue.seconds_left() or None)
            return False

    def _send_over(self, connection: SessionConnection[smtplib.SMTP]) -> None:
        """Send what is queued, until the connection is due, or nothing comes for a while."""
        while (transaction := self._next(connection)) is not None:
            self._send(connection, transaction)
        if connection.verdict is None:
            with contextlib.suppress(SessionEnded, OSError):
                connection.sock.set_patience(_GOODBYE_SECONDS)
                connection.sock.sendall(b"QUIT\r\n")
                connection.sock.recv()

    def _next(self, connection: SessionConnection[smtplib.SMTP]) -> Transaction | None:
        until = time.monotonic() + self._settings.idle
        with self._turn:
            self._idle += 1
            try:
                while not connection.is_due and not self._is_closed and not connection.sock.is_hung_up:
                    if (transaction := self._queue.take(connection.capabilities)) is not None:
                        return transaction
                    left = until - time.monotonic()
                    if left <= 0 or (self._is_closing and not len(self._queue)):
                        return None
                    wait = self._queue.seconds_left()
                    self._turn.wait(min(left, _LOOK_SECONDS, left if wait is None else wait))
                return None
            finally:
                self._idle -= 1

    def _send(self, connection: SessionConnection[smtplib.SMTP], transaction: Transaction) -> None:
        submit, sock = transaction.submit, connection.sock
        try:
            plan = submit.start()
            while not plan.is_over:
                if plan.data:
                    sock.sendall(plan.data)
                if plan.wants_message:
                    sock.sendall(submit.message(transaction.octets))
                plan = submit.receive(heard(sock.recv()))
        except BaseException:
            aftermath = connection.aftermath
            submit.ended(aftermath.submission if aftermath is not None else None)
            raise
        finally:
            with self._turn:
                self._queue.settle(transaction)
                self._turn.notify_all()


@front_door("mailbearer.sender", LoginOptions, LoneOptions, SenderOptions)
def sender(user: str, token: TokenSource = tokens.STORED, **options: Unpack[SenderOptions]) -> Sender:
    """Send messages, each exactly once, over sessions that stay logged in.

    Give a message to :meth:`Sender.send`, and go on: it is sent in its turn. What was not accepted is sent again: after
    a session's renewal, a connection that was lost before the end of the message, a refusal for now (4xx; with a wait
    that doubles). A permanent refusal is told for each recipient. Where the connection was lost behind the end of the
    message and before the answer, nobody knows whether it was taken: that is told as ``unknown``, and never sent again
    unasked. Where the account may send no more for now, whatever the code, all that is queued waits.

    The queue is in memory: what it holds ends with the process. ``docs/recipes/outbox.md`` has one in a folder.

    Nothing is connected before the first message. Without a ``policy``, outages are waited out.

    Args:
        user: the login's user name, as a rule the mail address.
        token: what :func:`mailbearer.connect` takes.
        options: those of :func:`mailbearer.sessions`, and ``connections``, ``limits``, ``retry``, ``give_up_after``,
            ``idle``, ``close_timeout`` and ``on_outcome``, which ``help(mailbearer.SenderOptions)`` tells.

    Raises:
        ConfigError: a setting cannot work.

    >>> import email.message, mailbearer, mailbearer.testing
    >>> message = email.message.EmailMessage()
    >>> message["From"], message["To"], message["Subject"] = "joe@gmail.com", "ann@example.org", "hello"
    >>> with mailbearer.testing.Server() as server:
    ...     def token():
    ...         return server.issue_token("joe@gmail.com"), 3600.0
    ...     with mailbearer.sender("joe@gmail.com", token, limits=[(30, 60)], **server.at("smtp")) as sender:
    ...         outcome = sender.send(message).result()
    >>> outcome.status, outcome.accepted
    ('sent', ('ann@example.org',))

    """
    own = parts(user, hidden(token), options)
    del token
    account = Account(user, own.source, **own.account)
    sessions = [account.sessions("smtp", **own.session) for _ in range(own.settings.connections)]
    return Sender(account, sessions, own.settings)
