"""Tell each new message once: while this runs, and also those that came while it did not."""

import imaplib
import pathlib
import sys

import mailbearer
from my_account import USER, at, get_access_token


def notify(where: pathlib.Path) -> None:
    for connection in mailbearer.sessions("imap", USER, get_access_token, **at("imap")):
        with connection:
            cursor = where.read_text() if where.exists() else None  # None: what comes from now on
            for new in connection.new_messages("INBOX", since=cursor, read_only=True):
                for uid in new.uids:
                    tell(connection.client, uid)
                where.write_text(new.cursor)


def tell(imap: imaplib.IMAP4, uid: int) -> None:
    _, found = imap.uid("FETCH", str(uid), "(BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)])")
    for part in found:
        if isinstance(part, tuple):
            print(part[1].decode("utf-8", "replace").strip(), flush=True)


if __name__ == "__main__":
    notify(pathlib.Path(sys.argv[1]))
