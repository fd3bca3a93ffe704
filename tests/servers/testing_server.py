"""Runs a command, and the Gmail-like testing server for it: for packages whose language does not start that by itself.

    python tests/servers/testing_server.py COMMAND [ARGUMENT...]

The command finds in MAILBEARER_TESTING_PORT a port of 127.0.0.1 to connect to: each connection there has a
``mailbearer.testing.Server`` of its own, which ends with it. Both sides speak lines of JSON. First comes what the
server is to be, the arguments of ``Server``; the answer has its ports and the file of its certificate authority:

    {"token_lifetime": 1.0}
    {"ports": {"imap": {"implicit": 40001, "starttls": 40002}, ...}, "ca_file": "/.../ca.pem"}

Then each line is a call of one of its methods, answered by what it returns, or by an error:

    {"call": "issue_token", "user": "joe@gmail.com", "lifetime": 1.0}
    {"returned": "ya29..."}
"""

from __future__ import annotations

import base64
import json
import os
import socketserver
import subprocess
import sys
import threading
from typing import Any

from mailbearer import testing

CALLS = ("deliver", "events", "issue_token", "messages", "refuse", "restart", "revoke_token", "set_fault", "submitted")


class Control(socketserver.StreamRequestHandler):
    """One connection, and its server."""

    def handle(self) -> None:
        with testing.Server(**json.loads(self.rfile.readline())) as server:
            ports = {name: {tls: server.port(name, tls) for tls in testing._TLS} for name in testing._PROTOCOLS}
            self.answer({"ports": ports, "ca_file": testing.ca_file()})
            for line in self.rfile:
                self.answer(call(server, **json.loads(line)))

    def answer(self, answer: dict[str, Any]) -> None:
        self.wfile.write(json.dumps(answer, default=in_base64).encode() + b"\n")


def call(server: testing.Server, *, call: str, **arguments: Any) -> dict[str, Any]:
    """Call a method of the server, or count its sessions."""
    if call == "sessions":
        return {"returned": server.sessions}
    if call not in CALLS:
        return {"error": f"the server has no method {call}"}
    if call == "deliver":
        arguments["message"] = base64.b64decode(arguments["message"])
    try:
        returned = getattr(server, call)(**arguments)
    except (TypeError, ValueError) as error:
        return {"error": str(error)}
    return {"returned": [event._asdict() for event in returned] if call == "events" else returned}


def in_base64(octets: bytes) -> str:
    """Octets as JSON has them."""
    return base64.b64encode(octets).decode()


class Listener(socketserver.ThreadingTCPServer):
    """Listens for programs that want a server."""

    daemon_threads = True


def main() -> int:
    """Listen, and run the command."""
    with Listener(("127.0.0.1", 0), Control) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        os.environ["MAILBEARER_TESTING_PORT"] = str(listener.server_address[1])
        status = subprocess.call(sys.argv[1:])
        listener.shutdown()
    return status


if __name__ == "__main__":
    sys.exit(main())
