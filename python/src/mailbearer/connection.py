"""A blocking login: from nothing to a TLS socket that is logged in."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from . import log, observing, tokens
from ._core import AccessToken, Authenticated, Negotiation, Provider, Step, Verdict, failure_of_host
from .dialogue import Dialogue
from .errors import Error, LoginFailed, Misuse, of_fixed_token, of_same_token, of_second_token
from .failures import (
    GREETING_SECONDS,
    PROBE_SECONDS,
    client_hello,
    failed,
    is_tls,
    refused_certificate,
    tls_failed,
    waits_for_tls,
)
from .hiding import hidden
from .kinds_of_source import TokenSource
from .options import Trace
from .proxy import Place, Proxy, hidden_proxy
from .route import DIRECT, Sock
from .settings import STAND_IN, Endpoint, Settings, resolve
from .stored import of_store
from .tcp import Opening
from .verified import check_peer
from .words import InitialResponse, MailProtocol, Mechanism, ProviderName, Tls

# Larger than what a login brings in one piece: one foreign call for each read.
READ_OCTETS = 65_536


class Connection:
    """A TLS socket that is logged in.

    Attributes:
        sock: the :class:`ssl.SSLSocket`. Octets that came behind the login are in ``leftover``, not in the socket.
        endpoint: where it leads.
        mechanism: ``XOAUTH2`` or ``OAUTHBEARER``.
        capabilities: what the server said that it can do now; empty where it said nothing.
        leftover: octets that came behind the login. They belong to the mail client.
        round_trips: times that the client waited for the server, from the greeting on, TLS apart.
        seconds: how long connection and login took.
        verdict: why it ended, where a session watches it: see :func:`mailbearer.sessions`.
        said_goodbye: whether the server has said so in words.

    """

    sock: ssl.SSLSocket
    endpoint: Endpoint
    mechanism: Mechanism
    capabilities: list[str]
    leftover: bytes
    round_trips: int
    seconds: float
    verdict: Verdict | None = None
    said_goodbye: bool = False
    # How long mail clients wait for the answer to the end of a message.
    data_timeout: float

    def __init__(
        self,
        sock: ssl.SSLSocket,
        endpoint: Endpoint,
        authenticated: Authenticated,
        round_trips: int,
        seconds: float,
        data_timeout: float = 600.0,
    ) -> None:
        self.data_timeout = data_timeout
        self.sock = sock
        self.endpoint = endpoint
        self.mechanism = authenticated.mechanism
        self.capabilities = list(authenticated.capabilities)
        self.leftover = authenticated.leftover
        self.round_trips = round_trips
        self.seconds = seconds

    @property
    def client_timeout(self) -> float | None:
        """How long a mail client waits for an answer; ``None``: the session minds that."""
        return self.sock.gettimeout()

    @property
    def tls_version(self) -> str:
        """``TLSv1.3``, for example."""
        return self.sock.version() or ""

    @contextlib.contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """Wait for at least so long for an answer, for a while."""
        usual = self.sock.gettimeout()
        if usual is None or usual >= seconds:
            yield
            return
        self._be_patient(seconds)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                self._be_patient(usual)

    def _be_patient(self, seconds: float) -> None:
        self.sock.settimeout(seconds)

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        self.close()
        return None

    def __repr__(self) -> str:
        return f"<Connection {self.endpoint.protocol} {self.endpoint}>"

    def greeted(self, greeting: bytes) -> GreetedSocket:
        """Give the socket to a mail client that begins with a greeting: it reads this one first, then ``leftover``."""
        return GreetedSocket(self.sock, greeting + self.leftover)


def connect(
    protocol: MailProtocol,
    user: str,
    token: TokenSource = tokens.STORED,
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
    """Connect and log in.

    Args:
        protocol: ``imap``, ``pop3`` or ``smtp``.
        user: the login's user name, as a rule the mail address.
        token: a :data:`mailbearer.TokenSource`: a token, a function that returns one, google-auth credentials, or an
            MSAL application; ``help(mailbearer.tokens)`` tells more.
        host: where the server is; with it the mail address does not choose a provider.
        port: the port; else the profile's, or the usual one of ``tls``.
        tls: how TLS begins; else as the port says.
        provider: the profile, by its name or as a :class:`~mailbearer.Provider`; else that of the mail address.
        ssl_context: whom to trust; it must verify certificate and host name.
        timeout: for connection, TLS, greeting and login together; 60.
        answer_timeout: for each answer after the login; as ``timeout``.
        data_timeout: for the answer to the end of a message; 600.
        authzid: the mailbox to act for, where it is not the user's own.
        mechanisms: in the order in which they are liked.
        initial_response: whether the token goes with the ``AUTH`` line; ``auto``.
        ehlo_name: what SMTP calls this machine; the domain of the user's address.
        assumed_capabilities: what the server can do, not to be asked first.
        unusual_port: this server uses a registered port in another way than others; ``False``.
        discover: whether servers that are not known may be looked up; ``True``.
        trace: called with each line of the dialogue of a login.
        proxy: the proxy to go through, as ``socks5://user:password@host:1080``, ``socks4a://`` or ``http://`` (by
            CONNECT); ``environment``: what ``ALL_PROXY`` says, but for the hosts of ``NO_PROXY``; ``None``: none,
            whatever the environment says. The proxy looks the server's name up. It needs ``mailbearer[proxy]``.
        local_address: the IP address of this machine that connections come from; with a proxy, those to the proxy.
        sock: a function that opens the TCP connection, called as :func:`socket.create_connection`; for one login also a
            socket that is connected. TLS is done over it.

    Without ``token`` the login is used that ``mailbearer login`` has stored for the user, and its mail server, unless
    ``host`` or ``provider`` is given: see :func:`mailbearer.stored`.

    The provider's profile is found from the mail address where its domain makes that certain; ``host``, ``port``,
    ``tls`` and the other settings override it. Where neither ``host`` nor ``provider`` is given and the domain is not
    known, its servers are looked up with :func:`mailbearer.discover` (up to 15 seconds more), which the logger
    ``mailbearer`` tells; ``discover=False`` forbids it. Certificate and host name are always verified. ``timeout`` is
    in seconds, for connection, TLS, greeting and login together. Where the server refuses the token and the source can
    get another, one more login is made with a fresh one. ``answer_timeout`` is for each answer after that, as long as
    ``timeout`` where it is left out; ``data_timeout`` for the one to the end of a message, which may take ten minutes
    (RFC 5321 section 4.5.3.2.6).

    Without ``tls`` the port decides how TLS begins: ``starttls`` at 143, 110, 587 and 25, else ``implicit``. Where port
    and ``tls`` do not belong together, that is an error, unless ``unusual_port=True`` says that this server differs.
    ``ehlo_name`` is what SMTP calls this machine; some servers want its full domain name.

    Raises:
        LoginFailed: with the true reason; the socket is closed. Where the system or TLS said why, its own exception is
            the ``__cause__``.
        TokenSourceFailed: there is no token.
        ConfigError: a setting cannot work; nothing was sent.

    >>> import mailbearer, mailbearer.testing
    >>> with mailbearer.testing.Server() as server:
    ...     token = server.issue_token("joe@gmail.com")
    ...     with mailbearer.connect("imap", "joe@gmail.com", token, **server.at("imap")) as connection:
    ...         connection.mechanism, connection.tls_version
    ('XOAUTH2', 'TLSv1.3')

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
    )
    source = tokens.source(token, user=user, scopes=settings.scopes)
    first = _token(source, settings, force_refresh=False)
    try:
        return log_in(settings, trace, first)
    except LoginFailed as refused:
        if refused.advice != "refresh_token":
            raise
        if not source.can_refresh:
            raise of_fixed_token(refused) from refused.__cause__
        second = _token(source, settings, force_refresh=True)
        if second == first:
            raise of_same_token(refused) from refused.__cause__
        try:
            return log_in(settings, trace, second)
        except LoginFailed as again:
            if again.advice != "refresh_token":
                raise
            raise of_second_token(again, user) from again.__cause__


