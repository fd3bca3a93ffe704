"""What an account tells of what happens, for logs and metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from ._core import Delivery
from .words import Cause, EventKind, MailProtocol


@dataclass(frozen=True, kw_only=True)
class SessionEvent:
    """Something that happened to an account or to one of its sessions. Its texts never carry a token.

    Attributes:
        kind: what happened.
        protocol: of the session; ``None``: it is of the whole account.
        user: whose account.
        session: the number of the session in its account, from one; ``None``: it is of the whole account.
        ticket: the number of the connection attempt.
        generation: the number of the connection that is online.
        cause: one of :data:`mailbearer.CAUSES`, where something failed or ended.
        text: more, in words: why a token is asked for, a sentence about the failure, or at ``discovered`` which servers
            were found for a domain that is not known, and who says so.
        seconds: how long it waits, or until when it is to be let go.
        error: what the token source raised, or the system, at ``token_failed``, ``login_failed`` and ``mistake``; its
            words are those of others, and may hold what should not be logged.

    """

    kind: EventKind
    protocol: MailProtocol | None
    user: str
    session: int | None = None
    ticket: int | None = None
    generation: int | None = None
    cause: Cause | None = None
    text: str | None = None
    seconds: float | None = None
    error: BaseException | None = field(default=None, repr=False)

    @classmethod
    def of(cls, one: Delivery, user: str, protocol: MailProtocol | None, error: BaseException | None) -> SessionEvent:
        """Make it of what the machine delivers."""
        return cls(
            kind=cast("EventKind", one.why),
            protocol=protocol,
            user=user,
            session=one.session,
            ticket=one.ticket,
            generation=one.generation,
            cause=one.cause,
            text=one.text,
            seconds=None if one.wait_ms is None else one.wait_ms / 1000,
            error=error,
        )


OnEvent: TypeAlias = Callable[[SessionEvent], object]
"""Called with each event, in any thread. It must not block: the sessions wait for it."""
