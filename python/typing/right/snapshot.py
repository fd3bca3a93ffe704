import pathlib

import mailbearer

kept = pathlib.Path("snapshot")
sessions = mailbearer.sessions("imap", "joe@gmail.com", snapshot=kept.read_bytes() if kept.exists() else None)
with sessions:
    next(sessions)
    kept.write_bytes(sessions.snapshot())
    print(sessions.status()["ends_at_ms"])
