"""Plays the cases of the kind ``account``: through the binding, and through the driver of the front doors.

The driver has simulated I/O below it: no sockets, no threads, and a clock that the case sets. What is compared then is
what the driver did with its I/O, and what the program saw.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import mailbearer
from mailbearer import _core
from mailbearer.account_settings import AccountSettings
from mailbearer.answers import Token
from mailbearer.dialogue import Dialogue
from mailbearer.driver import Driver
from mailbearer.failures import failed
from mailbearer.settings import Endpoint, Settings

WORDS = {
    "imap": [
        "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] ready\r\n",
        "A0001 OK in\r\n",
    ],
    "pop3": ["+OK ready\r\n", "+OK\r\nSASL XOAUTH2 OAUTHBEARER\r\n.\r\n", "+OK in\r\n"],
    "smtp": [
        "220 mail.example.test ESMTP\r\n",
        "250-mail.example.test\r\n250-AUTH XOAUTH2 OAUTHBEARER\r\n250 ENHANCEDSTATUSCODES\r\n",
        "235 ok\r\n",
    ],
}


# Nothing is connected.
_UNUSED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class CaseFailed(Exception):
    """A case does not hold."""


class Player:
    """Tells the steps of a case, and compares what came of them."""

    def __init__(self, case: dict[str, Any], deal: Callable[..., Iterator[bytes]]) -> None:
        self.case = case
        self.deal = deal
        self.seed = case.get("seed", 1)
        self.now_ms = 0
        self.wake_at_ms: int | None = None
        self.ticket = self.request = self.given = 0
        self.protocols: list[str] = []
        self.owners: dict[int, int] = {}
        # What came since the last look, in the words of the case files.
        self.orders: list[str] = []
        self.deliveries: list[str] = []
        self.events: list[str] = []
        self.raised: list[str] = []
        self.begin(None)

    # ---- What the two ways add -------------------------------------------------------------------------------

    def begin(self, snapshot: bytes | None) -> None:
        """Make an account, and its sessions."""
        raise NotImplementedError

    def tell(self, name: str, *said: Any) -> None:
        """Tell a fact by its name."""
        raise NotImplementedError

    def snapshot(self) -> bytes:
        raise NotImplementedError

    def sent(self, ticket: int, data: bytes) -> None:
        raise NotImplementedError

    def standing(self, session: int) -> str | None:
        raise NotImplementedError

    # ---- The case --------------------------------------------------------------------------------------------

    def play(self, cut: Any) -> None:
        for index, step in enumerate(self.case["steps"]):
            try:
                self.step(index, step, cut)
            except CaseFailed as failure:
                raise CaseFailed(f"step {index + 1}: {failure}") from None

    def step(self, index: int, step: dict[str, Any], cut: Any) -> None:
        at = step.get("at", self.now_ms)
        self.now_ms = (self.wake_at_ms or 0) if at == "wake" else at
        for came in (self.orders, self.deliveries, self.events, self.raised):
            came.clear()
        try:
            self.say(index, step, cut)
        except mailbearer.Misuse as misuse:
            if not step.get("misuse"):
                raise CaseFailed(f"a misuse: {misuse}") from None
            return
        if step.get("misuse"):
            raise CaseFailed("expected a misuse, came none")
        for key, came in (("orders", self.orders), ("deliveries", self.deliveries)):
            if came != step.get(key, []):
                raise CaseFailed(f"expected the {key} {step.get(key, [])}, came {came}")
        if self.events != step.get("events", self.events):
            raise CaseFailed(f"expected the events {step['events']}, came {self.events}")
        for session, standing in step.get("standing", {}).items():
            if self.standing(int(session)) != standing:
                raise CaseFailed(f"expected {session} to be {standing}, it is {self.standing(int(session))}")
        if "says" in step and not any(step["says"] in sentence for sentence in self.raised):
            raise CaseFailed(f"expected {step['says']!r} to be said, came {self.raised}")
        self.check_wake(step)

    def check_wake(self, step: dict[str, Any]) -> None:
        wait_ms = None if self.wake_at_ms is None else self.wake_at_ms - self.now_ms
        if wait_ms is not None and wait_ms <= 0 and "sent" not in step:
            raise CaseFailed("a wake that is not in the future")
        match step.get("wake", "any"):
            case "any":
                return
            case None if wait_ms is None:
                return
            case [least, most] if wait_ms is not None and least <= wait_ms <= most:
                return
            case expected:
                raise CaseFailed(f"expected a wake in {expected}, came {wait_ms}")

    def say(self, index: int, step: dict[str, Any], cut: Any) -> None:
        ticket, request = step.get("ticket", self.ticket), step.get("request", self.request)
        given = step.get("ticket", self.given)
        match step:
            case {"server": text}:
                ticket = step.get("ticket", max(self.ticket, self.given))
                for piece in self.deal(text.encode("latin-1"), step, index, cut):
                    self.tell("receive", ticket, piece)
            case {"sent": text}:
                self.sent(given, text.encode("latin-1"))
            case {"logs_in": True}:
                self.tell("opened", ticket)
                for line in WORDS[self.protocols[self.owners[ticket] - 1]]:
                    self.tell("receive", ticket, line.encode())
            case {"restart": int(dead_ms)}:
                snapshot = self.snapshot()
                self.now_ms += dead_ms
                self.seed += 1
                self.begin(snapshot)
                self.tell("tick")
            case {"want": session}:
                self.tell("want", session)
            case {"no_longer": session}:
                self.tell("no_longer", session)
            case {"remove": session}:
                self.tell("remove", session)
            case {"let_go": True}:
                self.tell("let_go", given)
            case {"answered": True}:
                self.tell("answered", given)
            case {"close": True} | {"retry": True} | {"tick": True}:
                self.tell(next(name for name in ("close", "retry", "tick") if name in step))
            case {"opened": True} | {"secured": True}:
                self.tell("opened" if "opened" in step else "secured", ticket)
            case {"network": word}:
                self.tell(f"network_{word}")
            case {"slept": ms}:
                self.tell("slept", ms)
            case {"ended": True}:
                self.tell("ended", ticket, problem_of(step.get("problem", {})))
            case {"token": token}:
                self.tell("token", request, token, step.get("lives_ms"))
            case {"no_token": why}:
                self.tell("no_token", request, why, step.get("text", ""))
            case _:
                raise CaseFailed(f"a step that is not known: {step}")

    def note_open(self, ticket: int, session: int) -> None:
        self.ticket = ticket
        self.owners[ticket] = session


def problem_of(problem: dict[str, str]) -> Any:
    """What a host makes of what its system says."""
    error, words = problem.get("error", ""), problem.get("words", "")
    match problem.get("stage"):
        case "name" | "connect":
            return mailbearer.LoginFailed(_core.failure_of_connect(error, words))
        case "tls":
            return mailbearer.LoginFailed(_core.failure_of_tls(error, words))
        case "read" | "write":
            return failed("connection_lost", words)
        case "late":
            return failed("timed_out", words)
        case _:
            return None


def service_of(session: str | dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return a session's protocol, endpoint and policy."""
    said: dict[str, Any] = {"protocol": session} if isinstance(session, str) else session
    service: dict[str, Any] = {"host": "mail.example.test", "tls": said.get("tls", "implicit")}
    if "provider" in said:
        service = mailbearer.Provider.named(said["provider"]).service(said["protocol"]) or {}
    return said["protocol"], service, said.get("policy", {})


