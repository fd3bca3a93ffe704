"""What a driver holds: sockets by ticket, before and after they are given, and waiters by session."""

from __future__ import annotations

from typing import Any, Protocol

from ._core import Aftermath, Verdict


class Wire(Protocol):
    """A connection on its way, up to the login."""

    session: int

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

    def close(self) -> None:
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
