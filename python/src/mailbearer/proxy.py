"""Proxies, by SOCKS and by HTTP's CONNECT: they look names up, and their failures are their own.

The handshakes are those of python-socks; the connection to the proxy is opened here, as every other.
"""

from __future__ import annotations

import socket
import urllib.parse
from dataclasses import dataclass
from typing import Any, Literal

from ._core import failure_of_host
from .errors import ConfigError, Error, LoginFailed

# What a URL may say, and curl's names for the same.
_SCHEMES = {"socks5": "socks5", "socks5h": "socks5", "socks": "socks5", "socks4a": "socks4a", "http": "http"}
_PORTS = {"socks5": 1080, "socks4a": 1080, "http": 80}

# The answer to CONNECT; a longer one is none.
_HEAD_OCTETS_MAX = 65_536

ProxyReason = Literal["unreachable", "authentication", "forbidden", "refused", "no_way", "protocol"]


@dataclass(frozen=True)
class Place:
    """A host and its port."""

    host: str
    port: int


class ProxyFailed(Error):
    """The proxy does not lead to the server, which was not spoken to.

    It is the ``__cause__`` of the :class:`~mailbearer.LoginFailed` that tells of it, whose cause is ``proxy_failed``.
    The proxy's password is in no text of it.

    Attributes:
        reason: the proxy itself cannot be reached (``unreachable``), does not know the user (``authentication``), does
            not allow this server (``forbidden``), found nobody there (``refused``) or no way there (``no_way``), or is
            no such proxy (``protocol``).
        proxy: which one, as in ``socks5://127.0.0.1:1080``.

    """

    def __init__(self, reason: ProxyReason, proxy: str, words: str) -> None:
        super().__init__(f"the proxy {proxy} {words}")
        self.reason = reason
        self.proxy = proxy

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason, self.proxy, str(self).removeprefix(f"the proxy {self.proxy} "))


class Proxy:
    """A proxy. Its password is in no text of it."""

    def __init__(self, scheme: str, place: Place, user: str, password: str) -> None:
        self.scheme = scheme
        self.place = place
        self._user = user
        self._password = password

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Read a URL.

        Raises:
            ConfigError: it is none, or the extra is missing that speaks with proxies. The URL is not in the text.

        """
        try:
            parts = urllib.parse.urlsplit(text)
            scheme, host, port = _SCHEMES.get(parts.scheme.lower()), parts.hostname, parts.port
        except ValueError:
            scheme = host = port = None
        if scheme is None or not host:
            raise ConfigError("proxy must be socks5://, socks4a:// or http://, with a host, or 'environment'")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ConfigError("proxy must be a scheme, a host and a port, with nothing behind them")
        user, password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
        if ":" in user or any(len(part.encode()) > 255 for part in (user, password)):
            raise ConfigError("proxy has a user name or password that no proxy takes")
        proxy = cls(scheme, Place(host, port or _PORTS[scheme]), user, password)
        _library()
        return proxy

    def __str__(self) -> str:
        host = f"[{self.place.host}]" if ":" in self.place.host else self.place.host
        return f"{self.scheme}://{host}:{self.place.port}"

    def __repr__(self) -> str:
        return f"<Proxy {self}>"

    # ---- The handshake ---------------------------------------------------------------------------------------------

    def fitted(self, sock: socket.socket) -> socket.socket:
        """Return a socket for the handshake, in the place of this one."""
        return _HeadFirst(fileno=sock.detach()) if self.scheme == "http" else sock

    def ask(self, sock: socket.socket, to: Place) -> None:
        """Let the proxy connect to the server: what this socket says after it goes there.

        Raises:
            LoginFailed: it does not.
            OSError: the connection to the proxy has broken.

        """
        from python_socks.sync import Proxy as Library

        problem: LoginFailed | None = None
        try:
            self._over(Library, _Ready(sock)).connect(to.host, to.port)
        except (_library().ProxyError, ValueError, AssertionError) as error:
            problem = self._refused(error, to)
        finally:
            _let_through(sock)
        # Here, so that the library's error does not go with it.
        if problem is not None:
            raise problem

    async def aask(self, sock: socket.socket, to: Place) -> None:
        """Do the same, without blocking the event loop."""
        from python_socks.async_.asyncio import Proxy as Library

        problem: LoginFailed | None = None
        try:
            await self._over(Library, _AsyncReady(sock)).connect(to.host, to.port, timeout=_LONG_SECONDS)
        except (_library().ProxyError, ValueError, AssertionError) as error:
            problem = self._refused(error, to)
        finally:
            _let_through(sock)
        if problem is not None:
            raise problem

    def _over(self, library: Any, ready: Any) -> Any:
        kinds = _library().ProxyType
        kind = {"socks5": kinds.SOCKS5, "socks4a": kinds.SOCKS4, "http": kinds.HTTP}[self.scheme]
        named = {"username": self._user, "password": self._password} if self._user else {}
        # `rdns`: the proxy looks the name up, and nobody else hears it. `forward`: what opens the connection to it.
        return library(kind, self.place.host, self.place.port, rdns=True, forward=ready, **named)

    # ---- What went wrong -------------------------------------------------------------------------------------------

    def unreachable(self, words: str, error: BaseException | None) -> LoginFailed:
        """Say that the proxy itself could not be reached, or has gone, and what the system said."""
        problem = self._failed("unreachable", f"cannot be reached: {words}")
        if problem.__cause__ is not None:
            problem.__cause__.__cause__ = error
        return problem

    def _refused(self, error: Exception, to: Place) -> LoginFailed:
        """Say what the library's error means. It does not go with ours: its frames hold the password."""
        code, words, target = getattr(error, "error_code", None), str(error), f"{to.host}:{to.port}"
        # tinyproxy says 401 to a password that it does not know.
        if code in _UNKNOWN_USER or "authentication" in words:
            wants = "does not take the user name and password" if self._user else "wants a user name and password"
            return self._failed("authentication", wants)
        if code is None:
            return self._failed("protocol", "does not answer as such a proxy")
        shown = words if self.scheme == "http" else f"{words} ({int(code)})"
        if code in _FORBIDDEN[self.scheme]:
            return self._failed("forbidden", f"does not allow connections to {target}: {shown}")
        return self._failed("refused" if code == _SOCKS5_REFUSED else "no_way", f"cannot connect to {target}: {shown}")

    def _failed(self, reason: ProxyReason, words: str) -> LoginFailed:
        # What a proxy says is as untrusted as what a server says.
        words = "".join(one if one.isprintable() else " " for one in words)[:300]
        cause = ProxyFailed(reason, str(self), words)
        problem = LoginFailed(failure_of_host("proxy_failed", str(cause)))
        problem.__cause__ = cause
        return problem


