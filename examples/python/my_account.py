"""Who you are and where your tokens come from: the one file that is yours. Every other example imports it."""

import functools
import json
import os
import pathlib
from collections.abc import Callable

import mailbearer
import mailbearer.testing

# To try an example without a provider: the file MAIL_SERVER has what `mailbearer-testing --json` prints.
file = os.environ.get("MAIL_SERVER")
testing = json.loads(pathlib.Path(file).read_text()) if file else None

USER = os.environ.get("MAIL_USER") or (testing["users"][0]["user"] if testing else "joe@gmail.com")

# After `mailbearer login joe@gmail.com` it is what that stored, and mailbearer renews it by itself. Else a command that
# prints a token, as in MAIL_TOKEN_COMMAND="gcloud auth print-access-token"; or a function of your own.
command = os.environ.get("MAIL_TOKEN_COMMAND")
get_access_token: Callable[[], mailbearer.TokenAnswer]
if command:
    get_access_token = mailbearer.command(command)
elif testing:
    get_access_token = functools.partial(str, testing["users"][0]["token"])
else:
    get_access_token = mailbearer.stored(USER)


def at(protocol: mailbearer.MailProtocol) -> mailbearer.LoginOptions:
    """Where the servers are: that need not be said of a provider's. Leave it out in a program of your own."""
    if not testing:
        return {}
    port: int = testing["ports"][protocol]["implicit"]
    return {"host": testing["host"], "port": port, "ssl_context": mailbearer.testing.client_context()}
