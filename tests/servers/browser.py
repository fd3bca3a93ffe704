"""A real browser at the consent page: Chromium without a window, driven over the DevTools protocol.

    python tests/servers/browser.py ADDRESS USER [allow|deny]

What BROWSER names for programs that open one. It enters the user, presses the button, and prints the address and the
text of the page at which that ends, and the addresses that the browser keeps in its history. Certificates are not its
matter: those who are tested verify them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Any, Self

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--ignore-certificate-errors")
# Other programs may keep the machine busy.
_SECONDS = 60.0


class Browser:
    """One browser with one tab."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="mb-browser-")
        self._number = 0
        self._session: str | None = None

    def go(self, address: str) -> None:
        """Open an address."""
        self._call("Page.navigate", url=address)

    def evaluate(self, expression: str) -> Any:
        """Run JavaScript in the page; ``None`` while there is none."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer.get("result", {}).get("value")

    def wait(self, expression: str) -> Any:
        """Wait until an expression is true in the page."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if value := self.evaluate(expression):
                return value
            time.sleep(0.05)
        raise RuntimeError(f"{expression} does not become true at {self.evaluate('document.body.innerText')}")

    def history(self) -> list[str]:
        """Return the addresses that the tab keeps."""
        return [entry["url"] for entry in self._call("Page.getNavigationHistory")["entries"]]

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            answer = json.loads(self._receive())
            if answer.get("id") == self._number:
                result: dict[str, Any] = answer.get("result", {})
                return result

    def _receive(self) -> bytes:
        octets = b""
        while (octet := self._from.read(1)) != b"\0":
            if not octet:
                raise RuntimeError("the browser has ended")
            octets += octet
        return octets

    def __enter__(self) -> Self:
        name = next((found for name in _NAMES if (found := shutil.which(name))), None)
        if name is None:
            raise RuntimeError("there is no Chromium: tests/servers/install-browser.sh installs it")
        its_input, to = os.pipe()
        read, its_output = os.pipe()

        def three_and_four() -> None:
            # The protocol's pipes have these numbers.
            first, second = os.dup(its_input), os.dup(its_output)
            os.dup2(first, 3)
            os.dup2(second, 4)

        command = [name, *_FLAGS, "--remote-debugging-pipe", f"--user-data-dir={self._folder}", "about:blank"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=three_and_four,
        )
        os.close(its_input)
        os.close(its_output)
        self._to, self._from = open(to, "wb"), open(read, "rb")
        tab = self._call("Target.getTargets")["targetInfos"][0]["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        self._call("Page.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._to.close()
        self._process.kill()
        self._process.wait()
        self._from.close()
        # Its children may still write.
        with contextlib.suppress(OSError):
            shutil.rmtree(self._folder)


def consent(address: str, user: str, answer: str = "allow") -> dict[str, Any]:
    """Go through the pages of the authorization server of the tests."""
    with Browser() as browser:
        browser.go(address)
        browser.wait(f"!!document.querySelector('#{answer}')")
        browser.evaluate(f"document.querySelector('#user').value = {json.dumps(user)}")
        browser.evaluate(f"document.querySelector('#{answer}').click()")
        text = browser.wait(
            "location.hostname + location.pathname != '' && location.protocol == 'http:' && document.body.innerText"
        )
        return {"address": browser.evaluate("location.href"), "text": text, "history": browser.history()}


if __name__ == "__main__":
    print(json.dumps(consent(*sys.argv[1:])))
