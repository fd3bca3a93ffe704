"""What token sources return: a token, a token and its seconds, or an OAuth response; and what is none of these."""

from __future__ import annotations

import contextlib
import datetime
import difflib
import functools
import inspect
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ._core import AccessToken
from .errors import Error, TokenSourceFailed, TokenSourceMistake
from .hiding import Hidden, error_of, hidden


class Token(NamedTuple):
    """A token, and the milliseconds that it still lives, where that is known."""

    token: AccessToken
    expires_in_ms: int | None


# What token endpoints call an outage (RFC 6749 section 4.1.2.1, and Microsoft); every other error needs the user, or
# another configuration.
OUTAGES = ("temporarily_unavailable", "server_error", "service_not_available", "request_timeout", "slow_down")

# What is read of a response (RFC 6749 section 5.1). `expires_at` is what libraries add, `token` and `expires_on` are
# what azure-identity calls them.
_MEMBERS = ("access_token", "expires_in", "expires_at")
_OTHER_NAMES = {"token": "access_token", "expires_on": "expires_at"}
# Members of others that look like them.
_UNLIKE = ("ext_expires_in", "refresh_expires_in", "refresh_token", "refresh_token_expires_in", "id_token")


def read_answer(answer: Any) -> Token:
    """Read what a source returned."""
    try:
        if inspect.isawaitable(answer):
            close = getattr(answer, "close", None)
            if close is not None:
                close()
            raise _mistake("the token source is a function that returns an awaitable: make it an async function")
        members = _members(answer)
        if members is not None:
            return _read_response(answer, members)
        if isinstance(answer, tuple) and len(answer) == 2:
            return lives(*answer)
        return lives(answer, None)
    finally:
        # It may hold tokens, and a traceback the locals.
        del answer


def _members(answer: Any) -> dict[str, str] | None:
    """Return what a response has, by the names of the RFC; ``None``: it is none."""
    try:
        is_mapping = isinstance(answer, Mapping)
        if isinstance(answer, str | bytes | AccessToken | None | int | float) or type(answer) in (tuple, list, set):
            return None
        names = [name for name in (answer if is_mapping else dir(answer)) if isinstance(name, str) and name[:1] != "_"]
    finally:
        # It may hold tokens, and a traceback the locals.
        del answer
    found = {_OTHER_NAMES.get(name, name): name for name in names if name in (*_OTHER_NAMES, *_MEMBERS)}
    wrong = _misspelt(names, found)
    if wrong is not None:
        raise _mistake(f"the token source returned a response with {wrong[0]}: it is called {wrong[1]}")
    return found if is_mapping or "access_token" in found else None


def _misspelt(names: list[str], found: Mapping[str, str]) -> tuple[str, str] | None:
    """Find a member that is nearly one of those that are read."""
    for name in names:
        if name in (*_MEMBERS, *_OTHER_NAMES, *_UNLIKE):
            continue
        near = difflib.get_close_matches(name.lower().replace("-", "_"), _MEMBERS, n=1, cutoff=0.8)
        squeezed = {member.replace("_", ""): member for member in _MEMBERS}
        member = near[0] if near else squeezed.get(name.lower().replace("_", "").replace("-", ""))
        if member is not None and member not in found:
            return name, member
    return None


def _read_response(answer: Any, members: Mapping[str, str]) -> Token:
    try:
        if "access_token" not in members:
            raise _no_token(answer)
        get = answer.get if isinstance(answer, Mapping) else functools.partial(getattr, answer)
        said = {name: get(called) for name, called in members.items()}
    finally:
        del answer
    try:
        # `expires_in` counts from a moment in the past where the response was kept.
        at = said.get("expires_at")
        return lives(said["access_token"], said.get("expires_in") if at is None else _seconds_until(at))
    finally:
        del said, get


def _seconds_until(at: Any) -> float:
    if isinstance(at, datetime.datetime):
        # google-auth keeps naive times in UTC.
        at = (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp()
    seconds = _number(at)
    if not math.isfinite(seconds):
        raise _mistake("the token source gave an expires_at that is neither seconds since 1970 nor a datetime")
    return seconds - time.time()


def lives(token: Any, seconds: Any) -> Token:
    """Read how long a token lives. Microsoft's answers have it as text now and then."""
    try:
        return Token(token_of(token), None if seconds is None else _milliseconds(seconds))
    finally:
        # The two may have been given in the wrong order.
        del token, seconds


def _milliseconds(seconds: Any) -> int:
    number = _number(seconds)
    del seconds
    if not math.isfinite(number) or number > 1e9:
        raise _mistake("the token source gave a lifetime that is no number of seconds")
    return max(0, int(number * 1000))


def _number(value: Any) -> float:
    number = math.nan
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        number = float(value)
    del value
    return number


def token_of(value: Any) -> AccessToken:
    """Read a token: a text, or one that was checked already."""
    if isinstance(value, AccessToken):
        return value
    value = hidden(value)
    if isinstance(value, Hidden):
        return checked(value, _no_token)
    raise _no_token(value)


def checked(value: Hidden, refusal: Callable[[Any], Error]) -> AccessToken:
    """Check a token that is a text; of what is none, only the type is told."""
    if value.is_text:
        return AccessToken(value.reveal())
    raise refusal(value.reveal())


def _no_token(value: Any) -> TokenSourceFailed:
    """Say what a source returned in place of a token: what went wrong, where it says so, and never its value."""
    try:
        name = type(value).__name__
        kind = "None" if value is None else "bytes" if isinstance(value, bytes) else f"{_article(name)} {name}"
        error = error_of(value) if isinstance(value, Mapping) else None
        if error and isinstance(value, Mapping):
            text = f"the token source returned {kind} in place of a token: it says {error}"
            return TokenSourceFailed(text, permanent=value.get("error") not in OUTAGES)
        return _mistake(
            f"the token source returned {kind} in place of a token: return the access token, or (token, seconds)"
        )
    finally:
        del value


def _mistake(text: str) -> TokenSourceMistake:
    return TokenSourceMistake(text, permanent=True)


def _article(name: str) -> str:
    return "an" if name[:1] in "aeiouAEIOU" else "a"
