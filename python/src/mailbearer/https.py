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
from .lookups import LookupFailed
from .words import Trouble

# Octets that are read at a time: between them the clock is looked at.
_CHUNK = 16_384


class HttpsOpener:
    """GET by the standard library: certificates verified, the environment's proxies used, no redirect followed."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.UnknownHandler(),
            urllib.request.HTTPSHandler(context=context),
        ):
            self._opener.add_handler(handler)
        # Without a handler of errors or redirects every status is an answer.
        self._opener.addheaders = [("User-Agent", f"mailbearer/{__version__}"), ("Accept", "*/*")]

    def __call__(
        self, url: str, *, seconds: float, octets_max: int, public_only: bool
    ) -> tuple[int, str | None, bytes]:
        """Give status, ``Location`` and body."""
        until = time.monotonic() + seconds
        is_direct = not _has_proxy(url)
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


def _has_proxy(url: str) -> bool:
    """Whether a proxy connects in our place: whom it reaches is its own to decide."""
    host = urlsplit(url).hostname or ""
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
