"""Tokens of an account that ``mailbearer login`` has stored."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, TypeVar

from . import store
from ._core import AccessToken, Provider
from .errors import ConfigError, TokenSourceFailed
from .front_door import front_door
from .grant import Grant
from .hiding import Hidden, shown_name
from .proxy import Proxy, hidden_proxy
from .tokens import STORED
from .words import ProviderName

if TYPE_CHECKING:
    from .oauth import Refused
    from .options import LoginOptions

# A source as the program gave it, of whatever kind.
SourceT = TypeVar("SourceT")


class StoredLogin:
    """A token source: the stored access token while it lives, else a new one. Made by :func:`mailbearer.stored`.

    However many programs and threads ask, and in whatever language, one at a time refreshes: with rotating refresh
    tokens, a second one at the same time would lose the login.
    """

    def __init__(self, user: str, ssl_context: ssl.SSLContext | None = None, proxy: str | Proxy | None = None) -> None:
        self._user = store.need(user).user
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._given: AccessToken | None = None
        # What could not be written down, and the refresh token that it replaces.
        self._unwritten: tuple[Hidden, Grant] | None = None

    def __call__(
        self, *, force_refresh: bool = False, refused: AccessToken | None = None
    ) -> tuple[AccessToken, float | None]:
        """Return a token and its seconds.

        Raises:
            TokenSourceFailed: there is none; permanent where the user must log in again.

        """
        return self.current(force_refresh, refused).answer()

    def current(self, force_refresh: bool = False, refused: AccessToken | None = None) -> Grant:
        """Return the grant as a call would see it.

        Raises:
            TokenSourceFailed: as a call.

        """
        try:
            grant = self._current(force_refresh, refused)
        except ConfigError as error:
            # A person must act, but it is no mistake of the program.
            raise TokenSourceFailed(str(error), permanent=True) from None
        self._given = grant.token()
        return grant

    def _current(self, force_refresh: bool, refused: AccessToken | None) -> Grant:
        grant = store.grant_of(store.need(self._user))
        # Who asks past the cache knows the token that was given last: another one is news, whoever fetched it.
        known = (self._given or grant.token()) if force_refresh else None
        if grant.is_good(known, refused):
            return grant
        with store.locked(self._user):
            account = store.need(self._user)
            grant = self._written(account, store.grant_of(account))
            return grant if grant.is_good(known, refused) else self._renewed(account, grant)

    def _written(self, account: store.StoredAccount, grant: Grant) -> Grant:
        """Write down what a full disk did not take before, unless somebody has logged in meanwhile."""
        if self._unwritten is None:
            return grant
        replaced, newer = self._unwritten
        if replaced.reveal() == grant.refresh_token.reveal():
            store.save_grant(account, newer)
            grant = newer
        self._unwritten = None
        return grant

    def _renewed(self, account: store.StoredAccount, grant: Grant) -> Grant:
        """Refresh, and write it down. The lock is held."""
        # Most programs bring a token of their own, and need none of this.
        from .oauth import Refused, refresh
        from .oauth_http import Https

        try:
            https = Https(self._ssl_context, proxy=self._proxy)
            tokens = refresh(https, account.authorization, account.client(grant), grant.refresh_token)
        except Refused as refusal:
            raise self._told(refusal) from None
        newer = grant.renewed(tokens)
        self._unwritten = grant.refresh_token, newer
        # Before anybody uses it: with the next word to the server, the old refresh token may be of no use.
        store.save_grant(account, newer)
        self._unwritten = None
        return newer

    def _told(self, refusal: Refused) -> TokenSourceFailed:
        if not refusal.permanent:
            return TokenSourceFailed(f"the authorization server has no token just now: {refusal}")
        user = shown_name(self._user)
        return TokenSourceFailed(
            f"the provider does not renew the login of {user}: {refusal}; run `mailbearer login {user}`",
            permanent=True,
        )

    def __repr__(self) -> str:
        return f"<the stored login of {shown_name(self._user)}>"


@front_door("mailbearer.stored")
def stored(user: str, *, ssl_context: ssl.SSLContext | None = None, proxy: str | Proxy | None = None) -> StoredLogin:
    """Return the token source of an account that ``mailbearer login`` has stored on this machine.

    It renews the access token when less than a minute of it is left, or when a server refuses it, and writes the new
    refresh token down before it hands out the access token. It is what :func:`mailbearer.sessions`,
    :func:`mailbearer.connect` and the others use where they are given no token.

    Args:
        user: the mail address, as it was given to ``mailbearer login``.
        ssl_context: whom to trust at the authorization server, in place of the system's authorities.
        proxy: the proxy to it, as in :func:`mailbearer.connect`. A login, a session, a sender and an ``Account`` that
            are given no token ask for it through their own ``proxy``. ``None``: what ``HTTPS_PROXY`` says, if it says
            something.

    Raises:
        ConfigError: the account is not stored, or what is stored cannot be read. The text says what to do.

    >>> import mailbearer
    >>> mailbearer.stored("joe@example.com")
    Traceback (most recent call last):
    mailbearer.errors.ConfigError: joe@example.com is not stored on this machine: run `mailbearer login \
joe@example.com`, or give a token

    """
    return StoredLogin(user, ssl_context, hidden_proxy(proxy))


def of_store(
    user: str,
    token: SourceT,
    provider: ProviderName | Provider | None,
    host: str | None = None,
    proxy: str | Proxy | None = None,
) -> tuple[SourceT | StoredLogin, ProviderName | Provider | None]:
    """Where a program gives no token: the stored login, and where its mail servers are, unless the program says so."""
    if token is not STORED:
        return token, provider
    if provider is None and host is None:
        provider = store.need(user).profile()
    return stored(user, proxy=proxy), provider


def of_store_into(options: LoginOptions, user: str, token: SourceT) -> SourceT | StoredLogin:
    """Do the same with the keyword arguments of a login."""
    provider, host, proxy = options.get("provider"), options.get("host"), options.get("proxy")
    source, options["provider"] = of_store(user, token, provider, host, proxy)
    return source
