"""Keep a copy of each message with imap_tools' MailBox, for as long as the program runs."""

import pathlib
import sys

from imap_tools import AND

import mailbearer
from my_account import USER, at, get_access_token


def archive(folder: pathlib.Path, poll: float = 60.0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for connection in mailbearer.sessions("imap", USER, get_access_token, client="imap_tools", **at("imap")):
        with connection:
            mailbox = connection.client  # logged in, with INBOX selected
            while not connection.is_due:
                for uid in mailbox.uids():
                    file = folder / f"{uid}.eml"
                    if file.exists():
                        continue
                    for message in mailbox.fetch(AND(uid=uid), mark_seen=False):
                        file.write_bytes(message.obj.as_bytes())
                    if connection.is_due:
                        break  # between two messages the session is renewed
                connection.wait(poll)


if __name__ == "__main__":
    archive(pathlib.Path(sys.argv[1]))
