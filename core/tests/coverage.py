"""Region coverage of the core, from the JSON of `llvm-cov export` on standard input; status 1 below the least.

`llvm-cov report` counts the regions of the unit tests as well, which stand in the same files and run whole: here only
what stands before `#[cfg(test)] mod tests {` counts. `src/testing/` is the testing server, which is no part of the
machines.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

CODE = 0
# Files that are unit tests as a whole.
TEST_FILES = ("tests.rs", "properties.rs")
SOURCES = Path(__file__).resolve().parent.parent / "src"


def first_test_line(path: Path) -> int:
    """The line from which on a file is its unit tests."""
    lines = path.read_text().splitlines()
    marks = (number for number, line in enumerate(lines, 1) if line.startswith("#[cfg(test)]"))
    inline = (number for number in marks if lines[number].startswith("mod ") and lines[number].endswith("{"))
    return next(inline, len(lines) + 1)


def regions(export: dict) -> dict[Path, dict[tuple[int, ...], int]]:
    """How often each region of each file ran: a generic function has one entry for each of its instances."""
    found: dict[Path, dict[tuple[int, ...], int]] = defaultdict(lambda: defaultdict(int))
    for function in export["data"][0]["functions"]:
        for *span, count, file, _, kind in function["regions"]:
            if kind == CODE:
                found[Path(function["filenames"][file])][tuple(span)] += count
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--least", type=float, required=True, help="per cent below which this fails")
    parser.add_argument("--missed", action="store_true", help="print each region that no test ran")
    arguments = parser.parse_args()
    total = hit = 0
    for path, counts in sorted(regions(json.load(sys.stdin)).items()):
        if SOURCES not in path.parents or path.is_relative_to(SOURCES / "testing") or path.name in TEST_FILES:
            continue
        limit = first_test_line(path)
        kept = {span: count for span, count in counts.items() if span[0] < limit}
        if not kept:
            continue
        ran = sum(count > 0 for count in kept.values())
        total, hit = total + len(kept), hit + ran
        print(f"{path.relative_to(SOURCES)!s:24} {ran:5} of {len(kept):5} regions {100 * ran / len(kept):6.2f} %")
        if arguments.missed:
            for start, column, end, end_column in sorted(span for span, count in kept.items() if count == 0):
                print(f"    core/src/{path.relative_to(SOURCES)}:{start}:{column}-{end}:{end_column}")
    share = 100 * hit / total if total else 0.0
    print(f"coverage of the core: {hit} of {total} regions, {share:.2f} %, at least {arguments.least} %")
    return 0 if share >= arguments.least else 1


if __name__ == "__main__":
    sys.exit(main())
