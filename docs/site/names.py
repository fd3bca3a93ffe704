"""Writes `docs/names.md`: every public name in the five languages, read from the packages themselves.

    python docs/site/names.py            # writes the page
    python docs/site/names.py --check    # fails where it is not of today, or a language lacks a name without a reason

Python is asked by importing it, Node by what TypeDoc has read of its types (`target/node-api.json`), Rust by what its
crate re-exports, Kotlin by the dumps of its jars, Swift by the public declarations of its sources and of what UniFFI
makes of `bindings/mobile`. Members are compared for the types that a program holds in its hands. `names.toml` has what
is called otherwise, and the reasons for what is lacking.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pathlib
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/names.md"
LANGUAGES = ("python", "node", "kotlin", "swift", "rust")
SETTINGS = tomllib.loads((pathlib.Path(__file__).parent / "names.toml").read_text())
Names = dict[str, str]


def key(name: str) -> str:
    """Return what is alike in the names of all languages, as `idle_ms` and `idleMs`; a type is none of its function."""
    is_type = "." not in name and name[:1].isupper() and not name.isupper()
    return re.sub(r"[_\s]", "", name).lower() + ("#" if is_type else "")


# What a program holds in its hands: their members are compared, too.
HELD = {
    key(name)
    for name in (
        "Account",
        "Sessions",
        "SessionConnection",
        "SessionPolicy",
        "SessionEvent",
        "NewMessages",
        "MailboxChange",
    )
}


# ---- Python ----------------------------------------------------------------------------------------------------------


def python() -> Iterator[str]:
    """What is in `__all__`; `aio` has the same names again."""
    for module in ("mailbearer", "mailbearer.aio", "mailbearer.testing"):
        found = importlib.import_module(module)
        for name in found.__all__:
            yield name
            value = getattr(found, name)
            if inspect.isclass(value) and key(name) in HELD:
                yield from (f"{name}.{member}" for member in members_of(value))


def members_of(kind: type) -> Iterator[str]:
    """Attributes that are documented, and what the class and its bases define for programs."""
    section = re.search(r"Attributes:\n(.*?)(\n\n|\Z)", inspect.getdoc(kind) or "", re.DOTALL)
    documented = re.findall(r"^ {4}(\w[\w, ]*): ", section[1], re.MULTILINE) if section else []
    yield from (name for names in documented for name in names.split(", "))
    for base in kind.__mro__[:-1]:
        for name, value in vars(base).items():
            if not name.startswith("_") and (callable(value) or isinstance(value, property | classmethod)):
                yield name


# ---- Node ------------------------------------------------------------------------------------------------------------

_METHOD, _ACCESSOR, _PROPERTY = 2048, 262144, 1024


def node() -> Iterator[str]:
    """What TypeDoc found in the four entry points."""
    for module in json.loads((ROOT / "target/node-api.json").read_text())["children"]:
        for one in module.get("children", ()):
            yield one["name"]
            if key(one["name"]) in HELD:
                for member in one.get("children", ()):
                    if member["kind"] in (_METHOD, _ACCESSOR, _PROPERTY) and not member["name"].startswith("["):
                        yield f"{one['name']}.{member['name']}"


# ---- Rust ------------------------------------------------------------------------------------------------------------


def rust() -> Iterator[str]:
    """What the crate re-exports, and its testing server."""
    for file in ("core/src/lib.rs", "core/src/testing/mod.rs"):
        text = (ROOT / file).read_text()
        for names in re.findall(r"^pub use [\w:]+::\{?([^};]*)\}?;", text, re.MULTILINE):
            yield from re.findall(r"\w+", names)
    yield from re.findall(r"^pub struct (\w+)", (ROOT / "core/src/testing/mod.rs").read_text(), re.MULTILINE)


# ---- Kotlin and Swift ------------------------------------------------------------------------------------------------


def uniffi(folder: str = "bindings/mobile/src") -> Iterator[str]:
    """What a language gets from the core."""
    for file in sorted((ROOT / folder).rglob("*.rs")):
        text = file.read_text()
        for attributes, name in re.findall(r"((?:#\[[^\n]*\]\n)+)pub (?:struct|enum) (\w+)", text):
            if re.search(r"uniffi::(remote|Record|Enum|Object|Error)\b", attributes):
                yield name
        for attributes, name in re.findall(r"((?:#\[[^\n]*\]\n)+)pub fn (\w+)", text):
            if "uniffi::export" in attributes:
                # As UniFFI writes it in both languages.
                yield re.sub(r"_(\w)", lambda match: match[1].upper(), name)


_KOTLIN_CLASS = re.compile(r"public (?:\w+ )*(?:class|interface) org/mailbearer/(?:\w+/)?([\w$]+)")
_KOTLIN_FUNCTION = re.compile(r"\tpublic (?:\w+ )*fun ([a-z]\w*)(?:-\S+)? \(([^)]*)\)")
_NO_NAMES = re.compile(r"component\d+|copy|equals|hashCode|toString|getEntries|values|valueOf")


def kotlin() -> Iterator[str]:
    """What the jars' dumps say is public, which a test holds to the jars."""
    folder = ROOT / "bindings/mobile/kotlin"
    for file in ("library/mailbearer.api", "android/mailbearer-android.api", "testing/mailbearer-testing.api"):
        within = ""
        for line in (folder / file).read_text().splitlines():
            if match := _KOTLIN_CLASS.match(line):
                # What a file has besides classes is in a class of its name; what is within a type is no name by itself.
                within = "" if match[1].endswith("Kt") or "$" in match[1] else match[1]
                is_file = match[1].endswith("Kt")
                if within:
                    yield within
                continue
            match = _KOTLIN_FUNCTION.match(line)
            if not match or " synthetic " in line or _NO_NAMES.fullmatch(match[1]):
                continue
            if is_file and " static " in line:
                extended = re.match(r"Lorg/mailbearer/(\w+);", match[2])
                yield f"{extended[1]}.{match[1]}" if extended and key(extended[1]) in HELD else match[1]
            # A connection of a session is a connection.
            holder = "SessionConnection" if within == "Connection" else within
            if holder and key(holder) in HELD:
                yield f"{holder}.{re.sub('^get([A-Z])', lambda match: match[1].lower(), match[1])}"