# ---- Through the binding ---------------------------------------------------------------------------------------------


class BindingPlayer(Player):
    """Tells the binding's ``Account``."""

    def begin(self, snapshot: bytes | None) -> None:
        self.machine = _core.Account(
            "user@example.test",
            seed=self.seed,
            policy={"keep_alive": False} | self.case.get("account", {}),
            snapshot=snapshot,
            now_ms=self.now_ms,
            wall_ms=self.now_ms,
        )
        self.protocols.clear()
        for session in self.case["sessions"]:
            protocol, service, policy = service_of(session)
            limits = {name: service[name] for name in ("session_ms", "idle_ms", "connections") if name in service}
            self.protocols.append(protocol)
            self.machine.add(protocol, host=service["host"], tls=service["tls"], policy=limits | policy)

    def tell(self, name: str, *said: Any) -> None:
        if name == "ended":
            said = said[0], said[1] and said[1].failure
        plan = getattr(self.machine, name)(self.now_ms, *said)
        for order in plan.orders:
            self.orders.append(spelled_order(order))
            if order.kind == "open":
                self.note_open(order.ticket, order.session)
            self.request = order.request or self.request
        for one in plan.deliveries:
            self.note(one)
        self.wake_at_ms = plan.wake_at_ms

    def note(self, one: _core.Delivery) -> None:
        match one.kind:
            case "event":
                self.events.append(spelled(one.why, one.session, one.cause))
            case "give":
                self.given = one.ticket or 0
                self.deliveries.append(spelled("give", one.session, one.generation))
            case "renew":
                self.deliveries.append(spelled("renew", one.ticket, one.why))
            case "over":
                assert one.verdict is not None
                self.deliveries.append(spelled("over", one.ticket, one.verdict.cause))
            case "raise":
                assert one.failure is not None
                self.raised.append(one.failure.sentence)
                self.deliveries.append(spelled("raise", one.session, one.why, one.failure.cause))
            case _:
                self.deliveries.append(spelled(one.kind, one.session))

    def snapshot(self) -> bytes:
        return self.machine.snapshot(self.now_ms)

    def sent(self, ticket: int, data: bytes) -> None:
        self.machine.sent(ticket, data)

    def standing(self, session: int) -> str | None:
        return self.machine.standing(session)


