"""What a login gave: a refresh token, and the newest access token."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ._core import AccessToken
from .hiding import Hidden

# An access token that lives for less than this is not handed out again: the login itself takes its time.
LEAST_SECONDS = 60.0


@dataclass(frozen=True)
class Grant:
    """The secrets of one account, each hidden from tracebacks and logs.

    Attributes:
        expires_at: seconds since 1970 when the access token ends; ``None``: the provider did not say.

    """

    refresh_token: Hidden
    access_token: Hidden
    expires_at: int | None
    client_secret: Hidden | None = None

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> Grant | None:
        """Read it from a store; ``None``: that is no grant."""
        refresh, access = members.get("refresh_token"), members.get("access_token")
        secret, expires_at = members.get("client_secret"), members.get("expires_at")
        try:
            if not isinstance(refresh, str) or not refresh or not isinstance(access, str | None):
                return None
            hidden_secret = Hidden(secret) if isinstance(secret, str) else None
            at = int(expires_at) if isinstance(expires_at, int | float) else None
            return cls(Hidden(refresh), Hidden(access or ""), at, hidden_secret)
        finally:
            del refresh, access, secret, members

    def members(self) -> dict[str, Any]:
        """Return what a store keeps, in plain."""
        plain = {
            "refresh_token": self.refresh_token.reveal(),
            "access_token": self.access_token.reveal(),
            "expires_at": self.expires_at,
        }
        return plain if self.client_secret is None else {**plain, "client_secret": self.client_secret.reveal()}

    def renewed(self, tokens: Tokens) -> Grant:
        """Put the answer to a refresh in place of what there was. Where no refresh token came, the old one holds."""
        refresh = tokens.refresh_token or self.refresh_token
        return replace(self, refresh_token=refresh, access_token=tokens.access_token, expires_at=tokens.expires_at)

    @property
    def lives_for(self) -> float:
        """Seconds that the access token still lives."""
        if not self.access_token.reveal():
            return 0.0
        return math.inf if self.expires_at is None else self.expires_at - time.time()

    def is_good(self, *others: AccessToken | None) -> bool:
        """Whether the access token may be handed out: it lives long enough, and is none of the others."""
        return self.lives_for > LEAST_SECONDS and self.token() not in others

    def token(self) -> AccessToken | None:
        """Return the access token, where there is one."""
        return AccessToken(self.access_token.reveal()) if self.access_token.reveal() else None

    def answer(self) -> tuple[AccessToken, float | None]:
        """Return what a token source does: the token, and its seconds."""
        lives = self.lives_for
        return AccessToken(self.access_token.reveal()), None if math.isinf(lives) else max(0.0, lives)


@dataclass(frozen=True)
class Tokens:
    """What a token endpoint gave."""

    access_token: Hidden
    refresh_token: Hidden | None
    expires_at: int | None
