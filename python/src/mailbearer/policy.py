"""How long sessions live, what is done before their end, and how long is waited for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .errors import ConfigError
from .front_door import front_door
from .words import Renewal

# What is of the whole account, and cannot differ between its sessions.
_OF_ACCOUNT = (
    "first",
    "later",
    "token_lifetime",
    "token_life_least",
    "token_timeout",
    "keep_alive",
    "answer",
    "unprobed_nap",
)
_OF_SESSION = ("lead", "backoff_base", "backoff_max", "stable_after", "login_interval")
_OF_BOTH = ("backoff_base", "backoff_max")
_OPTIONAL = ("session_limit", "first", "later", "token_lifetime")

# What may be nothing; the machine counts in milliseconds, up to a year.
_FROM_ZERO = ("session_limit", "token_life_least")
_LEAST_SECONDS, _MOST_SECONDS = 0.001, 31_536_000


@front_door("mailbearer.SessionPolicy")
@dataclass(frozen=True, kw_only=True)
class SessionPolicy:
    """What an account and its sessions are told about time, in seconds. Else the provider's profile decides.

    Whatever server and token source do, a session makes at most 60 logins in a day in which no session lasts: see
    ``docs/life-of-a-session.md``. A policy that is given to an :class:`~mailbearer.Account` holds for all its sessions.
    One that is given to :meth:`Account.sessions` takes its place for that session; what is of the whole account cannot
    be set there.

    Attributes:
        renewal: ``ahead``: let a session go before its end; ``at_end``: never, only what the server ends is replaced;
            ``overlap``: as ``ahead``, and the successor is logged in first (IMAP, where two connections are allowed).
        session_limit: how long the server lets a session live.
        ends_with_token: whether the server ends a session when the token that opened it expires.
        connections: how many connections the server allows for one user.
        lead: how long before the end a fresh token is asked for, and the session renewed; at most a quarter of what the
            session lives, and by half less or more at random.
        backoff_base: greatest wait after a first failure; it doubles with each.
        backoff_max: greatest wait of all; eight times that where the server limits rate or connections.
        stable_after: when a session has lasted, and the failures before it are forgotten.
        login_interval: least time between logins of which none lasts, after the first four. Only tests of short-lived
            tokens should lower it: the budget of logins is in this unit.
        first: of the account: how long failures are waited out before a session's first connection; then the last one
            is raised as :class:`~mailbearer.GaveUp`. ``None``: for ever. What cannot get better is raised at once.
        later: of the account: the same, once a session has been connected.
        token_lifetime: of the account: how long a token lives whose source does not say.
        token_life_least: of the account: how long a token must still live to be used, where the source has better ones.
        token_timeout: of the account: how long a token may take to come.
        keep_alive: of the account: whether connections that are idle are kept alive: every 4 to 9 minutes at random,
            and before the provider's idle limit.
        answer: of the account: how long an answer to that may take.
        unprobed_nap: of the account: a machine that slept for so long does not trust its connections any more; after a
            shorter nap they are asked.

    Raises:
        ConfigError: a value that cannot work.

    """

    renewal: Renewal = "ahead"
    session_limit: float | None = None
    ends_with_token: bool | None = None
    connections: int | None = None
    lead: float = 300.0
    backoff_base: float = 1.0
    backoff_max: float = 300.0
    stable_after: float = 60.0
    login_interval: float = 60.0
    first: float | None = 60.0
    later: float | None = None
    token_lifetime: float | None = None
    token_life_least: float = 60.0
    token_timeout: float = 60.0
    keep_alive: bool = True
    answer: float = 20.0
    unprobed_nap: float = 1800.0

    def __post_init__(self) -> None:
        """Check every value."""
        if self.renewal not in ("ahead", "at_end", "overlap"):
            raise ConfigError("renewal is none of the known values: ahead, at_end, overlap")
        if self.ends_with_token not in (None, True, False):
            raise ConfigError("ends_with_token must be True, False or None")
        if self.keep_alive not in (True, False):
            raise ConfigError("keep_alive must be True or False")
        count = self.connections
        if count is not None and (not isinstance(count, int) or isinstance(count, bool) or not 0 < count < 2**32):
            raise ConfigError("connections must be a whole number, from one on")
        for name in {*_OF_SESSION, *_OF_ACCOUNT, *_OPTIONAL} - {"keep_alive"}:
            if name not in _OPTIONAL or getattr(self, name) is not None:
                _ms(name, getattr(self, name))

        if self.backoff_max < self.backoff_base:
            raise ConfigError("backoff_max must not be less than backoff_base")

    def check_of_session(self) -> None:
        """Refuse what only an account can be told."""
        for one in fields(self):
            if one.name in _OF_ACCOUNT and getattr(self, one.name) != one.default:
                raise ConfigError(f"{one.name} is of the whole account: give it to Account(policy=...)")

    def of_account(self, token_lifetime_ms: int | None) -> dict[str, Any]:
        """Return what the machine takes for an account; tokens live as the provider's profile says."""
        names = [name for name in (*_OF_ACCOUNT, *_OF_BOTH) if name != "keep_alive"]
        times = {f"{name}_ms": _optional_ms(name, getattr(self, name)) for name in names}
        if self.token_lifetime is None:
            times["token_lifetime_ms"] = token_lifetime_ms
        return {"keep_alive": self.keep_alive, **times}

    def of_session(self, service: Mapping[str, Any], login_timeout: float) -> dict[str, Any]:
        """Return what the machine takes for a session, with what a provider's profile says where this says nothing."""
        limit_ms = service.get("session_ms") if self.session_limit is None else _ms("session_limit", self.session_limit)
        ends = service.get("ends_with_token", False) if self.ends_with_token is None else self.ends_with_token
        return {
            "renewal": self.renewal,
            "session_ms": limit_ms,
            "ends_with_token": ends,
            "idle_ms": service.get("idle_ms"),
            "connections": service.get("connections") if self.connections is None else self.connections,
            "login_timeout_ms": _ms("timeout", login_timeout),
            **{f"{name}_ms": _ms(name, getattr(self, name)) for name in _OF_SESSION},
        }


def _optional_ms(name: str, seconds: float | None) -> int | None:
    return None if seconds is None else _ms(name, seconds)


def _ms(name: str, seconds: float) -> int:
    least = 0 if name in _FROM_ZERO else _LEAST_SECONDS
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not least <= seconds <= _MOST_SECONDS:
        raise ConfigError(f"{name} must be a number of seconds, from {least} to {_MOST_SECONDS}, a year")
    return round(seconds * 1000)
