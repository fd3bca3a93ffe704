"""Where the browser comes back to: a listener on this machine (RFC 8252 section 7.3), or a pasted address."""

from __future__ import annotations

import contextlib
import http.server
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from .code_login import CodeLogin, NotTheAnswer
from .errors import Error, TokenSourceFailed
from .hiding import Hidden

# How long a user may take for it.
WAIT_SECONDS = 900.0
# For the browser to fetch the page that it is sent on to.
_PAGE_SECONDS = 3.0
_REQUEST_SECONDS = 10.0
# On this page ends what the browser keeps in its history: no code is in its address.
_CLOSED = "/closed"
_FAILED = "/failed"

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>mailbearer</title></head>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""
_PAGES = {
    _CLOSED: _PAGE.format(title="You may close this window", text="mailbearer goes on in the terminal."),
    _FAILED: _PAGE.format(title="The login did not work", text="The terminal says why. You may close this window."),
}
_NOT_MINE = _PAGE.format(title="This is no answer to the login", text="The program waits for another address.")
_Outcome = Hidden | Error


class Loopback:
    """Listens on a free port of this machine. Nothing is taken but the answer to this login, and nothing logged.

    Args:
        host: ``127.0.0.1``, or ``localhost`` where the provider insists on the name.
        path: behind the port, in the redirect address.

    """

    def __init__(self, host: str = "127.0.0.1", path: str = "/") -> None:
        self._servers = [_Server(("127.0.0.1", 0))]
        port = self._servers[0].server_address[1]
        if host == "localhost":
            # A browser may look there first.
            with contextlib.suppress(OSError):
                self._servers.append(_Server6(("::1", port)))
        self.redirect_uri = f"http://{host}:{port}{path}"

    def listen(self, take: Callable[[Hidden], str | None]) -> None:
        """Answer requests in threads; ``take`` says which page an address leads to, ``None``: it is not ours."""
        base = self.redirect_uri.rstrip("/")
        for server in self._servers:
            server.take, server.base = take, base
            threading.Thread(target=server.serve_forever, args=(0.05,), name="mailbearer-login", daemon=True).start()

    def close(self) -> None:
        """Stop, when the browser has its page."""
        deadline = time.monotonic() + _PAGE_SECONDS
        while any(server.owes_a_page for server in self._servers) and time.monotonic() < deadline:
            time.sleep(0.02)
        for server in self._servers:
            if server.take is not None:
                server.shutdown()
            server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    # On Windows another program could take the port away.
    allow_reuse_address = False
    daemon_threads = True
    take: Callable[[Hidden], str | None] | None = None
    base = ""
    owes_a_page = False

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that goes away is no matter, and a traceback may show a code."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_SECONDS
    server_version = "mailbearer"
    sys_version = ""

    def do_GET(self) -> None:
        """Take an answer, and send the browser on to an address without a code."""
        if self.path in _PAGES:
            self.server.owes_a_page = False
            self._say(200, _PAGES[self.path])
            return
        take = self.server.take
        page = take(Hidden(self.server.base + self.path)) if take is not None else None
        if page is None:
            self._say(404, _NOT_MINE)
            return
        self.server.owes_a_page = True
        self._say(303, "", page)

    def _say(self, status: int, page: str, location: str | None = None) -> None:
        body = page.encode()
        self.send_response(status)
        if location is not None:
            self.send_header("Location", location)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'none'")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing: the code is in the address."""


def wait_for_code(
    login: CodeLogin,
    loopback: Loopback | None,
    *,
    pasted: bool,
    say: Callable[[str], None],
    seconds: float = WAIT_SECONDS,
) -> Hidden:
    """Wait until the browser comes back, or somebody pastes the address that it shows.

    Raises:
        Refused: the user or the server said no.
        TokenSourceFailed: nobody came.

    """
    outcomes: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()

    def take(address: Hidden) -> str | None:
        try:
            outcomes.put(login.read(address))
        except NotTheAnswer:
            return None
        except Error as error:
            outcomes.put(error)
            return _FAILED
        return _CLOSED

    if loopback is not None:
        loopback.listen(take)
    if pasted:

        def read() -> None:
            _read_pasted(login, outcomes, say)
            if loopback is None:
                # Nobody can come any more.
                outcomes.put(TokenSourceFailed("no address was pasted"))

        threading.Thread(target=read, name="mailbearer-paste", daemon=True).start()
    try:
        outcome = outcomes.get(timeout=seconds)
    except queue.Empty:
        raise TokenSourceFailed(f"nobody has logged in within {seconds / 60:.0f} minutes") from None
    if isinstance(outcome, Error):
        raise outcome
    return outcome


def _read_pasted(login: CodeLogin, outcomes: queue.SimpleQueue[_Outcome], say: Callable[[str], None]) -> None:
    """Read lines until one is the answer."""
    # What is pasted may come in pieces of a terminal's line.
    for line in sys.stdin:
        if not line.strip():
            continue
        address = Hidden(line.strip())
        del line
        try:
            outcomes.put(login.read(address))
            return
        except NotTheAnswer as error:
            say(f"No: {error}. Paste the whole address:")
        except Error as error:
            outcomes.put(error)
            return
