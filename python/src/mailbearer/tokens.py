"""Token sources: whatever a program has, asked for a token at every login.

A source is one of

* a ``str`` or an :class:`~mailbearer.AccessToken`: always the same, which ends with its hour;
* a function without arguments, or with the keyword ``force_refresh``, that returns a token, a token and the seconds
  that it still lives, or an OAuth response: a dict or an object with ``access_token``, and ``expires_in`` (seconds) or
  ``expires_at`` (seconds since 1970, or a :class:`datetime.datetime`). With the keyword ``refused`` it is told which
  token a server did not take, as an :class:`~mailbearer.AccessToken`;
* an ``async`` function of the same kind, for :mod:`mailbearer.aio`;
* a ``google.auth.credentials.Credentials``;
* an MSAL application (``PublicClientApplication`` or ``ConfidentialClientApplication``).

A source that will not have a token before the user acts raises :class:`~mailbearer.TokenSourceFailed` with
``permanent=True``, or returns the error response (``{"error": "invalid_grant", …}``). What can only be a mistake in it,
as a ``NameError``, a ``TypeError`` or ``None`` in place of a token, is raised to the program at once, as
:class:`~mailbearer.TokenSourceMistake`. Whatever else it raises is taken for an outage, and it is asked again later.
Calls of one source do not overlap: requests that come while one runs are joined to it, also those of other connections
and sessions. Only a call that does not answer in time is given up, and another one made.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, cast
from weakref import WeakValueDictionary

from ._core import AccessToken
from .answers import OUTAGES, Token, checked, lives, read_answer, token_of
from .errors import ConfigError, Error, TokenSourceFailed, TokenSourceMistake
from .extras import need
from .hiding import Hidden, error_of, hidden, words_of
from .kinds_of_source import AsyncTokenSource
from .kinds_of_source import TokenSource as TokenSource


class _Stored:
    """Stands for what ``mailbearer login`` has stored, where a program gives no token."""

    def __repr__(self) -> str:
        return "STORED"


# Not asked itself: whoever takes it puts the stored login in its place.
STORED = cast("Callable[[], str]", _Stored())


class Source(Protocol):
    """What the kinds of sources have in common."""

    can_refresh: bool

    def get(self, force_refresh: bool, timeout: float | None = None) -> Token:
        """Get a token in at most ``timeout`` seconds, past every cache where that is asked for."""

    def request(self, force_refresh: bool, refused: AccessToken | None = None) -> Future[Token]:
        """Get a token in another thread; ``refused`` is one that a server would not take."""

    def give_up(self, future: Future[Token]) -> None:
        """Do not join anybody to the call of a request any more: it does not answer."""

    async def aget(
        self, force_refresh: bool, timeout: float | None = None, refused: AccessToken | None = None
    ) -> Token:
        """Get a token without blocking the event loop, in at most ``timeout`` seconds."""


def source(value: AsyncTokenSource, *, user: str, scopes: Sequence[str] = ()) -> Source:
    """Make a source of what the program has; the same one for the same thing, as long as it is in use.

    Raises:
        ConfigError: it is none of the known kinds.

    """
    value = hidden(value)
    if isinstance(value, Hidden):
        return FixedToken(checked(value, _no_source))
    if isinstance(value, AccessToken):
        return FixedToken(value)
    # A bound method is another object each time that it is looked up.
    identity = (id(getattr(value, "__self__", value)), id(getattr(value, "__func__", value)), user, tuple(scopes))
    with _in_use_lock:
        found = _in_use.get(identity)
        if found is None:
            found = _in_use[identity] = _new(value, user, scopes)
        return found


def _new(value: Any, user: str, scopes: Sequence[str]) -> Source:
    if hasattr(value, "acquire_token_silent"):
        return MsalToken(value, user, scopes)
    if hasattr(value, "refresh") and hasattr(value, "expiry"):
        return GoogleToken(value)
    if inspect.iscoroutinefunction(value):
        return AwaitedToken(value)
    if callable(value):
        return CalledToken(value)
    raise _no_source(value)


def _no_source(value: Any) -> ConfigError:
    """Say what a program gave in place of a token source, and never its value."""
    try:
        if value is None:
            return ConfigError("token is None: was the variable that it comes from ever set?")
        if isinstance(value, (bytes, bytearray, memoryview)):
            return ConfigError(f"token is {type(value).__name__}, not a str: decode it")
        if isinstance(value, Mapping) and "access_token" in value:
            return ConfigError("token is the whole answer of a token endpoint: give its access_token")
        if inspect.isawaitable(value):
            return ConfigError("token is an awaitable: give the async function itself, without calling it")
        kind = type(value).__name__
        return ConfigError(
            f"token must be a str, a function, google-auth credentials or an MSAL application, not {kind}"
        )
    finally:
        del value


# A source holds what it was made of, so that an identity is not used again while it is here.
_in_use: WeakValueDictionary[tuple[Any, ...], Source] = WeakValueDictionary()
_in_use_lock = threading.Lock()


class FixedToken:
    """The same token for ever."""

    can_refresh = False

    def __init__(self, token: AccessToken) -> None:
        self._token = Token(token, None)

    def get(self, force_refresh: bool, timeout: float | None = None) -> Token:
        """Return the token."""
        return self._token

    def request(self, force_refresh: bool, refused: AccessToken | None = None) -> Future[Token]:
        """Return the token."""
        future: Future[Token] = Future()
        future.set_result(self._token)
        return future

    def give_up(self, future: Future[Token]) -> None:
        """Do nothing: it always answers."""

    async def aget(
        self, force_refresh: bool, timeout: float | None = None, refused: AccessToken | None = None
    ) -> Token:
        """Return the token."""
        return self._token


# Calls of one source that may hang at a time: each holds a thread, and a source that never answers must not fill the
# process with them.
_HUNG_CALLS_MAX = 4


class _Call:
    """A call of the source that is under way."""

    def __init__(self, bypasses: bool, future: Future[Token], refused: AccessToken | None) -> None:
        self.bypasses = bypasses
        self.future = future
        self.refused = refused


class _Joined:
    """A source whose calls do not overlap.

    While one runs, at most one more waits: a request is joined to the call that runs, but not one that bypasses the
    cache to one that does not. A call that somebody gave up is not joined any more.
    """

    can_refresh = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: _Call | None = None
        self._next: _Call | None = None
        self._hung = 0

    def _call(self, force_refresh: bool, refused: AccessToken | None) -> Token:
        raise NotImplementedError

    def get(self, force_refresh: bool, timeout: float | None = None) -> Token:
        """Get a token; the call is made in another thread, so that one that hangs holds nobody up."""
        future = self.request(force_refresh)
        try:
            return future.result(timeout)
        except TimeoutError:
            if future.done():
                raise
            self.give_up(future)
            raise _late() from None

    def request(self, force_refresh: bool, refused: AccessToken | None = None) -> Future[Token]:
        """Get a token; the call is made in another thread."""
        future, call = self._enter(force_refresh, refused)
        if call is not None:
            self._run_aside(call)
        return future

    def give_up(self, future: Future[Token]) -> None:
        """Do not join anybody to this call any more: it does not answer."""
        with self._lock:
            if self._running is None or self._running.future is not future or self._hung >= _HUNG_CALLS_MAX:
                return
            self._hung += 1
            call = self._advance()
        if call is not None:
            self._run_aside(call)

    async def aget(
        self, force_refresh: bool, timeout: float | None = None, refused: AccessToken | None = None
    ) -> Token:
        """Get a token without blocking the event loop. When it is cancelled, the call goes on for those who wait."""
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not arrived.done():
                arrived.set_result(None)

        def tell(_: Future[Token]) -> None:
            # The loop may be closed before a slow source answers.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(wake)

        future = self.request(force_refresh, refused)
        future.add_done_callback(tell)
        try:
            async with _in_time(timeout):
                await arrived
        except (asyncio.CancelledError, TokenSourceFailed):
            self.give_up(future)
            raise
        return future.result()

    def _enter(self, force_refresh: bool, refused: AccessToken | None = None) -> tuple[Future[Token], _Call | None]:
        """Join a call, or make a new one, which the caller runs."""
        with self._lock:
            running = self._running
            if running is None:
                self._running = _Call(force_refresh, Future(), refused)
                return self._running.future, self._running
            if running.bypasses or not force_refresh:
                return running.future, None
            self._next = self._next or _Call(True, Future(), refused)
            return self._next.future, None

    def _advance(self) -> _Call | None:
        """Go on to the call that waits, if there is one."""
        self._running, self._next = self._next, None
        return self._running

    def _run_aside(self, call: _Call) -> None:
        # A call that hangs must not keep the program from ending.
        threading.Thread(target=self._run, args=(call,), name="mailbearer-token", daemon=True).start()

    def _run(self, first: _Call) -> None:
        call: _Call | None = first
        while call is not None:
            done = call.future
            token: Token | None = None
            problem: BaseException | None = None
            try:
                token = self._call(call.bypasses, call.refused)
            except BaseException as error:
                problem = error
            with self._lock:
                if self._running is call:
                    call = self._advance()
                else:
                    # It was given up, and others have gone on.
                    self._hung -= 1
                    call = None
            if token is not None:
                done.set_result(token)
            else:
                done.set_exception(problem)


class CalledToken(_Joined):
    """A function of the program."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function
        self._takes = _keywords(function)

    def _call(self, force_refresh: bool, refused: AccessToken | None) -> Token:
        with _failures("the token source"):
            return read_answer(self._function(**_asked(self._takes, force_refresh, refused)))


