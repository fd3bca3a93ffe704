"""``mailbearer token USER``: prints an access token, for mutt, msmtp, mbsync and other programs."""

from __future__ import annotations

import argparse
import sys

from .check import add_proxy
from .errors import ConfigError, Error
from .stored import stored
from .terminal import user_name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        "user", type=user_name, metavar="USER", help="the mail address, as it was given to `mailbearer login`"
    )
    add_proxy(parser)
    parser.epilog = (
        "The token lives for a minute at least, as far as the provider's tokens do. Nothing else is printed. Exit "
        "status: 0; 1, there is no token; 2, the login is not stored."
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    try:
        source = stored(arguments.user, proxy=arguments.proxy)
    except ConfigError as error:
        print(f"mailbearer: {error}", file=sys.stderr)
        return 2
    try:
        print(source.current().access_token.reveal())
    except Error as error:
        print(f"mailbearer: {error}", file=sys.stderr)
        return 1
    return 0
