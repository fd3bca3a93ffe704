"""Real proxies on loopback: microsocks (SOCKS5) and tinyproxy (CONNECT), each with a password."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

USER, PASSWORD = "joe", "pass.word-1"
QUOTED = "joe:pass%2Eword-1"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < deadline, f"{command[0]} does not listen"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


def _found(name: str) -> str:
    # Debian's /usr/sbin is not in everybody's path.
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/usr/local/bin")
    assert found, f"{name} is missing: tests/servers/install.sh"
    return found


@contextlib.contextmanager
def socks5() -> Iterator[str]:
    """The place of a SOCKS5 proxy, as ``127.0.0.1:port``."""
    port = free_port()
    command = [_found("microsocks"), "-i", "127.0.0.1", "-p", str(port), "-u", USER, "-P", PASSWORD]
    with _running(command, port):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def http(folder: pathlib.Path, *, allowed: int | None = None) -> Iterator[str]:
    """The place of an HTTP proxy; ``allowed`` is the only port that it connects to."""
    port = free_port()
    lines = [f"Port {port}", "Listen 127.0.0.1", "Allow 127.0.0.1", f"BasicAuth {USER} {PASSWORD}", "Timeout 60"]
    if allowed is not None:
        lines.append(f"ConnectPort {allowed}")
    configuration = folder / "tinyproxy.conf"
    configuration.write_text("\n".join(lines) + "\n")
    with _running([_found("tinyproxy"), "-d", "-c", str(configuration)], port):
        yield f"127.0.0.1:{port}"