def spelled(*words: Any) -> str:
    return " ".join(str(word) for word in words if word is not None)


def spelled_order(order: _core.Order) -> str:
    match order.kind:
        case "fetch_token":
            return spelled("fetch_token", "forced" if order.force else None, "refused" if order.refused else None)
        case "open":
            return spelled("open", order.session, order.attempt)
        case "send":
            return spelled("send", "token" if order.sensitive else None)
        case "start_tls":
            return "start_tls"
        case _:
            return spelled(order.kind, order.ticket)


# ---- Through the driver ----------------------------------------------------------------------------------------------


class DriverPlayer(Player):
    """Tells the driver of the front doors, as its I/O and a program would."""

    def begin(self, snapshot: bytes | None) -> None:
        account = {name.removesuffix("_ms"): value for name, value in self.case.get("account", {}).items()}
        times = {name: value if name == "keep_alive" else value / 1000 for name, value in account.items()}
        settings = AccountSettings(
            user="user@example.test",
            policy=mailbearer.SessionPolicy(**{"keep_alive": False} | times),
            snapshot=snapshot,
            on_event=lambda event: self.events.append(spelled(event.kind, event.session, event.cause)),
            provider=None,
            scopes=(),
            token_lifetime_ms=None,
        )
        self.driver = SimulatedDriver(self, settings)
        self.waits: dict[int, Future[Any]] = {}
        self.protocols.clear()
        for session in self.case["sessions"]:
            protocol, service, policy = service_of(session)
            self.protocols.append(protocol)
            self.driver.add(*configured(protocol, service, dict(policy)))

    def tell(self, name: str, *said: Any) -> None:
        driver, machine = self.driver, self.driver.machine
        match name, said:
            case "want", [session]:
                waiter: Any = driver.want(session)
                self.waits[session] = waiter
                waiter.add_done_callback(lambda done: self.answered(session, done))
            case "no_longer", [session] if session in self.waits:
                driver.no_longer(session, self.waits[session])
            case "let_go", [ticket] if ticket in driver.given:
                driver.given[ticket].close()
            case "close", []:
                driver.shut()
            case "token", [request, token, lives_ms]:
                driver.token_came(request, Token(mailbearer.AccessToken(token), lives_ms))
            case "no_token", [request, why, text]:
                driver.no_token(request, source_error(why, text))
            case "ended", [ticket, problem]:
                driver.ended(ticket, problem)
            case _:
                driver.tell(getattr(machine, name), *said)
        self.wake_at_ms = driver.wake_at_ms

    def answered(self, session: int, done: Future[Any]) -> None:
        """Note what the program sees in answer to its wait."""
        error = done.exception()
        if error is not None:
            kinds = {"NeedsUser": "needs_user", "GaveUp": "gave_up", "TokenSourceMistake": "mistake"}
            cause = error.cause if isinstance(error, mailbearer.LoginFailed) else "token_unavailable"
            self.raised.append(str(error))
            self.deliveries.append(spelled("raise", session, kinds[type(error).__name__], cause))
        elif done.result() is None:
            self.deliveries.append(spelled("end", session))
        else:
            self.given = done.result().ticket
            self.deliveries.append(spelled("give", session, done.result().generation))

    def snapshot(self) -> bytes:
        return self.driver.machine.snapshot(self.now_ms)

    def sent(self, ticket: int, data: bytes) -> None:
        self.driver.machine.sent(ticket, data)

    def standing(self, session: int) -> str | None:
        return self.driver.machine.standing(session)


def configured(
    protocol: Any, service: dict[str, Any], policy: dict[str, Any]
) -> tuple[Settings, mailbearer.SessionPolicy]:
    tls = service["tls"]
    port = service.get("port") or {"imap": 993, "pop3": 995, "smtp": 465}[protocol]
    limits = {"idle_ms": policy.pop("idle_ms", service.get("idle_ms"))}
    session_ms = policy.pop("session_ms", None)
    settings = Settings(
        endpoint=Endpoint(protocol, service["host"], port, tls),
        user="user@example.test",
        ssl_context=_UNUSED,
        timeout=60.0,
        service=service | limits,
    )
    limit = None if session_ms is None else session_ms / 1000
    return settings, mailbearer.SessionPolicy(session_limit=limit, **policy)


