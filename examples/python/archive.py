"""Archive a mailbox for months: what is in it, and then what comes. Stop it whenever you like, and start it again."""

import imaplib
import pathlib
import re
import sys

import mailbearer
from my_account import USER, at, get_access_token


def archive(folder: pathlib.Path, mailbox: str = "INBOX") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    where = folder / "cursor"
    for connection in mailbearer.sessions("imap", USER, get_access_token, **at("imap")):
        with connection:  # an end of the session in here is no error: the loop goes on
            imap = connection.client
            if not where.exists():
                where.write_text(first_cursor(imap, mailbox))
            for new in connection.new_messages(mailbox, since=where.read_text(), read_only=True):
                for uid in new.uids:
                    save(imap, uid, folder)
                where.write_text(new.cursor)  # only now: a message that was not saved is told again


def first_cursor(imap: imaplib.IMAP4, mailbox: str) -> str:
    """Where a mailbox begins: its UIDVALIDITY, and UID 1."""
    _, [status] = imap.status(mailbox, "(UIDVALIDITY)")
    validity = re.search(rb"UIDVALIDITY (\d+)", status)
    if validity is None:
        raise ValueError(f"{mailbox} has no UIDVALIDITY")
    return f"{int(validity[1])}:1"


def save(imap: imaplib.IMAP4, uid: int, folder: pathlib.Path) -> None:
    """Fetch a message without marking it as read. One that is gone by now is left out."""
    _, found = imap.uid("FETCH", str(uid), "(BODY.PEEK[])")
    for part in found:
        if isinstance(part, tuple):
            unfinished = folder / f"{uid}.part"
            unfinished.write_bytes(part[1])
            unfinished.rename(folder / f"{uid}.eml")


if __name__ == "__main__":
    archive(pathlib.Path(sys.argv[1]))
