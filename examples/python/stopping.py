"""Stop at SIGTERM, as systemd, Docker and Kubernetes send it, and go on in the next process where this one was."""

import pathlib
import signal
import sys

import mailbearer
from my_account import USER, at, get_access_token


def watch(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state, cursor = folder / "account", folder / "cursor"
    # SystemExit is raised wherever the program waits, also in `wait()` and `new_messages()`: every block is left.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    snapshot = state.read_bytes() if state.exists() else None
    sessions = mailbearer.sessions("imap", USER, get_access_token, snapshot=snapshot, **at("imap"))
    try:
        with sessions:
            for connection in sessions:
                with connection:
                    since = cursor.read_text() if cursor.exists() else None
                    for new in connection.new_messages("INBOX", since=since):
                        for uid in new.uids:
                            print("new:", uid, flush=True)
                        cursor.write_text(new.cursor)
    finally:
        # Stops, waits that a server asked for, and what was in flight: the next process keeps to them.
        state.write_bytes(sessions.snapshot())


if __name__ == "__main__":
    watch(pathlib.Path(sys.argv[1]))
