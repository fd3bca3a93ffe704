import asyncio

import mailbearer.aio


async def main() -> None:
    async with mailbearer.aio.sessions("smtp", "joe@gmail.com", "token", client="aiosmtplib") as outboxes:
        connection = await anext(outboxes)
        reply = await connection.client.noop()
        code: int = reply.code
        print(code)
    async with mailbearer.aio.sessions("imap", "joe@gmail.com", "token", client="aioimaplib") as inboxes:
        print((await anext(inboxes)).client)


asyncio.run(main())
