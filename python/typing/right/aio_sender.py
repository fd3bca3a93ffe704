import asyncio

import mailbearer.aio


async def main() -> None:
    async with mailbearer.aio.sender("joe@gmail.com", idle=5) as sender:
        receipt = sender.send(b"Subject: hello\r\n\r\n", sender="joe@gmail.com", recipients="ann@example.org")
        outcome = await receipt.result()
        print(outcome.accepted)


asyncio.run(main())
