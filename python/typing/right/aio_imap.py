import asyncio

import mailbearer.aio


async def main() -> None:
    imap = await mailbearer.aio.imap("joe@gmail.com", lambda: "ya29.token", answer_timeout=20)
    print(imap)


asyncio.run(main())