def _token(source: tokens.Source, settings: Settings, *, force_refresh: bool) -> AccessToken:
    try:
        return source.get(force_refresh, settings.timeout).token
    except Error as error:
        log.token_failed(settings.user, error)
        raise


def log_in(settings: Settings, trace: Trace | None, token: AccessToken) -> Connection:
    """Log in once, with this token."""
    try:
        with observing.logging_in(settings.endpoint):
            connection = _Login(settings, trace).run(token)
    except LoginFailed as error:
        log.login_failed(settings.user, settings.endpoint, error)
        raise
    log.logged_in(settings.user, connection)
    return connection


# For the connection that asks which certificate it was.
_CERTIFICATE_SECONDS = 3.0


def certificate_refused(settings: Settings, seconds: float) -> LoginFailed | None:
    """Try TLS once more, to say which certificate it was: asyncio does not give the one that it refused.

    It verifies as before, and is closed at once; no token is there.
    """
    settings = dataclasses.replace(settings, timeout=min(seconds, _CERTIFICATE_SECONDS))
    try:
        _Login(settings, None).reach_tls()
    except LoginFailed as problem:
        return problem if problem.cause == "tls_failed" else None
    return None


class _Login:
    """One login: it gives the octets to the machine, and what the machine says to the link."""

    def __init__(self, settings: Settings, trace: Trace | None) -> None:
        self._settings = settings
        self._dialogue = Dialogue(trace, settings.endpoint)
        self._link = Link(settings)

    def run(self, token: AccessToken) -> Connection:
        negotiation = self._settings.negotiation(token)
        self._dialogue.begin(token)
        # A server that keeps TLS busy keeps its reads from ever coming back: the deadline holds there, too.
        watchdog = threading.Timer(self._settings.timeout, self._link.expire)
        watchdog.daemon = True
        watchdog.start()
        try:
            return self._run(negotiation)
        finally:
            watchdog.cancel()
            # It ends at once: no thread outlives a login.
            watchdog.join()

    def _run(self, negotiation: Negotiation) -> Connection:
        try:
            self._link.open()
            step = self._read(negotiation)
            while True:
                self._send(step)
                match step.next:
                    case "read":
                        step = self._read(negotiation)
                    case "start_tls":
                        self._dialogue.pause()
                        self._link.start_tls()
                        step = negotiation.tls_established()
                    case _:
                        self._dialogue.pause()
                        return self._done(step)
        except BaseException as error:
            self._link.close()
            if isinstance(error, LoginFailed):
                self._dialogue.pause()
            raise

    def reach_tls(self) -> None:
        """Connect, and go on as far as TLS: no token is there."""
        negotiation = self._settings.negotiation(STAND_IN)
        try:
            self._link.open()
            if self._settings.endpoint.tls == "implicit":
                return
            step = self._read(negotiation)
            while step.next == "read" and not step.sensitive:
                self._send(step)
                step = self._read(negotiation)
            if step.next == "start_tls":
                self._link.start_tls()
        finally:
            self._link.close()

    def _done(self, step: Step) -> Connection:
        if step.authenticated is None:
            raise LoginFailed(step.failure or failure_of_host("unrecognized", ""))
        link = self._link
        sock = link.logged_in()
        counted = link.round_trips, link.seconds
        return Connection(sock, self._settings.endpoint, step.authenticated, *counted, self._settings.data_timeout)

    def _read(self, negotiation: Negotiation) -> Step:
        data = self._link.read()
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
    """A socket on its way to be logged in: TCP, TLS, reads and writes, all within the one deadline.

    Everything that fails is a :class:`~mailbearer.LoginFailed`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._begun = time.monotonic()
        self._deadline = self._begun + settings.timeout
        self._sock: socket.socket | None = None
        self._opening: Opening | None = None
        self._secured: ssl.SSLSocket | None = None
        self._is_expired = False
        self._is_greeting_due = settings.endpoint.tls == "starttls"
        self.round_trips = 0
        # Of a session: its account, and the number of the attempt.
        self.key: observing.Key | None = None

    @property
    def seconds(self) -> float:
        """How long this has taken so far."""
        return time.monotonic() - self._begun

    def open(self) -> None:
        """Connect, with TLS where it is implicit."""
        endpoint = self._settings.endpoint
        with observing.dialling(endpoint, self.key):
            self._sock = self._connected(Place(endpoint.host, endpoint.port))
            if endpoint.tls == "implicit":
                self.start_tls()

    def _connected(self, to: Place) -> socket.socket:
        route = self._settings.route
        try:
            return route.open(to, self._deadline, self._show)
        except LoginFailed as problem:
            if route.proxy is None or not self._is_expired:
                raise
            # It was ended under the handshake, which took that for an answer.
            told = route.proxy.unreachable("it did not answer in time", problem.__cause__)
            raise told from told.__cause__

    def _show(self, opening: Opening | socket.socket) -> None:
        """Note what is under way, so that it can be interrupted."""
        if isinstance(opening, Opening):
            self._opening = opening
        else:
            self._sock = opening

    def start_tls(self) -> None:
        """Do the handshake; certificate and host name are verified."""
        sock = self._open_socket()
        sock.settimeout(self._left())
        wrapped: ssl.SSLSocket | None = None
        try:
            # One that was reset already is not given to wrap_socket, which would leave its descriptor open.
            sock.getpeername()
            # The handshake apart: while wrap_socket does it, there is no socket that could be interrupted.
            self._sock = wrapped = self._settings.ssl_context.wrap_socket(
                sock, server_hostname=self._settings.endpoint.host, do_handshake_on_connect=False
            )
            wrapped.do_handshake()
        except TimeoutError as error:
            raise failed("timed_out", "in the TLS handshake") from error
        except OSError as error:
            if self._is_expired:
                raise failed("timed_out", "in the TLS handshake") from error
            raise tls_failed(error, refused_certificate(wrapped)) from error
        check_peer(wrapped, self._settings.endpoint.host)
        self._secured = wrapped

    def read(self) -> bytes:
        """Return what has come; nothing at the end."""
        is_greeting, self._is_greeting_due = self._is_greeting_due, False
        if is_greeting:
            greeting = self._read(GREETING_SECONDS)
            if greeting is not None:
                return greeting
            if self._left() > 0 and self._speaks_tls():
                raise waits_for_tls(self._settings.endpoint)
        data = self._read(None)
        if data is None:
            raise failed("timed_out", "in the login")
        return data

    def _read(self, seconds: float | None) -> bytes | None:
        """Return what has come in the time that is left, or in fewer seconds; ``None`` where nothing has."""
        sock = self._open_socket()
        left = self._left()
        sock.settimeout(left if seconds is None else min(left, seconds))
        try:
            data = sock.recv(READ_OCTETS)
        except TimeoutError:
            return None
        except OSError:
            data = b""
        return data if data or not self._is_expired else None

    def _speaks_tls(self) -> bool:
        """Ask on a connection of its own whether the port waits for TLS. The login's is not disturbed."""
        route = self._settings.route
        if isinstance(route.sock, socket.socket):
            return False
        try:
            seconds = min(PROBE_SECONDS, self._left())
            # The address that took the first connection; a way of the program's own is gone once more.
            peer = self._open_socket().getpeername()[:2]
            if route != DIRECT:
                peer = self._settings.endpoint.host, self._settings.endpoint.port
            with route.open(Place(*peer), time.monotonic() + seconds, lambda _: None) as probe:
                probe.settimeout(seconds)
                probe.sendall(client_hello(self._settings))
                return is_tls(probe.recv(1))
        except (OSError, LoginFailed):
            return False

    def write(self, data: bytes) -> None:
        """Write all of it."""
        sock = self._open_socket()
        self.round_trips += 1
        sock.settimeout(self._left())
        try:
            sock.sendall(data)
        except TimeoutError as error:
            raise failed("timed_out", "in the login") from error
        except OSError:
            # The server may have said why before it closed: the next read tells.
            return
        finally:
            # It may hold the token, and a traceback the locals.
            del data

    def logged_in(self) -> ssl.SSLSocket:
        """Return the socket, which belongs to somebody else from now on."""
        sock, self._sock = self._secured, None
        if sock is None:
            raise Misuse("a login without TLS")
        sock.settimeout(self._settings.answer_timeout)
        return sock

    def interrupt(self) -> None:
        """Wake a thread that waits here: its read or write ends."""
        if self._opening is not None:
            self._opening.interrupt()
        if self._sock is not None:
            hang_up(self._sock)

    def expire(self) -> None:
        """End it at the deadline, from another thread."""
        self._is_expired = True
        self.interrupt()

    def close(self) -> None:
        """Close the socket."""
        if self._sock is not None:
            self._sock.close()

    def _open_socket(self) -> socket.socket:
        if self._sock is None:
            raise Misuse("a login that is not open")
        return self._sock

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise failed("timed_out", "in connection and login together")
        return left


