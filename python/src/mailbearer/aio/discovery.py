"""From a mail address to its servers, without blocking the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable

from .. import discovery
from ..discovery import Discovered
from ..front_door import front_door
from ..lookups import Opener, Resolver
from ..options import LoginOptions
from ..proxy import Proxy, hidden_proxy
from ..settings import is_to_discover


@front_door("mailbearer.aio.discover")
async def discover(
    user: str,
    *,
    timeout: float = 15.0,
    ssl_context: ssl.SSLContext | None = None,
    resolver: Resolver | None = None,
    opener: Opener | None = None,
    proxy: str | Proxy | None = None,
) -> Discovered:
    """Find the servers of a mail address, as :func:`mailbearer.discover` does.

    Args:
        user: the mail address.
        timeout: seconds for all of it.
        ssl_context: whom to trust over https, in place of the system's authorities.
        resolver: what looks up DNS; it runs in threads.
        opener: what does a GET; it runs in threads.
        proxy: the proxy for what is asked over https; name servers are then asked nothing, unless by a ``resolver``.

    >>> import asyncio, mailbearer.aio
    >>> asyncio.run(mailbearer.aio.discover("joe@hotmail.com")).provider
    'microsoft'

    """
    search = discovery.Search(user, timeout, ssl_context, resolver, opener, hidden_proxy(proxy))
    return await _in_thread(search.run, search.stop)


async def for_login(user: str, options: LoginOptions) -> Discovered | None:
    """Look up what a login was not told, where it is not known."""
    if not is_to_discover(user, options.get("host"), options.get("provider"), options.get("discover", True)):
        return None
    context, proxy = options.get("ssl_context"), options.get("proxy")
    return await _in_thread(lambda: discovery.for_login(user, context, proxy), lambda: None)


async def _in_thread(run: Callable[[], Discovered], stop: Callable[[], None]) -> Discovered:
    """Run it in a thread that no end of the program waits for, as one of the loop's own executor would be."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Discovered] = loop.create_future()

    def set_result(found: Discovered | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        elif found is not None:
            done.set_result(found)

    def work() -> None:
        found: Discovered | None = None
        problem: BaseException | None = None
        try:
            found = run()
        except BaseException as error:
            problem = error
        with contextlib.suppress(RuntimeError):
            # The loop may be closed meanwhile.
            loop.call_soon_threadsafe(set_result, found, problem)

    threading.Thread(target=work, name="mailbearer-discover", daemon=True).start()
    try:
        return await done
    except asyncio.CancelledError:
        stop()
        raise
