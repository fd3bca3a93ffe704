"""The same for asyncio, over the connection's own streams."""

import asyncio
import pathlib
import sys

import mailbearer.aio
from my_account import USER, at, get_access_token


async def token() -> mailbearer.TokenAnswer:
    """With an OAuth library of asyncio, await it here. What blocks goes to a thread."""
    return await asyncio.to_thread(get_access_token)


async def notify(where: pathlib.Path) -> None:
    async for connection in mailbearer.aio.sessions("imap", USER, token, **at("imap")):
        async with connection:
            cursor = where.read_text() if where.exists() else None
            async for new in connection.new_messages("INBOX", since=cursor, read_only=True):
                for uid in new.uids:
                    await tell(connection, uid)
                where.write_text(new.cursor)


async def tell(connection: mailbearer.aio.SessionConnection[object], uid: int) -> None:
    """Between two of `new_messages` the connection is the program's: it may say what it likes."""
    connection.writer.write(b"f UID FETCH %d (BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)])\r\n" % uid)
    while not (line := await connection.reader.readline()).startswith(b"f "):
        if line.startswith((b"From:", b"Subject:")):
            print(line.decode("utf-8", "replace").strip(), flush=True)


if __name__ == "__main__":
    asyncio.run(notify(pathlib.Path(sys.argv[1])))
