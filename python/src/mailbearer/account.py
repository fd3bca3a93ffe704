"""Stay logged in, in blocking programs: the sessions of one mailbox, and a session alone."""

from __future__ import annotations

import imaplib
import poplib
import smtplib
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

from . import tokens
from ._core import Provider
from .account_settings import AccountSettings
from .errors import ConfigError
from .events import OnEvent
from .facts import AccountStatus
from .front_door import front_door
from .hiding import hidden
from .kinds_of_source import TokenSource
from .options import LoginOptions, LoneOptions, SessionOptions
from .policy import SessionPolicy
from .proxy import Proxy, hidden_proxy, hide_proxy
from .session_iterator import Sessions, client_of
from .stored import of_store, of_store_into
from .threads import ThreadDriver
from .words import MailProtocol, ProviderName

if TYPE_CHECKING:
    from .foreign import IMAPClient, MailBox


@front_door("mailbearer.Account")
class Account:
    """One mailbox, and its sessions: IMAP any number, POP3, SMTP.

    They share one token and one refresh, the provider's greatest number of connections, the waits that a server asks
    for, and one stop. Nothing is connected before a session is iterated.

    Args:
        user: the login's user name, as a rule the mail address.
        token: what :func:`mailbearer.connect` takes. It needs the scopes of all protocols that are used. Without it:
            the login that ``mailbearer login`` has stored.
        provider: the profile, by name or as a :class:`~mailbearer.Provider`, where the mail address does not tell it.
        policy: limits and times, where the provider's are not right; for all sessions.
        snapshot: what :meth:`snapshot` gave: go on where another process was. A stop of it holds until :meth:`retry`.
        on_event: called with a :class:`~mailbearer.SessionEvent` for each thing that happens, in any thread.
        proxy: as in :func:`mailbearer.connect`: for all sessions that are given none of their own; and, where there is
            no ``token``, for the requests of the login that is stored.

    Raises:
        ConfigError: a setting cannot work, or the snapshot is damaged or of another version; one of
            another user is told by the first session that is asked for.

    >>> import mailbearer, mailbearer.testing
    >>> with mailbearer.testing.Server() as server:
    ...     def token():
    ...         return server.issue_token("joe@gmail.com"), 3600.0
    ...     with mailbearer.Account("joe@gmail.com", token) as account:
    ...         inboxes = account.sessions("imap", **server.at("imap"))
    ...         outboxes = account.sessions("smtp", **server.at("smtp"))
    ...         next(inboxes).client.select("INBOX"), next(outboxes).client.noop()
    (('OK', [b'3']), (250, b'2.0.0 OK'))

    """

    def __init__(
        self,
        user: str,
        token: TokenSource = tokens.STORED,
        *,
        provider: ProviderName | Provider | None = None,
        policy: SessionPolicy | None = None,
        snapshot: bytes | None = None,
        on_event: OnEvent | None = None,
        proxy: str | Proxy | None = None,
    ) -> None:
        proxy = hidden_proxy(proxy)
        token, provider = of_store(user, hidden(token), provider, proxy=proxy)
        settings = AccountSettings.of(user, provider, policy, snapshot, on_event, proxy)
        self._settings = settings
        self._token = token
        self._driver = ThreadDriver(settings, _source(token, settings.before_discovery()))

    @overload
    def sessions(
        self,
        protocol: Literal["imap"],
        *,
        client: Literal["imaplib"] | None = None,
        **options: Unpack[SessionOptions],
    ) -> Sessions[imaplib.IMAP4]: ...
    @overload
    def sessions(
        self, protocol: Literal["imap"], *, client: Literal["imapclient"], **options: Unpack[SessionOptions]
    ) -> Sessions[IMAPClient]: ...
    @overload
    def sessions(
        self, protocol: Literal["imap"], *, client: Literal["imap_tools"], **options: Unpack[SessionOptions]
    ) -> Sessions[MailBox]: ...
    @overload
    def sessions(
        self,
        protocol: Literal["pop3"],
        *,
        client: Literal["poplib"] | None = None,
        **options: Unpack[SessionOptions],
    ) -> Sessions[poplib.POP3]: ...
    @overload
    def sessions(
        self,
        protocol: Literal["smtp"],
        *,
        client: Literal["smtplib"] | None = None,
        **options: Unpack[SessionOptions],
    ) -> Sessions[smtplib.SMTP]: ...
    @front_door("mailbearer.Account.sessions", LoginOptions, SessionOptions)
    def sessions(
        self, protocol: MailProtocol, *, client: str | None = None, **options: Unpack[SessionOptions]
    ) -> Sessions[Any]:
        """Add a session: iterate, and get a connection each time that one is due, as :func:`mailbearer.sessions` says.

        Call it as often as connections are wanted at the same time, and keep what it returns: a session ends with it.
        Where the servers must be looked up (:func:`mailbearer.discover`), it is done here.

        Args:
            protocol: ``imap``, ``pop3`` or ``smtp``.
            client: as in :func:`mailbearer.sessions`.
            options: those of :func:`mailbearer.connect`, and ``policy``, a :class:`~mailbearer.SessionPolicy` in place
                of the account's; ``help(mailbearer.SessionOptions)`` and ``help(mailbearer.LoginOptions)`` tell each.

        Raises:
            ConfigError: a setting cannot work, or is of the whole account.

        """
        hide_proxy(options)
        self._settings.route(options)
        settings, policy = self._settings.session(protocol, options)
        if self._settings.provider is None:
            self._driver.source = _source(self._token, self._settings.knowing(settings.discovered))
        session = self._driver.add_for(settings, policy, client_of(protocol, client))
        return Sessions(self._driver, session, self, protocol)

    def status(self) -> AccountStatus:
        """Tell how the account stands. Times are milliseconds since the machine was started, asleep or not.

        * ``sessions``: a dict for each, as :meth:`Sessions.status` gives it;
        * ``asks_for_token``; ``token_failure``, a :class:`~mailbearer.Failure`: why there is no token, while there is
          none; ``token_retry_at_ms``: when the wait after that is over;
        * ``stops``: a :class:`~mailbearer.Failure` for each thing that a person must mend.
        """
        return self._driver.machine.status()

    def snapshot(self) -> bytes:
        """Return what must outlive the process: stops, waits, refusals, limits, and what was in flight.

        It holds no secret. Times go on while no process runs.
        """
        return self._driver.machine.snapshot(self._driver.wall_ms())

    def retry(self) -> None:
        """Say that a person has acted: every stop is lifted."""
        self._driver.tell(self._driver.machine.retry)

    def network_lost(self) -> None:
        """Say that there is no network: nothing is opened for five minutes, or until :meth:`network_back`."""
        self._driver.tell(self._driver.machine.network_lost)

    def network_back(self) -> None:
        """Say that there is a network again, or another one: see :meth:`Sessions.network_back`."""
        self._driver.tell(self._driver.machine.network_back)

    def close(self) -> None:
        """End all sessions: connections are closed without a goodbye, and no thread is left."""
        self._driver.end_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        driver = getattr(self, "_driver", None)
        if driver is not None:
            driver.end_all()

    def __repr__(self) -> str:
        # A traceback with locals shows it also where its settings were refused.
        driver = getattr(self, "_driver", None)
        return "<Account>" if driver is None else repr(driver.machine)


