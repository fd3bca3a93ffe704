"""What the blocking sessions and those of asyncio have in common: they carry out the orders of the machine."""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ._core import Action, Aftermath, Plan, Verdict, failure_of_host, verdict_of_host
from .clock import now_ms
from .errors import Error, GaveUp, LoginFailed, NeedsUser
from .policy import SessionPolicy
from .settings import LoginOptions, MailProtocol, Settings, resolve
from .tokens import Source

_log = logging.getLogger("mailbearer")

EventKind: TypeAlias = Literal[
    "fetching_token",
    "token_failed",
    "connecting",
    "login_failed",
    "online",
    "renewing",
    "ended",
    "waiting",
    "needs_user",
    "gave_up",
]


@dataclass(frozen=True, kw_only=True)
class SessionEvent:
    """Something that happened to a session, for logs and metrics. It never carries a token.

    Attributes:
        kind: what happened.
        protocol, user: whose session.
        ticket: the number of the connection attempt.
        generation: the number of the session that is online.
        cause: one of :data:`mailbearer.CAUSES`, where something failed or ended.
        text: more, in words: why a token is asked for, or a sentence about the failure.
        seconds: how long it waits, or until when it is to be let go.

    """

    kind: EventKind
    protocol: str
    user: str
    ticket: int | None = None
    generation: int | None = None
    cause: str | None = None
    text: str | None = None
    seconds: float | None = None


OnEvent: TypeAlias = Callable[[SessionEvent], None]
"""Called with each event, in any thread. It must not block: the session waits for it."""


class SessionOptions(LoginOptions, total=False):
    """The keyword arguments of :func:`mailbearer.sessions`."""

    policy: SessionPolicy | None
    snapshot: bytes | None
    on_event: OnEvent | None


@dataclass(frozen=True)
class SessionSettings:
    """What a session is told, gathered from arguments and profile, but for its token."""

    login: Settings
    policy: SessionPolicy
    snapshot: bytes | None
    on_event: OnEvent | None

    @classmethod
    def of(cls, protocol: MailProtocol, user: str, options: SessionOptions) -> SessionSettings:
        """Check all of them, before any I/O."""
        login: dict[str, Any] = dict(options)
        policy = login.pop("policy", None)
        policy = SessionPolicy() if policy is None else policy
        snapshot = login.pop("snapshot", None)
        on_event = login.pop("on_event", None)
        if unknown := login.keys() - LoginOptions.__annotations__.keys():
            raise TypeError(f"sessions() got an unexpected keyword argument {min(unknown)!r}")
        if not isinstance(policy, SessionPolicy):
            raise TypeError(f"policy must be a SessionPolicy, not {type(policy).__name__}")
        if snapshot is not None and not isinstance(snapshot, bytes):
            raise TypeError(f"snapshot must be bytes, not {type(snapshot).__name__}")
        if on_event is not None and not callable(on_event):
            raise TypeError(f"on_event must be a function, not {type(on_event).__name__}")
        return cls(resolve(protocol, user, **login), policy, snapshot, on_event)


class Watched:
    """A connection that a session gave out. What both kinds of it know."""

    def __init__(self, ticket: int, generation: int, resumed: Aftermath | None) -> None:
        self.ticket = ticket
        self.generation = generation
        self.resumed = resumed
        self.renew_by_ms: int | None = None
        self.verdict: Verdict | None = None

    def end(self, verdict: Verdict) -> None:
        """Take notice of the end."""
        raise NotImplementedError

    def renew(self, by_ms: int) -> None:
        """Take notice that it is to be let go."""
        raise NotImplementedError


class Attempt:
    """A connection on its way, and the orders for it: whoever owns the socket carries them out."""

    def __init__(self, ticket: int) -> None:
        self.ticket = ticket
        self.orders: deque[Action] = deque()
        self.is_over = False
        self.problem: LoginFailed | None = None

    def interrupt(self) -> None:
        """Wake whoever waits in it."""
        raise NotImplementedError


