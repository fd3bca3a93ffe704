import asyncio

import mailbearer.aio


async def main() -> None:
    for connection in mailbearer.aio.sessions("imap", "joe@gmail.com", "token"):  # wrong
        pass


asyncio.run(main())
