import asyncio

import mailbearer.aio


async def token(*, force_refresh: bool = False) -> str:
    return "new" if force_refresh else "old"


async def main() -> bytes:
    async with await mailbearer.aio.connect("pop3", "joe@gmail.com", token, discover=False) as connection:
        connection.writer.write(b"NOOP\r\n")
        return await connection.reader.readline()


asyncio.run(main())
