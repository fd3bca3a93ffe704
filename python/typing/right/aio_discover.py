import asyncio

import mailbearer
import mailbearer.aio


async def main() -> mailbearer.Discovered:
    return await mailbearer.aio.discover("joe@example.org", timeout=5.0)


print(asyncio.run(main()).sentence)