class AwaitedToken:
    """An async function of the program."""

    can_refresh = True

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._takes = _keywords(function)
        self._flight: _Flight | None = None

    def get(self, force_refresh: bool, timeout: float | None = None) -> Token:
        """Refuse: there is no event loop."""
        raise ConfigError("token is an async function: use mailbearer.aio, or give a plain function")

    def request(self, force_refresh: bool, refused: AccessToken | None = None) -> Future[Token]:
        """Refuse: there is no event loop."""
        raise ConfigError("token is an async function: use mailbearer.aio, or give a plain function")

    def give_up(self, future: Future[Token]) -> None:
        """Do nothing: what nobody waits for is cancelled."""

    async def aget(
        self, force_refresh: bool, timeout: float | None = None, refused: AccessToken | None = None
    ) -> Token:
        """Await the function, or the call of it that is under way. It is cancelled when nobody waits any more."""
        loop = asyncio.get_running_loop()
        flight = self._flight
        # One that nobody waits for is being cancelled.
        if flight is not None and (flight.loop is not loop or flight.task.done() or not flight.waiting):
            flight = None
        if flight is None or (force_refresh and not flight.bypasses):
            task = loop.create_task(self._call(force_refresh, refused, flight))
            self._flight = flight = _Flight(loop, task, force_refresh)
        flight.waiting += 1
        try:
            async with _in_time(timeout):
                return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            if not flight.task.cancelled() or (waiting is not None and waiting.cancelling()):
                raise
            # Nobody has cancelled who waits here: the function did that by itself.
            raise TokenSourceFailed("the token source was cancelled") from None
        finally:
            flight.waiting -= 1
            if not flight.task.done() and self._flight is flight:
                # Somebody gave it up: it may never answer, and nobody is joined to it any more.
                self._flight = None
            if not flight.waiting:
                flight.task.cancel()

    async def _call(self, force_refresh: bool, refused: AccessToken | None, before: _Flight | None) -> Token:
        if before is not None:
            await asyncio.wait([before.task])
        with _failures("the token source"):
            return read_answer(await self._function(**_asked(self._takes, force_refresh, refused)))


