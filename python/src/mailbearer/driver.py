"""Carries out what an account's machine orders, and shows to the program what it delivers.

The machine decides; this compares no cause and counts nothing. It remembers sockets by ticket, waiters by session, and
the last error of the source and of the system. Subclasses add sockets, threads or tasks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from . import log, observing
from ._core import Account, AccountPlan, Delivery, Order, redact_source
from .account_settings import AccountSettings
from .answers import Token
from .dialogue import Dialogue, SessionDialogue
from .errors import Error, LoginFailed, Misuse
from .events import SessionEvent
from .facts import SessionStatus
from .held import Given, Host, Waiter, Wire
from .own_errors import OwnErrors, why
from .policy import SessionPolicy
from .settings import STAND_IN, Settings
from .tokens import Source
from .words import MailProtocol


class Driver(Host):
    """Facts in, orders out, deliveries to the program."""

    def __init__(self, settings: AccountSettings, source: Source) -> None:
        self.settings = settings
        self.source = source
        self.machine = Account(
            settings.user,
            policy=settings.policy.of_account(settings.token_lifetime_ms),
            seed=self.seed(),
            snapshot=settings.snapshot,
            now_ms=self.now_ms(),
            wall_ms=self.wall_ms(),
        )
        self.sessions: dict[int, Settings] = {}
        self.wires: dict[int, Wire] = {}
        self.given: dict[int, Given] = {}
        self.waiters: dict[int, Waiter] = {}
        self.wake_at_ms: int | None = None
        self.is_closed = False
        self.is_telling = False
        # The last one: it is masked in what is shown of logins.
        self.token = STAND_IN
        self.crash: BaseException | None = None
        self._facts: deque[tuple[Callable[..., AccountPlan], tuple[Any, ...]]] = deque()
        self._errors = OwnErrors()

    # ---- Facts -----------------------------------------------------------------------------------------------

    def tell(self, fact: Callable[..., AccountPlan], *said: Any) -> int:
        """Tell a fact, and do what comes of it, or afterwards if within that; returns what octets may be skipped."""
        self._facts.append((fact, said))
        if self.is_telling:
            return 0
        self.is_telling = True
        try:
            skip = self._tell_next()
            while self._facts:
                self._tell_next()
        finally:
            self.is_telling = False
        return skip

    def _tell_next(self) -> int:
        fact, said = self._facts.popleft()
        plan = fact(self.now_ms(), *said)
        if plan.orders or plan.deliveries or plan.wake_at_ms != self.wake_at_ms:
            self.carry_out(plan.orders)
            self.deliver(plan.deliveries)
            self.wake_at_ms = plan.wake_at_ms
            self.changed()
        return plan.skip

    def status_of(self, session: int | None, protocol: MailProtocol) -> SessionStatus:
        """Tell how one session stands; of one that is not there any more, or not yet, nothing is known."""
        sessions = self.machine.status()["sessions"]
        return next((one for one in sessions if one["session"] == session), _unknown(session, protocol))

    def add(self, settings: Settings, policy: SessionPolicy) -> int:
        """Add a session: its number."""
        key = settings.add_to(self.machine, policy)
        self.sessions[key] = settings
        if settings.discovered is not None:
            user, protocol = self.settings.user, settings.endpoint.protocol
            text = settings.discovered.sentence
            self._show(SessionEvent(kind="discovered", protocol=protocol, user=user, session=key, text=text))
        return key

    def has(self, session: int | None) -> bool:
        """Whether a session is there, and is not closed."""
        return not self.is_closed and session in self.sessions

    def want(self, session: int) -> Waiter:
        """Wait for a connection; the earlier one has been let go."""
        if self.crash is not None:
            raise self.crash
        if session in self.waiters:
            raise Misuse("somebody else waits for the next connection of these sessions already")
        waiter = self.waiters[session] = self.new_waiter()
        self.tell(self.machine.want, session)
        return waiter

    def no_longer(self, session: int, waiter: Waiter) -> None:
        """Take a wait back: it was cancelled."""
        if self.waiters.get(session) is waiter:
            del self.waiters[session]
            self.tell(self.machine.no_longer, session)
        elif waiter.done() and not waiter.cancelled() and not waiter.exception() and waiter.result():
            # It was answered in this moment.
            waiter.result().close()

    def token_came(self, request: int, token: Token) -> None:
        """Tell what the source gave."""
        self.token = token.token
        self.tell(self.machine.token, request, token.token, token.expires_in_ms)

    def no_token(self, request: int, error: Error) -> None:
        """Tell that the source has none, and why, in its own words."""
        self._errors.note_source(request, error)
        text = self.machine.redact(redact_source(str(error)))
        self.tell(self.machine.no_token, request, why(error), text)

    def ended(self, ticket: int, problem: LoginFailed | None = None) -> None:
        """Tell that a connection has ended, or could not be opened, and what the system said of it."""
        wire = self.wires.pop(ticket, None)
        if wire is not None:
            wire.dialogue.pause()
        if wire is not None and problem is not None:
            self._errors.note_system(wire.session, ticket, problem)
        self.tell(self.machine.ended, ticket, problem and problem.failure)

    def shut(self) -> None:
        """End all sessions: what was still to be told matters no more."""
        self.is_closed = True
        self._facts.clear()
        self.tell(self.machine.close)
        observing.closed(self)

    def fail(self, error: BaseException) -> None:
        """Raise to all who wait, and who come, what should not have happened: nothing goes on behind it."""
        self.crash = error
        for session in list(self.waiters):
            self._answer(session, error)
        self.changed()

    def new_dialogue(self, session: int) -> Dialogue:
        """Make what shows a login of a session."""
        settings = self.sessions[session]
        return SessionDialogue(settings.trace, settings.endpoint, self.machine.redact, self.token)

    # ---- Orders ----------------------------------------------------------------------------------------------

    def carry_out(self, orders: list[Order]) -> None:
        """Carry out orders, in the order in which they came."""
        for order in orders:
            getattr(self, order.kind)(order)

    def fetch_token(self, order: Order) -> None:
        """Ask the source; a newer request takes the place of an older one."""
        self.ask(order.request or 0, bool(order.force), order.refused)

    def open(self, order: Order) -> None:
        """Open a connection, and read from it."""
        ticket = order.ticket or 0
        self.wires[ticket] = self.connect(ticket, order.session or 0)

    def start_tls(self, order: Order) -> None:
        """Do the handshake."""
        self._wire(order, self._secure)

    def _secure(self, wire: Wire) -> None:
        wire.dialogue.pause()
        wire.start_tls()

    def send(self, order: Order) -> None:
        """Write all of it."""
        self._wire(order, lambda wire: self._say(wire, order))

    def _say(self, wire: Wire, order: Order) -> None:
        wire.dialogue.sent(order.data or b"", bool(order.sensitive))
        wire.send(order.data or b"")

    def pause(self, order: Order) -> None:
        """Read no more until it is given."""
        self._wire(order, self._stop)

    def _stop(self, wire: Wire) -> None:
        wire.dialogue.pause()
        wire.pause()

    def keep_alive(self, order: Order) -> None:
        """Let the mail client say something harmless, if it can."""
        given = self.given.get(order.ticket or 0)
        if given is not None:
            given.keep_alive()

    probe = keep_alive

    def close(self, order: Order) -> None:
        """Close the socket."""
        ticket = order.ticket or 0
        wire, given = self.wires.pop(ticket, None), self.given.get(ticket)
        if wire is not None:
            wire.dialogue.pause()
            wire.close()
        elif given is not None:
            given.hang_up()

    def _wire(self, order: Order, do: Callable[[Wire], None]) -> None:
        wire = self.wires.get(order.ticket or 0)
        if wire is not None:
            do(wire)

    # ---- Deliveries ------------------------------------------------------------------------------------------

    def deliver(self, deliveries: list[Delivery]) -> None:
        """Show to the program what there is, in the order in which it came."""
        for one in deliveries:
            getattr(self, one.kind if one.kind != "raise" else "raise_")(one)

    def give(self, one: Delivery) -> None:
        """Give a connection to who waits for it."""
        ticket = one.ticket or 0
        connection = self.hand_over(self.wires.pop(ticket), one)
        self.given[ticket] = connection
        if not self._answer(one.session or 0, connection):
            # The wait was cancelled in this moment.
            connection.close()

    def raise_(self, one: Delivery) -> None:
        """Raise to who waits."""
        self._answer(one.session or 0, self._errors.raised(one))

    def end(self, one: Delivery) -> None:
        """End an iteration."""
        self._answer(one.session or 0, None)

    def renew(self, one: Delivery) -> None:
        """Tell a connection that it is to be let go."""
        if (given := self.given.get(one.ticket or 0)) is not None:
            given.renew(one.by_ms or 0)

    def over(self, one: Delivery) -> None:
        """Tell a connection that it has ended."""
        given = self.given.pop(one.ticket or 0, None)
        if given is not None and one.verdict is not None:
            given.over(one.verdict, one.aftermath)

    def event(self, one: Delivery) -> None:
        """Tell the program what happened."""
        settings = self.sessions.get(one.session or 0)
        protocol = settings.endpoint.protocol if settings else None
        event = SessionEvent.of(one, self.settings.user, protocol, self._errors.of(one))
        observing.happened(self, event, settings.endpoint if settings else None)
        self._show(event)

    def _show(self, event: SessionEvent) -> None:
        # A discovery tells the log by itself.
        if event.kind != "discovered":
            log.happened(event, self.machine.redact)
        try:
            if self.settings.on_event is not None:
                self.settings.on_event(event)
        except Exception as error:
            log.raised_by_the_program(f"on_event raised, at {event.kind}", error)

    def _answer(self, session: int, answer: Given | BaseException | None) -> bool:
        """Answer who waits; false where nobody does any more."""
        waiter = self.waiters.pop(session, None)
        if waiter is None or waiter.done():
            return False
        if isinstance(answer, BaseException):
            waiter.set_exception(answer)
        else:
            waiter.set_result(answer)
        return True


def _unknown(session: int | None, protocol: MailProtocol) -> SessionStatus:
    return {
        "session": session,
        "protocol": protocol,
        "standing": "unwanted",
        "is_wanted": False,
        "given": None,
        "phase": "stopped",
        "generation": 0,
        "ticket": None,
        "online_since_ms": None,
        "ends_at_ms": None,
        "retry_at_ms": None,
        "failures": 0,
        "learnt_session_ms": None,
        "learnt_ends_with_token": None,
        "last_failure": None,
        "last_ending": None,
    }
