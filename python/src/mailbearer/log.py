"""What the logger ``mailbearer`` is told. Nothing is made up that nobody reads, and no record has a token.

``INFO``: a login, and what becomes of a session; ``WARNING``: what failed; ``DEBUG``: all else, and the dialogue.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from ._core import redact_source
from .hiding import shown_name
from .words import EventKind, Mechanism, Side, counted

if TYPE_CHECKING:
    from .errors import Error
    from .events import SessionEvent
    from .settings import Endpoint

logger = logging.getLogger("mailbearer")
# As a library ought to: a program that has set up no logging is told nothing on standard error.
logger.addHandler(logging.NullHandler())

LEVELS: dict[EventKind, int] = {
    "discovered": logging.INFO,
    "fetching_token": logging.DEBUG,
    "token_failed": logging.WARNING,
    "connecting": logging.DEBUG,
    "login_failed": logging.WARNING,
    "online": logging.INFO,
    "renewing": logging.INFO,
    "ended": logging.INFO,
    "waiting": logging.INFO,
    "limited": logging.WARNING,
    "needs_user": logging.WARNING,
    "gave_up": logging.WARNING,
    "mistake": logging.WARNING,
}
"""How loud each event is."""


class LoggedIn(Protocol):
    """A connection, of either kind."""

    endpoint: Endpoint
    mechanism: Mechanism
    round_trips: int
    seconds: float


Redact = Callable[[str], str]

# What is longer is not looked through for secrets.
_LOOKED_AT_CHARS = 400


def happened(event: SessionEvent, redact: Redact) -> None:
    """Log an event of an account, with the event itself as ``mailbearer_event`` of the record."""
    level = LEVELS[event.kind]
    if logger.isEnabledFor(level):
        # What the system says of a connection is in the sentence; of a source it is told where it was raised.
        error = event.error if event.kind in ("token_failed", "mistake") else None
        logger.log(
            level,
            "%s",
            event.message,
            exc_info=None if error is None else shown(error.__cause__ or error, redact),
            extra={"mailbearer_event": event},
        )


def logged_in(user: str, connection: LoggedIn) -> None:
    """Log a login that worked."""
    if logger.isEnabledFor(logging.INFO):
        place, how = connection.endpoint, connection.mechanism
        spent = f"{counted(connection.round_trips, 'round trip')} and {connection.seconds:.2f} seconds"
        logger.info("%s %s: logged in to %s with %s, in %s", shown_name(user), place.protocol, place, how, spent)


def login_failed(user: str, endpoint: Endpoint, error: Error) -> None:
    """Log a login that did not work; the program may be told nothing, where another one follows."""
    if logger.isEnabledFor(logging.WARNING):
        logger.warning("%s %s: could not log in to %s: %s", shown_name(user), endpoint.protocol, endpoint, error)


def token_failed(user: str, error: Error) -> None:
    """Log that the token source has none, with what it raised."""
    if logger.isEnabledFor(logging.WARNING):
        # The sentence has its words without what looks like a secret.
        logger.warning(
            "%s: there is no token: %s", shown_name(user), error, exc_info=shown(error.__cause__ or error, str)
        )


def in_haste(connections: int) -> None:
    """Log that a program logs in again and again, and does nothing with it."""
    logger.warning(
        "%d connections in a row were let go as soon as they came, with a login for each: "
        "is `with connection:` missing in the loop, or `connection.wait()` in it?",
        connections,
    )


def line(endpoint: Endpoint, side: Side, text: str) -> None:
    """Log a line of a dialogue, in which the token is masked already."""
    logger.debug("%s %s: %s", endpoint, side, text)


def is_dialogue_on() -> bool:
    """Whether anybody reads the dialogue."""
    return logger.isEnabledFor(logging.DEBUG)


def raised_by_the_program(what: str, error: Exception) -> None:
    """Tell of an exception in a function of the program that only looks on: it must not end the session."""
    logger.error("%s", what, exc_info=error)
    if not _is_set_up():
        # Else a mistake in it would never be seen.
        traceback.print_exception(error)


def _is_set_up() -> bool:
    one: logging.Logger | None = logger
    while one is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in one.handlers):
            return True
        one = one.parent if one.propagate else None
    return False


def shown(error: BaseException, redact: Redact) -> BaseException:
    """Return what a source raised, or where there may be a secret in its words, a stand-in with the same traceback."""
    if not any(_may_hold_a_secret(str(one), redact) for one in _chain(error)):
        return error
    kind = type(error)
    # By its name a log is searched.
    made: type[_StandIn] = type(kind.__name__, (_StandIn,), {"__module__": kind.__module__})
    return made(redact(redact_source(str(error)))).with_traceback(error.__traceback__)


class _StandIn(Exception):
    """Stands for an exception whose words may hold a secret."""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield all that a traceback would print."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, *(one.exceptions if isinstance(one, BaseExceptionGroup) else ())]


def _may_hold_a_secret(text: str, redact: Redact) -> bool:
    return len(text) > _LOOKED_AT_CHARS or "<secret>" in redact_source(text) or redact(text) != text
