"""Who you are and how you get a token: the one file that is yours. Every other example imports it."""

import os
import subprocess

USER = os.environ.get("MAIL_USER", "joe@gmail.com")


def get_access_token(force_refresh: bool = False) -> str:
    """Ask a command for a token, as in MAIL_TOKEN_COMMAND="gcloud auth print-access-token".

    It is asked at every login, and with `force_refresh` once the server has refused what it gave last.
    """
    command = os.environ["MAIL_TOKEN_COMMAND"] + (os.environ.get("MAIL_REFRESH_OPTION", "") if force_refresh else "")
    return subprocess.run(command, shell=True, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
