"""Holds the public names of the Swift package to what is checked in, and to their documentation.

    python api.py FOLDER [--write]

FOLDER has what read.sh asked Swift's tools. For each module, `api/MODULE.txt` beside the package has one line for each
public declaration, from the dump of swift-api-digester: what changes there is a change for users. `--write` writes it
anew.

In the symbol graph each public name must have a comment, but for the initialisers that UniFFI writes for records:
their fields have.
"""

from __future__ import annotations

import difflib
import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

PACKAGE = pathlib.Path(__file__).resolve().parents[2]
MODULES = ("Mailbearer", "MailbearerTesting")
# How UniFFI's code calls the library: nothing for programs.
PLUMBING = ("FfiConverter", "uniffi", "init(unsafeFromHandle", "init(noHandle", "NoHandle", "withUnsafeBytes")
# What every type has, or what the compiler adds to it.
PLAIN = ("Copyable", "Escapable", "_Concurrency.", "BitwiseCopyable")
Node = dict[str, Any]


def declarations(node: Node, public: set[str], within: str = "") -> Iterator[str]:
    """Return a line for each public declaration under a node of the dump, which has those of the package as well."""
    for child in node.get("children", ()):
        name = child["printedName"]
        if (
            child["kind"] == "Import"
            or "declKind" not in child
            or child.get("usr") not in public
            or name.startswith(PLUMBING)
        ):
            continue
        place = f"{within}.{name}" if within else name
        if child["kind"] in ("TypeDecl", "TypeAlias"):
            is_of = sorted(
                one["printedName"] for one in child.get("conformances", ()) if not one["printedName"].startswith(PLAIN)
            )
            base = child.get("superclassNames", [])[:1]
            yield f"{child['declKind'].lower()} {place}" + (f": {', '.join(base + is_of)}" if base + is_of else "")
            yield from declarations(child, public, place)
        else:
            yield f"{child['declKind'].lower()} {place}{signature(child)}"


def signature(node: Node) -> str:
    """Return types, effects and defaults of what is no type."""
    result, *parameters = node.get("children", [{"printedName": "()"}])
    if node["kind"] == "Var":
        can_set = any(one.get("accessorKind") == "set" for one in node.get("accessors", ()))
        return f": {result['printedName']}{' { get set }' if can_set else ''}"
    types = [one["printedName"] + (" = …" if one.get("hasDefaultArg") else "") for one in parameters]
    # Swift's mangling of an async function.
    effects = " async" * ("Ya" in node.get("mangledName", "").rpartition("t")[2]) + " throws" * bool(
        node.get("throwing")
    )
    return f" ({', '.join(types)}){effects} -> {result['printedName']}"


def undocumented(graph: Node) -> list[str]:
    """Return the public names that say nothing of themselves."""
    found = []
    for symbol in graph["symbols"]:
        name = ".".join(symbol["pathComponents"])
        is_record = symbol["kind"]["identifier"] == "swift.init" and "/Generated/" in symbol.get("location", {}).get(
            "uri", ""
        )
        if (
            "docComment" not in symbol
            and not is_record
            and not any(part.startswith(PLUMBING) for part in symbol["pathComponents"])
        ):
            found.append(name)
    return sorted(found)


def main(folder: pathlib.Path, *, write: bool) -> int:
    """Compare, or write."""
    status = 0
    for module in MODULES:
        graph = json.loads((folder / module / f"{module}.symbols.json").read_text())
        for name in undocumented(graph):
            print(f"{module}: {name} says nothing of itself", file=sys.stderr)
            status = 1
        public = {symbol["identifier"]["precise"] for symbol in graph["symbols"]}
        lines = sorted(set(declarations(json.loads((folder / f"{module}.json").read_text())["ABIRoot"], public)))
        file = PACKAGE / "api" / f"{module}.txt"
        if write:
            file.parent.mkdir(exist_ok=True)
            file.write_text("\n".join(lines) + "\n")
        before = file.read_text().splitlines() if file.exists() else []
        changed = list(difflib.unified_diff(before, lines, "checked in", "built", lineterm="", n=0))
        if changed:
            print(
                *changed,
                f"{module}: the public names differ: if that is meant, run api.py with --write",
                sep="\n",
                file=sys.stderr,
            )
            status = 1
        print(
            f"{module}: {len(lines)} public declarations are as checked in, and say what they are"
            if not changed
            else ""
        )
    return status


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), write="--write" in sys.argv))