def hang_up(sock: socket.socket) -> None:
    """End the connection under a thread that may read from it; the owner closes the socket."""
    with contextlib.suppress(OSError):
        # Not SSLSocket's own: that would take the TLS layer away from under the reader.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class SocketShell:
    """A socket around a socket: whatever it does not do by itself, the inner one does."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def makefile(self, mode: str = "rb", *arguments: Any, **options: Any) -> io.BufferedReader:
        """Return a binary reader: what the clients of the standard library read from."""
        return io.BufferedReader(_Reader(self))

    def recv(self, octets: int, flags: int = 0) -> bytes:
        """Read, at most so many octets."""
        data: bytes = self._sock.recv(octets, flags)
        return data

    def recv_into(self, buffer: Any, octets: int = 0, flags: int = 0) -> int:
        """Read into a buffer."""
        data = self.recv(octets or len(buffer))
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self._sock.close()


class GreetedSocket(SocketShell):
    """A socket whose reader finds some octets first."""

    def __init__(self, sock: Any, first: bytes) -> None:
        super().__init__(sock)
        self._first = bytearray(first)

    def recv(self, octets: int, flags: int = 0) -> bytes:
        """Read the first octets, then from the socket."""
        if self._first:
            first = bytes(self._first[:octets])
            del self._first[:octets]
            return first
        return super().recv(octets, flags)


class _Reader(io.RawIOBase):
    """The raw side of :meth:`SocketShell.makefile`."""

    def __init__(self, sock: SocketShell) -> None:
        super().__init__()
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._sock.recv_into(buffer)
