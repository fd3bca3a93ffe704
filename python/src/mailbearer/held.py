"""What a driver holds, sockets by ticket and waiters by session, and the I/O that makes them."""

from __future__ import annotations

import secrets
from typing import Any, Protocol

from ._core import AccessToken, Aftermath, Delivery, Verdict
from .clock import now_ms, wall_ms
from .dialogue import Dialogue


class Wire(Protocol):
    """A connection on its way, up to the login."""

    session: int
    dialogue: Dialogue

    def start_tls(self) -> None:
        """Do the handshake, and tell the machine."""

    def send(self, data: bytes) -> None:
        """Write all of it."""

    def pause(self) -> None:
        """Read no more."""

    def close(self) -> None:
        """Close it, and wake whoever waits in it."""


class Given(Protocol):
    """A connection that the program has."""

    ticket: int

    def keep_alive(self) -> None:
        """Let the mail client say something harmless, if nobody else uses it."""

    def renew(self, by_ms: int) -> None:
        """Take notice that it is to be let go."""

    def over(self, verdict: Verdict, aftermath: Aftermath | None) -> None:
        """Take notice of the end, and wake whoever reads."""

    def close(self) -> object:
        """Let it go."""

    def hang_up(self) -> None:
        """Close the connection under whoever uses it."""


class Waiter(Protocol):
    """Somebody who waits for a connection; ``None`` is the end of all."""

    def done(self) -> bool:
        """Whether it is answered, or nobody waits any more."""

    def cancelled(self) -> bool:
        """Whether nobody waits any more."""

    def result(self) -> Any:
        """Return the answer."""

    def exception(self) -> BaseException | None:
        """Return what is raised in its place."""

    def set_result(self, connection: Any) -> None:
        """Answer it."""

    def set_exception(self, error: BaseException) -> None:
        """Raise in its place."""


class Host:
    """The I/O below a driver."""

    def ask(self, request: int, force: bool, refused: AccessToken | None) -> None:
        """Ask the source; answer with :meth:`token_came` or :meth:`no_token`."""
        raise NotImplementedError

    def connect(self, ticket: int, session: int) -> Wire:
        """Begin a connection; answer with the facts of its ticket."""
        raise NotImplementedError

    def hand_over(self, wire: Wire, given: Delivery) -> Given:
        """Make the program's connection of one that is logged in."""
        raise NotImplementedError

    def new_waiter(self) -> Waiter:
        """Make something to wait for."""
        raise NotImplementedError

    def changed(self) -> None:
        """Wake the timer, and whoever looks at the state of a connection."""
        raise NotImplementedError

    def now_ms(self) -> int:
        """Milliseconds of a clock that goes on while the machine sleeps."""
        return now_ms()

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return wall_ms()

    def seed(self) -> int:
        """Return what decides all that is left to chance."""
        return secrets.randbits(64)
