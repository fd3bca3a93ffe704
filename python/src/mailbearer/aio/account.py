"""Stay logged in, with asyncio: the sessions of one mailbox, and a session alone."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

from .. import tokens
from .._core import Provider
from ..account_settings import AccountSettings
from ..events import OnEvent
from ..facts import AccountStatus
from ..front_door import front_door
from ..hiding import hidden
from ..kinds_of_source import AsyncTokenSource
from ..options import LoginOptions, LoneOptions, SessionOptions
from ..policy import SessionPolicy
from ..proxy import Proxy, hidden_proxy, hide_proxy
from ..settings import is_to_discover
from ..stored import of_store, of_store_into
from ..words import MailProtocol, ProviderName
from .later import Later
from .session_iterator import DEFAULT_CLIENT, Sessions, client_of
from .tasks import TaskDriver

if TYPE_CHECKING:
    from ..foreign import AioImap, AioSmtp


@front_door("mailbearer.aio.Account")
class Account:
    r"""One mailbox, and its sessions, as :class:`mailbearer.Account`, for one event loop.

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

    >>> import asyncio, mailbearer.aio, mailbearer.testing
    >>> async def main(server):
    ...     async def token():
    ...         return {"access_token": server.issue_token("joe@gmail.com"), "expires_in": 3600}
    ...     async with mailbearer.aio.Account("joe@gmail.com", token) as account:
    ...         outboxes = account.sessions("smtp", client="aiosmtplib", **server.at("smtp"))
    ...         inboxes = account.sessions("imap", client="aioimaplib", **server.at("imap"))
    ...         reply = await (await anext(outboxes)).client.noop()
    ...         return reply.code, (await (await anext(inboxes)).client.select("INBOX")).result
    >>> with mailbearer.testing.Server() as server:
    ...     asyncio.run(main(server))
    (250, 'OK')

    """

    def __init__(
        self,
        user: str,
        token: AsyncTokenSource = tokens.STORED,
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
        self._driver = TaskDriver(settings, _source(token, settings.before_discovery()))

    @overload
    def sessions(
        self, protocol: Literal["imap"], *, client: Literal["aioimaplib"] = ..., **options: Unpack[SessionOptions]
    ) -> Sessions[AioImap]: ...
    @overload
    def sessions(
        self, protocol: Literal["smtp"], *, client: Literal["aiosmtplib"] = ..., **options: Unpack[SessionOptions]
    ) -> Sessions[AioSmtp]: ...
    @overload
    def sessions(
        self, protocol: Literal["pop3"], *, client: None = None, **options: Unpack[SessionOptions]
    ) -> Sessions[None]: ...
    @overload
    def sessions(
        self, protocol: MailProtocol, *, client: None, **options: Unpack[SessionOptions]
    ) -> Sessions[None]: ...
    @front_door("mailbearer.aio.Account.sessions", LoginOptions, SessionOptions)
    def sessions(
        self, protocol: MailProtocol, *, client: str | None = DEFAULT_CLIENT, **options: Unpack[SessionOptions]
    ) -> Sessions[Any]:
        """Add a session: iterate with ``async for``, as :func:`mailbearer.aio.sessions` says.

        Call it as often as connections are wanted at the same time, and keep what it returns: a session ends with it.
        Where the servers must be looked up (:func:`mailbearer.aio.discover`), the first iteration does it, and raises
        :class:`~mailbearer.ConfigError` where nothing is found.

        Args:
            protocol: ``imap``, ``pop3`` or ``smtp``.
            client: as in :func:`mailbearer.aio.sessions`.
            options: those of :func:`mailbearer.connect`, and ``policy``, a :class:`~mailbearer.SessionPolicy` in place
                of the account's; ``help(mailbearer.SessionOptions)`` and ``help(mailbearer.LoginOptions)`` tell each.

        Raises:
            ConfigError: a setting cannot work, or is of the whole account.

        """
        hide_proxy(options)
        self._settings.route(options)
        make = client_of(protocol, client)
        if self._settings.is_to_discover(options):
            later = Later(self._driver, self._settings, self._token, protocol, options)
            return Sessions(self._driver, None, self, protocol, make, later)
        settings, policy = self._settings.session(protocol, options)
        if self._settings.provider is None:
            self._driver.source = _source(self._token, self._settings)
        return Sessions(self._driver, self._driver.add(settings, policy), self, protocol, make)

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
        self._driver.say(self._driver.machine.retry)

    def network_lost(self) -> None:
        """Say that there is no network: nothing is opened for five minutes, or until :meth:`network_back`."""
        self._driver.say(self._driver.machine.network_lost)

    def network_back(self) -> None:
        """Say that there is a network again, or another one: see :meth:`Sessions.network_back`."""
        self._driver.say(self._driver.machine.network_back)

    async def aclose(self) -> None:
        """End all sessions: connections are closed without a goodbye, and no task is left."""
        taps = self._driver.taps()
        self.close()
        await self._driver.wait_closed(taps)

    def close(self) -> None:
        """End all at once: what is closed by this is gone in the next rounds of the event loop."""
        self._driver.end_all()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        driver = getattr(self, "_driver", None)
        if driver is not None:
            driver.end_all()

    def __repr__(self) -> str:
        # A traceback with locals shows it also where its settings were refused.
        driver = getattr(self, "_driver", None)
        return "<Account>" if driver is None else repr(driver.machine)


def _source(token: AsyncTokenSource, settings: AccountSettings) -> tokens.Source:
    return tokens.source(token, user=settings.user, scopes=settings.scopes)


@overload
def sessions(
    protocol: Literal["imap"],
    user: str,
    token: AsyncTokenSource = tokens.STORED,
    *,
    client: Literal["aioimaplib"] = ...,
    **options: Unpack[LoneOptions],
) -> Sessions[AioImap]: ...
@overload
def sessions(
    protocol: Literal["smtp"],
    user: str,
    token: AsyncTokenSource = tokens.STORED,
    *,
    client: Literal["aiosmtplib"] = ...,
    **options: Unpack[LoneOptions],
) -> Sessions[AioSmtp]: ...
@overload
def sessions(
    protocol: Literal["pop3"],
    user: str,
    token: AsyncTokenSource = tokens.STORED,
    *,
    client: None = None,
    **options: Unpack[LoneOptions],
) -> Sessions[None]: ...
@overload
def sessions(
    protocol: MailProtocol,
    user: str,
    token: AsyncTokenSource = tokens.STORED,
    *,
    client: None,
    **options: Unpack[LoneOptions],
) -> Sessions[None]: ...
@front_door("mailbearer.aio.sessions", LoginOptions, LoneOptions)
def sessions(
    protocol: MailProtocol,
    user: str,
    token: AsyncTokenSource = tokens.STORED,
    *,
    client: str | None = DEFAULT_CLIENT,
    **options: Unpack[LoneOptions],
) -> Sessions[Any]:
    r"""Stay logged in: iterate with ``async for``, and get a connection each time that one is due.

    All is as in :func:`mailbearer.sessions`.

    A connection has a ``client``, logged in: aioimaplib (``pip install 'mailbearer[aioimaplib]'``) or aiosmtplib
    (``pip install 'mailbearer[aiosmtplib]'``). Or use its ``reader`` and ``writer``, which are all that POP3 has. The
    client is made when it is first asked for. ``client="aioimaplib"`` or ``client="aiosmtplib"`` says that it will be,
    and a package that is missing is told before any login; ``client=None`` says that none is wanted.

    Args:
        protocol: ``imap``, ``pop3`` or ``smtp``.
        user: the login's user name, as a rule the mail address.
        token: what :func:`mailbearer.connect` takes, or an ``async`` function.
        client: ``aioimaplib`` or ``aiosmtplib``, or ``None``: no mail client.
        options: those of :func:`mailbearer.sessions`; ``help(mailbearer.LoneOptions)`` and
            ``help(mailbearer.LoginOptions)`` tell each.

    >>> import asyncio, mailbearer.aio, mailbearer.testing
    >>> async def main(server):
    ...     async def token():
    ...         return server.issue_token("joe@gmail.com"), 1.0
    ...     replies = []
    ...     async for connection in mailbearer.aio.sessions("smtp", "joe@gmail.com", token, **server.at("smtp")):
    ...         async with connection:
    ...             connection.writer.write(b"NOOP\r\n")
    ...             replies.append(await connection.reader.readline())
    ...             await connection.wait()
    ...         if len(replies) == 2:
    ...             return replies
    >>> with mailbearer.testing.Server(token_lifetime=1.0) as server:
    ...     asyncio.run(main(server))
    [b'250 2.0.0 OK\r\n', b'250 2.0.0 OK\r\n']

    """
    hide_proxy(options)
    token = of_store_into(options, user, hidden(token))
    make = client_of(protocol, client)
    if is_to_discover(user, options.get("host"), options.get("provider"), options.get("discover", True)):
        account, session = AccountSettings.to_discover(user, options)
        driver = TaskDriver(account, _source(token, account.before_discovery()))
        return Sessions(driver, None, None, protocol, make, Later(driver, account, token, protocol, session))
    settings, login = AccountSettings.of_one(protocol, user, options)
    source = _source(token, settings)
    driver = TaskDriver(settings, source)
    return Sessions(driver, driver.add(login, settings.policy), None, protocol, make)
