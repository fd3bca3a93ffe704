"""How long sessions live, and what is done before their end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .errors import ConfigError

_TIMES = ("lead", "token_life_least", "token_timeout", "backoff_base", "backoff_max", "stable_after", "login_interval")


@dataclass(frozen=True, kw_only=True)
class SessionPolicy:
    """What a session is told about time, in seconds. Where nothing is said, the provider's profile decides.

    Whatever server and token source do, a session makes at most 60 logins in a day in which no session lasts: see
    ``docs/life-of-a-session.md``.

    Attributes:
        renewal: ``ahead``: let a session go before its end; ``at_end``: never, only what the server ends is replaced;
            ``overlap``: as ``ahead``, and the successor is logged in first (IMAP, where two connections are allowed).
        session_limit: how long the server lets a session live.
        ends_with_token: whether the server ends a session when the token that opened it expires.
        connections: how many connections the server allows for one user.
        token_lifetime: how long a token lives whose source does not say.
        lead: how long before the end a fresh token is asked for, and the session renewed; at most a quarter of what the
            session lives, and by half less or more at random.
        token_life_least: how long a token from a cache must still live to be used.
        token_timeout: how long a token may take to come.
        backoff_base: greatest wait after a first failure; it doubles with each.
        backoff_max: greatest wait of all; eight times that where the server limits rate or connections.
        stable_after: when a session has lasted, and the failures before it are forgotten.
        login_interval: least time between logins of which none lasts, after the first four. Only tests of short-lived
            tokens should lower it: the budget of logins is in this unit.

    Raises:
        ConfigError: a value that cannot work.

    """

    renewal: Literal["ahead", "at_end", "overlap"] = "ahead"
    session_limit: float | None = None
    ends_with_token: bool | None = None
    connections: int | None = None
    token_lifetime: float | None = None
    lead: float = 300.0
    token_life_least: float = 60.0
    token_timeout: float = 60.0
    backoff_base: float = 1.0
    backoff_max: float = 300.0
    stable_after: float = 60.0
    login_interval: float = 60.0

    def __post_init__(self) -> None:
        """Check every value."""
        if self.renewal not in ("ahead", "at_end", "overlap"):
            raise ConfigError("renewal is none of the known values: ahead, at_end, overlap")
        if self.ends_with_token not in (None, True, False):
            raise ConfigError("ends_with_token must be True, False or None")
        count = self.connections
        if count is not None and (not isinstance(count, int) or isinstance(count, bool) or not 0 < count < 2**32):
            raise ConfigError("connections must be a whole number, from one on")
        for name in ("session_limit", "token_lifetime"):
            if getattr(self, name) is not None:
                _ms(name, getattr(self, name))
        for name in _TIMES:
            _ms(name, getattr(self, name))

    def in_milliseconds(
        self, service: Mapping[str, Any], token_lifetime_ms: int | None, login_timeout: float
    ) -> dict[str, Any]:
        """Return what the machine takes, with what a provider's profile says where this says nothing."""
        limit_ms = service.get("session_ms") if self.session_limit is None else _ms("session_limit", self.session_limit)
        ends = service.get("ends_with_token", False) if self.ends_with_token is None else self.ends_with_token
        life_ms = token_lifetime_ms if self.token_lifetime is None else _ms("token_lifetime", self.token_lifetime)
        times = {f"{name}_ms": _ms(name, getattr(self, name)) for name in _TIMES}
        return {
            "renewal": self.renewal,
            "session_ms": limit_ms,
            "ends_with_token": ends,
            "idle_ms": service.get("idle_ms"),
            "connections": service.get("connections") if self.connections is None else self.connections,
            "token_lifetime_ms": life_ms,
            "login_timeout_ms": _ms("timeout", login_timeout),
            **times,
        }


def _ms(name: str, seconds: float) -> int:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < 1e9:
        raise ConfigError(f"{name} must be a number of seconds, from zero on")
    return round(seconds * 1000)
