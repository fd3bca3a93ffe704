"""Runs the language-neutral cases of ``tests/cases/`` (or of the folder in ``MAILBEARER_CASES``) against the package.

    python python/tests/cases_runner.py

It prints a line for each failure and one for each kind, and ends with status 0 only when all cases passed. The format
is described in ``tests/cases/README.md``.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import pathlib
import re
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import account_cases
import discover_cases
import mailbearer

ROOT = pathlib.Path(__file__).resolve().parents[2]
OURS = ROOT / "tests" / "cases"
CUT_OCTETS_MAX = 4096
UPGRADES = {"imap": "STARTTLS", "pop3": "STLS", "smtp": "STARTTLS"}


class CaseFailed(Exception):
    """A case does not hold."""


def load() -> list[dict[str, Any]]:
    folder = pathlib.Path(os.environ.get("MAILBEARER_CASES") or OURS)
    found = [*folder.glob("*.json"), *folder.glob("account/*.json"), *folder.glob("discover/*.json")]
    files = sorted(file for file in found if file.name != "exceptions.json")
    return [case for file in files for case in json.loads(file.read_text())]


def exceptions() -> dict[str, str]:
    return {one["id"]: one["reading"] for one in json.loads((OURS / "exceptions.json").read_text())}


def main() -> int:
    argued = exceptions()
    passed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    failed = 0
    for case in load():
        problem = run(case)
        if case["id"] in argued:
            outcome = "no longer needed: remove it" if problem is None else "as argued"
            print(f"EXCEPTION python {case['id']}: {outcome}: {argued[case['id']]}")
            failed += problem is None
            continue
        total[case["kind"]] += 1
        if problem is None:
            passed[case["kind"]] += 1
        else:
            failed += 1
            print(f"FAIL python {case['id']}: {problem}")
    for kind in sorted(total):
        print(f"python {kind} {passed[kind]}/{total[kind]}")
    print(f"cases: {passed.total()} passed, {failed} failed")
    return 0 if failed == 0 and passed.total() > 0 else 1


def run(case: dict[str, Any]) -> str | None:
    """Say why a case does not hold; ``None`` when it does."""
    if case["kind"] == "classify":
        verdict = mailbearer.classify(case["protocol"], case["phase"], case["lines"])
        if verdict.advice != case["advice"]:
            return f"expected {case['advice']}, came {verdict.advice} ({verdict.cause}, rule {verdict.rule})"
        return None
    if case["kind"] == "account":
        return account_cases.run(case, deal, cuts)
    if case["kind"] == "discover":
        return discover_cases.run(case)
    players: dict[str, type[Player | SessionPlayer]] = {"session": SessionPlayer}
    players |= dict.fromkeys(("negotiation", "watch", "config"), Player)
    if case["kind"] not in players:
        return f"the kind {case['kind']} is not known"
    for cut in cuts(case):
        try:
            players[case["kind"]](case).play(cut)
        except CaseFailed as failure:
            return f"{failure} ({cut or 'whole'})"
    return None


def cuts(case: dict[str, Any]) -> Iterator[tuple[int, int] | str | None]:
    """Whole, octet by octet, and once at every position of every server message."""
    yield None
    sizes = {
        index: len(step["server"]) * step.get("repeat", 1)
        for index, step in enumerate(case["steps"])
        if "server" in step
    }
    if sum(sizes.values()) > CUT_OCTETS_MAX:
        return
    yield "every octet"
    for index, size in sizes.items():
        for at in range(1, size):
            yield index, at


class Player:
    """Plays the script of a case: the server's octets in, the machine's lines out."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.protocol = case["protocol"]
        self.token = {None: a_token(600), "short": a_token(16)}.get(case.get("token"), case.get("token", ""))
        self.secure = case.get("tls", "implicit") == "implicit"
        self.negotiation: mailbearer.Negotiation | None = None
        self.watch: mailbearer.Watch | None = None
        self.next = "read"
        self.cause: str | None = None
        self.authenticated = False
        self.over = False
        self.lines: list[str] = []
        self.tag = ""
        self.greeting = ""
        self.tokens = {True: 0, False: 0}

    def play(self, cut: Any) -> None:
        try:
            self.negotiation = self.configure()
        except (mailbearer.ConfigError, UnicodeDecodeError, ValueError) as error:
            check_leak(str(error), self.token)
            self.over = True
            self.judge("config_error")
            return
        for index, step in enumerate(self.case["steps"]):
            if self.over:
                break
            try:
                self.step(index, step, cut)
            except CaseFailed as failure:
                raise CaseFailed(f"step {index + 1}: {failure}") from None
        self.judge(self.cause or ("authenticated" if self.authenticated else "open"))

    def configure(self) -> mailbearer.Negotiation:
        def text(key: str, default: str) -> str:
            return self.case[key].encode("latin-1").decode() if key in self.case else default

        port = self.case.get("port")
        return mailbearer.Negotiation(
            self.protocol,
            text("user", "user@example.test"),
            self.token.encode("latin-1").decode(),
            host=text("host", "mail.example.test"),
            port=None if port is None else int(port),
            tls=self.case.get("tls", "implicit"),
            ehlo_name=text("ehlo_name", "client.example.test"),
            mechanisms=self.case.get("mechanisms"),
            initial_response=self.case.get("initial_response"),
        )

    def step(self, index: int, step: dict[str, Any], cut: Any) -> None:
        match step:
            case {"server": text}:
                self.server(index, step, text, cut)
            case {"client": pattern}:
                self.client(pattern)
            case {"expect": expected}:
                if self.next != expected and not (expected == "read" and self.authenticated):
                    raise CaseFailed(f"expected {expected}, came {self.next}")
            case {"sent": text}:
                self.note_tag(text)
                if self.watch is None:
                    raise CaseFailed("not logged in")
                self.watch.sent(text.encode("latin-1"))
            case {"tls": "established"}:
                assert self.negotiation is not None
                self.secure = True
                self.take(self.negotiation.tls_established())
            case {"closed": True}:
                self.closed()
            case _:
                raise CaseFailed(f"a step that is not known: {step}")

    def server(self, index: int, step: dict[str, Any], text: str, cut: Any) -> None:
        # A line without a secret may come where the file does not foresee it: the runner follows the machine.
        self.lines.clear()
        self.greeting = self.greeting or text
        data = text.replace("%TAG%", self.tag).encode("latin-1")
        for piece in deal(data, step, index, cut):
            if self.over:
                return
            self.receive(piece)

    def receive(self, piece: bytes) -> None:
        if self.watch is not None:
            verdict, _ = self.watch.received(piece)
            if verdict is not None:
                self.end(verdict.cause)
            return
        assert self.negotiation is not None
        step = self.negotiation.receive(piece)
        check_leak(f"{step!r} {self.negotiation!r} {step.failure!r}", self.token)
        self.take(step)

    def closed(self) -> None:
        if self.watch is not None:
            self.end(self.watch.closed().cause)
        else:
            assert self.negotiation is not None
            self.take(self.negotiation.closed())

    def end(self, cause: str) -> None:
        self.cause = cause
        self.over = True

    def take(self, step: mailbearer.Step) -> None:
        for line in step.send.decode("ascii").split("\r\n")[:-1]:
            self.note_tag(line)
            tokens = tokens_in(line, self.token)
            self.tokens[self.secure] += tokens
            if (tokens > 0) != step.sensitive:
                raise CaseFailed(f"the mark for sensitive octets is wrong: {step.sensitive}")
            self.lines.append(line)
        self.next = step.next
        if step.authenticated is not None:
            self.authenticated = True
            self.watch = mailbearer.Watch(self.protocol)
            verdict, _ = self.watch.received(step.authenticated.leftover)
            if verdict is not None:
                self.end(verdict.cause)
        if step.failure is not None:
            check_leak(
                f"{mailbearer.LoginFailed(step.failure)} {step.failure!r} {step.failure.to_dict()}",
                self.token,
            )
            self.end(step.failure.cause)

    def client(self, pattern: str) -> None:
        if not self.lines:
            raise CaseFailed(f"expected a line like {pattern}, came none")
        line = self.lines.pop(0)
        if re.search(pattern, line):
            return
        listed = re.search(r"\[CAPABILITY ([^]]*)\]", self.greeting)
        upgrade = f"{self.tag} {UPGRADES[self.protocol]}".strip()
        if line.endswith(" CAPABILITY") and listed and re.search(pattern, upgrade):
            # A machine that asks for capabilities where the file expects the upgrade gets the greeting's list again.
            self.receive(f"* CAPABILITY {listed[1]}\r\n{self.tag} OK\r\n".encode())
            self.client(pattern)
            return
        raise CaseFailed(f"expected a line like {pattern}, came {line}")

    def note_tag(self, line: str) -> None:
        if self.protocol == "imap" and " " in line:
            self.tag = line.partition(" ")[0]

    def judge(self, actual: str) -> None:
        outcome = self.case["outcome"]
        expected = [outcome] if isinstance(outcome, str) else outcome
        goes_on = actual == "authenticated" and self.case["kind"] == "watch" and "open" in expected
        any_failure = "*" in expected and self.cause is not None
        if actual not in expected and not goes_on and not any_failure:
            raise CaseFailed(f"expected {' or '.join(expected)}, came {actual}")
        allowed = self.case.get("token_on_wire", "tls-only")
        if self.tokens[False] or not any(holds(rule, self.tokens[True]) for rule in allowed.split("|")):
            raise CaseFailed(f"the token must be on the wire {allowed}, and was: {self.tokens} (in TLS, in the clear)")


