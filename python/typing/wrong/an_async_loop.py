import asyncio

import mailbearer.aio


async def main() -> None:
    for connection in mailbearer.aio.sessions("imap", "joe@gmail.com", "token"):  # wrong
        print(connection)


asyncio.run(main())
