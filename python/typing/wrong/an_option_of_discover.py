import asyncio

import mailbearer
import mailbearer.aio

mailbearer.discover("joe@example.org", time_out=5)  # wrong
asyncio.run(mailbearer.aio.discover("joe@example.org", ssl_context=True))  # wrong
