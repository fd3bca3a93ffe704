"""Programs of users under mypy and pyright, both strict: right ones pass, wrong ones are refused where they are wrong.

Each file of `python/typing/wrong` says with `# wrong` on which lines a checker must complain; it must on no other.
Pyright is basedpyright in pyright's strict mode, for it needs no Node of the machine's.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import venv
from collections import defaultdict
from collections.abc import Callable

import pytest

import mailbearer

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "typing"
FILES = {kind: sorted((FOLDER / kind).glob("*.py")) for kind in ("right", "wrong")}

# What a checker said, by the file and the line.
Complaints = dict[tuple[str, int], list[str]]


def run(*command: str) -> str:
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False).stdout


def mypy(tmp_path: pathlib.Path) -> Complaints:
    options = ("--strict", "--python-version=3.11", "--namespace-packages", "--explicit-package-bases")
    said = run(sys.executable, "-m", "mypy", *options, f"--cache-dir={tmp_path}", "right", "wrong")
    assert f"({'checked'} {sum(map(len, FILES.values()))} source files)" in said, said
    found: Complaints = defaultdict(list)
    for file, line, text in re.findall(r"^(\S+\.py):(\d+): error: (.*)$", said, re.MULTILINE):
        found[file, int(line)].append(text)
    return found


def pyright(tmp_path: pathlib.Path) -> Complaints:
    return complaints_of_pyright(sys.executable, sum(map(len, FILES.values())))


def complaints_of_pyright(python: str | pathlib.Path, files: int, *paths: pathlib.Path) -> Complaints:
    said = json.loads(
        run(sys.executable, "-m", "basedpyright", f"--pythonpath={python}", "--outputjson", *map(str, paths))
    )
    assert said["summary"]["filesAnalyzed"] >= files
    found: Complaints = defaultdict(list)
    for one in said["generalDiagnostics"]:
        file = pathlib.Path(one["file"]).relative_to(FOLDER).as_posix()
        found[file, one["range"]["start"]["line"] + 1].append(one["message"])
    return found


def marked() -> set[tuple[str, int]]:
    lines = (
        (f"wrong/{file.name}", number, line)
        for file in FILES["wrong"]
        for number, line in enumerate(file.read_text().splitlines(), 1)
    )
    return {(file, number) for file, number, line in lines if line.endswith("  # wrong")}


def test_there_are_enough_programs() -> None:
    assert len(FILES["right"]) >= 30
    assert len(FILES["wrong"]) >= 30
    assert {file for file, _ in marked()} == {f"wrong/{file.name}" for file in FILES["wrong"]}


@pytest.mark.parametrize("check", [mypy, pyright])
def test_a_checker_finds_what_is_wrong_and_nothing_else(
    check: Callable[[pathlib.Path], Complaints], tmp_path: pathlib.Path
) -> None:
    found = check(tmp_path)
    assert sorted(marked() - found.keys()) == []
    assert {place: found[place] for place in sorted(found.keys() - marked())} == {}


# Who imports one of the other packages, or uses its client.
NEEDS_EXTRAS = {"aio_imap", "aio_sessions_clients", "aio_smtp", "imapclient", "sessions_imapclient", "token_libraries"}


def test_pyright_does_not_ask_for_extras_that_a_program_does_not_use(tmp_path: pathlib.Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv/bin/python"
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (packages / "mailbearer").symlink_to(pathlib.Path(mailbearer.__file__).parent, target_is_directory=True)
    files = [file for file in FILES["right"] if file.stem not in NEEDS_EXTRAS]
    assert complaints_of_pyright(python, len(files), *files) == {}