_SWIFT = re.compile(
    r"^(?P<indent> *)(?P<modifiers>(?:(?:public|open|final|static|override|mutating|convenience|private|fileprivate"
    r"|internal|indirect|nonisolated)(?:\(set\))?\s+)*)(?P<kind>class|struct|enum|protocol|actor|func|var|let|typealias|extension)\s+(?P<name>\w+)",
)


def swift() -> Iterator[str]:
    """Public is what says so."""
    yield from uniffi()
    yield from uniffi("bindings/mobile/testing/src")
    for file in sorted((ROOT / "bindings/mobile/swift/Sources").glob("Mailbearer*/**/*.swift")):
        if "Generated" not in file.parts:
            yield from declared(file.read_text(), _SWIFT, hidden=("private",), needs="public")


def declared(text: str, pattern: re.Pattern[str], *, hidden: tuple[str, ...], needs: str) -> Iterator[str]:
    """Read declarations by their indentation, which both languages' formatters hold."""
    within = ""
    is_hidden = False
    for line in text.splitlines():
        match = pattern.match(line)
        if match is None:
            constructor = re.match(r"^ {4}(?:public |override )*va[lr] (\w+)", line)
            if constructor and key(within) in HELD and not is_hidden and not needs:
                yield f"{within}.{constructor[1]}"
            continue
        modifiers = match["modifiers"].split()
        is_type = match["kind"] in ("class", "interface", "object", "struct", "enum", "protocol", "actor", "extension")
        is_public = not any(one in modifiers for one in hidden) and (not needs or needs in modifiers)
        extended = re.search(r"fun (\w+)(?:<[^>]*>)?\.\w+\(", line)
        if not match["indent"] and extended and key(extended[1]) in HELD and is_public:
            yield f"{extended[1]}.{match['name']}"
        elif not match["indent"]:
            is_hidden = not is_public and match["kind"] != "extension"
            within = match["name"] if is_type else ""
            if is_public and match["kind"] != "extension":
                yield match["name"]
                if not needs and key(within) in HELD:
                    yield from (f"{within}.{one}" for one in re.findall(r"\bva[lr] (\w+)", line))
        elif len(match["indent"]) == 4 and not is_hidden and is_public and not is_type:
            # A connection of a session is a connection.
            holder = "SessionConnection" if within == "Connection" else within
            if holder and key(holder) in HELD:
                yield f"{holder}.{match['name']}"