def source_error(why: str, text: str) -> mailbearer.Error:
    """What a token source raises."""
    if why == "mistake":
        return mailbearer.TokenSourceMistake(text, permanent=True)
    return mailbearer.TokenSourceFailed(text, permanent=why == "permanent")


class SimulatedDriver(Driver):
    """I/O that only notes what it is told to do."""

    def __init__(self, player: DriverPlayer, settings: AccountSettings) -> None:
        self.player = player
        super().__init__(settings, None)  # type: ignore[arg-type]

    def seed(self) -> int:
        return self.player.seed

    def now_ms(self) -> int:
        return self.player.now_ms

    wall_ms = now_ms

    def carry_out(self, orders: list[_core.Order]) -> None:
        for order in orders:
            noted = len(self.player.orders)
            super().carry_out([order])
            if order.kind == "open":
                self.player.note_open(order.ticket or 0, order.session or 0)
                self.player.orders[-1] += f" {order.attempt}"
            if order.kind in ("keep_alive", "probe") or (order.kind == "close" and len(self.player.orders) == noted):
                # The first two are one thing to the program; a socket that it has let go is closed already.
                self.player.orders.append(spelled(order.kind, order.ticket))

    def ask(self, request: int, force: bool, refused: Any) -> None:
        self.player.request = request
        self.player.orders.append(
            spelled("fetch_token", "forced" if force else None, "refused" if refused is not None else None)
        )

    def connect(self, ticket: int, session: int) -> SimulatedWire:
        self.player.orders.append(spelled("open", session))
        return SimulatedWire(self.player, ticket, session)

    def hand_over(self, wire: Any, given: _core.Delivery) -> SimulatedConnection:
        if wire.is_closed or not wire.is_paused:
            raise CaseFailed("a connection was given that is closed, or still read from")
        return SimulatedConnection(self, given)

    def new_waiter(self) -> Any:
        return Future()

    def changed(self) -> None:
        pass

    def renew(self, one: _core.Delivery) -> None:
        super().renew(one)
        given: Any = self.given[one.ticket or 0]
        if given.renew_by_ms == one.by_ms:
            self.player.deliveries.append(spelled("renew", one.ticket, one.why))


class SimulatedWire:
    """A connection on its way."""

    def __init__(self, player: DriverPlayer, ticket: int, session: int) -> None:
        self.player = player
        self.ticket = ticket
        self.session = session
        self.is_paused = self.is_closed = False
        self.dialogue = Dialogue(None)

    def start_tls(self) -> None:
        self.player.orders.append("start_tls")

    def send(self, data: bytes) -> None:
        self.player.orders.append("send token" if has_token(data) else "send")

    def pause(self) -> None:
        self.is_paused = True
        self.player.orders.append(f"pause {self.ticket}")

    def close(self) -> None:
        self.is_closed = True
        self.player.orders.append(f"close {self.ticket}")


def has_token(data: bytes) -> bool:
    """Whether a line holds what only a SASL message with a token has."""
    words = data.split()
    return any(b"auth=Bearer " in base64.b64decode(word + b"==") for word in words if len(word) > 40)


class SimulatedConnection:
    """A connection that the program has."""

    def __init__(self, driver: SimulatedDriver, given: _core.Delivery) -> None:
        self.driver = driver
        self.ticket, self.generation = given.ticket or 0, given.generation
        self.renew_by_ms: int | None = None
        self.is_over = False

    def keep_alive(self) -> None:
        pass

    def renew(self, by_ms: int) -> None:
        self.renew_by_ms = by_ms

    def over(self, verdict: mailbearer.Verdict, aftermath: mailbearer.Aftermath | None) -> None:
        self.is_over = True
        self.driver.player.deliveries.append(spelled("over", self.ticket, verdict.cause))

    def close(self) -> None:
        if not self.is_over:
            del self.driver.given[self.ticket]
            self.driver.tell(self.driver.machine.let_go, self.ticket)

    def hang_up(self) -> None:
        self.driver.player.orders.append(f"close {self.ticket}")


def run(case: dict[str, Any], deal: Callable[..., Iterator[bytes]], cuts: Callable[..., Any]) -> str | None:
    """Say why a case does not hold, in one of the two ways."""
    ways: list[tuple[type[Player], Any]] = [(BindingPlayer, cut) for cut in cuts(case)]
    # How reads are cut is nothing to the driver.
    for way, cut in [*ways, (DriverPlayer, None), (DriverPlayer, "every octet")]:
        try:
            way(case, deal).play(cut)
        except CaseFailed as failure:
            return f"{failure} ({cut or 'whole'}, {way.__name__})"
    return None
