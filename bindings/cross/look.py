"""Looks at libraries that cannot be run here, or not only.

look.py library TARGET FILE MOST_KIB    machine, size, what it imports and exports; of Apple's also the signature
look.py imports FILE DLL                the names that a Windows library takes from one DLL
"""

import hashlib
import re
import struct
import sys
from pathlib import Path

import lief

# What a library may ask of the system; all else would have to be installed.
SYSTEM = {
    "linux-gnu": r"lib(c|m|dl|pthread|rt|util|gcc_s)\.so.*|ld-linux.*",
    "linux-musl": r"libc\.so|libc\.musl.*|libgcc_s\.so\.1",
    # What Android's own libraries are asked for is told where the NDK links.
    "android": r"",
    "windows": r"(?i)(kernel32|ntdll|ws2_32|advapi32|userenv|bcrypt(primitives)?|ucrtbase|api-ms-win-.*|python3)\.dll",
    "apple": r"/usr/lib/lib(System|charset|iconv|resolv)\..*|/System/Library/Frameworks/(CoreFoundation|Security)\..*",
}
# What is called from outside: CPython's and Node's entries, and UniFFI's functions.
EXPORTS = r"_?(PyInit_|napi_register_module_v|node_api_module_get_api_version_v|ffi_mailbearer_|uniffi_|UNIFFI_META_).*"
# What the linker gives each library of Apple's, and what std marks itself: nobody calls them, and they do no harm.
OWN_OF_APPLE = r"__mh_dylib_header|___dso_handle|_rust_eh_personality|__R\w+EMPTY_PANIC"
MACHINES = {"x86_64": ("X86_64", "AMD64"), "aarch64": ("AARCH64", "ARM64")}


def system_of(target: str) -> str:
    return next(name for name in SYSTEM if name in target.replace("darwin", "apple"))


def imported(binary: lief.Binary) -> list[str]:
    if isinstance(binary, lief.MachO.Binary):
        # The first names the library itself.
        own = lief.MachO.LoadCommand.TYPE.ID_DYLIB
        return [entry.name for entry in binary.libraries if entry.command != own]
    return [entry if isinstance(entry, str) else entry.name for entry in binary.libraries]


def exported(binary: lief.Binary) -> list[str]:
    return [function.name for function in binary.exported_functions if function.name]


def bad_pages(path: Path) -> int:
    """Count the pages whose SHA-256 is not that of the ad-hoc signature: Apple's chips refuse them."""
    data = path.read_bytes()
    at, offset = 32, None
    for _ in range(struct.unpack_from("<I", data, 16)[0]):
        command, size = struct.unpack_from("<II", data, at)
        if command == 0x1D:  # LC_CODE_SIGNATURE
            offset = struct.unpack_from("<I", data, at + 8)[0]
        at += size
    if offset is None:
        sys.exit(f"{path}: it is not signed")
    (count,) = struct.unpack_from(">I", data, offset + 8)
    blobs = [struct.unpack_from(">II", data, offset + 12 + 8 * index) for index in range(count)]
    directory = offset + next(where for kind, where in blobs if kind == 0)
    hashes, _, _, slots, limit = struct.unpack_from(">IIIII", data, directory + 16)
    size, _, _, page = struct.unpack_from(">BBBB", data, directory + 36)
    starts = range(0, slots << page, 1 << page)
    pages = [hashlib.sha256(data[start : min(start + (1 << page), limit)]).digest() for start in starts]
    stored = [data[directory + hashes + slot * size : directory + hashes + (slot + 1) * size] for slot in range(slots)]
    return sum(one != other for one, other in zip(pages, stored, strict=True)) + (limit != offset)


def small_pages(binary: lief.ELF.Binary) -> bool:
    return any(segment.type == lief.ELF.Segment.TYPE.LOAD and segment.alignment < 0x4000 for segment in binary.segments)


def library(target: str, path: Path, most_kib: int) -> None:
    binary = lief.parse(str(path))
    if binary is None:
        sys.exit(f"{path}: no library")
    system, machine = system_of(target), target.split("-")[0]
    kib = path.stat().st_size // 1024
    found = re.search(r"\w+$", str(binary.abstract.header.architecture))
    faults = []
    if found is None or found[0].upper() not in (*MACHINES[machine], machine.replace("aarch64", "arm64").upper()):
        faults.append(f"is for {found and found[0]}")
    faults += [f"asks for {name}" for name in imported(binary) if not re.fullmatch(SYSTEM[system], name)]
    known = f"{EXPORTS}|{OWN_OF_APPLE}" if system == "apple" else EXPORTS
    strange = [name for name in exported(binary) if not re.fullmatch(known, name)]
    if strange:
        faults.append(f"exports {len(strange)} names that nobody calls: {', '.join(strange[:4])}")
    if kib > most_kib:
        faults.append(f"has {kib} KiB, at most {most_kib}")
    if system == "android" and small_pages(binary):
        faults.append("has pages of less than 16 KiB, which the Play store refuses")
    # Intel's Macs ask for no signature, and zig makes none for them.
    if system == "apple" and machine == "aarch64" and bad_pages(path):
        faults.append("has a signature that does not match")
    if faults:
        sys.exit(f"{path.name} for {target} " + "; ".join(faults))
    asks = ", ".join(sorted({Path(name).name for name in imported(binary)})) or "nothing"
    print(f"  {path.name}: {kib} KiB, at most {most_kib}; exports {len(exported(binary))}; asks for {asks}")


def main() -> None:
    match sys.argv[1:]:
        case ["library", target, file, most]:
            library(target, Path(file), int(most))
        case ["imports", file, dll]:
            binary = lief.parse(file)
            names = [entry.name for one in binary.imports if one.name.lower() == dll for entry in one.entries]
            print("\n".join(sorted(names)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