class _Flight:
    """A call that is under way in an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Token], bypasses: bool) -> None:
        self.loop = loop
        self.task = task
        self.bypasses = bypasses
        self.waiting = 0


class GoogleToken(_Joined):
    """``google.auth.credentials.Credentials``; they refresh themselves where they are past their time."""

    def __init__(self, credentials: Any) -> None:
        super().__init__()
        # What refreshes them.
        need("google.auth.transport.requests", "google-auth, or requests,", "google")
        self._credentials = credentials

    def _call(self, force_refresh: bool, refused: AccessToken | None) -> Token:
        with _failures("google-auth"):
            if force_refresh or not self._credentials.valid:
                self._refresh()
        return Token(token_of(self._credentials.token), self._expires_in_ms())

    def _refresh(self) -> None:
        from google.auth.exceptions import RefreshError

        try:
            self._credentials.refresh(_google_request())
        except RefreshError as error:
            # As with invalid_grant: the user has revoked the consent, or changed the password.
            text = f"google-auth could not refresh: {words_of(error)}"
            raise TokenSourceFailed(text, permanent=not error.retryable) from error

    def _expires_in_ms(self) -> int | None:
        expiry = self._credentials.expiry
        if expiry is None:
            return None
        # google-auth keeps naive times in UTC.
        left = expiry.replace(tzinfo=datetime.UTC) - datetime.datetime.now(datetime.UTC)
        return max(0, int(left.total_seconds() * 1000))


class MsalToken(_Joined):
    """An MSAL application: silently for an account, or for the client itself where it is confidential."""

    def __init__(self, application: Any, user: str, scopes: Sequence[str]) -> None:
        super().__init__()
        self._application = application
        self._user = user
        # MSAL adds offline_access by itself and refuses it as an argument.
        self._scopes = [scope for scope in scopes if scope != "offline_access"]
        if not self._scopes:
            raise ConfigError("token is an MSAL application, but no scopes are known: name the provider")

    def _call(self, force_refresh: bool, refused: AccessToken | None) -> Token:
        with _failures("MSAL"):
            answer = self._acquire(force_refresh)
        try:
            if not answer or "access_token" not in answer:
                reason = error_of(answer or {}) or "the user has not logged in with this application"
                permanent = (answer or {}).get("error") not in OUTAGES
                raise TokenSourceFailed(f"MSAL has no token: {reason}", permanent=permanent)
            return lives(answer["access_token"], answer.get("expires_in"))
        finally:
            # It may hold tokens, and a traceback the locals.
            del answer

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


@contextlib.asynccontextmanager
async def _in_time(timeout: float | None) -> AsyncIterator[None]:
    """Turn the end of the time into the error of a token source that does not answer."""
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise _late() from None
        raise


def _late() -> TokenSourceFailed:
    return TokenSourceFailed("the token source did not answer in time")


@contextlib.contextmanager
def _failures(of: str) -> Iterator[None]:
    """Turn what a source raises into one exception, which says what it said."""
    try:
        yield
    except Error:
        raise
    except _MISTAKES as error:
        raise TokenSourceMistake(f"{of} raised {words_of(error)}", permanent=True) from error
    except Exception as error:
        raise TokenSourceFailed(f"{of} raised {words_of(error)}") from error


# What Python raises for code that is wrong, and not for a network or a server that is.
_MISTAKES = (NameError, TypeError, AttributeError, ImportError, SyntaxError, NotImplementedError)


def _keywords(function: Callable[..., Any]) -> set[str]:
    """Find out what a function wants to be told."""
    try:
        return {"force_refresh", "refused"} & inspect.signature(function).parameters.keys()
    except (TypeError, ValueError):
        return set()


def _asked(takes: set[str], force_refresh: bool, refused: AccessToken | None) -> dict[str, Any]:
    return {name: value for name, value in (("force_refresh", force_refresh), ("refused", refused)) if name in takes}


def _google_request() -> Any:
    from google.auth.transport.requests import Request

    return Request()
