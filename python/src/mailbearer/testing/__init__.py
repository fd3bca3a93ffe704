"""A Gmail-like mail server on loopback, for tests of programs that log in with OAuth.

It speaks real TLS, it takes only tokens that it issued itself, and it refuses, cuts and vanishes where a test wants
it to.

>>> import mailbearer
>>> with Server(flavour="dovecot") as server:
...     token = server.issue_token("joe@example.org", lifetime=0.0)
...     try:
...         mailbearer.connect("imap", "joe@example.org", token, **server.at("imap"))
...     except mailbearer.LoginFailed as error:
...         print(error.cause)
token_rejected

In pytest, the fixture ``mailbearer_server`` is one of these. For programs in other languages, start it from a shell:
``python -m mailbearer.testing --help``.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import pathlib
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from email.message import Message
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeVar

from .. import _core
from .._core import Provider
from ..errors import ConfigError, Misuse
from ..facts import Submitted
from ..front_door import front_door
from ..options import LoginOptions
from ..words import Cause, MailProtocol, Tls
from .peer import SHUTDOWN_SECONDS, Peer, close_if_cancelled, now_ms

__all__ = ["Server", "ServerEvent", "StoredMessage", "Submitted", "ca_file", "client_context"]

_T = TypeVar("_T")
_FOLDER = pathlib.Path(__file__).parent
# An abort calls the protocol in the next round, and that closes what is below it in one more.
_CLOSE_ROUNDS = 10

_PROTOCOLS: tuple[MailProtocol, ...] = ("imap", "pop3", "smtp")
_TLS: tuple[Tls, ...] = ("implicit", "starttls")

Flavour = Literal["gmail", "outlook", "dovecot"]
Cut = Literal["words", "silent", "vanish", "never"]
RecipientRefusal = Literal["unknown", "full", "denied", "rate_limited"]

_NOT_RUNNING = "the testing server is not running: use it in a with block, or call start() before"

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class ServerEvent(NamedTuple):
    """What happened: when (milliseconds of :func:`time.monotonic`), on which connection, and what."""

    at_ms: int
    connection: int
    protocol: str
    what: str


class StoredMessage(NamedTuple):
    """A message in a mailbox: its UID, its flags and keywords, when it came (in UTC), and its octets."""

    uid: int
    flags: tuple[str, ...]
    date: datetime.datetime
    content: bytes


def ca_file() -> str:
    """Return the path of the certificate authority that signed the server's certificate."""
    return str(_FOLDER / "ca.pem")


def client_context() -> ssl.SSLContext:
    """Return a context that trusts the testing server, and nobody else."""
    return ssl.create_default_context(cafile=ca_file())