def _source(token: TokenSource, settings: AccountSettings) -> tokens.Source:
    source = tokens.source(token, user=settings.user, scopes=settings.scopes)
    if isinstance(source, tokens.AwaitedToken):
        raise ConfigError("token is an async function: use mailbearer.aio, or give a plain function")
    return source


@overload
def sessions(
    protocol: Literal["imap"],
    user: str,
    token: TokenSource = tokens.STORED,
    *,
    client: Literal["imaplib"] | None = None,
    **options: Unpack[LoneOptions],
) -> Sessions[imaplib.IMAP4]: ...
@overload
def sessions(
    protocol: Literal["imap"],
    user: str,
    token: TokenSource = tokens.STORED,
    *,
    client: Literal["imapclient"],
    **options: Unpack[LoneOptions],
) -> Sessions[IMAPClient]: ...
@overload
def sessions(
    protocol: Literal["imap"],
    user: str,
    token: TokenSource = tokens.STORED,
    *,
    client: Literal["imap_tools"],
    **options: Unpack[LoneOptions],
) -> Sessions[MailBox]: ...
@overload
def sessions(
    protocol: Literal["pop3"],
    user: str,
    token: TokenSource = tokens.STORED,
    *,
    client: Literal["poplib"] | None = None,
    **options: Unpack[LoneOptions],
) -> Sessions[poplib.POP3]: ...
@overload
def sessions(
    protocol: Literal["smtp"],
    user: str,
    token: TokenSource = tokens.STORED,
    *,
    client: Literal["smtplib"] | None = None,
    **options: Unpack[LoneOptions],
) -> Sessions[smtplib.SMTP]: ...
@front_door("mailbearer.sessions", LoginOptions, LoneOptions)
def sessions(
    protocol: MailProtocol,
    user: str,
    token: TokenSource = tokens.STORED,
    *,
    client: str | None = None,
    **options: Unpack[LoneOptions],
) -> Sessions[Any]:
    """Stay logged in: iterate, and get a connection each time that one is due. It is an account of one session.

    A connection is due at first, and each time that the one before has ended, or is to be renewed because its token or
    the provider's limit is near. Its ``client`` is the one of the standard library, IMAPClient with
    ``client="imapclient"``, or imap_tools' MailBox with ``client="imap_tools"``. Use each in a ``with`` block: an end
    of the session in it is not an error, and the loop goes on; when the block is left normally, the client says
    goodbye, which commits what POP3 has deleted.

    ``token`` is what :func:`mailbearer.connect` takes; without it, the login is used that ``mailbearer login`` has
    stored, as :func:`mailbearer.stored` says. A function may say how many seconds its token still lives, by
    returning ``(token, seconds)`` or an OAuth response: the session is then renewed ahead of that.

    Args:
        protocol: ``imap``, ``pop3`` or ``smtp``.
        user: the login's user name, as a rule the mail address.
        token: what :func:`mailbearer.connect` takes.
        client: ``imaplib``, ``poplib`` or ``smtplib``, which need not be said; ``imapclient`` or ``imap_tools``.
        options: those of :func:`mailbearer.connect`, and ``policy``, ``snapshot`` and ``on_event`` as in
            :class:`mailbearer.Account`; ``help(mailbearer.LoneOptions)`` and ``help(mailbearer.LoginOptions)`` tell
            each.

    Raises:
        ConfigError: a setting cannot work.

    Iterating raises :class:`~mailbearer.NeedsUser` when a person must act: again each time, at once and without a
    login, until :meth:`Sessions.retry` is called. It raises :class:`~mailbearer.GaveUp` where it cannot work as it is
    configured, or did not within ``SessionPolicy.first``: to iterate again is then to try again, but for a setting that
    is wrong, which needs :meth:`Sessions.retry` too.

    >>> import mailbearer, mailbearer.testing
    >>> with mailbearer.testing.Server(token_lifetime=1.0) as server:
    ...     def token():
    ...         return server.issue_token("joe@gmail.com"), 1.0
    ...     seen = []
    ...     for connection in mailbearer.sessions("imap", "joe@gmail.com", token, **server.at("imap")):
    ...         with connection:
    ...             _ = connection.client.select("INBOX")
    ...             seen.append(connection.resumed and connection.resumed.selected.name)
    ...             while not connection.wait(0.1):
    ...                 _ = connection.client.noop()
    ...         if len(seen) == 3:
    ...             break
    >>> seen
    [None, 'INBOX', 'INBOX']

    """
    hide_proxy(options)
    token = of_store_into(options, user, hidden(token))
    settings, login = AccountSettings.of_one(protocol, user, options)
    source = _source(token, settings)
    make = client_of(protocol, client)
    driver = ThreadDriver(settings, source)
    return Sessions(driver, driver.add_for(login, settings.policy, make), None, protocol)
