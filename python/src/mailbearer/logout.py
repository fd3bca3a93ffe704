"""``mailbearer logout USER``: takes a login back at the provider, and forgets it."""

from __future__ import annotations

import argparse
import sys

from . import oauth, store
from .check import add_proxy
from .errors import ConfigError, Error
from .oauth_http import Https
from .proxy import hidden_proxy
from .terminal import user_name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        "user", type=user_name, metavar="USER", help="the mail address, as it was given to `mailbearer login`"
    )
    add_proxy(parser)
    parser.epilog = (
        "It is forgotten on this machine in any case. Exit status: 0; 1, it could not be taken back at the provider; "
        "2, it is not stored."
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    try:
        user = store.canonical(arguments.user)
        problem: Error | None = None
        with store.locked(user):
            try:
                said = _taken_back(store.need(user), Https(proxy=hidden_proxy(arguments.proxy)))
            except Error as error:
                if not store.is_there(user):
                    raise
                problem = error
            store.forget(user)
    except Error as error:
        print(f"mailbearer: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    if problem is not None:
        print(f"{user} is forgotten here, but not taken back at the provider: {problem}", file=sys.stderr)
        return 1
    print(said)
    return 0


def _taken_back(account: store.StoredAccount, https: Https) -> str:
    if not account.authorization.get("revocation_endpoint"):
        return (
            f"{account.user} is forgotten here. Its provider lets no program take a login back: "
            "that can be done in the settings of the account, where the programs with access are."
        )
    grant = store.grant_of(account)
    oauth.revoke(https, account.authorization, account.client(grant), grant)
    return f"{account.user} is taken back at the provider, and forgotten here."
