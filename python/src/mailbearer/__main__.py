"""The command ``mailbearer``."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any

from . import __version__, accounts, check, completion, demo, discover_command, login, logout, token_command
from .front_door import nearest
from .terminal import Parser, guarded

_COMMANDS: dict[str, tuple[Any, str]] = {
    "login": (login, "get the first token with a browser, and keep the login"),
    "accounts": (accounts, "list the logins that are stored"),
    "token": (token_command, "print an access token of a login that is stored"),
    "logout": (logout, "take a login back, and forget it"),
    "check": (check, "log in over IMAP, POP3 and SMTP, and say what happened"),
    "discover": (discover_command, "find the servers of a mail address, and where their tokens come from"),
    "demo": (demo, "show logins and failures against a server on this machine"),
    "completion": (completion, "print what makes a shell complete this command"),
}


def command_parser() -> argparse.ArgumentParser:
    """Describe all commands and their options."""
    # An abbreviation of an option is not taken for it: --token is none of --token-command.
    parser = Parser(prog="mailbearer", description="Log in to mail with OAuth 2.0, and know why it fails.")
    parser.add_argument("--version", action="version", version=f"mailbearer {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, about) in _COMMANDS.items():
        description = f"{about[0].upper()}{about[1:]}."
        command = commands.add_parser(name, help=about, description=description)
        module.add_arguments(command)
    return parser


def _long(command: completion.Command, name: str) -> list[str]:
    return [one for option in command.options for one in option.names if one[:2] == "--" and command.name == name]


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return guarded(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    parser = command_parser()
    first = next(iter(sys.argv[1:] if arguments is None else arguments), "-")
    if not first.startswith("-") and first not in _COMMANDS:
        near = nearest(first, _COMMANDS)
        meant = f" (did you mean {near}?)" if near else ""
        parser.error(f"there is no command {first}{meant}; there are {', '.join(_COMMANDS)}")
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        # By name only: a secret may be among them.
        names = [found[0] for one in unknown if (found := re.match(r"--[a-z_-]{1,20}(?==|$)", one))]
        known = [one for command in completion.described(parser) for one in _long(command, parsed.command)]
        if "--host" in names and "--imap" in known:
            parser.error("there is no --host: give --imap, --pop3 or --smtp HOST:PORT")
        told = [f"{name}{f' (did you mean {near}?)' if (near := nearest(name, known)) else ''}" for name in names]
        parser.error(f"arguments that are not known: {', '.join(told) or len(unknown)}")
    if parsed.command == "completion":
        print(completion.script(parser, parsed.shell), end="")
        return 0
    status: int = _COMMANDS[parsed.command][0].run(parsed)
    return status


if __name__ == "__main__":
    sys.exit(main())
