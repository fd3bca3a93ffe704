"""From aioimaplib: `xoauth2` goes. A refused token is told with its cause, and not by a time-out of ten seconds."""

import asyncio

import mailbearer.aio
from my_account import USER, at, get_access_token


async def main() -> None:
    async for connection in mailbearer.aio.sessions("imap", USER, get_access_token, client="aioimaplib", **at("imap")):
        async with connection:
            await connection.client.select("INBOX")
            print(await connection.client.search("ALL"))
            break


asyncio.run(main())