class Driver:
    """Carries out the orders of a :class:`~mailbearer.Session`. The subclasses add sockets, threads or tasks."""

    def __init__(self, settings: SessionSettings, source: Source) -> None:
        seed = secrets.randbits(64)
        self.settings = settings.login
        self.session = self.settings.session(settings.policy, seed=seed, now_ms=now_ms(), snapshot=settings.snapshot)
        self.source = source
        self.wake_at_ms: int | None = None
        self.failure: LoginFailed | None = None
        self.is_running = False
        self.is_closed = False
        self._on_event = settings.on_event
        self._attempts: dict[int, Attempt] = {}
        self._online: dict[int, Watched] = {}
        self._let_go: list[int] = []
        self._is_in_call = False
        self._token_problem: Error | None = None
        self._host_problem: LoginFailed | None = None

    # ---- What the subclasses add -----------------------------------------------------------------------------

    def fetch_token(self, request: int, force_refresh: bool) -> None:
        """Ask the source; answer with :meth:`token_came`."""
        raise NotImplementedError

    def connect(self, ticket: int) -> None:
        """Begin an attempt, and register it."""
        raise NotImplementedError

    def woken(self) -> None:
        """Wake whoever waits for a connection, a stop, or a change of the next wake."""
        raise NotImplementedError

    # ---- What the program does -------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Work towards a connection: the program waits for one."""
        if not self.is_running:
            self.is_running = True
            self.failure = None
            self.tell(self.session.start)
        while self._let_go:
            self.tell(self.session.drained, self._let_go.pop(0))

    def note_let_go(self, ticket: int) -> None:
        """Take out a connection that the program has let go.

        The machine learns of it with :meth:`go_on`: a program that goes no further needs no other login.
        """
        if self._online.pop(ticket, None) is not None and not self.is_closed:
            self.note("ended", ticket=ticket, cause="no_fault")
            self._let_go.append(ticket)

    @property
    def is_due(self) -> bool:
        """Whether the machine wants to be woken now."""
        return self.wake_at_ms is not None and now_ms() >= self.wake_at_ms and not self._let_go

    # ---- Facts in, orders out --------------------------------------------------------------------------------

    def tell(self, answer: Callable[..., Plan], *facts: Any) -> Plan:
        """Tell the machine a fact, and carry out what it orders."""
        plan = answer(now_ms(), *facts)
        self.carry_out(plan)
        return plan

    def carry_out(self, plan: Plan) -> None:
        """Carry out a plan."""
        # Before the actions: an answer that one of them has at once brings a newer plan.
        changed = plan.wake_at_ms != self.wake_at_ms
        self.wake_at_ms = plan.wake_at_ms
        for action in plan.actions:
            self._carry_out(action)
        if changed and plan.wake_reason in ("back_off", "token_back_off") and plan.wake_at_ms == self.wake_at_ms:
            wait_ms = max(0, (plan.wake_at_ms or 0) - now_ms())
            self.note("waiting", text=plan.wake_reason, seconds=wait_ms / 1000)
        if plan.actions or changed:
            self.woken()

    def _carry_out(self, action: Action) -> None:
        ticket = action.ticket or 0
        match action.kind:
            case "fetch_token":
                assert action.request is not None
                self.note("fetching_token", text=action.why)
                if not self.is_closed:
                    self.fetch_token(action.request, bool(action.force_refresh))
            case "connect":
                self._host_problem = None
                self.note("connecting", ticket=ticket)
                if not self.is_closed:
                    self.connect(ticket)
            case "send" | "start_tls" | "online":
                if action.kind == "online":
                    self.note("online", ticket=ticket, generation=action.generation)
                self._attempts[ticket].orders.append(action)
            case "renew":
                self._renew(ticket, action)
            case "close":
                self._close(ticket, action.cause or "no_fault")
            case "needs_user" | "give_up":
                self._stop(action)
            case _:
                raise AssertionError(action.kind)

    def _renew(self, ticket: int, action: Action) -> None:
        assert action.by_ms is not None
        seconds = max(0, action.by_ms - now_ms()) / 1000
        self.note("renewing", ticket=ticket, text=action.why, seconds=seconds)
        if ticket in self._online:
            self._online[ticket].renew(action.by_ms)

    def _close(self, ticket: int, cause: str) -> None:
        attempt = self._attempts.get(ticket)
        if attempt is not None:
            attempt.is_over = True
            attempt.interrupt()
            self._note_login_failed(ticket)
        elif ticket in self._online:
            self.end_online(ticket, cause)

    def end_online(self, ticket: int, cause: str | None) -> None:
        """Take a connection out that was online, and tell it why."""
        connection = self._online.pop(ticket, None)
        if connection is None:
            return
        seen: Verdict = self.session.status()["last_ending"]
        if cause == "no_fault" and connection.renew_by_ms is not None:
            # It was not let go in time, while its successor is online already.
            cause = "session_limit"
        verdict = (
            seen if seen is not None and cause in (None, seen.cause) else verdict_of_host(cause or "session_ended")
        )
        connection.end(verdict)
        self.note("ended", ticket=ticket, cause=verdict.cause)

    def _note_login_failed(self, ticket: int) -> None:
        failure = self.session.status()["last_failure"]
        if failure is not None:
            self.note("login_failed", ticket=ticket, cause=failure.cause, text=failure.sentence)

    def _stop(self, action: Action) -> None:
        assert action.failure is not None
        kind: type[LoginFailed] = NeedsUser if action.kind == "needs_user" else GaveUp
        failure = kind(action.failure)
        problem = self._host_problem
        if action.failure.cause == "token_unavailable" and self._token_problem is not None:
            # The words of the source itself.
            failure = kind(failure_of_host("token_unavailable", str(self._token_problem)))
            failure.__cause__ = self._token_problem
        elif problem is not None and problem.cause == failure.cause:
            # What the host itself saw says more: which certificate, which address.
            failure = kind(problem.failure)
            failure.__cause__ = problem.__cause__
        self.failure = failure
        self.is_running = False
        self.note("needs_user" if action.kind == "needs_user" else "gave_up", cause=failure.cause, text=str(failure))

    # ---- What attempts report --------------------------------------------------------------------------------

    def attempt_ended(self, attempt: Attempt, problem: LoginFailed | None = None) -> None:
        """Tell the machine that an attempt found the end of its connection, or could not open it."""
        attempt.is_over = True
        if problem is None:
            plan = self.session.ended(now_ms(), attempt.ticket, None, None)
            self._note_login_failed(attempt.ticket)
            self.carry_out(plan)
            return
        self._host_problem = problem
        self.note("login_failed", ticket=attempt.ticket, cause=problem.cause, text=str(problem))
        self.tell(self.session.ended, attempt.ticket, None, problem.cause)

    def connection_lost(self, ticket: int, cause: str | None) -> None:
        """Tell the machine that a connection that was online has ended, and the connection why."""
        plan = self.session.ended(now_ms(), ticket, None, cause)
        self.end_online(ticket, None)
        self.carry_out(plan)

    def token_failed(self, request: int, error: Error) -> None:
        """Tell the machine that the source has no token."""
        self._token_problem = error
        # A token that is none, or a source that cannot be asked, does not get better.
        permanent = getattr(error, "permanent", True)
        self.note("token_failed", text=str(error))
        self.tell(self.session.token_failed, request, permanent)

    def note(self, kind: EventKind, **fields: Any) -> None:
        """Tell the program what happened."""
        if self._on_event is not None:
            protocol = self.settings.endpoint.protocol
            event = SessionEvent(kind=kind, protocol=protocol, user=self.settings.user, **fields)
            self._is_in_call = True
            try:
                self._on_event(event)
            except Exception:
                # What only looks on must not end the session.
                _log.exception("on_event raised, at %s", kind)
            finally:
                self._is_in_call = False
