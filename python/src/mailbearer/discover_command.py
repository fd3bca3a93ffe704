"""``mailbearer discover USER``: finds the servers of a mail address, and says from where, and how sure it is."""

from __future__ import annotations

import argparse
import json
import ssl
import sys

from .check import add_proxy
from .discovery import discover
from .errors import ConfigError
from .terminal import user_name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        "user", type=user_name, metavar="USER", help="the mail address; its local part is told to nobody"
    )
    parser.add_argument("--ca-file", metavar="FILE", help="certificate authorities to trust, in place of the system's")
    parser.add_argument("--timeout", type=float, default=15.0, metavar="SECONDS", help="for all of it (default: 15)")
    add_proxy(parser)
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.epilog = (
        "Asked are: DNS; then the domain itself, over https; and only where it says nothing, Thunderbird's database "
        "and the hoster that the MX records name. Exit status: 0, there is a server to log in to; 1, there is none, or "
        "it takes no tokens, or a person must confirm it; 2, the address or an argument is wrong."
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    try:
        context = ssl.create_default_context(cafile=arguments.ca_file) if arguments.ca_file else None
        found = discover(arguments.user, timeout=arguments.timeout, ssl_context=context, proxy=arguments.proxy)
    except (ConfigError, OSError) as error:
        print(f"mailbearer: {error}", file=sys.stderr)
        return 2
    print(json.dumps(found.to_dict(), indent=2) if arguments.json else "\n".join(found.lines()))
    return 0 if found.outcome == "found" else 1
