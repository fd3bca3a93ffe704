import asyncio

import mailbearer.aio


async def main() -> None:
    smtp = await mailbearer.aio.smtp("joe@gmail.com", "ya29.token", provider="gmail")
    await smtp.sendmail("joe@gmail.com", ["ann@example.org"], b"Subject: hello\r\n\r\n")


asyncio.run(main())
