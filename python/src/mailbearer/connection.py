"""A blocking login: from nothing to a TLS socket that is logged in."""

from __future__ import annotations

import contextlib
import dataclasses
import ssl
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self, Unpack

from . import log, observing, tokens
from ._core import AccessToken, Authenticated, Negotiation, Step, Verdict, failure_of_host
from .dialogue import Dialogue
from .errors import Error, LoginFailed, of_fixed_token, of_same_token, of_second_token
from .front_door import front_door
from .greeted_socket import GreetedSocket
from .hiding import hidden
from .kinds_of_source import TokenSource
from .link import Link
from .options import LoginOptions, Trace
from .proxy import hide_proxy
from .settings import STAND_IN, Endpoint, Settings, resolve
from .stored import of_store_into
from .words import MailProtocol, Mechanism


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


@front_door("mailbearer.connect", LoginOptions)
def connect(
    protocol: MailProtocol, user: str, token: TokenSource = tokens.STORED, **options: Unpack[LoginOptions]
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

    The options are those of :class:`mailbearer.LoginOptions`: ``help(mailbearer.LoginOptions)`` has the same list.

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
    hide_proxy(options)
    token = of_store_into(options, user, hidden(token))
    settings = resolve(protocol, user, **options)
    source = tokens.source(token, user=user, scopes=settings.scopes)
    first = _token(source, settings, force_refresh=False)
    try:
        return log_in(settings, settings.trace, first)
    except LoginFailed as refused:
        if refused.advice != "refresh_token":
            raise
        if not source.can_refresh:
            raise of_fixed_token(refused) from refused.__cause__
        second = _token(source, settings, force_refresh=True)
        if second == first:
            raise of_same_token(refused) from refused.__cause__
        try:
            return log_in(settings, settings.trace, second)
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
