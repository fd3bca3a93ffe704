"""Holds the one version in all the places that state it.

versions.py check             fails where a place has another version than Cargo.toml
versions.py release VERSION   sets it everywhere, dates the CHANGELOG, and says what is left to do by hand
"""

import datetime
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A file, and what stands around its version. The first is the one that counts.
VERSION = r"(\d+\.\d+\.\d+)"
PLACES = [
    ("Cargo.toml", rf'(?m)^version = "{VERSION}"'),
    ("Cargo.toml", rf'(?m)^mailbearer = \{{ path = "core", version = "{VERSION}"'),
    ("node/package.json", rf'(?m)^  "version": "{VERSION}"'),
    ("node/package-lock.json", rf'\A\{{\n  "name": "mailbearer",\n  "version": "{VERSION}"'),
    ("node/package-lock.json", rf'"": \{{\n      "name": "mailbearer",\n      "version": "{VERSION}"'),
    ("bindings/mobile/kotlin/pom.xml", rf"<artifactId>mailbearer-parent</artifactId>\s*<version>{VERSION}<"),
    *(
        (f"bindings/mobile/kotlin/{part}/pom.xml", rf"<artifactId>mailbearer-parent</artifactId>\s*<version>{VERSION}<")
        for part in (
            "library",
            "testing",
            "notifier",
            "tests",
            "android",
            "android-tests",
            "sample/model",
            "sample/screens",
        )
    ),
    ("bindings/mobile/kotlin/android/build.gradle.kts", rf'(?m)^version = "{VERSION}"'),
    ("bindings/mobile/kotlin/sample/android/build.gradle.kts", rf'versionName = "{VERSION}"'),
    ("bindings/mobile/kotlin/sample/android/build.gradle.kts", rf"org\.mailbearer:mailbearer-android:{VERSION}"),
    ("bindings/mobile/swift/README.md", rf'mailbearer-swift", from: "{VERSION}"'),
    ("bindings/mobile/kotlin/android/README.md", rf"org\.mailbearer:mailbearer-android:{VERSION}"),
]
# Python's, Swift's and each npm platform package's version is taken from these when they are built.
LOCKS = ["Cargo.toml", "tests/fuzz/Cargo.toml", "tests/bench/peers/Cargo.toml"]
UNRELEASED = "## Not released"
BY_HAND = """\
{version} is set everywhere. Left to do by hand:
 1. Read `git diff`, and what CHANGELOG.md says of {version}.
 2. make test && make dist-cross
 3. Commit, and tag it: git tag -s v{version} -m {version}
 4. Push the tag: .github/workflows/release.yml builds and tries every package, and publishes when all passed."""


def found(place: tuple[str, str]) -> re.Match[str]:
    file, pattern = place
    matches = list(re.finditer(pattern, (ROOT / file).read_text()))
    if len(matches) != 1:
        sys.exit(f"{file} states its version {len(matches)} times by {pattern}")
    return matches[0]


def check() -> None:
    version = found(PLACES[0])[1]
    wrong = [f"{place[0]} has {found(place)[1]}, not {version}" for place in PLACES if found(place)[1] != version]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"version {version} in {len(PLACES)} places")


def release(version: str) -> None:
    if not re.fullmatch(VERSION, version):
        sys.exit(f"{version} is no version as in 1.2.3: registries spell others differently")
    changes = ROOT / "CHANGELOG.md"
    text = changes.read_text()
    if text.count(f"{UNRELEASED}\n") != 1:
        sys.exit(f"CHANGELOG.md has not one heading {UNRELEASED}: there is nothing to release")
    for place in PLACES:
        at = found(place)
        path = ROOT / place[0]
        whole = path.read_text()
        path.write_text(whole[: at.start(1)] + version + whole[at.end(1) :])
    changes.write_text(text.replace(UNRELEASED, f"## {version} ({datetime.date.today().isoformat()})"))
    for manifest in LOCKS:
        subprocess.run(["cargo", "update", "--quiet", "--workspace", "--manifest-path", ROOT / manifest], check=True)
    check()
    print(BY_HAND.format(version=version))


def main() -> None:
    match sys.argv[1:]:
        case ["check"]:
            check()
        case ["release", version]:
            release(version)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
