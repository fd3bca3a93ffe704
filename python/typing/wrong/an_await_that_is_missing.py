import asyncio

import mailbearer.aio


async def main() -> None:
    connection = mailbearer.aio.connect("imap", "joe@gmail.com", "token")
    print(connection.mechanism)  # wrong


asyncio.run(main())
