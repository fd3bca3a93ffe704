"""One process, many accounts: each by itself, so that one whose owner must act disturbs no other."""

import asyncio
import pathlib
import sys
from collections.abc import Awaitable, Callable, Mapping

import mailbearer.aio
from my_account import USER, at, get_access_token

Token = Callable[[], Awaitable[mailbearer.TokenAnswer]]

# A token endpoint is not asked for ten thousand accounts at once when the process starts.
AT_ONCE = asyncio.Semaphore(50)


async def watch(user: str, token: Token, folder: pathlib.Path, on_mail: Callable[[str, int], None]) -> None:
    stored, cursor = folder / f"{user}.account", folder / f"{user}.cursor"

    async def gated() -> mailbearer.TokenAnswer:
        async with AT_ONCE:
            return await token()

    account = mailbearer.aio.Account(user, gated, snapshot=stored.read_bytes() if stored.exists() else None)
    try:
        async with account:
            async for connection in account.sessions("imap", **at("imap")):
                async with connection:
                    since = cursor.read_text() if cursor.exists() else None
                    async for new in connection.new_messages("INBOX", since=since):
                        for uid in new.uids:
                            on_mail(user, uid)
                        cursor.write_text(new.cursor)
    except mailbearer.LoginFailed as stop:
        # The stop is in the snapshot, and holds in the next process as well: nobody hammers a locked account. Once
        # its owner has consented anew, delete the file, or call retry().
        print(f"{user}: {stop}", flush=True)
    finally:
        stored.write_bytes(account.snapshot())


async def main(accounts: Mapping[str, Token], folder: pathlib.Path, on_mail: Callable[[str, int], None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    async with asyncio.TaskGroup() as tasks:
        for user, token in accounts.items():
            tasks.create_task(watch(user, token, folder, on_mail), name=user)


if __name__ == "__main__":

    async def token() -> mailbearer.TokenAnswer:
        return await asyncio.to_thread(get_access_token)

    asyncio.run(main({USER: token}, pathlib.Path(sys.argv[1]), lambda user, uid: print(user, uid, flush=True)))
