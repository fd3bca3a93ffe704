import asyncio

import mailbearer.aio


async def token() -> str:
    return "ya29.token"


async def main() -> None:
    await mailbearer.aio.connect("imap", "joe@gmail.com", token())  # wrong


asyncio.run(main())
