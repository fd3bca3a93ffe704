import asyncio

import mailbearer.aio


async def token() -> dict[str, str | int]:
    return {"access_token": "ya29.token", "expires_in": 3600}


async def main() -> None:
    async for connection in mailbearer.aio.sessions("imap", "joe@gmail.com", token):
        async with connection:
            connection.writer.write(b"A1 SELECT INBOX\r\n")
            async for change in connection.idle(reissue=60):
                print(change.exists, change.expunged)
            await connection.wait()


asyncio.run(main())
