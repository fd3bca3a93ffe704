"""The exceptions of mailbearer: all of them are :class:`Error`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core import Failure


class Error(Exception):
    """Root of all exceptions of mailbearer."""


class ConfigError(Error, ValueError):
    """A setting cannot work. The text names the field and the place, never the value.

    >>> import mailbearer
    >>> mailbearer.AccessToken("two words")
    Traceback (most recent call last):
    mailbearer.errors.ConfigError: token has an octet that is not allowed at offset 3: remove it
    """


class Misuse(Error, RuntimeError):
    """The calling code is wrong: a call that does not fit the state of a machine."""


class InternalError(Error, RuntimeError):
    """A bug of mailbearer. Please report it."""


class TokenSourceFailed(Error):
    """The token source raised, or gave something that is no token. Its own exception is the cause."""


class LoginFailed(Error):
    """The login did not work. ``str()`` of it is a sentence that a person can act on.

    Attributes:
        failure: the :class:`~mailbearer.Failure` with ``cause``, ``advice``, ``certainty``, ``server_text``, ``code``,
            ``rejection``, ``wait_ms`` and ``url``.

    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.sentence)
        self.failure = failure

    def __reduce__(self) -> tuple[object, ...]:
        return _login_failed, (self.failure.to_dict(),)

    @property
    def cause(self) -> str:
        """What happened, as in ``token_rejected``: one of :data:`mailbearer.CAUSES`."""
        return self.failure.cause

    @property
    def advice(self) -> str:
        """What to do, as in ``refresh_token``: one of :data:`mailbearer.ADVICES`."""
        return self.failure.advice


def _login_failed(fields: dict[str, Any]) -> LoginFailed:
    """Make the exception again in another process."""
    # The core imports this module: it is there once somebody unpickles.
    from ._core import failure_of_fields

    return LoginFailed(failure_of_fields(**fields))
