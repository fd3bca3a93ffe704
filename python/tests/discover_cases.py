"""Plays the cases of the kind ``discover``: through the front door, with a resolver and an opener of the case."""

from __future__ import annotations

import threading
from typing import Any, cast

import mailbearer
from mailbearer.lookups import LookupFailed, Trouble

# It has a host, also where it has no entry.
_DATABASE = "https://autoconfig.thunderbird.net/"


class StandIn:
    """A resolver and an opener that answer from a table, as ``discover/discover.json`` has it."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.public_only: list[str] = []
        self._turn = threading.Lock()

    def mx(self, domain: str, seconds: float) -> list[tuple[int, str]]:
        return [cast("tuple[int, str]", tuple(one)) for one in self._answer(f"MX {domain}") or []]

    def srv(self, name: str, seconds: float) -> list[tuple[int, int, int, str]]:
        return [cast("tuple[int, int, int, str]", tuple(one)) for one in self._answer(f"SRV {name}") or []]

    def __call__(
        self, url: str, *, seconds: float, octets_max: int, public_only: bool
    ) -> tuple[int, str | None, bytes]:
        answer = self._answer(url)
        if public_only:
            self.public_only.append(url)
        if answer is None and not url.startswith(_DATABASE):
            raise LookupFailed("no_host")
        answer = answer or {"status": 404}
        body = _body(answer)
        if len(body) > octets_max:
            raise LookupFailed("too_large")
        return answer["status"], answer.get("location"), body

    def _answer(self, what: str) -> Any:
        with self._turn:
            self.asked.append(what)
        answer = self.answers.get(what)
        if isinstance(answer, dict) and "failed" in answer:
            raise LookupFailed(cast("Trouble", answer["failed"]))
        return answer


def _body(answer: dict[str, Any]) -> bytes:
    text, times = answer.get("repeat", ["", 0])
    whole = answer.get("body", "") + answer.get("before", "") + text * times + answer.get("after", "")
    return cast("str", whole).encode("latin-1")


def run(case: dict[str, Any]) -> str | None:
    """Say why a case does not hold; ``None`` when it does."""
    stand_in = StandIn(case["answers"])
    try:
        found = mailbearer.discover(case["address"], resolver=stand_in, opener=stand_in)
    except mailbearer.ConfigError as error:
        return f"it cannot be looked up: {error}" if case["outcome"] != "config_error" else _says(case, str(error))
    said = found.to_dict()
    came = {
        "asked": sorted(stand_in.asked),
        "public_only": sorted(stand_in.public_only),
        "outcome": found.outcome,
        "services": [_service(one) for one in found.services],
        "provider": found.provider,
        "hoster": found.hoster,
        "notes": list(found.notes),
        "oauth": said["oauth"] and {name: said["oauth"][name] for name in case.get("oauth") or {}},
    }
    expected = {name: case[name] for name in came if name in case}
    for name in ("asked", "public_only"):
        if name in expected:
            flat = [one for round in expected[name] for one in ([round] if isinstance(round, str) else round)]
            expected[name] = sorted(flat)
    for name, value in expected.items():
        if came[name] != value:
            return f"{name}: expected {value}, came {came[name]}"
    return _says(case, str(found)) or _refuses(case, found)


def _says(case: dict[str, Any], sentence: str) -> str | None:
    return next((f"{word!r} is not in {sentence!r}" for word in case.get("says", []) if word not in sentence), None)


def _refuses(case: dict[str, Any], found: mailbearer.Discovered) -> str | None:
    for protocol, word in case.get("refuses", {}).items():
        try:
            return f"the login over {protocol} is {found.login(protocol)}"
        except mailbearer.ConfigError as error:
            if word not in str(error):
                return f"{word!r} is not in {error}"
    return None


def _service(one: mailbearer.FoundService) -> str:
    place = f"{one.host}:{one.port}"
    words = [one.protocol, place, one.tls, one.user, one.offer, one.source, one.sureness, one.leads_to]
    return " ".join(word for word in words if word)
