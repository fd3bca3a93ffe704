"""A client in a process of its own: it logs in as often as it is told to, and says what that cost.

python worker.py                   prints the clients, a line of JSON for each
python worker.py NAME PROTOCOL     reads an order of JSON from each line, and answers each with a line
python worker.py --calls           prints what one call through the binding costs, a line of JSON for each
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import platform
import ssl
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any


def main(arguments: list[str]) -> None:
    """Do what the command line says."""
    match arguments:
        case []:
            list_clients()
        case ["--calls"]:
            measure_calls()
        case [name, protocol]:
            obey(name, protocol)
        case _:
            sys.exit(__doc__)


def list_clients() -> None:
    """Print the clients."""
    from clients import CLIENTS

    for one in CLIENTS:
        version = platform.python_version() if one.package == "python" else importlib.metadata.version(one.package)
        fields = {"client": one.name, "version": version, "role": one.role, "protocol": one.protocol}
        say({**fields, "style": one.style, "asks": one.asks})


def obey(name: str, protocol: str) -> None:
    """Do what the lines say, until there are no more."""
    from clients import CLIENTS

    client = next(one for one in CLIENTS if (one.name, one.protocol) == (name, protocol))
    host = Asyncio() if client.style == "asyncio" else Blocking()
    contexts: dict[str, ssl.SSLContext] = {}
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "memory":
            say({"peak_kib": peak_kib()})
            continue
        at = where(order, contexts)
        do = {"logins": logins, "try": attempt, "end": end}[order["do"]]
        say(host.run(do(host, client.login, at, order.get("count", 1))))


def where(order: dict[str, Any], contexts: dict[str, ssl.SSLContext]) -> Any:
    """Read where to log in. The context is made once, for every client."""
    from clients import At

    ca = order["ca"]
    if ca not in contexts:
        contexts[ca] = ssl.create_default_context(cafile=ca)
    return At(order["host"], order["port"], order["user"], order["token"], contexts[ca])


class Blocking:
    """Runs blocking clients, without an event loop: nothing is ever awaited that is not there."""

    def run(self, work: Coroutine[Any, None, Any]) -> Any:
        """Run it to its end."""
        try:
            work.send(None)
        except StopIteration as stop:
            return stop.value
        raise RuntimeError("a blocking client waits for an event loop")

    async def done(self, result: Any) -> Any:
        """Return it: it is done."""
        return result

    async def breathe(self) -> None:
        """Do nothing: nothing goes on behind."""


class Asyncio:
    """Runs clients of asyncio."""

    def run(self, work: Coroutine[Any, None, Any]) -> Any:
        """Run it to its end."""
        import asyncio

        return asyncio.run(work)

    async def done(self, result: Any) -> Any:
        """Wait for what is to be awaited."""
        return await result if isinstance(result, Awaitable) else result

    async def breathe(self) -> None:
        """Let the event loop close what was aborted."""
        import asyncio

        await asyncio.sleep(0)


Host = Blocking | Asyncio
Login = Callable[[Any], Any]


async def logins(host: Host, login: Login, at: Any, count: int) -> dict[str, Any]:
    """Log in so often, one after the other: CPU for each, and the median of the time."""
    gc.collect()
    walls = []
    cpu = time.process_time_ns()
    for _ in range(count):
        begun = time.perf_counter_ns()
        client = await host.done(login(at))
        walls.append(time.perf_counter_ns() - begun)
        await host.done(client.close())
        await host.breathe()
    cpu = time.process_time_ns() - cpu
    return {"cpu_us": cpu / count / 1000, "wall_us": statistics.median(walls) / 1000}


async def attempt(host: Host, login: Login, at: Any, _: int) -> dict[str, Any]:
    """Log in once, and say what a program sees."""
    begun = time.monotonic()
    try:
        client = await host.done(login(at))
    except Exception as error:
        return {"says": shown(error), "ms": (time.monotonic() - begun) * 1000}
    says = {"says": "logged in", "ms": (time.monotonic() - begun) * 1000}
    await host.done(client.close())
    return says


async def end(host: Host, login: Login, at: Any, _: int) -> dict[str, Any]:
    """Log in, ask something, which the server answers with the end of the session, and say what a program sees."""
    begun = time.monotonic()
    client = await host.done(login(at))
    assert client.noop is not None
    try:
        says = f"returned {await host.done(client.noop())!r}"
    except Exception as error:
        says = shown(error)
    ms = (time.monotonic() - begun) * 1000
    await host.done(client.close())
    return {"says": says, "ms": ms}


def shown(error: Exception) -> str:
    """Return what a program prints of an exception."""
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}: {error}"


def peak_kib() -> int:
    """Return the greatest size that this process has had; getrusage would tell the parent's, where that was greater."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


# ---- Calls -----------------------------------------------------------------------------------------------------------

_CALLS, _PASSES = 50_000, 7


def measure_calls() -> None:
    """Time calls of the binding, each with the loop around it taken off."""
    import mailbearer

    line = b"* 17 FETCH (UID 4711 FLAGS (\\Seen) RFC822.SIZE 2048)\r\n"
    watch = mailbearer.Watch("imap")
    token = mailbearer.AccessToken("x")
    calls: dict[str, Callable[[], Any]] = {
        "Watch.received(a line of 54 octets)": lambda: watch.received(line),
        "Watch.sent(nothing)": lambda: watch.sent(b""),
        "Negotiation(...)": lambda: mailbearer.Negotiation("imap", "joe@example.org", token, host="localhost"),
        "beside it: bytes.find in that line": lambda: line.find(b"\n"),
    }
    timed: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(_PASSES):
        floor = _time(lambda: None)
        for name, call in calls.items():
            timed[name].append(max(0.0, _time(call) - floor))
    for name, passes in timed.items():
        version = importlib.metadata.version("mailbearer")
        say({"client": name, "version": version, "role": "mailbearer", "measure": "ns", "runs": passes})


def _time(call: Callable[[], Any]) -> float:
    begun = time.perf_counter_ns()
    for _ in range(_CALLS):
        call()
    return (time.perf_counter_ns() - begun) / _CALLS


def say(answer: dict[str, Any]) -> None:
    """Print a line."""
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
