"""Files over https, as a discovery orders them: imported where one is asked for, and not with mailbearer."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from ._core import __version__
from .errors import LoginFailed
from .lookups import LookupFailed
from .proxy import Place, Proxy, proxy_to
from .route import route_to
from .words import Trouble

# Octets that are read at a time: between them the clock is looked at.
_CHUNK = 16_384


class Proxied(urllib.request.HTTPSHandler):
    """Connects through a proxy that the program has named."""

    def __init__(self, context: ssl.SSLContext, proxy: str | Proxy) -> None:
        super().__init__(context=context)
        self._trusting = context
        self._proxy = proxy

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Open it."""
        trusting, proxy = self._trusting, self._proxy

        class Connection(http.client.HTTPSConnection):
            def connect(self) -> None:
                seconds = self.timeout or _PROXIED_SECONDS
                try:
                    route = route_to(self.host, proxy)
                    sock = route.open(Place(self.host, self.port), time.monotonic() + seconds, lambda _: None)
                except LoginFailed as problem:
                    cause = problem.__cause__
                    raise cause if isinstance(cause, OSError) else OSError(str(cause or problem)) from None
                sock.settimeout(seconds)
                self.sock = trusting.wrap_socket(sock, server_hostname=self.host)

        return self.do_open(Connection, request)


# Every request that is made here has a time-out of its own.
_PROXIED_SECONDS = 30.0


class HttpsOpener:
    """GET by the standard library: certificates verified, no redirect followed.

    It goes through the proxy that is given, else through that of the environment.
    """

    def __init__(self, context: ssl.SSLContext, proxy: str | Proxy | None = None) -> None:
        self._opener = urllib.request.OpenerDirector()
        self._proxy = proxy
        for handler in (
            urllib.request.ProxyHandler(None if proxy is None else {}),
            urllib.request.UnknownHandler(),
            urllib.request.HTTPSHandler(context=context) if proxy is None else Proxied(context, proxy),
        ):
            self._opener.add_handler(handler)
        # Without a handler of errors or redirects every status is an answer.
        self._opener.addheaders = [("User-Agent", f"mailbearer/{__version__}"), ("Accept", "*/*")]

    def __call__(
        self, url: str, *, seconds: float, octets_max: int, public_only: bool
    ) -> tuple[int, str | None, bytes]:
        """Give status, ``Location`` and body."""
        until = time.monotonic() + seconds
        is_direct = not self._has_proxy(url)
        try:
            if public_only and is_direct:
                _check_public(url)
            with self._opener.open(url, timeout=seconds) as answer:
                if public_only and is_direct:
                    _check_peer(answer)
                return answer.status, answer.headers.get("Location"), _read(answer, octets_max, until)
        except urllib.error.URLError as error:
            raise LookupFailed(_trouble(error.reason)) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LookupFailed(_trouble(error)) from None

    def _has_proxy(self, url: str) -> bool:
        """Whether a proxy connects in our place: whom it reaches is its own to decide."""
        host = urlsplit(url).hostname or ""
        if self._proxy is not None:
            return proxy_to(host, self._proxy) is not None
        return "https" in urllib.request.getproxies() and not urllib.request.proxy_bypass(host)


def _check_public(url: str) -> None:
    """Refuse before anything is sent: what others have named must not reach into a private network."""
    parts = urlsplit(url)
    found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    if not all(_is_public(str(address[0])) for *_, address in found):
        raise LookupFailed("not_public")


def _check_peer(answer: Any) -> None:
    """Look at the connection itself: a name may have other addresses the second time. Nothing was read yet."""
    with contextlib.suppress(AttributeError):
        if not _is_public(answer.fp.raw._sock.getpeername()[0]):
            raise LookupFailed("not_public")


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_global


def _read(answer: Any, octets_max: int, until: float) -> bytes:
    body = bytearray()
    # What has come, and not until a chunk is full: a server may send one octet at a time.
    while chunk := answer.read1(_CHUNK):
        body += chunk
        if len(body) > octets_max:
            raise LookupFailed("too_large")
        if time.monotonic() > until:
            raise LookupFailed("timed_out")
    return bytes(body)


def _trouble(error: object) -> Trouble:
    if isinstance(error, LookupFailed):
        return error.trouble
    if isinstance(error, TimeoutError):
        return "timed_out"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, socket.gaierror):
        # A resolver that is not there is none that says that there is no host.
        return "unreachable" if error.errno == socket.EAI_AGAIN else "no_host"
    if isinstance(error, OSError):
        return "unreachable"
    return "malformed"
