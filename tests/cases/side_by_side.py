#!/usr/bin/env python3
"""Prints what the runners of all languages said, side by side; status 1 where two of them differ.

side_by_side.py DIR     a file for each language, `rust.txt`, with what its runner printed
"""

from __future__ import annotations

import pathlib
import re
import sys

COUNT = re.compile(r"^\w+ (\w+) (\d+/\d+)$", re.MULTILINE)
FAILURE = re.compile(r"^FAIL \w+ ([^:\s]+):", re.MULTILINE)
ADVICE = re.compile(r"^FAIL \w+ ([^:\s]+): expected (\w+), came (\w+) \(", re.MULTILINE)

# Advice that makes a program log in again, and advice that makes it wait or call somebody.
_AT_ONCE = {"refresh_token", "reconnect"}
_NOT_AT_ONCE = {"ask_user", "back_off", "fix_configuration", "give_up"}

# Kinds that some languages do not run, and why. One that begins to run a kind all the same is compared like all others.
_NOT_RUN: dict[str, tuple[set[str], str]] = {
    "discover": (
        {"kotlin", "swift"},
        "the libraries for phones are built without discovery, for it needs a reader of XML and their size counts",
    ),
}


def is_dangerous(expected: str, came: str) -> bool:
    """Whether an advice does harm: a login too many at a server that counts them, or a person called for nothing."""
    hammers = came in _AT_ONCE and expected in _NOT_AT_ONCE
    calls_for_nothing = came in {"ask_user", "give_up"} and expected == "refresh_token"
    return hammers or calls_for_nothing


def main() -> int:
    """Print the table and the differences."""
    said = {file.stem: file.read_text() for file in sorted(pathlib.Path(sys.argv[1]).glob("*.txt"))}
    counts = {language: dict(COUNT.findall(text)) for language, text in said.items()}
    failures = {language: set(FAILURE.findall(text)) for language, text in said.items()}
    kinds = sorted({kind for of_language in counts.values() for kind in of_language})
    print("".join(f"{word:>12}" for word in ["", *counts]))
    for kind in kinds:
        row = [kind, *(of_language.get(kind, "-") for of_language in counts.values())]
        print("".join(f"{word:>12}" for word in row))
    wrong = {language: ADVICE.findall(text) for language, text in said.items()}
    dangerous = {language: [one for one in ones if is_dangerous(*one[1:])] for language, ones in wrong.items()}
    print("".join(f"{word:>12}" for word in ["dangerous", *(str(len(ones)) for ones in dangerous.values())]))
    for case, expected, came in sorted({one for ones in dangerous.values() for one in ones}):
        print(f"DANGEROUS {case}: {came} where {expected} is right")
    differing = []
    for kind in kinds:
        excused, reason = _NOT_RUN.get(kind, (set[str](), ""))
        absent = {language for language in excused & counts.keys() if kind not in counts[language]}
        if absent:
            print(f"NOT COMPARED {kind} with {', '.join(sorted(absent))}: {reason}")
        if len({of_language.get(kind) for language, of_language in counts.items() if language not in absent}) > 1:
            differing.append(kind)
    for kind in differing:
        print(f"DIFFERENT {kind}: not all languages have the same count")
    for case in sorted(set().union(*failures.values())):
        others = [language for language, failed in failures.items() if case not in failed]
        if others:
            print(f"DIFFERENT {case}: holds in {', '.join(others)} only")
            differing.append(case)
    return 1 if differing or not kinds else 0


if __name__ == "__main__":
    sys.exit(main())
