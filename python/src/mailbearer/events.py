"""What an account tells of what happens, for logs and metrics."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from ._core import Delivery
from .words import Cause, EventKind, MailProtocol, counted


@dataclass(frozen=True, kw_only=True)
class SessionEvent:
    """Something that happened to an account or to one of its sessions. Its texts never carry a token.

    ``str()`` of it is a line for a log, with its time; ``message`` is the same without.

    Attributes:
        kind: what happened.
        time: when, in seconds since 1970, as :func:`time.time` counts.
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
    time: float = field(default_factory=time.time)

    @property
    def message(self) -> str:
        """The event in words, with whose it is and of which session.

        >>> import mailbearer
        >>> event = mailbearer.SessionEvent(
        ...     kind="waiting", protocol="imap", user="joe@gmail.com", session=1, cause="rate_limited", seconds=64.0
        ... )
        >>> event.message
        'joe@gmail.com imap 1 waits, 64 seconds (rate_limited)'

        """
        whose = " ".join(str(one) for one in (self.user, self.protocol, self.session) if one is not None)
        which = f", connection {self.generation}" if self.generation is not None else ""
        time_left = f", {counted(round(self.seconds), 'second')}" if self.seconds is not None else ""
        cause = f" ({self.cause})" if self.cause is not None else ""
        text = f": {self.text}" if self.text else ""
        return f"{whose} {_WORDS[self.kind]}{which}{time_left}{cause}{text}"

    def __str__(self) -> str:
        return f"{datetime.datetime.fromtimestamp(self.time).isoformat(' ', 'milliseconds')} {self.message}"

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


_WORDS: dict[EventKind, str] = {
    "discovered": "has looked its servers up",
    "fetching_token": "asks the token source",
    "token_failed": "has no token",
    "connecting": "connects",
    "login_failed": "could not log in",
    "online": "is online",
    "renewing": "is to be renewed",
    "ended": "is over",
    "waiting": "waits",
    "limited": "is limited",
    "needs_user": "needs a person",
    "gave_up": "gave up",
    "mistake": "has a token source that is wrong",
}

OnEvent: TypeAlias = Callable[[SessionEvent], object]
"""Called with each event, in any thread. It must not block: the sessions wait for it."""
