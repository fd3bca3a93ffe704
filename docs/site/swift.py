"""Reads the public declarations of the Swift package, with their comments: the page that DocC does not make.

DocC is Swift's own tool. What it makes (Swift 6.0.3) is empty without JavaScript: the page is written from the sources.
`make test-swift` runs DocC for what it checks.
"""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass, field

SOURCES = pathlib.Path(__file__).resolve().parents[2] / "bindings/mobile/swift/Sources"
_PUBLIC = re.compile(
    r"^( *)(?:@\w+(?:\([^)]*\))?\s+)*public (?:[\w()]+ )*?"
    r"(?:(class|struct|enum|protocol|actor|typealias|func|var|let) (`?\w+`?)|(init)\b)"
)
# What a protocol wants, and the cases of an enum, are public with it.
_WANTED = re.compile(r"^    (?:(?:static|mutating) )*(?:func|var|init)\b ?(`?\w+`?)?")
_CASE = re.compile(r"^    case (`?\w+`?)")
_EXTENSION = re.compile(r"^(?:public )?extension (\w+)")
_TYPES = ("class", "struct", "enum", "protocol", "actor", "typealias")
# They say the same of every type: how it is printed, and what NSError has.
_PLAIN = ("description", "errorDescription", "errorUserInfo", "customMirror", "makeAsyncIterator", "next")


@dataclass
class Declaration:
    """Something public: its comment, and what stands before its body."""

    name: str
    kind: str
    text: str
    code: str
    members: list[Declaration] = field(default_factory=list)


def declarations() -> list[Declaration]:
    """Return types with their members, and functions, by name."""
    top: dict[str, Declaration] = {}
    extensions: dict[str, list[Declaration]] = {}
    for file in sorted(SOURCES.glob("Mailbearer*/**/*.swift")):
        if "Generated" not in file.parts:
            _read(file.read_text().splitlines(), top, extensions)
    for name, members in extensions.items():
        if name in top:
            top[name].members += members
    return sorted(top.values(), key=lambda one: one.name.lower())


def _read(lines: list[str], top: dict[str, Declaration], extensions: dict[str, list[Declaration]]) -> None:
    said: list[str] = []
    within: list[Declaration] | None = None
    kind_of = ""
    for number, line in enumerate(lines):
        stripped = line.strip()
        if stripped.startswith("///"):
            said.append(stripped[3:].removeprefix(" "))
            continue
        if line.startswith("}"):
            within, kind_of = None, ""
        extension = _EXTENSION.match(line)
        if extension:
            within = extensions.setdefault(extension[1], [])
        match = _PUBLIC.match(line)
        name = match and (match[3] or match[4])
        if match and name not in _PLAIN:
            kind = match[2] if match[2] in _TYPES else "member"
            one = Declaration(name, kind, "\n".join(said), _code(lines, number))
            if not match[1]:
                overload = top.get(one.name + "()" * (kind == "member"))
                if overload is not None:
                    overload.members.append(one)
                else:
                    top[one.name + "()" * (kind == "member")] = one
                within, kind_of = one.members, one.kind
            elif len(match[1]) == 4 and within is not None:
                within.append(one)
        of_type = {"protocol": _WANTED, "enum": _CASE}.get(kind_of)
        member = of_type.match(line) if of_type and within is not None and not match else None
        if member and said:
            within.append(Declaration(member[1] or "init", "member", "\n".join(said), _code(lines, number)))
        if not stripped.startswith("@"):
            said = []


def _code(lines: list[str], number: int) -> str:
    """Return a declaration without its body."""
    indent = len(lines[number]) - len(lines[number].lstrip())
    code = lines[number].strip()
    while code.count("(") > code.count(")"):
        number += 1
        code += "\n" + lines[number][indent:].rstrip()
    return re.sub(r"\s*\{.*$", "", code) if "= {" not in code else code.split(" = {")[0]


def undocumented() -> list[str]:
    """Return types and functions that say nothing of themselves."""
    found = []
    for one in declarations():
        found += [] if one.text else [one.name]
        found += [f"{one.name}.{member.name}" for member in one.members if not member.text and "func " in member.code]
    return found


def page() -> str:
    """Return the page's Markdown."""
    parts = []
    for one in declarations():
        parts.append(f"## {one.name.strip('`')}\n\n```swift\n{one.code}\n```\n\n{one.text}\n")
        for member in one.members:
            parts.append(f"```swift\n{member.code}\n```\n\n{member.text}\n")
    return "\n".join(parts)
