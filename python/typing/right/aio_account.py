import asyncio

import mailbearer
import mailbearer.aio


async def main() -> mailbearer.AccountStatus:
    async with mailbearer.aio.Account("joe@gmail.com", policy=mailbearer.SessionPolicy(lead=60)) as account:
        async for connection in account.sessions("smtp"):
            async with connection:
                connection.writer.write(b"NOOP\r\n")
                print(await connection.reader.readline(), connection.is_due, connection.mechanism)
    return account.status()


phases: list[mailbearer.SessionPhase] = [session["phase"] for session in asyncio.run(main())["sessions"]]
