"""Files that only their owner can read, written so that a crash leaves the old one or the new one."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from .errors import ConfigError
from .hiding import Hidden

_POSIX = os.name == "posix"
# Far more than an account needs, and no burden for the memory.
_OCTETS_MAX = 1 << 20
_PATIENCE_SECONDS = 5.0
_T = TypeVar("_T")


def data_folder() -> Path:
    """Return where mailbearer keeps its accounts: ``MAILBEARER_HOME``, else the platform's folder for data."""
    home = os.environ.get("MAILBEARER_HOME")
    if home:
        return Path(home)
    from platformdirs import user_data_dir

    return Path(user_data_dir("mailbearer", appauthor=False))


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner can enter, whatever the umask; one that is there stays as it is."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
    return path


def read_private(path: Path) -> Hidden | None:
    """Read a file that nobody else may read; ``None``: there is none.

    Raises:
        ConfigError: others may read it, or it cannot be read.

    """
    try:
        with _patiently(lambda: open(path, "rb")) as file:
            mode = os.fstat(file.fileno()).st_mode
            if _POSIX and stat.S_IMODE(mode) & 0o077:
                raise ConfigError(f"{path} may be read by others: run chmod 600 {path}")
            octets = Hidden(file.read(_OCTETS_MAX))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    return octets


def write_private(path: Path, octets: Hidden) -> None:
    """Write a file whole, or not at all. The caller holds its lock.

    Raises:
        ConfigError: it cannot be written.

    """
    try:
        remove_stale(path)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(file, "wb") as writing:
                writing.write(octets.reveal())
                writing.flush()
                os.fsync(writing.fileno())
            _patiently(lambda: os.replace(temporary, path))
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None


def _patiently(do: Callable[[], _T]) -> _T:
    """Try again for a moment: on Windows, no file can be replaced while somebody reads it, nor read meanwhile."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return do()
        except PermissionError:
            if _POSIX or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def sync_folder(folder: Path) -> None:
    """See to it that a name outlives a loss of power; Windows has no such thing."""
    if _POSIX:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_stale(path: Path) -> None:
    """Remove what a process left that was killed while it wrote: whoever holds the lock writes alone."""
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        stale.unlink(missing_ok=True)
