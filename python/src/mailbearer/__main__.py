"""The command ``mailbearer``."""

from __future__ import annotations

import argparse
import re
import sys

from . import __version__, check, demo, discover_command


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="mailbearer", description="Log in to mail with OAuth 2.0, and know why it fails.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"mailbearer {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module, about in (
        ("check", check, "log in over IMAP, POP3 and SMTP, and say what happened"),
        ("discover", discover_command, "find the servers of a mail address, and where their tokens come from"),
        ("demo", demo, "show logins and failures against a server on this machine"),
    ):
        description = f"{about[0].upper()}{about[1:]}."
        # An abbreviation of an option is not taken for it: --token is none of --token-command.
        command = commands.add_parser(name, help=about, description=description, allow_abbrev=False)
        module.add_arguments(command)
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        # By name only: a secret may be among them.
        names = [found[0] for one in unknown if (found := re.match(r"--[a-z-]{1,20}(?==|$)", one))]
        parser.error(f"arguments that are not known: {', '.join(names) or len(unknown)}")
    try:
        if parsed.command == "discover":
            return discover_command.run(parsed)
        return check.run(parsed) if parsed.command == "check" else demo.run(parsed)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
