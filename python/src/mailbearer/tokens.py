"""Token sources: whatever a program has, asked for a token at every login.

A source is one of

* a ``str`` or an :class:`~mailbearer.AccessToken`: always the same, which ends with its hour;
* a function without arguments, or with the keyword ``force_refresh``, that returns a token, or a token and the
  seconds that it still lives;
* an ``async`` function of the same kind, for :mod:`mailbearer.aio`;
* a ``google.auth.credentials.Credentials``;
* an MSAL application (``PublicClientApplication`` or ``ConfidentialClientApplication``).
"""

from __future__ import annotations

import asyncio
import datetime
import inspect
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from ._core import AccessToken
from .errors import ConfigError, Error, TokenSourceFailed

TokenSource: TypeAlias = Any
"""One of the kinds above. It is :class:`typing.Any` so that google-auth and MSAL need not be installed."""


class Token(NamedTuple):
    """A token, and the milliseconds that it still lives, where that is known."""

    token: AccessToken
    expires_in_ms: int | None


class Source(Protocol):
    """What the kinds of sources have in common."""

    can_refresh: bool

    def get(self, force_refresh: bool) -> Token:
        """Get a token, past every cache where that is asked for."""

    async def aget(self, force_refresh: bool) -> Token:
        """Get a token without blocking the event loop."""


def source(value: TokenSource, *, user: str, scopes: Sequence[str] = ()) -> Source:
    """Make a source of what the program has.

    Raises:
        ConfigError: it is none of the known kinds.

    """
    if isinstance(value, str | AccessToken):
        return FixedToken(AccessToken(value) if isinstance(value, str) else value)
    if hasattr(value, "acquire_token_silent"):
        return MsalToken(value, user, scopes)
    if hasattr(value, "refresh") and hasattr(value, "expiry"):
        return GoogleToken(value)
    if callable(value):
        return CalledToken(value)
    kind = type(value).__name__
    raise ConfigError(f"token must be a str, a function, google-auth credentials or an MSAL application, not {kind}")


class FixedToken:
    """The same token for ever."""

    can_refresh = False

    def __init__(self, token: AccessToken) -> None:
        self._token = Token(token, None)

    def get(self, force_refresh: bool) -> Token:
        """Return the token."""
        return self._token

    async def aget(self, force_refresh: bool) -> Token:
        """Return the token."""
        return self._token


class CalledToken:
    """A function of the program. Calls do not overlap: a second one waits for the first."""

    can_refresh = True

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._takes_force = _takes_force_refresh(function)
        self._lock = threading.Lock()

    def _call(self, force_refresh: bool) -> Any:
        with self._lock:
            return self._function(force_refresh=force_refresh) if self._takes_force else self._function()

    def get(self, force_refresh: bool) -> Token:
        """Call the function."""
        if inspect.iscoroutinefunction(self._function):
            raise ConfigError("token is an async function: use mailbearer.aio, or give a plain function")
        try:
            return _read(self._call(force_refresh))
        except Error:
            raise
        except Exception as error:
            raise TokenSourceFailed(f"the token source raised {type(error).__name__}") from error

    async def aget(self, force_refresh: bool) -> Token:
        """Call the function: in a thread, where it is not async."""
        if not inspect.iscoroutinefunction(self._function):
            return await asyncio.to_thread(self.get, force_refresh)
        try:
            arguments = {"force_refresh": force_refresh} if self._takes_force else {}
            answer: Awaitable[Any] = self._function(**arguments)
            return _read(await answer)
        except Error:
            raise
        except Exception as error:
            raise TokenSourceFailed(f"the token source raised {type(error).__name__}") from error


class GoogleToken:
    """``google.auth.credentials.Credentials``; they refresh themselves where they are past their time."""

    can_refresh = True

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials
        self._lock = threading.Lock()

    def get(self, force_refresh: bool) -> Token:
        """Refresh where that is needed or asked for."""
        with self._lock:
            try:
                if force_refresh or not self._credentials.valid:
                    self._credentials.refresh(_google_request())
            except Exception as error:
                raise TokenSourceFailed(f"google-auth raised {type(error).__name__}") from error
            return Token(_token(self._credentials.token), self._expires_in_ms())

    def _expires_in_ms(self) -> int | None:
        expiry = self._credentials.expiry
        if expiry is None:
            return None
        # google-auth keeps naive times in UTC.
        left = expiry.replace(tzinfo=datetime.UTC) - datetime.datetime.now(datetime.UTC)
        return max(0, int(left.total_seconds() * 1000))

    async def aget(self, force_refresh: bool) -> Token:
        """Do the same in a thread."""
        return await asyncio.to_thread(self.get, force_refresh)


class MsalToken:
    """An MSAL application: silently for an account, or for the client itself where it is confidential."""

    can_refresh = True

    def __init__(self, application: Any, user: str, scopes: Sequence[str]) -> None:
        self._application = application
        self._user = user
        # MSAL adds offline_access by itself and refuses it as an argument.
        self._scopes = [scope for scope in scopes if scope != "offline_access"]
        if not self._scopes:
            raise ConfigError("token is an MSAL application, but no scopes are known: name the provider")

    def get(self, force_refresh: bool) -> Token:
        """Ask MSAL."""
        try:
            answer = self._acquire(force_refresh)
        except Exception as error:
            raise TokenSourceFailed(f"MSAL raised {type(error).__name__}") from error
        if not answer or "access_token" not in answer:
            reason = (answer or {}).get("error", "the user has not logged in with this application")
            raise TokenSourceFailed(f"MSAL has no token: {reason}")
        lives = answer.get("expires_in")
        return Token(_token(answer["access_token"]), None if lives is None else int(lives) * 1000)

    def _acquire(self, force_refresh: bool) -> dict[str, Any] | None:
        accounts = self._application.get_accounts(username=self._user)
        if accounts:
            answer: dict[str, Any] | None = self._application.acquire_token_silent(
                self._scopes, account=accounts[0], force_refresh=force_refresh
            )
            return answer
        if hasattr(self._application, "acquire_token_for_client"):
            host = self._scopes[0].split("/")[2]
            client: dict[str, Any] | None = self._application.acquire_token_for_client(
                scopes=[f"https://{host.replace('outlook.office.com', 'outlook.office365.com')}/.default"]
            )
            return client
        return None

    async def aget(self, force_refresh: bool) -> Token:
        """Do the same in a thread."""
        return await asyncio.to_thread(self.get, force_refresh)


def _takes_force_refresh(function: Callable[..., Any]) -> bool:
    try:
        return "force_refresh" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _read(answer: Any) -> Token:
    """Read a token, or a token and its seconds."""
    if isinstance(answer, tuple) and len(answer) == 2:
        token, seconds = answer
        return Token(_token(token), None if seconds is None else max(0, int(seconds * 1000)))
    if inspect.isawaitable(answer):
        raise ConfigError("token is a function that returns an awaitable: make it an async function")
    return Token(_token(answer), None)


def _token(value: Any) -> AccessToken:
    if isinstance(value, AccessToken):
        return value
    if not isinstance(value, str):
        raise TokenSourceFailed(f"the token source gave a {type(value).__name__} in place of a token")
    return AccessToken(value)


def _google_request() -> Any:
    from google.auth.transport.requests import Request

    return Request()