class SessionPlayer:
    """Plays a case of the kind ``session``: facts and time in, orders out."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.seed = case.get("seed", 1)
        self.now_ms = 0
        self.wake_at_ms: int | None = None
        self.ticket = self.request = 0
        self.session = self.configure(None)

    def configure(self, snapshot: bytes | None) -> mailbearer.Session:
        service: dict[str, Any] = {"host": "mail.example.test", "tls": self.case.get("tls")}
        life_ms = None
        if "provider" in self.case:
            provider = mailbearer.Provider.named(self.case["provider"])
            service, life_ms = provider.service(self.case["protocol"]) or {}, provider.token_lifetime_ms
        limits = {name: service[name] for name in LIMITS if name in service}
        return mailbearer.Session(
            self.case["protocol"],
            "user@example.test",
            host=service["host"],
            port=service.get("port"),
            tls=service["tls"],
            mechanisms=service.get("mechanisms"),
            initial_response=service.get("initial_response"),
            assumed_capabilities=service.get("assumed_capabilities"),
            policy=limits | {"token_lifetime_ms": life_ms} | self.case.get("policy", {}),
            seed=self.seed,
            snapshot=snapshot,
            now_ms=self.now_ms,
        )

    def play(self, cut: Any) -> None:
        for index, step in enumerate(self.case["steps"]):
            try:
                self.step(index, step, cut)
            except CaseFailed as failure:
                raise CaseFailed(f"step {index + 1}: {failure}") from None

    def step(self, index: int, step: dict[str, Any], cut: Any) -> None:
        at = step.get("at", self.now_ms)
        self.now_ms = self.wake_at_ms if at == "wake" else at
        try:
            plans = list(self.tell(index, step, cut))
        except mailbearer.Misuse as misuse:
            if not step.get("misuse"):
                raise CaseFailed(f"a misuse: {misuse}") from None
            return
        if step.get("misuse"):
            raise CaseFailed("expected a misuse, came none")
        actions = [action for plan in plans for action in plan.actions]
        orders = [spelled(action) for action in actions]
        if orders != step.get("orders", []):
            raise CaseFailed(f"expected the orders {step.get('orders', [])}, came {orders}")
        for action in actions:
            self.ticket = action.ticket if action.kind == "connect" else self.ticket
            self.request = action.request or self.request
        if plans:
            self.wake_at_ms = plans[-1].wake_at_ms
            self.check_wake(step)
        phase = self.session.status()["phase"]
        if step.get("phase", phase) != phase:
            raise CaseFailed(f"expected the phase {step['phase']}, came {phase}")
        if "resumed" in step:
            resumed = next((as_json(action.resumed) for action in actions if action.kind == "online"), "no session")
            if resumed != step["resumed"]:
                raise CaseFailed(f"expected {step['resumed']}, came {resumed}")

    def check_wake(self, step: dict[str, Any]) -> None:
        wait_ms = None if self.wake_at_ms is None else self.wake_at_ms - self.now_ms
        if wait_ms is not None and wait_ms <= 0:
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

    def tell(self, index: int, step: dict[str, Any], cut: Any) -> Iterator[Any]:
        """Tell the session what the step says; what it planned."""
        session, now_ms = self.session, self.now_ms
        ticket, request = step.get("ticket", self.ticket), step.get("request", self.request)
        match step:
            case {"server": text}:
                for piece in deal(text.encode("latin-1"), step, index, cut):
                    yield session.receive(now_ms, ticket, piece)
            case {"sent": text}:
                session.sent(ticket, text.encode("latin-1"))
            case {"restart": True}:
                self.seed += 1
                self.session = self.configure(session.snapshot())
                yield self.session.tick(now_ms)
            case {"token": token}:
                yield session.token(now_ms, request, token, step.get("lives_ms"))
            case {"token_failed": permanent}:
                yield session.token_failed(now_ms, request, permanent)
            case {"tls": "established"}:
                yield session.tls_established(now_ms, ticket)
            case {"closed": True}:
                yield session.ended(now_ms, ticket, step.get("last_line"), step.get("cause"))
            case {"refused": reply}:
                yield session.refused(now_ms, ticket, reply)
            case {"line": line}:
                yield session.line(now_ms, ticket, line)
            case {"start": True} | {"stop": True} | {"tick": True} | {"woke": True}:
                name = next(name for name in ("start", "stop", "tick", "woke") if name in step)
                yield getattr(session, name)(now_ms)
            case {"connected": True} | {"authenticated": True} | {"drained": True}:
                name = next(name for name in ("connected", "authenticated", "drained") if name in step)
                yield getattr(session, name)(now_ms, ticket)
            case _:
                raise CaseFailed(f"a step that is not known: {step}")


LIMITS = ("session_ms", "ends_with_token", "idle_ms", "connections")


def spelled(action: Any) -> str:
    """An order in the words of the case files."""
    failure = action.failure.cause if action.failure else None
    facts = {
        "fetch_token": [action.why, "forced" if action.force_refresh else None],
        "connect": [action.attempt],
        "send": ["token" if action.sensitive else None],
        "start_tls": [],
        "online": [action.generation],
        "renew": [action.why],
        "close": [action.cause],
        "needs_user": [failure],
        "give_up": [failure],
    }[action.kind]
    return " ".join([action.kind, *(str(fact) for fact in facts if fact is not None)])


def as_json(resumed: mailbearer.Aftermath | None) -> dict[str, Any] | None:
    match resumed:
        case None:
            return None
        case mailbearer.Aftermath(protocol="imap"):
            selected = resumed.selected.name if resumed.selected else None
            return {"selected": selected, "idling": resumed.idling, "unanswered": resumed.unanswered}
        case mailbearer.Aftermath(protocol="pop3"):
            return {"uncommitted_deletes": resumed.uncommitted_deletes}
        case _:
            return {"submission": resumed.submission}


def holds(rule: str, count: int) -> bool:
    match rule:
        case "never":
            return count == 0
        case "once":
            return count == 1
        case "at-most-once":
            return count <= 1
        case "tls-only":
            return True
        case _:
            return rule.startswith("at-most-") and count <= int(rule.removeprefix("at-most-"))


def deal(data: bytes, step: dict[str, Any], index: int, cut: Any) -> Iterator[bytes]:
    """The server's message in the pieces in which it arrives."""
    repeat = step.get("repeat", 1)
    if repeat > 1:
        per_piece = max(1, min(repeat, 65_536 // max(1, len(data))))
        piece = data * per_piece
        for _ in range(-(-repeat // per_piece)):
            yield piece
        return
    if cut == "every octet":
        size = 1
    elif isinstance(cut, tuple) and cut[0] == index:
        yield data[: cut[1]]
        data, size = data[cut[1] :], len(data)
    else:
        size = step["split"] if isinstance(step.get("split"), int) else len(data)
    for at in range(0, len(data), max(1, size)):
        yield data[at : at + size]


def a_token(length: int) -> str:
    alphabet = "Canary0Token1Must2Never3Be4Seen5Anywhere6Outside7Tls8-9._~+/xyz"
    return (alphabet * (length // len(alphabet) + 1))[:length]


def tokens_in(line: str, token: str) -> int:
    """How often the token stands in a line, plain or in base64."""
    if not token:
        return 0
    count = line.count(token)
    for word in line.split(" "):
        try:
            count += token.encode() in base64.b64decode(word, validate=True)
        except (binascii.Error, ValueError):
            continue
    return count


def check_leak(shown: str, token: str) -> None:
    """The token must not be readable: not plain, and not in base64 at any of the three alignments."""
    if len(token) < 12:
        return
    aligned = [base64.b64encode(token.encode("latin-1")[skip : skip + 12]).decode() for skip in range(3)]
    for form in [*aligned, token[:12]]:
        if form in shown:
            raise CaseFailed(f"the token is readable in: {shown}")


if __name__ == "__main__":
    sys.exit(main())
