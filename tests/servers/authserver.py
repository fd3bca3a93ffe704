"""The authorization server of the tests as a process, and somebody at its pages, without a browser.

    python tests/servers/authserver.py ADDRESS USER    allows what the program at ADDRESS asks for, as USER

``with AuthorizationServer() as server: ...``; see oidc/README.md for what it can do. ``Visitor`` is a person at the
pages: it has cookies, follows redirects, and presses buttons.
"""

from __future__ import annotations

import http.cookiejar
import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import urllib.parse
import urllib.request
from types import TracebackType
from typing import Any, Self

HERE = pathlib.Path(__file__).resolve().parent
CA_FILE = HERE.parents[1] / "python" / "src" / "mailbearer" / "testing" / "ca.pem"


class AuthorizationServer:
    """oidc-provider on loopback, over HTTPS: it ends with the ``with`` block, and with the process that started it.

    Attributes:
        description: what it prints of itself: ``issuer``, the endpoints, ``control``, ``clients``, ``ca_file``.
    """

    def __init__(self, *, access_token_seconds: float = 3600) -> None:
        self._seconds = access_token_seconds
        self._process: subprocess.Popen[str] | None = None
        self.description: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self.description[name]

    def set(self, **settings: Any) -> None:
        """Change what it does: the names are in oidc/server.mjs."""
        self._control("set", settings)

    def reset(self) -> None:
        """Do again what it did at first, and count anew."""
        self._control("reset", {})

    def counts(self) -> dict[str, Any]:
        """What came to it so far."""
        counts: dict[str, Any] = self._control("counts", {})
        return counts

    def secrets(self) -> list[str]:
        """Every code and token that it gave to somebody."""
        secrets: list[str] = self._control("secrets", {})
        return secrets

    def revoke(self, user: str) -> None:
        """Take back what a user has granted, as the user would."""
        assert self._control("revoke", {"user": user})["grants"] > 0

    def _control(self, what: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(f"{self['control']}/{what}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def __enter__(self) -> Self:
        subprocess.run([HERE / "install.sh"], check=True)
        command = ["node", HERE / "oidc" / "server.mjs", f"--access-token-seconds={self._seconds}"]
        # Its library warns of things that do not matter on loopback.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self.description = json.loads(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


class Visitor:
    """A person with a browser, as far as pages without scripts need one."""

    def __init__(self, user: str, ca_file: str | os.PathLike[str] = CA_FILE) -> None:
        self._user = user
        trusting = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file))
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._open = urllib.request.build_opener(trusting, cookies, _KeepErrors()).open

    def visit(self, address: str, answer: str = "allow", *, stop_at: str | None = None) -> tuple[str, str]:
        """Press the button on each page until there is none: the last address, and the text of the page.

        With ``stop_at``, what begins so is not visited: the redirect to a program, whose address is returned.
        """
        self._open.__self__.addheaders = [("User-Agent", "visitor")]  # type: ignore[attr-defined]
        form: bytes | None = None
        for _ in range(8):
            try:
                with self._open(_Request(address, form, stop_at), timeout=30) as page:
                    address, text = page.url, page.read().decode()
            except _Stopped as stopped:
                return stopped.address, ""
            if "<form" not in text:
                return address, text
            address, form = self._pressed(address, text, answer)
        raise RuntimeError(f"the pages do not end: {text}")

    def _pressed(self, address: str, page: str, answer: str) -> tuple[str, bytes]:
        action = re.search(r'<form[^>]*action="([^"]+)"', page)
        assert action is not None, page
        fields = {}
        for tag in re.findall(r"<input[^>]*>", page):
            attributes = dict(re.findall(r'([a-z_]+)="([^"]*)"', tag))
            if "name" in attributes:
                fields[attributes["name"]] = attributes.get("value", "")
        if 'name="answer"' in page:
            fields |= {"user": self._user, "answer": answer}
        return urllib.parse.urljoin(address, action[1]), urllib.parse.urlencode(fields).encode()


class _Request(urllib.request.Request):
    def __init__(self, address: str, form: bytes | None, stop_at: str | None) -> None:
        super().__init__(address, form)
        self.stop_at = stop_at


class _Stopped(Exception):
    def __init__(self, address: str) -> None:
        super().__init__("the redirect is not followed")
        self.address = address


class _KeepErrors(urllib.request.HTTPRedirectHandler):
    """Shows the pages of errors as any other."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.stop_at is not None and newurl.startswith(req.stop_at):
            raise _Stopped(newurl)
        return _Request(newurl, None, req.stop_at)

    def http_error_400(self, req: Any, fp: Any, *rest: Any) -> Any:
        return fp


if __name__ == "__main__":
    shown = re.sub("<[^>]*>", " ", Visitor(sys.argv[2]).visit(sys.argv[1])[1])
    print("The browser shows:", " ".join(shown.split()))
