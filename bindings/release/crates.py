"""Tells of the Rust crates that are linked into what is shipped: their licences, and a bill of materials.

    crates.py notices [--check]     writes THIRD-PARTY.md, or fails where it is not what would be written
    crates.py sbom FILE             writes a CycloneDX bill of materials

It asks `cargo tree` for what each library links, without procedural macros and build scripts, which are not in it.
"""

import argparse
import json
import subprocess
import sys
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NOTICES = ROOT / "THIRD-PARTY.md"
# What is shipped in binary form, and the package of Rust that it comes from.
LIBRARIES = {
    "mailbearer-python": "the wheels for Python",
    "mailbearer-node": "the addons for Node",
    "mailbearer-mobile": "the libraries for Kotlin and Swift",
    "mailbearer-mobile-testing": "the testing server for Kotlin",
}
# The first that a crate offers is the one it is used under: the shortest text.
PREFERRED = ("MIT", "ISC", "Apache-2.0", "MPL-2.0")


@dataclass(frozen=True, order=True)
class Crate:
    """One version of one crate, as the registry has it."""

    name: str
    version: str

    @property
    def purl(self) -> str:
        return f"pkg:cargo/{self.name}@{self.version}"

    @property
    def page(self) -> str:
        return f"https://crates.io/crates/{self.name}/{self.version}"


def cargo(*arguments: str) -> str:
    return subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def shipped_targets() -> list[str]:
    lines = (ROOT / "bindings/cross/targets").read_text().splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


@cache
def linked(library: str) -> frozenset[Crate]:
    """All crates in one library, for whatever target."""
    targets = [word for target in shipped_targets() for word in ("--target", target)]
    options = ("-e", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}", "--no-dedupe")
    lines = cargo("tree", "--locked", "-p", library, *targets, *options).splitlines()
    words = [line.split() for line in lines if line.strip()]
    return frozenset(Crate(name, version.removeprefix("v")) for name, version, *_ in words)


@cache
def described() -> dict[Crate, dict[str, Any]]:
    packages = json.loads(cargo("metadata", "--locked", "--format-version", "1"))["packages"]
    return {Crate(package["name"], package["version"]): package for package in packages}


def is_foreign(crate: Crate) -> bool:
    return described()[crate]["source"] is not None


def licence_of(crate: Crate) -> str:
    offered = described()[crate]["license"]
    return next((one for one in PREFERRED if one in offered.replace("/", " ").split()), offered)


def texts_of(crate: Crate) -> list[str]:
    """The licence as the crate itself carries it, with its lines of copyright."""
    folder = Path(described()[crate]["manifest_path"]).parent
    kind = licence_of(crate)
    found = [path for path in sorted(folder.iterdir()) if path.name.lower().startswith(("license", "copying"))]
    named = [path for path in found if kind.split("-")[0].lower() in path.name.lower()]
    return [path.read_text().strip() for path in (named or [path for path in found if path.name == "LICENSE"])[:1]]


def notices() -> str:
    crates = {crate for library in LIBRARIES for crate in linked(library) if is_foreign(crate)}
    users: dict[Crate, list[str]] = defaultdict(list)
    for library in LIBRARIES:
        for crate in linked(library) & crates:
            users[crate].append(library.removeprefix("mailbearer-"))
    lines = [
        "# What is linked into mailbearer's libraries",
        "",
        "Written by `bindings/release/crates.py notices`. mailbearer itself is under MIT or Apache-2.0. Its libraries",
        "also hold these crates, each under the licence named, in the form in which crates.io has it. Of those under",
        "the MPL-2.0 the source is on the linked page. Rust's standard library is in them too: MIT or Apache-2.0,",
        "Copyright (c) The Rust Project Contributors, <https://github.com/rust-lang/rust/blob/master/COPYRIGHT>.",
        "",
        "| crate | licence | in |",
        "|---|---|---|",
        *(
            f"| [{crate.name} {crate.version}]({crate.page}) | {licence_of(crate)} | {', '.join(users[crate])} |"
            for crate in sorted(crates)
        ),
    ]
    same: dict[str, list[Crate]] = defaultdict(list)
    for crate in sorted(crates):
        for text in texts_of(crate) or [without_text(crate)]:
            same[text].append(crate)
    for text, holders in same.items():
        lines += ["", "## " + ", ".join(crate.name for crate in holders), "", "```text", text, "```"]
    return "\n".join(lines) + "\n"


def without_text(crate: Crate) -> str:
    """Of a crate that carries no text: what its manifest says."""
    package = described()[crate]
    authors = ", ".join(package["authors"]) or "its authors"
    if licence_of(crate) == "MIT":
        mit = (ROOT / "LICENSE-MIT").read_text()
        return f"MIT License\n\nCopyright (c) {authors}\n\n" + mit[mit.index("Permission is hereby") :].strip()
    return f"Copyright (c) {authors}\n{licence_of(crate)}: https://spdx.org/licenses/{licence_of(crate)}.html"


def bill_of_materials() -> dict[str, Any]:
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    locked = {
        Crate(package["name"], package["version"]): package.get("checksum")
        for package in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    }
    crates = sorted({crate for library in LIBRARIES for crate in linked(library)})
    product = {"type": "library", "name": "mailbearer", "version": version, "bom-ref": f"mailbearer@{version}"}

    def component(crate: Crate) -> dict[str, Any]:
        shown: dict[str, Any] = {"type": "library", "name": crate.name, "version": crate.version}
        shown |= {"bom-ref": crate.purl, "purl": crate.purl}
        shown["licenses"] = [{"expression": described()[crate]["license"].replace("/", " OR ")}]
        if crate.name in LIBRARIES:
            shown["description"] = f"linked into {LIBRARIES[crate.name]}"
        if locked[crate]:
            shown["hashes"] = [{"alg": "SHA-256", "content": locked[crate]}]
        return shown

    libraries = [crate for crate in crates if crate.name in LIBRARIES]
    # A library has all its crates in it, whichever asked for them.
    inside = {library: sorted(linked(library.name) - {library}) for library in libraries}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": product, "lifecycles": [{"phase": "build"}]},
        "components": [component(crate) for crate in crates],
        "dependencies": [
            {"ref": product["bom-ref"], "dependsOn": [library.purl for library in libraries]},
            *({"ref": one.purl, "dependsOn": [crate.purl for crate in held]} for one, held in inside.items()),
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("notices").add_argument("--check", action="store_true")
    commands.add_parser("sbom").add_argument("file", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "sbom":
        arguments.file.write_text(json.dumps(bill_of_materials(), indent=1) + "\n")
    elif not arguments.check:
        NOTICES.write_text(notices())
    elif NOTICES.read_text() != notices():
        sys.exit("THIRD-PARTY.md is not of these crates: run python3 bindings/release/crates.py notices")


if __name__ == "__main__":
    main()
