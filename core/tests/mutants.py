"""Breaks the core in each place that `cargo mutants` names, and says which break no test noticed.

`cargo mutants` builds the tests once for each mutant: hours. Here every function is written out once for each of its
mutants, `MUTANT=n` in the environment chooses one of them, and the tests are built once. A mutant that does not compile
is found by the compiler's own messages, and taken out. What cannot choose at run time (`const`, `-> impl`) is left to
`cargo mutants`.

The list comes on standard input: `cargo mutants --list --json`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ["-p", "mailbearer", "--features", "discover,testing", "--lib"]
BUILD = ["--test", "session", "--test", "cases", "--profile", "mutants"]
# The quickest first: the first that fails decides.
ORDER = ["session", "mailbearer", "cases"]
TIMEOUT_SECONDS = 120
WORDS = re.compile(r'//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?\'(?:\\.[^\']*|[^\'\\])\'|[{}]', re.S)
MARK = re.compile(r"/\*MUTANT (\d+)\*/")
SWITCH = """
#[doc(hidden)]
pub fn chosen_mutant() -> usize {
    static CHOSEN: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| std::env::var("MUTANT").map_or(0, |number| number.parse().unwrap_or(0)))
}
"""


def copy_tree(tree: Path) -> None:
    """A copy of all that git knows: its sources are written anew, and its `target` is kept."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, names.decode().split("\0")):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        content = (ROOT / name).read_bytes()
        if not (tree / name).exists() or (tree / name).read_bytes() != content:
            (tree / name).write_bytes(content)


def body(text: str, start: int, end: int) -> tuple[int, int]:
    """What stands between the last pair of braces of a function."""
    opened, last = [], (start, end)
    for word in WORDS.finditer(text, start, end):
        if word.group() == "{":
            opened.append(word.end())
        elif word.group() == "}":
            last = (opened.pop(), word.start())
    return last


def weave(text: str, mutants: list[dict]) -> tuple[str, set[int]]:
    """The text with a choice in each function, and the mutants that are in it."""
    lines = [0]
    for line in text.split("\n"):
        lines.append(lines[-1] + len(line) + 1)

    def span(place: dict) -> tuple[int, int]:
        ends = (place["span"][side] for side in ("start", "end"))
        start, end = (lines[one["line"] - 1] + one["column"] - 1 for one in ends)
        return start, end

    functions = defaultdict(list)
    for mutant in mutants:
        if mutant["function"]:
            functions[span(mutant["function"])].append(mutant)
    pieces, woven, done = [], set(), 0
    for (start, end), ones in sorted(functions.items()):
        begin, finish = body(text, start, end)
        if start < done or re.search(r"\bconst\s+fn\b|-> impl", text[start:begin]):
            continue
        pieces += [text[done:begin], " match crate::chosen_mutant() {"]
        for one in ones:
            left, right = span(one)
            changed = text[begin:left] + one["replacement"] + text[right:finish]
            pieces.append(f"\n/*MUTANT {one['number']}*/ {one['number']} => {{ {changed}\n}}")
            woven.add(one["number"])
        pieces.append(f"\n/*MUTANT 0*/ _ => {{{text[begin:finish]}}} }}")
        done = finish
    return "".join([*pieces, text[done:]]), woven


def write_sources(tree: Path, mutants: list[dict]) -> set[int]:
    files = defaultdict(list)
    for mutant in mutants:
        files[mutant["file"]].append(mutant)
    woven = set()
    for name, ones in files.items():
        text, numbers = weave((ROOT / name).read_text(), ones)
        (tree / name).write_text(text)
        woven |= numbers
    library = (ROOT / "core/src/lib.rs").read_text().replace("#[cfg(test)]\nextern crate std;", "extern crate std;")
    (tree / "core/src/lib.rs").write_text(library + SWITCH)
    return woven


def cargo(tree: Path, *words: str) -> tuple[int, list[dict]]:
    command = ["cargo", words[0], "--locked", "--message-format=json", *words[1:]]
    run = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return run.returncode, [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def broken(tree: Path, messages: list[dict]) -> set[int]:
    """The mutants in which the compiler finds errors."""
    found = set()
    for message in messages:
        if message.get("reason") != "compiler-message" or message["message"]["level"] != "error":
            continue
        for place in filter(lambda one: one["is_primary"], message["message"]["spans"]):
            before = (tree / place["file_name"]).read_text().split("\n")[: place["line_start"]]
            marks = [mark.group(1) for line in before if (mark := MARK.match(line))]
            found.add(int(marks[-1]) if marks else 0)
    return found - {0}


def build(tree: Path, mutants: list[dict]) -> tuple[set[int], set[int], dict[str, str]]:
    """The mutants that can be chosen, those that do not compile, and the tests by their names."""
    unviable: set[int] = set()
    while True:
        woven = write_sources(tree, [one for one in mutants if one["number"] not in unviable])
        status, messages = cargo(tree, "check", *PACKAGE)
        if status == 0:
            break
        more = broken(tree, messages)
        if not more:
            sys.exit(f"the sources with all mutants do not compile: cd {tree} && cargo check -p mailbearer")
        unviable |= more
    print(f"{len(woven)} mutants are built, {len(unviable)} do not compile", flush=True)
    status, messages = cargo(tree, "test", "--no-run", *PACKAGE, *BUILD)
    tests = {one["target"]["name"]: one["executable"] for one in messages if one.get("executable")}
    if status != 0:
        sys.exit(f"the tests do not compile: cd {tree} && cargo test --no-run -p mailbearer --profile mutants")
    return woven, unviable, tests


def judge(tree: Path, tests: dict[str, str], number: int) -> str:
    few = {"MAILBEARER_CUTS": "few", "MAILBEARER_DIALOGUES": "4000", "RUST_BACKTRACE": "0"}
    environment = {**os.environ, **few, "MUTANT": str(number)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for name in ORDER:
        try:
            run = subprocess.run(
                [tests[name]], cwd=tree / "core", env=environment, timeout=TIMEOUT_SECONDS, check=False, **quiet
            )
        except subprocess.TimeoutExpired:
            return "timeout"
        if run.returncode != 0:
            return "caught"
    return "missed"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path, help="folder for the copy of the sources")
    parser.add_argument("--only", default="", help="a regular expression: the mutants whose names it finds")
    arguments = parser.parse_args()
    mutants = json.load(sys.stdin)
    for number, mutant in enumerate(mutants, 1):
        mutant["number"] = number
    tree = arguments.tree.resolve()
    copy_tree(tree)
    woven, unviable, tests = build(tree, mutants)
    if judge(tree, tests, 0) != "missed":
        sys.exit("the tests fail without any mutant")
    chosen = [one for one in mutants if one["number"] in woven and re.search(arguments.only, one["name"])]
    score: dict[str, Counter] = defaultdict(Counter)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for one, verdict in zip(chosen, pool.map(lambda one: judge(tree, tests, one["number"]), chosen), strict=True):
            score[one["file"]][verdict] += 1
            if verdict != "caught":
                print(f"{verdict}: {one['name']}", flush=True)
    for one in mutants:
        if one["number"] not in woven:
            score[one["file"]]["unviable" if one["number"] in unviable else "not here"] += 1
    columns = ["caught", "timeout", "missed", "unviable", "not here"]
    for name, counts in [*sorted(score.items()), ("total", sum(score.values(), Counter()))]:
        print(f"{name:32}" + "".join(f"{counts[column]:6} {column}" for column in columns))
    return 1 if any(counts["missed"] for counts in score.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
