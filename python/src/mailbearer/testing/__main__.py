"""``python -m mailbearer.testing``: the testing server from a shell, for programs in other languages."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from typing import Any

from .. import CAUSES, __version__
from ..settings import MailProtocol, Tls
from ..terminal import Parser, guarded
from . import Server, ca_file

_DESCRIPTION = "A mail server on loopback, for tests of programs that log in with OAuth: IMAP, POP3 and SMTP, with TLS."
_EPILOG = (
    "It takes only the tokens that it prints, over XOAUTH2 and OAUTHBEARER. Trust the printed CA certificate, and "
    "connect to localhost. It ends, with status 0, at ^C, at SIGTERM, and with --stdin when standard input ends. Exit "
    "status: 1, a port is taken; 2, the arguments are wrong."
)
# In this order they lie behind one --port.
_PLACES: tuple[tuple[MailProtocol, Tls], ...] = (
    ("imap", "implicit"),
    ("imap", "starttls"),
    ("pop3", "implicit"),
    ("pop3", "starttls"),
    ("smtp", "implicit"),
    ("smtp", "starttls"),
)
_NAMES = {protocol if tls == "implicit" else f"{protocol}+starttls": (protocol, tls) for protocol, tls in _PLACES}
_PORT_MAX = 65_535
_USERS = {"gmail": "joe@gmail.com", "outlook": "joe@outlook.com", "dovecot": "joe@example.org"}


def parser() -> argparse.ArgumentParser:
    """Describe the command."""
    one = Parser("mailbearer-testing", description=_DESCRIPTION, epilog=_EPILOG)
    one.add_argument("--version", action="version", version=f"mailbearer {__version__}")
    one.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="PORT",
        help="the first of six ports: IMAP, IMAP with STARTTLS, POP3, POP3 with STARTTLS, SMTP, SMTP with STARTTLS; or "
        "one of them, as in imap=10993 or smtp+starttls=10587 (may be repeated). Else they are free ones",
    )
    one.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where it listens (default: 127.0.0.1)")
    one.add_argument("--flavour", choices=list(_USERS), default="gmail", help="whose words it uses (default: gmail)")
    one.add_argument(
        "--user", action="append", metavar="USER", help="an account, with a token of its own (may be repeated)"
    )
    one.add_argument(
        "--token-lifetime", type=float, default=3600.0, metavar="SECONDS", help="of a token (default: 3600)"
    )
    one.add_argument("--session-limit", type=float, metavar="SECONDS", help="that a session may live")
    one.add_argument(
        "--cut",
        choices=["words", "silent", "vanish", "never"],
        default="words",
        help="how a session ends whose time is over (default: words)",
    )
    one.add_argument("--refuse", metavar="CAUSE[:PROTOCOL]", help="refuse every login, as in account_disabled")
    one.add_argument("--connections-max", type=int, metavar="NUMBER", help="sessions of one user at a time")
    one.add_argument("--messages", type=int, default=3, metavar="NUMBER", help="in a new INBOX (default: 3)")
    one.add_argument("--greylist", type=float, metavar="SECONDS", help="that a new recipient is refused for now")
    one.add_argument("--json", action="store_true", help="print JSON for programs, in one line")
    one.add_argument("--stdin", action="store_true", help="end also when standard input ends")
    return one


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return guarded(lambda: _run(arguments))


def _run(words: list[str] | None) -> int:
    described = parser()
    arguments = described.parse_args(words)
    try:
        server = _server(arguments)
    except ValueError as error:
        described.error(str(error))
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda _number, _frame: stopped.set())
    try:
        server.start()
    except OSError as error:
        print(f"mailbearer-testing: {error.strerror or error}", file=sys.stderr)
        return 1
    try:
        tokens = {user: server.issue_token(user) for user in arguments.user or [_USERS[arguments.flavour]]}
        _tell(server, arguments, tokens)
        if arguments.stdin:
            threading.Thread(target=_await_end, args=(stopped,), name="mailbearer-stdin", daemon=True).start()
        stopped.wait()
    finally:
        server.stop()
    return 0


def _server(arguments: argparse.Namespace) -> Server:
    server = Server(
        flavour=arguments.flavour,
        token_lifetime=arguments.token_lifetime,
        session_limit=arguments.session_limit,
        cut=arguments.cut,
        connections_max=arguments.connections_max,
        messages=arguments.messages,
        greylist=arguments.greylist,
        host=arguments.host,
        ports=_ports(arguments.port),
    )
    if arguments.refuse:
        cause, _, protocol = arguments.refuse.partition(":")
        if cause not in CAUSES:
            raise ValueError(f"--refuse: {cause} is no cause; there are {', '.join(CAUSES)}")
        server.refuse(cause, protocol or None)
    return server


def _ports(given: list[str]) -> dict[tuple[MailProtocol, Tls], int]:
    ports: dict[tuple[MailProtocol, Tls], int] = {}
    for text in given:
        name, named, number = text.rpartition("=")
        if not number.isdecimal() or not 0 < int(number) <= _PORT_MAX or (named and name not in _NAMES):
            raise ValueError(f"--port {text}: give PORT, or NAME=PORT with one of {', '.join(_NAMES)}")
        if named:
            ports[_NAMES[name]] = int(number)
        elif int(number) + len(_PLACES) - 1 > _PORT_MAX:
            raise ValueError(f"--port {text}: there are no six ports from there")
        else:
            ports |= {place: int(number) + offset for offset, place in enumerate(_PLACES)}
    return ports


def _tell(server: Server, arguments: argparse.Namespace, tokens: dict[str, str]) -> None:
    if arguments.json:
        print(json.dumps(_described(server, arguments, tokens)), flush=True)
        return
    lines = [f"A mail server with the words of {arguments.flavour} listens on {arguments.host}.", ""]
    for protocol in ("imap", "pop3", "smtp"):
        ports = f"TLS {server.port(protocol)}, STARTTLS {server.port(protocol, 'starttls')}"
        lines.append(f"{protocol:<6} localhost: {ports}")
    lines += [f"trust  {ca_file()}", ""]
    for user, token in tokens.items():
        lines += [f"user   {user}", f"token  {token}"]
    print("\n".join([*lines, "", "^C ends it."]), flush=True)


def _described(server: Server, arguments: argparse.Namespace, tokens: dict[str, str]) -> dict[str, Any]:
    ports: dict[str, dict[str, int]] = {}
    for protocol, tls in _PLACES:
        ports.setdefault(protocol, {})[tls] = server.port(protocol, tls)
    users = [{"user": user, "token": token} for user, token in tokens.items()]
    return {
        "host": "localhost",
        "ports": ports,
        "ca_file": ca_file(),
        "flavour": arguments.flavour,
        "token_lifetime": arguments.token_lifetime,
        "users": users,
    }


def _await_end(stopped: threading.Event) -> None:
    """Whoever started it may be gone without a word."""
    while sys.stdin.readline():
        continue
    stopped.set()


if __name__ == "__main__":
    sys.exit(main())
