"""Download a POP3 mailbox and delete what was saved: each message once, and none is lost."""

import pathlib
import poplib
import sys

import mailbearer
from my_account import USER, at, get_access_token


def download(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for connection in mailbearer.sessions("pop3", USER, get_access_token, **at("pop3")):
        with connection:  # when it is left, the client says QUIT: only that deletes (RFC 1939 section 6)
            pop3 = connection.client
            messages = listed(pop3)
            if not messages:
                return  # a session ago they were deleted, and now nothing is listed: the server has done it
            for number, uid in messages:
                if connection.is_due:
                    break  # QUIT, and the next session goes on
                saved = folder / f"{uid}.eml"
                if not saved.exists():
                    _, lines, _ = pop3.retr(number)
                    unfinished = saved.with_suffix(".part")
                    unfinished.write_bytes(b"\r\n".join(lines) + b"\r\n")
                    unfinished.rename(saved)
                pop3.dele(number)


def listed(pop3: poplib.POP3) -> list[tuple[int, str]]:
    """Numbers are of one session alone: a message is known by its UIDL."""
    _, lines, _ = pop3.uidl()
    pairs = (line.decode("ascii").split() for line in lines)
    return [(int(number), uid.replace("/", "_")) for number, uid in pairs]


if __name__ == "__main__":
    download(pathlib.Path(sys.argv[1]))
