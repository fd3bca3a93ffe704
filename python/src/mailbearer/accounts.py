"""``mailbearer accounts``: lists the logins that are stored on this machine, without their secrets."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from . import store
from .errors import ConfigError
from .words import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.epilog = (
        "The time is that of the access token, which is renewed by itself when somebody asks for one. Exit status: 0; "
        "1, where something that is stored cannot be used."
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    found = store.accounts()
    problems = [one for one in found if isinstance(one, ConfigError)]
    known = []
    for account in found:
        if isinstance(account, ConfigError):
            continue
        try:
            known.append(_described(account))
        except ConfigError as error:
            problems.append(error)
    if arguments.json:
        print(json.dumps(known, indent=2))
    elif not found:
        print("No login is stored. `mailbearer login USER` makes one.")
    else:
        for one in known:
            print(_line(one))
    for problem in problems:
        print(f"mailbearer: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _described(account: store.StoredAccount) -> dict[str, Any]:
    expires_at = store.grant_of(account).expires_at
    return {"user": account.user, "provider": account.provider, "store": account.store, "expires_at": expires_at}


def _line(one: dict[str, Any]) -> str:
    provider = one["provider"] or "another provider"
    if one["expires_at"] is None:
        until = "until it is refused"
    else:
        minutes = int(one["expires_at"] - time.time()) // 60
        until = f"for {counted(minutes, 'minute')} more" if minutes > 0 else "no more: it is renewed when it is needed"
    return f"{one['user']}  {provider}, {one['store']}; its access token lives {until}"
