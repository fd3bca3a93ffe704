"""What a token source may be, as types: a checker finds what is none, and a function that returns no token."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping
from typing import Never, Protocol, TypeAlias, TypeVar

from ._core import AccessToken

AnswerT_co = TypeVar("AnswerT_co", covariant=True)

ExpiresAt: TypeAlias = float | str | datetime.datetime | None


class HasAccessToken(Protocol):
    """An OAuth response as an object: ``access_token``, and ``expires_in`` or ``expires_at`` where it has them."""

    @property
    def access_token(self) -> str:
        """The token."""


class HasToken(Protocol):
    """The same as azure-identity has it: ``token``, and ``expires_on``, seconds since 1970."""

    @property
    def token(self) -> str:
        """The token."""

    @property
    def expires_on(self) -> float:
        """When it expires."""


TokenAnswer: TypeAlias = (
    str | AccessToken | tuple[str | AccessToken, float | str | None] | Mapping[str, object] | HasAccessToken | HasToken
)
"""What a function returns: a token; a token and the seconds that it still lives; or an OAuth response, with
``access_token`` and ``expires_in`` or ``expires_at``."""


class AsksPastCaches(Protocol[AnswerT_co]):
    """A function that is told when a new token is needed, past every cache."""

    def __call__(self, *, force_refresh: bool) -> AnswerT_co:
        """Get a token."""


class HearsOfRefusals(Protocol[AnswerT_co]):
    """A function that is told which token a server did not take."""

    def __call__(self, *, refused: AccessToken | None) -> AnswerT_co:
        """Get a token."""


class HearsOfBoth(Protocol[AnswerT_co]):
    """A function that is told both."""

    def __call__(self, *, force_refresh: bool, refused: AccessToken | None) -> AnswerT_co:
        """Get a token."""


Asked: TypeAlias = (
    Callable[[], AnswerT_co] | AsksPastCaches[AnswerT_co] | HearsOfRefusals[AnswerT_co] | HearsOfBoth[AnswerT_co]
)
"""A function without arguments, or with the keywords ``force_refresh`` and ``refused``."""


class GoogleCredentials(Protocol):
    """``google.auth.credentials.Credentials``, or what has the same members."""

    @property
    def token(self) -> object:
        """The token, once there is one."""

    @property
    def expiry(self) -> object:
        """When it expires, in UTC."""

    @property
    def valid(self) -> bool:
        """Whether it may be used."""

    def refresh(self, request: Never, /) -> object:
        """Get a new one."""


class MsalApplication(Protocol):
    """``msal.PublicClientApplication`` or ``ConfidentialClientApplication``, or what has the same methods."""

    @property
    def get_accounts(self) -> Callable[..., object]:
        """Find the accounts of a user name."""

    @property
    def acquire_token_silent(self) -> Callable[..., object]:
        """Get a token without asking anybody."""


TokenSource: TypeAlias = str | AccessToken | Asked[TokenAnswer] | GoogleCredentials | MsalApplication
"""Where tokens come from: a token; a function that returns one; google-auth credentials; an MSAL application."""

AsyncTokenSource: TypeAlias = TokenSource | Asked[Awaitable[TokenAnswer]]
"""Where tokens come from in a program of asyncio: also an ``async`` function."""
