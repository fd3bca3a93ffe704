"""The way of a connection to its server: from which address, through which proxy, or over whose socket."""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from .errors import ConfigError, LoginFailed, Misuse
from .failures import connect_failure
from .proxy import Place, Proxy, hidden_proxy, proxy_to
from .tcp import Opening, tuned

SocketFactory: TypeAlias = Callable[[tuple[str, int], float], socket.socket | Awaitable[socket.socket]]
"""Opens a TCP connection: called as :func:`socket.create_connection`, with ``(host, port)`` and seconds."""

Sock: TypeAlias = socket.socket | SocketFactory
"""A socket that is connected, or a function that opens one."""


@dataclass(frozen=True, slots=True)
class Route:
    """A way that is checked."""

    proxy: Proxy | None = None
    local_address: str | None = None
    sock: Sock | None = None

    def open(self, to: Place, deadline: float, show: Callable[[Any], None]) -> socket.socket:
        """Connect, in a blocking program; ``show`` is given what can be interrupted: an ``Opening``, a socket.

        Raises:
            LoginFailed: there is no connection, and why.

        """
        if self.sock is not None:
            return _own(self.sock, to, deadline)
        place = to if self.proxy is None else self.proxy.place
        opening = Opening(place, deadline, self.local_address)
        show(opening)
        if self.proxy is None:
            return tuned(opening.run())
        try:
            sock = self.proxy.fitted(tuned(opening.run()))
        except LoginFailed as problem:
            told = self.proxy.unreachable(problem.failure.detail, problem.__cause__)
            raise told from told.__cause__
        show(sock)
        try:
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            self.proxy.ask(sock, to)
        except OSError as error:
            sock.close()
            told = self.proxy.unreachable(_broken(error), error)
            raise told from told.__cause__
        except BaseException:
            sock.close()
            raise
        return sock

    async def through(self, sock: socket.socket, to: Place) -> socket.socket:
        """Let the proxy connect, over a connection to it, where there is one; in an asyncio program."""
        if self.proxy is None:
            return sock
        sock = self.proxy.fitted(sock)
        sock.setblocking(False)
        try:
            await self.proxy.aask(sock, to)
        except OSError as error:
            sock.close()
            told = self.proxy.unreachable(_broken(error), error)
            raise told from told.__cause__
        except BaseException:
            sock.close()
            raise
        return sock

    async def own(self, to: Place, seconds: float) -> socket.socket:
        """Return the program's own socket; a plain function is called in a thread."""
        given = self.sock
        if callable(given) and inspect.iscoroutinefunction(given):
            try:
                return _checked(await given((to.host, to.port), seconds))
            except OSError as error:
                raise _not_opened(error) from error
        loop, deadline = asyncio.get_running_loop(), time.monotonic() + seconds
        opening = loop.run_in_executor(None, _own, cast("Sock", given), to, deadline)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread goes on: what it opens is nobody's any more.
            if callable(given):
                opening.add_done_callback(_close)
            raise


DIRECT = Route()


def route_to(host: str, proxy: Any = None, local_address: str | None = None, sock: Sock | None = None) -> Route:
    """Check the way to a host, before any I/O.

    Raises:
        ConfigError: it cannot be gone.

    """
    if proxy is None and local_address is None and sock is None:
        return DIRECT
    check_route(proxy, local_address, sock)
    return Route(proxy_to(host, proxy), local_address, sock)


def check_route(proxy: Any, local_address: str | None, sock: Sock | None) -> None:
    """Check what a program says of the way, whatever host it leads to."""
    hidden_proxy(proxy)
    if local_address is not None:
        if not isinstance(local_address, str):
            raise TypeError(f"local_address must be a str, not {type(local_address).__name__}")
        try:
            ipaddress.ip_address(local_address)
        except ValueError:
            raise ConfigError("local_address must be an IP address of this machine") from None
    if sock is None:
        return
    if not isinstance(sock, socket.socket) and not callable(sock):
        raise TypeError(f"sock must be a socket or a function that opens one, not {type(sock).__name__}")
    if proxy is not None or local_address is not None:
        raise ConfigError("sock does not go together with proxy and local_address: the socket has its way already")


def refuse_ready_socket(sock: Sock | None) -> None:
    """Where more than one connection is made, a socket that is open will not do."""
    if isinstance(sock, socket.socket):
        raise ConfigError("sock must be a function here: a session opens a connection more than once")


def _close(opened: asyncio.Future[socket.socket]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()


def _own(given: Sock, to: Place, deadline: float) -> socket.socket:
    if isinstance(given, socket.socket):
        return _checked(given)
    try:
        return _checked(given((to.host, to.port), max(0.001, deadline - time.monotonic())))
    except OSError as error:
        raise _not_opened(error) from error


def _not_opened(error: OSError) -> LoginFailed:
    return LoginFailed(connect_failure(error, "the program's own socket"))


def _checked(given: object) -> socket.socket:
    if not isinstance(given, socket.socket):
        raise Misuse(f"sock must give a socket, not {type(given).__name__}")
    if given.fileno() < 0:
        raise Misuse("the socket that was given is closed already")
    return given


def _broken(error: OSError) -> str:
    return (
        "it did not answer in time" if isinstance(error, TimeoutError) else (error.strerror or "the connection broke")
    )
