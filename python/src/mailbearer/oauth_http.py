"""Requests to authorization servers: HTTPS with verification, no redirects, bounded in time and in size."""

from __future__ import annotations

import functools
import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

from .errors import ConfigError, TokenSourceFailed
from .hiding import Hidden, words_of
from .proxy import Proxy

# For a whole request.
SECONDS = 30.0
_OCTETS_MAX = 1 << 20


class Answer(NamedTuple):
    """What an authorization server answered; the text may hold tokens."""

    status: int
    text: Hidden


class Https:
    """Sends requests, and trusts whom the context trusts: as a rule, whom the system trusts."""

    def __init__(
        self,
        ssl_context: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
        proxy: str | Proxy | None = None,
    ) -> None:
        self._context = ssl_context or ssl.create_default_context()
        self._proxy = proxy
        self._seconds = seconds

    def post(self, url: str, form: Hidden) -> Answer:
        """Post a form that is encoded already."""
        return self._send(url, form, {"Content-Type": "application/x-www-form-urlencoded"})

    def post_json(self, url: str, text: Hidden) -> Answer:
        """Post JSON."""
        return self._send(url, text, {"Content-Type": "application/json"})

    def get(self, url: str) -> Answer:
        """Fetch a document."""
        return self._send(url, None, {})

    def _send(self, url: str, form: Hidden | None, headers: Mapping[str, str]) -> Answer:
        host = checked_address(url)
        deadline = time.monotonic() + self._seconds
        body = None if form is None else form.reveal().encode()
        request = urllib.request.Request(url, body, {"Accept": "application/json", "User-Agent": _agent(), **headers})
        del body
        try:
            with self._open(request) as response:
                return Answer(response.status, Hidden(_read(response, deadline, host)))
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            words = words_of(reason) if isinstance(reason, BaseException) else str(reason)
            raise TokenSourceFailed(f"the authorization server {host} cannot be reached: {words}") from None
        finally:
            del request

    def _open(self, request: urllib.request.Request) -> Any:
        trusting: urllib.request.BaseHandler = urllib.request.HTTPSHandler(context=self._context)
        if self._proxy is not None:
            from .https import Proxied

            trusting = Proxied(self._context, self._proxy)
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusting, _NoRedirect())
        else:
            opener = urllib.request.build_opener(trusting, _NoRedirect())
        try:
            return opener.open(request, timeout=self._seconds)
        except urllib.error.HTTPError as answer:
            # It is an answer as any other, with a body.
            return answer


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token endpoint that leads elsewhere would have us send secrets there."""

    def redirect_request(self, *arguments: Any) -> None:
        """Follow none."""


def checked_address(url: str) -> str:
    """Return the host of an address that may be asked: HTTPS, without a password in it.

    Raises:
        ConfigError: it is none.

    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError("the address of an authorization server cannot be read") from None
    if parts.scheme != "https" or not host or parts.username is not None or not url.isprintable() or " " in url:
        raise ConfigError(f"the address of an authorization server must begin with https://, at {host or 'no host'}")
    return host if port in (None, 443) else f"{host}:{port}"


def read_json(answer: Answer) -> dict[str, Any] | None:
    """Read an answer as an object of JSON; ``None``: it is none."""
    try:
        read = json.loads(answer.text.reveal())
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def _read(response: Any, deadline: float, host: str) -> str:
    parts: list[bytes] = []
    while part := response.read1(65536):
        parts.append(part)
        if sum(map(len, parts)) > _OCTETS_MAX:
            raise TokenSourceFailed(f"the authorization server {host} answers more than a megabyte")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer takes too long")
    return b"".join(parts).decode("utf-8", "replace")


@functools.cache
def _agent() -> str:
    from ._core import __version__

    return f"mailbearer/{__version__}"
