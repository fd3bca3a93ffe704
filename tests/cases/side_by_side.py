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
    differing = [kind for kind in kinds if len({of_language.get(kind) for of_language in counts.values()}) > 1]
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
