"""Calls in any order, right and wrong: what is refused is a typed error, and leaves a machine as it was.

A twin gets only the calls that were taken: it must answer the same, and be in the same state.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import mailbearer
from mailbearer import tokens

USER = "joe@example.test"
PROTOCOLS = ("imap", "pop3", "smtp")
LIVES, STEPS = 80, 40

# What a caller may see: whatever is none of these is a fault of ours.
REFUSALS = (mailbearer.Misuse, mailbearer.ConfigError, TypeError, ValueError, OverflowError, BufferError)

SERVER_SAYS = [
    b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n",
    b"* OK hi\r\n",
    b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=XOAUTH2\r\n%TAG% OK\r\n",
    b"%TAG% OK in\r\n",
    b"%TAG% NO [AUTHENTICATIONFAILED] no\r\n",
    b"+ \r\n",
    b"+ eyJzdGF0dXMiOiI0MDEifQ==\r\n",
    b"* BYE Session expired\r\n",
    b"* 3 FETCH (BODY[] {6}\r\nabcdef)\r\n",
    b"+OK hi\r\n",
    b"+OK\r\nSASL XOAUTH2\r\nSTLS\r\n.\r\n",
    b"-ERR no\r\n",
    b"220 hi\r\n",
    b"250-hi\r\n250-STARTTLS\r\n250 AUTH XOAUTH2\r\n",
    b"334 \r\n",
    b"235 in\r\n",
    b"535 5.7.8 no\r\n",
    b"421 bye\r\n",
    b"",
    b"\0\xff\r\n",
]
# A login that goes well, for implicit TLS: what the server says to greet, to the question, and to the token.
GOES_WELL = {
    "imap": [b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n", b"%TAG% OK in\r\n"],
    "pop3": [b"+OK hi\r\n", b"+OK\r\nSASL XOAUTH2\r\n.\r\n", b"+OK in\r\n"],
    "smtp": [b"220 hi\r\n", b"250-hi\r\n250 AUTH XOAUTH2\r\n", b"235 in\r\n"],
}
CLIENT_SAYS = [
    b"A1 SELECT INBOX\r\n",
    b"A2 IDLE\r\n",
    b"DONE\r\n",
    b"DELE 1\r\n",
    b"QUIT\r\n",
    b"DATA\r\n",
    b".\r\n",
    b"",
]
NONSENSE = [None, "text", -1, 2**64, 1.5, float("nan"), [], object(), b"octets", "\ud800", True]


def refused_or(call: Callable[[], Any]) -> tuple[bool, Any]:
    try:
        return False, call()
    except REFUSALS as refusal:
        return True, refusal


def facts(value: Any) -> Any:
    """All that an answer says, to be compared."""
    if isinstance(value, list | tuple):
        return [facts(one) for one in value]
    if type(value).__module__.startswith("mailbearer") and not isinstance(value, mailbearer.AccessToken):
        names = (name for name in dir(value) if not name.startswith("_") and not callable(getattr(value, name)))
        return {name: facts(getattr(value, name)) for name in names}
    return value


class Twins:
    """A machine that gets all calls, and its twin, which gets those that were taken."""

    def __init__(self, make: Callable[[], Any], state: Callable[[Any], Any]) -> None:
        self.machine, self._twin, self._state = make(), make(), state
        self.refused = self.taken = 0

    def call(self, name: str, *arguments: Any) -> Any:
        """Return the answer, or nothing where the call is refused."""
        is_refused, answer = refused_or(lambda: getattr(self.machine, name)(*arguments))
        if is_refused:
            self.refused += 1
        else:
            self.taken += 1
            assert facts(answer) == facts(getattr(self._twin, name)(*arguments)), (name, arguments)
        assert self._state(self.machine) == self._state(self._twin), (name, arguments, answer)
        return None if is_refused else answer


def lives(seed: int) -> Iterator[random.Random]:
    return (random.Random(seed * 10_000 + life) for life in range(LIVES))


def spoken(chance: random.Random, tag: bytes) -> Any:
    if chance.random() < 0.1:
        return chance.choice(NONSENSE)
    said = chance.choice(SERVER_SAYS).replace(b"%TAG%", tag)
    return said[: chance.randrange(len(said) + 1)] if chance.random() < 0.1 else said


def tag_of(sent: bytes, before: bytes) -> bytes:
    found = re.match(rb"(\S+) [A-Z]", sent)
    return found[1] if found else before


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_negotiation(protocol: str) -> None:
    refused = taken = done = 0
    for chance in lives(PROTOCOLS.index(protocol)):
        tls = chance.choice(["implicit", "starttls"])

        def make(tls: str = tls) -> mailbearer.Negotiation:
            return mailbearer.Negotiation(protocol, USER, "t" * 40, host="mail.example.test", tls=tls)

        twins = Twins(make, lambda one: one.state)
        tag, right = b"A0", list(GOES_WELL[protocol])
        for _ in range(STEPS):
            # In between it is mostly nonsense that is refused, which must not keep the login from going on.
            if right and chance.random() < 0.4:
                step = twins.call("receive", right.pop(0).replace(b"%TAG%", tag))
            else:
                name = chance.choice(["tls_established", "receive", "receive", "redact", "closed"])
                said = spoken(chance, tag) if chance.random() < 0.1 else chance.choice([b"", *NONSENSE[:8]])
                if name == "closed" and chance.random() < 0.9:
                    continue
                step = twins.call(name, *{"receive": [said], "redact": [chance.choice(["x", 7])]}.get(name, []))
            if isinstance(step, mailbearer.Step):
                tag = tag_of(step.send, tag)
                done += step.next == "done"
        refused, taken = refused + twins.refused, taken + twins.taken
    assert min(refused, taken) > 300
    assert done > 10


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_watch(protocol: str) -> None:
    refused = taken = 0
    for chance in lives(10 + PROTOCOLS.index(protocol)):
        twins = Twins(lambda: mailbearer.Watch(protocol), lambda one: (facts(one.aftermath()), one.is_quiet))
        for _ in range(STEPS):
            name = chance.choice(["received"] * 4 + ["sent"] * 3 + ["skipped", "closed", "aftermath"])
            said = chance.choice(CLIENT_SAYS) if chance.random() < 0.8 else chance.choice(NONSENSE)
            octets = chance.choice([0, 1, 6, 2**40, 2**64, -1, None])
            twins.call(name, *{"received": [spoken(chance, b"A1")], "sent": [said], "skipped": [octets]}.get(name, []))
        refused, taken = refused + twins.refused, taken + twins.taken
    assert min(refused, taken) > 300


class Host:
    """Answers the orders of a session, mostly as it should."""

    def __init__(self, chance: random.Random, twins: Twins, goes_well: list[bytes]) -> None:
        self._chance = chance
        self._goes_well = goes_well
        self._answers: list[bytes] = []
        self._twins = twins
        self._right: list[tuple[Any, ...]] = [("start",)]
        self._numbers = [0, 1, 2, 2**63]
        self._tag = b"A0"
        self._now = 1_000
        self.online = 0

    def step(self) -> None:
        chance = self._chance
        self._now += chance.choice([0, 1, 50, 50, 1_000, 60_000, 4_000_000])
        if self._right and chance.random() < 0.6:
            name, *arguments = self._right.pop(0)
        else:
            name, *arguments = self._any_call()
        if name not in ("sent", "skipped", "aftermath", "snapshot", "status"):
            # Time that goes backwards does not, inside; nonsense is no time.
            now = self._now if chance.random() < 0.9 else chance.choice([0, self._now - 5_000, *NONSENSE])
            arguments = [now, *arguments]
        plan = self._twins.call(name, *arguments)
        if hasattr(plan, "actions"):
            for action in plan.actions:
                self._obey(action)

    def _any_call(self) -> tuple[Any, ...]:
        chance = self._chance
        number = chance.choice(self._numbers) if chance.random() < 0.8 else chance.choice(NONSENSE)
        text = chance.choice(["* BYE Session expired", "421 bye", "-ERR", "", "x" * 5_000, None, 7])
        return chance.choice(
            [
                ("start",),
                ("stop",),
                ("tick",),
                ("woke",),
                (
                    "token",
                    number,
                    chance.choice(["t" * 40, "u" * 40, "", "two words", None]),
                    chance.choice([None, 0, 9]),
                ),
                ("token_failed", number, chance.choice([True, False, None])),
                ("connected", number),
                ("tls_established", number),
                ("ended", number, text, chance.choice([None, "timed_out", "no such cause"])),
                ("authenticated", number),
                ("refused", number, text),
                ("line", number, text),
                ("drained", number),
                ("receive", number, spoken(chance, self._tag)),
                ("receive", number, spoken(chance, self._tag)),
                ("skipped", number, chance.choice([0, 5, -1, 2**64])),
                ("sent", number, chance.choice(CLIENT_SAYS)),
                ("aftermath",),
                ("snapshot",),
                ("status",),
            ]
        )

    def _obey(self, action: mailbearer.Action) -> None:
        number = action.ticket if action.ticket is not None else action.request
        if number is not None:
            self._numbers = [*self._numbers[-6:], number]
        match action.kind:
            case "fetch_token":
                lives_ms = self._chance.choice([None, 60_000, 3_600_000])
                self._right.append(("token", number, f"t{number}" + "x" * 40, lives_ms))
            case "connect":
                self._right += [("connected", number), ("receive", number, self._goes_well[0])]
                self._answers = list(self._goes_well[1:])
            case "send":
                self._tag = tag_of(action.data or b"", self._tag)
                said = self._answers.pop(0) if self._answers else self._chance.choice(SERVER_SAYS)
                self._right.append(("receive", number, said.replace(b"%TAG%", self._tag)))
            case "start_tls":
                self._right.append(("tls_established", number))
            case "online":
                self.online += 1
                self._right.append(("sent", number, self._chance.choice(CLIENT_SAYS)))
            case "renew":
                self._right.append(("drained", number))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_session(protocol: str) -> None:
    refused = taken = online = 0
    for chance in lives(20 + PROTOCOLS.index(protocol)):
        seed, tls = chance.getrandbits(64), chance.choice(["implicit", "starttls"])

        def make(seed: int = seed, tls: str = tls) -> mailbearer.Session:
            return mailbearer.Session(protocol, USER, host="mail.example.test", tls=tls, seed=seed)

        twins = Twins(make, lambda one: (one.status(), one.snapshot(), facts(one.aftermath()), one.is_quiet))
        host = Host(chance, twins, GOES_WELL[protocol])
        for _ in range(STEPS * 2):
            host.step()
        refused, taken, online = refused + twins.refused, taken + twins.taken, online + host.online
    assert min(refused, taken) > 300
    assert online > 10


def test_what_a_source_must_not_give_is_told() -> None:
    for wrong in (None, 7, b"token", ("t", "never"), ("t", float("nan")), ("t", [])):
        with pytest.raises(mailbearer.TokenSourceFailed) as caught:
            tokens.source(lambda wrong=wrong: wrong, user=USER).get(False)
        assert "token" in str(caught.value)
    for wrong in ("", "two words", "t\r\n"):
        with pytest.raises(mailbearer.ConfigError, match="token"):
            tokens.source(lambda wrong=wrong: wrong, user=USER).get(False)
