"""Who you are and where your tokens come from: the one file that is yours. Every other example imports it."""

import os

import mailbearer

USER = os.environ.get("MAIL_USER", "joe@gmail.com")

# After `mailbearer login joe@gmail.com` it is what that stored, and mailbearer renews it by itself. Else a command that
# prints a token, as in MAIL_TOKEN_COMMAND="gcloud auth print-access-token"; or a function of your own.
command = os.environ.get("MAIL_TOKEN_COMMAND")
get_access_token = mailbearer.command(command) if command else mailbearer.stored(USER)