@front_door("mailbearer.testing.Server")
class Server:
    """A mail server for tests: a context manager that listens on free ports of 127.0.0.1.

    Each user has an account with an INBOX and the mailboxes of the flavour (``[Gmail]/Sent Mail``, ``Sent Items``,
    ``Sent``, …). It is there with the user's first token, or by :meth:`add_user`, before anybody logs in.

    Args:
        flavour: whose words it uses: ``gmail``, ``outlook`` or ``dovecot``.
        token_lifetime: seconds that a token lives.
        session_limit: seconds that a session may live.
        cut: what happens to a session whose token or time is over: ``words`` (the provider's own), ``silent``,
            ``vanish`` (the connection stays open and nothing is answered) or ``never``.
        refuse: a cause of :data:`mailbearer.CAUSES`: every login is refused for it; see :meth:`refuse`.
        connections_max: most sessions at a time for one user.
        messages: messages in the INBOX of an account that is new.
        message_octets_max: octets of the largest message that is taken over SMTP and APPEND.
        greylist: seconds that a recipient is refused for now (450, 451) after a user's first message to it.
        users: accounts that are there from the beginning.
        seed: of the tokens, so that runs can be repeated; without it each server issues other ones.
        host: the address that it listens on; its certificate is for ``localhost`` and ``127.0.0.1``.
        ports: ports in place of free ones, by protocol and TLS: ``{("imap", "implicit"): 10993}``.

    """

    def __init__(
        self,
        *,
        flavour: Flavour = "gmail",
        token_lifetime: float = 3600.0,
        session_limit: float | None = None,
        cut: Cut = "words",
        refuse: Cause | None = None,
        connections_max: int | None = None,
        messages: int = 3,
        message_octets_max: int = 35_882_577,
        greylist: float | None = None,
        users: Iterable[str] = (),
        seed: int | None = None,
        host: str = "127.0.0.1",
        ports: Mapping[tuple[MailProtocol, Tls], int] | None = None,
    ) -> None:
        self._machine = _core.Server(secrets.randbits(64) if seed is None else _whole("seed", seed))
        self._flavour = flavour
        self._machine.set("flavour", flavour)
        self._machine.set("token_lifetime_ms", _ms("token_lifetime", token_lifetime))
        self._machine.set("session_limit_ms", None if session_limit is None else _ms("session_limit", session_limit))
        self._machine.set("cut", cut)
        self._machine.set(
            "connections_max", None if connections_max is None else _whole("connections_max", connections_max)
        )
        self._machine.set("messages", _whole("messages", messages))
        self._machine.set("message_octets_max", _whole("message_octets_max", message_octets_max))
        self._machine.set("greylist_ms", None if greylist is None else _ms("greylist", greylist))
        self._machine.set("unix_epoch_ms", time.time_ns() // 1_000_000 - now_ms())
        self.refuse(refuse)
        if isinstance(users, str):
            raise ConfigError("users must be a list of names, not one text")
        for user in users:
            self.add_user(user)
        self._host = host
        self._wanted = _wanted(ports or {})
        self._ports: dict[tuple[str, str], int] = {}
        self._peers: dict[int, Peer] = {}
        # The handshakes.
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[socket.socket] = []
        self._timer: asyncio.TimerHandle | None = None
        self._life = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    # ---- What a test does with it ----------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen. The context manager does this."""
        with self._life:
            self._begin()
        return self

    def stop(self) -> None:
        """Close all connections and stop listening."""
        # A client notices before all is closed, and its thread may start the server anew.
        with self._life:
            self._end()

    def _begin(self) -> None:
        # It says when a client waits, on Windows too; a task that accepts loses a client when it is cancelled then.
        loop = asyncio.SelectorEventLoop()
        # A client that refuses our certificate, or goes away, is an ordinary thing in a test.
        loop.set_exception_handler(lambda _loop, _context: None)
        self._loop = loop
        self._thread = threading.Thread(target=loop.run_forever, name="mailbearer-testing", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._listen(), loop).result()
        except BaseException:
            # A port is taken: nothing is left behind.
            self._end()
            raise

    def _end(self) -> None:
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def at(self, protocol: MailProtocol, tls: Tls = "implicit") -> LoginOptions:
        """Return the settings that lead :func:`mailbearer.connect` here: host, port, TLS, profile and trust."""
        profiles = {"gmail": "gmail", "outlook": "microsoft"}
        name = profiles.get(self._flavour)
        return {
            "host": "localhost",
            "port": self.port(protocol, tls),
            "tls": tls,
            "provider": Provider.named(name) if name else Provider.generic("localhost"),
            "ssl_context": client_context(),
        }

    def port(self, protocol: MailProtocol, tls: Tls = "implicit") -> int:
        """Return the port of a protocol."""
        if protocol not in _PROTOCOLS or tls not in _TLS:
            words = "a protocol is imap, pop3 or smtp, and tls implicit or starttls"
            raise ConfigError(f"{protocol!r} with {tls!r}: {words}")
        if (protocol, tls) not in self._ports:
            raise Misuse(_NOT_RUNNING)
        return self._ports[protocol, tls]

    @front_door("mailbearer.testing.Server.issue_token")
    def issue_token(
        self, user: str, *, lifetime: float | None = None, scope: str | None = None, octets: int | None = None
    ) -> str:
        """Issue an access token for a user; ``lifetime`` is in seconds, ``octets`` the length of the token."""
        lifetime_ms = None if lifetime is None else _ms("lifetime", lifetime)
        return self._machine.issue_token(now_ms(), user, lifetime_ms, scope, octets)

    def revoke_token(self, token: str) -> None:
        """Refuse a token from now on."""
        self._machine.revoke_token(token)

    def refuse(self, cause: Cause | None, protocol: MailProtocol | None = None) -> None:
        """Refuse every login for a cause of :data:`mailbearer.CAUSES`; ``None`` ends that.

        Args:
            cause: for example ``account_disabled``.
            protocol: over this protocol alone; all three without it.

        Raises:
            ValueError: this flavour has no words for it over one of them; the error tells what it can say. Gmail, for
                example, locks a mailbox over POP3 only, and never says that a scope is missing.

        """
        self._machine.refuse(cause, protocol)

    def refuse_recipient(self, address: str, why: RecipientRefusal | None = "unknown") -> None:
        """Refuse a recipient over SMTP, in the flavour's words; ``None`` ends that.

        A refusal for now (4xx) is tried again by a :func:`mailbearer.sender`, until ``give_up_after``, a day, is over:
        a test that waits for its outcome sets that lower, or takes the refusal back.

        Args:
            address: the recipient.
            why: for good: ``unknown`` (550) or ``denied`` (550 or 554); for now: ``full`` (452) or ``rate_limited``
                (450 or 451).

        """
        self._machine.refuse_recipient(address, why)

    def set_fault(self, stage: str | None = None, kind: str | None = None) -> None:
        """Set a fault that strikes once; without arguments: take it back.

        Stages: ``greeting``, ``capabilities``, ``upgrade``, ``login``, ``verdict``, ``command``, ``after_dot``. Kinds:
        ``drop``, ``vanish``, ``garbage``, ``flood``, ``inject``.
        """
        self._machine.set_fault(stage, kind)

    def add_user(self, user: str) -> None:
        """Make an account, where there is none; :meth:`issue_token` does it too."""
        self._machine.add_user(user)

    @property
    def users(self) -> list[str]:
        """The users that have an account."""
        return self._machine.users()

    def mailboxes(self, user: str) -> list[str]:
        """Return the names of a user's mailboxes."""
        return self._machine.mailboxes(user)

    def create_mailbox(self, user: str, name: str) -> None:
        """Make a mailbox; where it is there, nothing happens."""
        self._machine.create_mailbox(user, name)

    def delete_mailbox(self, user: str, name: str) -> None:
        """Remove a mailbox with its messages; a ``ValueError`` where it is not there."""
        self._machine.delete_mailbox(user, name)
        self._tell()

    @front_door("mailbearer.testing.Server.deliver")
    def deliver(
        self,
        user: str,
        message: bytes | str | Message,
        *,
        mailbox: str = "INBOX",
        flags: Iterable[str] = (),
        date: datetime.datetime | None = None,
    ) -> None:
        r"""Put a message into a mailbox; clients in IDLE are told at once.

        Args:
            user: whose mailbox it is; an account is made where there is none.
            message: its octets, its text, or an :class:`email.message.EmailMessage`. A line end of LF alone becomes
                CRLF.
            mailbox: it is made where it is missing.
            flags: ``\Seen``, ``\Flagged``, or keywords.
            date: when it came, for SINCE and BEFORE; now, without it.

        """
        if not isinstance(message, bytes | bytearray | memoryview | str | Message):
            raise TypeError(f"message must be bytes, text or a message of email, not {type(message).__name__}")
        if isinstance(flags, str):
            raise ConfigError("flags must be a list of flags, not one text")
        if date is not None and not isinstance(date, datetime.datetime):
            raise TypeError(f"date must be a datetime, not {type(date).__name__}")
        came = datetime.datetime.now(datetime.UTC) if date is None else date.astimezone(datetime.UTC)
        date_ms = (came - _EPOCH) // datetime.timedelta(milliseconds=1)
        text = message.as_bytes() if isinstance(message, Message) else message
        content = text.encode() if isinstance(text, str) else text
        self._machine.deliver(user, content, mailbox, list(flags), date_ms)
        self._tell()

    def messages(self, user: str, mailbox: str = "INBOX") -> list[bytes]:
        """Return the messages in a user's mailbox."""
        return [message.content for message in self.stored(user, mailbox)]

    def stored(self, user: str, mailbox: str = "INBOX") -> list[StoredMessage]:
        """Return the messages in a mailbox with UIDs, flags and dates; none where it is not there."""
        return [
            StoredMessage(uid, tuple(flags), _EPOCH + datetime.timedelta(milliseconds=date_ms), content)
            for uid, flags, date_ms, content in self._machine.messages_in(user, mailbox)
        ]

    def submitted(self) -> list[Submitted]:
        """Return what was accepted over SMTP.

        ``gmail`` and ``outlook`` keep a copy of it among the sender's own, too, as these providers do: it is in
        ``stored(user, "[Gmail]/Sent Mail")`` or ``stored(user, "Sent Items")``. ``dovecot`` does not.
        """
        return self._machine.submitted()

    def events(self) -> list[ServerEvent]:
        """Return what happened since the last call."""
        return [ServerEvent(*event) for event in self._machine.take_events()]

    def restart(self) -> None:
        """End all connections with the words of a shutdown, and go on."""

        def end_all() -> None:
            for reply in self._machine.restart(now_ms()):
                self._act(*reply)

        self._call(end_all)

    @property
    def sessions(self) -> int:
        """Connections that are logged in."""
        return self._machine.sessions

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # ---- The loop --------------------------------------------------------------------------------------------

    def _call(self, function: Callable[[], _T]) -> _T:
        """Run something in the server's thread."""
        if self._loop is None:
            raise Misuse(_NOT_RUNNING)
        done: Future[_T] = Future()

        def run() -> None:
            try:
                done.set_result(function())
            except BaseException as error:
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result()

    def _tell(self) -> None:
        """Tell clients in IDLE what is new; before the server runs there are none."""
        if self._loop is not None:
            self._call(self._tick)

    async def _listen(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(_FOLDER / "localhost.pem")
        for protocol in _PROTOCOLS:
            for tls in _TLS:
                listener = socket.create_server((self._host, self._wanted.get((protocol, tls), 0)))
                listener.setblocking(False)
                self._listeners.append(listener)
                self._ports[protocol, tls] = listener.getsockname()[1]
                asyncio.get_running_loop().add_reader(listener, self._accept, listener, protocol, tls, context)

    def _accept(self, listener: socket.socket, protocol: MailProtocol, tls: Tls, context: ssl.SSLContext) -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            # It has gone again.
            return
        client.setblocking(False)
        greeting = self._start(self._greet(client, protocol, tls, context))
        greeting.add_done_callback(functools.partial(close_if_cancelled, client))

    async def _greet(self, client: socket.socket, protocol: MailProtocol, tls: Tls, context: ssl.SSLContext) -> None:
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Peer(self._machine, self._peers, self._act, protocol, tls, context),
                client,
                ssl=context if tls == "implicit" else None,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS if tls == "implicit" else None,
            )

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        self._listeners.clear()
        # The handshakes that are under way.
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for peer in list(self._peers.values()):
            peer.abort()
        # What was aborted closes its socket in the next rounds.
        for _ in range(_CLOSE_ROUNDS):
            await asyncio.sleep(0)

    def _act(self, connection: int, send: bytes, then: str) -> None:
        peer = self._peers.get(connection)
        if peer is not None:
            peer.act(send, then)
        self._schedule()

    def _tick(self) -> None:
        for reply in self._machine.tick(now_ms()):
            self._act(*reply)
        self._schedule()

    def _schedule(self) -> None:
        """Come back when the next session ends by itself."""
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake_ms = self._machine.next_wake_ms()
        if wake_ms is not None:
            wait = max(0.001, (wake_ms - now_ms()) / 1000)
            # A year is enough for a test, and below what event loops take.
            self._timer = self._loop.call_later(min(wait, 31_536_000.0), self._tick)


def _wanted(ports: Mapping[tuple[MailProtocol, Tls], int]) -> dict[tuple[MailProtocol, Tls], int]:
    places = [(protocol, tls) for protocol in _PROTOCOLS for tls in _TLS]
    if not isinstance(ports, Mapping) or any(place not in places for place in ports):
        raise ConfigError('ports must be a dict as {("imap", "implicit"): 10993}, of protocols and kinds of TLS')
    return {place: _whole("a port", port) for place, port in ports.items()}


def _ms(name: str, seconds: object) -> int:
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 <= seconds < 1e9:
        raise ConfigError(f"{name} must be a number of seconds, from zero on")
    return int(seconds * 1000)


def _whole(name: str, number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 63:
        raise ConfigError(f"{name} must be a whole number, from zero on")
    return number
