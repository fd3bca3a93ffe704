"""What senders share: messages that wait, and what became of them. The core decides; this keeps texts and addresses."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from . import log
from ._core import Answer, Failure, Outbox, Outcome, Submit
from .clock import now_ms
from .errors import ConfigError
from .options import LoneOptions
from .outgoing import Outgoing
from .policy import SessionPolicy
from .proxy import hide_proxy
from .stored import of_store

_log = logging.getLogger("mailbearer")

SendStatus: TypeAlias = Literal["sent", "partly_sent", "refused", "unknown", "not_sent"]
"""What became of a message: see :class:`SendOutcome`."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a recipient does not get a message. ``str()`` of it is a sentence.

    Attributes:
        code: the server's reply code, as 550; ``None`` where it was not asked, as for a message above its size limit.
        failure: what that means, a :class:`~mailbearer.Failure`; ``None`` where the time was over before a server had
            said anything.
        is_permanent: whether the server will not take it at another time either. Else it was tried until its time
            (``give_up_after``) was over.

    """

    code: int | None
    failure: Failure | None
    is_permanent: bool

    @classmethod
    def of(cls, answer: Answer) -> Refusal:
        """Read it from what the core decided."""
        is_permanent = answer.failure is not None and (answer.code is None or answer.code >= 500)
        return cls(code=answer.code, failure=answer.failure, is_permanent=is_permanent)

    def __str__(self) -> str:
        if self.failure is None:
            return "Its time was over before a server could take it."
        return f"{self.code} {self.failure.sentence}" if self.code else self.failure.sentence


@dataclass(frozen=True, kw_only=True)
class SendOutcome:
    """What became of a message, for each recipient.

    Attributes:
        message_id: the message's Message-ID, with its angle brackets: by it the message is found in the Sent folder.
        accepted: for whom the server answers.
        refused: who does not get it, and why: a :class:`Refusal` for each.
        unknown: for whom the connection was lost behind the end of the message and before the server's answer: they may
            have it. It was not sent again.
        not_sent: who had not got it when the sender was closed.

    """

    message_id: str
    accepted: Sequence[str] = ()
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    unknown: Sequence[str] = ()
    not_sent: Sequence[str] = ()

    @property
    def status(self) -> SendStatus:
        """What became of it as a whole, the worst first.

        ``unknown`` and ``not_sent``: for at least one; ``refused``: for all; ``partly_sent``: refused for some;
        ``sent``: accepted for all.
        """
        if self.unknown:
            return "unknown"
        if self.not_sent:
            return "not_sent"
        if self.refused:
            return "partly_sent" if self.accepted else "refused"
        return "sent"


OnOutcome: TypeAlias = Callable[[SendOutcome], object]
"""Called with what became of each message; in a thread of the sender, or in its event loop. It must not block."""


class SenderOptions(LoneOptions, total=False):
    """What :func:`mailbearer.sender` is told: what :func:`mailbearer.sessions` is, and more. Times are seconds.

    Attributes:
        connections: how many connections send at the same time, at most; 1. They are opened where messages wait.
        limits: at most so many messages in any so many seconds, as ``[(1, 1), (100, 3600)]``; all of them hold. None.
        retry: greatest wait after a first refusal for now; it doubles with each, up to half an hour; 60.
        give_up_after: how long a message is tried before it counts as refused; 86400, a day.
        idle: how long a connection is kept for the next message; 60.
        close_timeout: how long the end of a ``with`` block waits for what is queued; 60.
        on_outcome: called with a :class:`SendOutcome` for each message.

    """

    connections: int
    limits: Sequence[tuple[int, float]]
    retry: float
    give_up_after: float
    idle: float
    close_timeout: float
    on_outcome: OnOutcome | None


@dataclass(frozen=True, kw_only=True)
class SenderSettings:
    """The options of a sender that are none of its sessions, checked."""

    connections: int = 1
    limits: Sequence[tuple[int, float]] = ()
    retry: float = 60.0
    give_up_after: float = 86_400.0
    idle: float = 60.0
    close_timeout: float = 60.0
    on_outcome: OnOutcome | None = None

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> SenderSettings:
        """Take them out of the keyword arguments of a sender.

        Raises:
            ConfigError: one of them cannot work.

        """
        own = {name: options.pop(name) for name in cls.__dataclass_fields__ if name in options}
        settings = cls(**own)
        if not _is_count(settings.connections):
            raise ConfigError("connections must be a whole number, from one on")
        for name in ("retry", "give_up_after", "idle", "close_timeout"):
            if not _is_seconds(getattr(settings, name)):
                raise ConfigError(f"{name} must be a number of seconds, from zero on")
        if not isinstance(settings.limits, (list, tuple)) or not all(map(_is_limit, settings.limits)):
            raise ConfigError("limits must be a list of pairs, a number of messages and seconds, as [(100, 3600)]")
        if settings.on_outcome is not None and not callable(settings.on_outcome):
            raise TypeError(f"on_outcome must be a function, not {type(settings.on_outcome).__name__}")
        return settings

    def outbox(self) -> Outbox:
        """Make the machine."""
        retry_ms = round(self.retry * 1000)
        return Outbox(
            limits=[(count, round(seconds * 1000)) for count, seconds in self.limits],
            retry_ms=retry_ms,
            retry_max_ms=max(retry_ms, 1_800_000),
            give_up_ms=round(self.give_up_after * 1000),
            seed=secrets.randbits(64),
        )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 20


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e9


def _is_limit(value: object) -> bool:
    # A list, as JSON has it.
    return isinstance(value, (list, tuple)) and len(value) == 2 and _is_count(value[0]) and _is_seconds(value[1])


class Told:
    """What was told so far of a message that is being sent."""

    def __init__(self, outgoing: Outgoing, tell: Callable[[SendOutcome], None]) -> None:
        self.outgoing = outgoing
        self.tell = tell
        self._answers: dict[int, Answer] = {}

    def note(self, answers: list[tuple[int, Answer]]) -> None:
        """Note last answers."""
        self._answers.update(answers)

    def outcome(self) -> SendOutcome:
        """Say what became of it: who has no last answer has not got it."""
        names = self.outgoing.recipients
        fates = {at: answer.fate for at, answer in self._answers.items()}
        return SendOutcome(
            message_id=self.outgoing.message_id,
            accepted=tuple(name for at, name in enumerate(names) if fates.get(at) == "accepted"),
            refused={
                name: Refusal.of(self._answers[at]) for at, name in enumerate(names) if fates.get(at) == "refused"
            },
            unknown=tuple(name for at, name in enumerate(names) if fates.get(at) == "unknown"),
            not_sent=tuple(name for at, name in enumerate(names) if at not in fates),
        )


@dataclass(frozen=True)
class Transaction:
    """One message on its way to the server."""

    number: int
    octets: bytes
    submit: Submit


class Queue:
    """Messages, and the machine that says which goes when. Whoever calls it does so in turn."""

    def __init__(self, settings: SenderSettings) -> None:
        self._outbox = settings.outbox()
        self._messages: dict[int, Told] = {}
        self._on_outcome = settings.on_outcome

    def add(self, outgoing: Outgoing, tell: Callable[[SendOutcome], None]) -> int:
        """Put a message in: its number. ``tell`` is called once, with what became of it."""
        number = self._outbox.add(now_ms(), len(outgoing.recipients))
        self._messages[number] = Told(outgoing, tell)
        return number

    def take_back(self, number: int) -> bool:
        """Take a message back that is not being sent."""
        if not self._outbox.take_back(number):
            return False
        self._tell(self._messages.pop(number))
        return True

    def __len__(self) -> int:
        return len(self._messages)

    def seconds_left(self) -> float | None:
        """How long until one may be sent; ``None``: none waits."""
        now = now_ms()
        at_ms = self._outbox.next_ms(now)
        return None if at_ms is None else (at_ms - now) / 1000

    def due(self) -> int:
        """How many could be sent now."""
        return self._outbox.due(now_ms())

    def take(self, capabilities: Sequence[str]) -> Transaction | None:
        """Take the next that may be sent now, for a server that can do this."""
        job = self._outbox.take(now_ms())
        if job is None:
            return None
        number, places = job
        outgoing = self._messages[number].outgoing
        submit = outgoing.submit([outgoing.recipients[at] for at in places], capabilities)
        return Transaction(number, outgoing.octets, submit)

    def settle(self, transaction: Transaction) -> None:
        """Decide what becomes of it now that it is over; the connection, too, may be."""
        outcome: Outcome = transaction.submit.outcome()
        answers, again_at_ms = self._outbox.settle(now_ms(), transaction.number, outcome)
        told = self._messages[transaction.number]
        told.note(answers)
        if again_at_ms is None:
            del self._messages[transaction.number]
            self._tell(told)

    def left(self) -> list[Told]:
        """Return what is not settled."""
        return list(self._messages.values())

    def abandon(self) -> None:
        """Say of all that are left that they were not sent."""
        left, self._messages = self.left(), {}
        for told in left:
            self._tell(told)

    def _tell(self, told: Told) -> None:
        outcome = told.outcome()
        told.tell(outcome)
        try:
            if self._on_outcome is not None:
                self._on_outcome(outcome)
        except Exception as error:
            # What only looks on must not end the sender.
            log.raised_by_the_program(f"on_outcome raised, at {outcome.message_id}", error)


def not_done(left: list[Told]) -> list[SendOutcome]:
    """Say what became of messages that were not done in time, but for those that were done after it."""
    outcomes = [told.outcome() for told in left]
    late = [outcome for outcome in outcomes if outcome.status in ("not_sent", "unknown")]
    if late:
        _log.warning("a sender was closed before it knew what became of %d messages", len(late))
    return late


def heard(data: bytes) -> bytes:
    """Return what was read. A connection that ends as its account is closed has nobody left who says why."""
    if not data:
        raise ConnectionResetError("the sender was closed")
    return data


@dataclass(frozen=True)
class Parts:
    """What a sender is told, taken apart: what is its own, its account's, and its sessions'."""

    settings: SenderSettings
    source: Any
    account: dict[str, Any]
    session: dict[str, Any]


# What an account is told, and not its sessions.
_OF_ACCOUNT = ("provider", "policy", "snapshot", "on_event")


def parts(user: str, token: Any, options: SenderOptions) -> Parts:
    """Take the options of a sender apart; an outage is waited out, unless a policy is given.

    Raises:
        ConfigError: one of its own cannot work, or there is no token.

    """
    session: dict[str, Any] = dict(options)
    settings = SenderSettings.taken_from(session)
    hide_proxy(session)
    account: dict[str, Any] = {name: session.pop(name, None) for name in _OF_ACCOUNT}
    account["policy"] = account["policy"] or SessionPolicy(first=None)
    place = session.get("host"), session.get("proxy")
    source, account["provider"] = of_store(user, token, account["provider"], *place)
    return Parts(settings, source, account, session)
