import asyncio

import mailbearer.aio


async def main() -> None:
    await mailbearer.aio.imap("joe@gmail.com", "token", client="aioimaplib")  # wrong
    smtp = await mailbearer.aio.smtp("joe@gmail.com", "token")
    await smtp.send("a message")  # wrong


asyncio.run(main())
