"""The command ``mailbearer``."""

from __future__ import annotations

import argparse
import sys

from . import __version__, check, demo


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="mailbearer", description="Log in to mail with OAuth 2.0, and know why it fails."
    )
    parser.add_argument("--version", action="version", version=f"mailbearer {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    about = "log in over IMAP, POP3 and SMTP, and say what happened"
    checking = commands.add_parser("check", help=about, description=f"{about[0].upper()}{about[1:]}.")
    check.add_arguments(checking)
    about = "show logins and failures against a server on this machine"
    showing = commands.add_parser("demo", help=about, description=f"{about[0].upper()}{about[1:]}.")
    demo.add_arguments(showing)
    parsed = parser.parse_args(arguments)
    try:
        return check.run(parsed) if parsed.command == "check" else demo.run(parsed)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