# ---- The table -------------------------------------------------------------------------------------------------------


def rows() -> dict[str, Names]:
    """Return for each name, as all languages have it, how each of them writes it."""
    found: defaultdict[str, Names] = defaultdict(dict)
    for language, read in (("python", python), ("node", node), ("kotlin", kotlin), ("swift", swift), ("rust", rust)):
        same = {key(theirs): key(ours) for theirs, ours in SETTINGS["called"].get(language, {}).items()}
        for name in read():
            ending = r"(?<=[a-z])Exception(?=$|\.)" if language == "kotlin" else "$^"
            row = same.get(key(name), key(re.sub(ending, "", name)))
            if row in SETTINGS["left_out"]:
                continue
            found[row].setdefault(language, name)
    return found


def lacking(table: dict[str, Names]) -> tuple[list[str], list[str], dict[str, list[str]]]:
    """Return what lacks without a reason, reasons that nothing needs, and the reasons by name."""
    reasons: dict[tuple[str, str], str] = {}
    told: defaultdict[str, list[str]] = defaultdict(list)
    for one in SETTINGS.get("reason", []):
        for name in one["names"]:
            for language in one["lacks"]:
                reasons[key(name), language] = one["why"]
    missing = []
    used = set()
    for name, names in table.items():
        for language in LANGUAGES:
            if language in names:
                continue
            why = reasons.get((name, language))
            kind = name.partition(".")[0] + ".*"
            if why is None and (kind, language) in reasons:
                why = reasons[kind, language]
                used.add((kind, language))
            if why is None:
                missing.append(f"{language} lacks {next(iter(names.values()))}")
            else:
                used.add((name, language))
                if why not in told[name]:
                    told[name].append(why)
    return missing, [f"{name} in {language}" for name, language in reasons if (name, language) not in used], told


HEAD = """# Every public name in five languages

Written by `docs/site/names.py` from the packages themselves. A test fails where a language lacks what the others have
without a reason in `docs/site/names.toml`. Members are told of the types that a program holds in its hands.

"""


def page() -> str:
    """Return the page."""
    table = rows()
    _, _, told = lacking(table)
    numbers: dict[str, int] = {}
    parts = {"Types and functions": [], "Members": []}
    for name, names in sorted(table.items()):
        mark = ", ".join(str(numbers.setdefault(why, len(numbers) + 1)) for why in told.get(name, ()))
        cells = [f"`{names[language]}`" if language in names else "" for language in LANGUAGES]
        parts["Members" if "." in name else "Types and functions"].append(f"| {' | '.join(cells)} | {mark} |")
    text = HEAD
    for title, lines in parts.items():
        text += f"## {title}\n\n| Python | Node | Kotlin | Swift | Rust | why not in all |\n|---|---|---|---|---|---|\n"
        text += "\n".join(lines) + "\n\n"
    text += "## Why not in all\n\n" + "\n".join(f"{number}. {why}" for why, number in numbers.items()) + "\n"
    return text


def main(arguments: list[str]) -> int:
    """Write the page, or tell what is wrong with it."""
    missing, unused, _ = lacking(rows())
    for one in missing:
        print(f"{one}: give it, or a reason in docs/site/names.toml", file=sys.stderr)
    for one in unused:
        print(f"docs/site/names.toml gives a reason that nothing needs: {one}", file=sys.stderr)
    if arguments != ["--check"]:
        PAGE.write_text(page())
        return 0
    if PAGE.read_text() != page():
        print("docs/names.md is not of today: make pages", file=sys.stderr)
        return 1
    return 1 if missing or unused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
