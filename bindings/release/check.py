"""Checks what `make dist` has made, as far as looking tells: check.py FOLDER

Each package carries its licences, a library asks for no newer glibc than manylinux2014 has and keeps its limit of size,
and the bill of materials is one. That the packages work is what the tests of each language show, which install them.
"""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
MACHINES = {"x86_64": ("linux-x64-gnu", "linux-x86-64"), "aarch64": ("linux-arm64-gnu", "linux-aarch64")}
NEWEST_GLIBC = (2, 17)
LICENCES = ("LICENSE-APACHE", "LICENSE-MIT")
NOTICES = "THIRD-PARTY.md"

Content = dict[str, Callable[[], bytes]]


def content(package: Path) -> Content:
    """The files of a package by their names."""
    if package.suffix in (".whl", ".jar"):
        archive = zipfile.ZipFile(package)
        return {name: lambda name=name: archive.read(name) for name in archive.namelist()}
    tar = tarfile.open(package)  # noqa: SIM115, it is read from until the end
    return {one.name: lambda one=one: tar.extractfile(one).read() for one in tar.getmembers() if one.isfile()}


def the_one(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    assert len(found) == 1, f"{folder} has {len(found)} of {pattern}: {[path.name for path in found]}"
    return found[0]


def holds(package: Path, *endings: str) -> None:
    names = list(content(package))
    for ending in endings:
        assert any(name.endswith(ending) for name in names), f"{package.name} lacks {ending}"


def check_library(package: Path, ending: str, most_kib: int) -> None:
    name, read = next((name, read) for name, read in content(package).items() if name.endswith(ending))
    data = read()
    wanted = {tuple(map(int, found.split(b"."))) for found in re.findall(rb"GLIBC_(2\.\d+)", data)}
    assert wanted, f"{name} of {package.name} names no version of glibc"
    assert max(wanted) <= NEWEST_GLIBC, f"{name} of {package.name} wants glibc {max(wanted)}"
    assert len(data) <= most_kib * 1024, f"{name} of {package.name} has {len(data)} octets, at most {most_kib} KiB"
    newest = ".".join(map(str, max(wanted)))
    print(f"  {name}: {len(data) // 1024} KiB, at most {most_kib}; glibc {newest} or later")


def limits(machine: str) -> list[int]:
    line = re.search(rf"^{machine}-unknown-linux-gnu .*", (ROOT / "bindings/cross/targets").read_text(), re.M)
    assert line, f"bindings/cross/targets has no line for {machine}"
    return [int(word) for word in line[0].split()[3:6]]


def main() -> None:
    folder = Path(sys.argv[1])
    wheel = the_one(folder / "python", "*.whl")
    machine = next(machine for machine in MACHINES if machine in wheel.name)
    platform, jna = MACHINES[machine]
    most_wheel, most_addon, most_mobile = limits(machine)
    shown = subprocess.run(["auditwheel", "show", wheel], check=True, capture_output=True, text=True).stdout
    tag = f"manylinux_2_17_{machine}"
    assert f'"{tag}"' in shown.split("This constrains")[0], f"auditwheel does not say {tag}: {shown}"

    print(f"what was made is of version {VERSION}; the wheel is {tag}, says auditwheel")
    holds(wheel, *LICENCES, NOTICES, ".cyclonedx.json")
    check_library(wheel, "_core.abi3.so", most_wheel)
    holds(
        the_one(folder / "python", f"mailbearer-{VERSION}.tar.gz"), *LICENCES, NOTICES, "Cargo.lock", "core/src/lib.rs"
    )

    holds(the_one(folder / "npm", f"mailbearer-{VERSION}.tgz"), *LICENCES, "dist/index.js", "native/binding.js")
    addon = the_one(folder / "npm", f"mailbearer-native-{platform}-{VERSION}.tgz")
    holds(addon, *LICENCES, NOTICES, "README.md")
    check_library(addon, ".node", most_addon)

    for name, library, source in (
        ("mailbearer", "libmailbearer_mobile.so", "org/mailbearer/Connect.kt"),
        ("mailbearer-testing", "libmailbearer_testing.so", "org/mailbearer/testing/Server.kt"),
    ):
        place = folder / "maven/org/mailbearer" / name / VERSION
        jar = the_one(place, f"{name}-{VERSION}.jar")
        holds(jar, *(f"META-INF/{file}" for file in (*LICENCES, NOTICES)))
        check_library(jar, f"{jna}/{library}", most_mobile)
        generated = f"/{library.removeprefix('lib').removesuffix('.so')}.kt"
        holds(the_one(place, f"{name}-{VERSION}-sources.jar"), source, generated)
        holds(the_one(place, f"{name}-{VERSION}-javadoc.jar"), "index.html")
        the_one(place, f"{name}-{VERSION}.pom")

    holds(the_one(folder / "crates", f"mailbearer-{VERSION}.crate"), *LICENCES, "README.md", "src/lib.rs")
    bill = (folder / "mailbearer.cdx.json").read_text()
    mistake = JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill)
    assert mistake is None, f"the bill of materials breaks its schema: {mistake}"


if __name__ == "__main__":
    main()