# RFC 1928 section 6; RFC 9110 section 15.5.
_SOCKS5_REFUSED = 5
_UNKNOWN_USER = (401, 407)
_FORBIDDEN = {"socks5": (2,), "socks4a": (92, 93), "http": (403, 405)}

# The caller keeps the time.
_LONG_SECONDS = 86_400.0


def _library() -> Any:
    try:
        import python_socks
    except ImportError:
        raise ConfigError("proxy needs python-socks: pip install 'mailbearer[proxy]'") from None
    return python_socks


class _Ready:
    """Stands for the way to the proxy, which is open."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def connect(self, **place: Any) -> socket.socket:
        """Give it."""
        return self._sock


class _AsyncReady:
    """The same for asyncio."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def connect(self, **place: Any) -> socket.socket:
        """Give it."""
        return self._sock


class _HeadFirst(socket.socket):
    """Reads the head of an HTTP answer as a whole, and nothing behind it.

    python-socks takes one read for the answer: where a server speaks first (STARTTLS), its greeting would be lost.
    """

    def __init__(self, fileno: int) -> None:
        super().__init__(fileno=fileno)
        self._head = bytearray()
        self._is_over = False

    def let_through(self) -> None:
        """Read from now on as any socket does."""
        self._is_over = True

    def recv(self, octets: int, flags: int = 0) -> bytes:
        """Read a head."""
        if self._is_over:
            return super().recv(octets, flags)
        while len(self._head) < _HEAD_OCTETS_MAX:
            seen = super().recv(octets, socket.MSG_PEEK)
            before = len(self._head)
            end = (self._head + seen).find(b"\r\n\r\n")
            self._head += super().recv(len(seen) if end < 0 else end + 4 - before)
            if end >= 0 or not seen:
                break
        head, self._head = bytes(self._head), bytearray()
        return head


def _let_through(sock: socket.socket) -> None:
    if isinstance(sock, _HeadFirst):
        sock.let_through()


# ---- The option ------------------------------------------------------------------------------------------------------


def hidden_proxy(given: Any) -> Any:
    """Return what a program gave as ``proxy``, without its password in its text.

    Raises:
        ConfigError: it is no URL of a proxy, and not ``environment``.

    """
    if given is None or isinstance(given, Proxy) or given == "environment":
        return given
    if not isinstance(given, str):
        raise TypeError(f"proxy must be a str, not {type(given).__name__}")
    return Proxy.parse(given)


def hide_proxy(options: Any) -> None:
    """Hide it in the keyword arguments of a session: they stand in our frames, whose locals a traceback may show."""
    if options.get("proxy") is not None:
        options["proxy"] = hidden_proxy(options["proxy"])


def proxy_to(host: str, given: Any) -> Proxy | None:
    """Choose the proxy to a host: the one that is given, or ``ALL_PROXY``, but for the hosts of ``NO_PROXY``."""
    if given != "environment":
        found: Proxy | None = hidden_proxy(given)
        return found
    # Most programs ask for no proxy, and this would make every import slower.
    import urllib.request

    # Not in typeshed, and what urllib itself goes by.
    library: Any = urllib.request
    environment: dict[str, str] = library.getproxies_environment()
    if not environment.get("all") or library.proxy_bypass_environment(host, environment):
        return None
    return Proxy.parse(environment["all"])
