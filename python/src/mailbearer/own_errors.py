"""The last errors of the token source and of the system: what a machine without I/O cannot hold."""

from __future__ import annotations

from collections.abc import Callable

from ._core import Delivery, Failure
from .errors import ConfigError, Error, GaveUp, LoginFailed, NeedsUser, TokenSourceFailed, TokenSourceMistake


class OwnErrors:
    """Finds the error behind what the machine delivers, by the number of the request or of the connection."""

    def __init__(self) -> None:
        self._of_request: dict[int, Error] = {}
        self._of_session: dict[int, tuple[int, LoginFailed]] = {}

    def note_source(self, request: int, error: Error) -> None:
        """Keep what the source raised: this one, and the one before."""
        self._of_request = {**dict([*self._of_request.items()][-1:]), request: error}

    def note_system(self, session: int, ticket: int, problem: LoginFailed) -> None:
        """Keep what the system said of a connection: the last one of each session."""
        self._of_session[session] = (ticket, problem)

    def raised(self, one: Delivery) -> Error:
        """Make what the program sees of a failure, with the error behind it as its cause."""
        error = _ERRORS[one.why or ""](one.failure)  # type: ignore[arg-type]
        error.__cause__ = self.of(one)
        return error

    def of(self, one: Delivery) -> BaseException | None:
        """Find the error behind a failure or an event."""
        if one.request is not None:
            error = self._of_request.get(one.request)
            return error.__cause__ or error if isinstance(error, TokenSourceMistake) else error
        of_ticket = [problem for ticket, problem in self._of_session.values() if ticket == one.ticket]
        return of_ticket[0].__cause__ if of_ticket else None


def why(error: Error) -> str:
    """Say what kind of failure of a source this is."""
    if isinstance(error, TokenSourceMistake | ConfigError):
        return "mistake"
    return "permanent" if isinstance(error, TokenSourceFailed) and error.permanent else "outage"


def _mistake(failure: Failure) -> TokenSourceMistake:
    return TokenSourceMistake(failure.sentence, permanent=True)


_ERRORS: dict[str, Callable[[Failure], Error]] = {"needs_user": NeedsUser, "gave_up": GaveUp, "mistake": _mistake}
