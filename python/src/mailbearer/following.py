"""One mailbox followed over a session's connection: what changes, and which messages are new.

The machine of the core speaks IMAP and decides; this moves octets, and gives the connection to the program between two
waits.
"""

from __future__ import annotations

import re
import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ._core import Follow, FollowEvent, FollowPlan
from .clock import now_ms
from .errors import ConfigError, MailboxRefused, Misuse, SessionTimedOut

if TYPE_CHECKING:
    from .session_connection import SessionConnection

# Longest wait for an answer to IDLE and DONE.
ANSWER_MS_MAX = 20_000

# How often who waits looks whether the connection is due.
_LOOK_MS = 500


@dataclass(frozen=True, kw_only=True)
class MailboxChange:
    """What changed in the mailbox that is selected.

    Attributes:
        exists: how many messages there are; ``None`` where the server did not say it.
        expunged: sequence numbers of messages that are gone, in the order in which the server said it.
        flagged: sequence numbers of messages whose flags the server told.

    """

    exists: int | None
    expunged: list[int]
    flagged: list[int]

    @classmethod
    def of(cls, event: FollowEvent) -> MailboxChange:
        """Read them from what the machine told."""
        return cls(exists=event.exists, expunged=event.expunged or [], flagged=event.flagged or [])


@dataclass(frozen=True, kw_only=True)
class NewMessages:
    """Messages of a mailbox that were not told before.

    Attributes:
        uids: their UIDs, ascending. A message may be gone by the time that it is fetched. Empty in the first, where no
            cursor was given as ``since``, which says where it begins; and with ``is_reset``.
        cursor: where the program stands once it has done with them: store it then, and give it back as ``since``.
        is_reset: whether the mailbox was made anew, so that UIDs of before mean nothing any more: no message is told
            with it, and what comes from now on is. To have all that is in it, begin with ``since`` of UID 1.

    """

    uids: list[int]
    cursor: str
    is_reset: bool = False

    @classmethod
    def of(cls, event: FollowEvent) -> NewMessages:
        """Read them from what the machine told."""
        return cls(uids=event.uids or [], cursor=event.cursor or "", is_reset=event.kind == "reset")


Told: TypeAlias = MailboxChange | NewMessages

TELLS: dict[str, Callable[[FollowEvent], Told]] = {
    "changed": MailboxChange.of,
    "messages": NewMessages.of,
    "reset": NewMessages.of,
}


def machine(connection: Any, mailbox: str | None, options: dict[str, Any]) -> Follow:
    """Make the machine that follows a mailbox over this connection."""
    if connection.endpoint.protocol != "imap":
        raise Misuse(f"{connection.endpoint.protocol} has no mailboxes to follow: use sessions of imap")
    capabilities = [one.upper() for one in connection.capabilities]
    has_idle = not capabilities or "IDLE" in capabilities
    # A server that is mute is noticed within two minutes, whatever time the program gives it for other answers.
    answer_ms = min(ANSWER_MS_MAX, round(connection.timeout * 1000))
    try:
        return Follow(mailbox, has_idle=has_idle, answer_ms=answer_ms, first_tag=connection.follow_tags, **options)
    except ConfigError as error:
        # The program gives a cursor as `since`.
        raise ConfigError(re.sub(r"^cursor\b", "since", str(error))) from None


def refused(event: FollowEvent, mailbox: str | None) -> MailboxRefused:
    """Say that a mailbox cannot be followed."""
    return MailboxRefused(event.text or "", code=event.code, mailbox=mailbox)


def late(connection: Any) -> SessionTimedOut:
    """Say that an answer did not come in time."""
    connection.lost("timed_out")
    return SessionTimedOut(connection.verdict)


def follow(connection: SessionConnection[Any], follow: Follow, mailbox: str | None) -> Iterator[Told]:
    """Follow, until the connection is due; while the program has what was told, the connection is the program's."""
    plan = follow.start(now_ms())
    # What a mail client has read already is not said again.
    held = connection.read_ahead()
    told: list[Told] = []
    while True:
        if plan.data:
            connection.sock.sendall(plan.data)
        if held:
            plan, held = follow.receive(now_ms(), held), b""
            continue
        is_free = False
        for event in plan.events:
            match event.kind:
                case "free":
                    is_free = True
                case "refused":
                    raise refused(event, mailbox)
                case "late":
                    raise late(connection)
                case _:
                    told.append(TELLS[event.kind](event))
        if is_free:
            connection.follow_tags = follow.tags
            if mailbox is not None:
                connection.note_selected()
            yield from told
            told.clear()
            if connection.is_due:
                return
            plan = follow.resume(now_ms())
        else:
            plan = _next(connection, follow, plan)


def _next(connection: SessionConnection[Any], follow: Follow, plan: FollowPlan) -> FollowPlan:
    """Wait for the server, for the time, or for the connection to be due."""
    while True:
        now = now_ms()
        if plan.wake_at_ms is not None and now >= plan.wake_at_ms:
            return follow.tick(now)
        if connection.renew_by_ms is not None and follow.state in ("idle", "resting"):
            return follow.interrupt(now)
        left_ms = _LOOK_MS if plan.wake_at_ms is None else min(_LOOK_MS, plan.wake_at_ms - now)
        if connection.verdict is not None or _can_read(connection, left_ms):
            return follow.receive(now_ms(), connection.sock.recv())


def _can_read(connection: SessionConnection[Any], left_ms: int) -> bool:
    if connection.sock.pending():
        return True
    readable, _, _ = select.select([connection.sock.fileno()], [], [], left_ms / 1000)
    return bool(readable)
