"""Stop at SIGTERM with asyncio, and go on in the next process where this one was."""

import asyncio
import contextlib
import pathlib
import signal
import sys

import mailbearer.aio
from my_account import USER, at, get_access_token


async def token() -> mailbearer.TokenAnswer:
    return await asyncio.to_thread(get_access_token)


async def watch(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state, cursor = folder / "account", folder / "cursor"
    snapshot = state.read_bytes() if state.exists() else None
    sessions = mailbearer.aio.sessions("imap", USER, token, snapshot=snapshot, **at("imap"))
    try:
        async with sessions:
            async for connection in sessions:
                async with connection:
                    since = cursor.read_text() if cursor.exists() else None
                    async for new in connection.new_messages("INBOX", since=since):
                        for uid in new.uids:
                            print("new:", uid, flush=True)
                        cursor.write_text(new.cursor)
    finally:
        state.write_bytes(sessions.snapshot())


async def main(folder: pathlib.Path) -> None:
    watching = asyncio.create_task(watch(folder))
    # Cancelling wakes whatever the task waits for. Windows has no SIGTERM: there ^C ends asyncio.run() in the same way.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, watching.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await watching


if __name__ == "__main__":
    asyncio.run(main(pathlib.Path(sys.argv[1])))
