"""A login of a blocking program, in a thread of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import LoginFailed
from .link import Link

if TYPE_CHECKING:
    from .threads import ThreadDriver


class Login:
    """A connection on its way, in a thread of its own."""

    def __init__(self, driver: ThreadDriver, ticket: int, session: int) -> None:
        self.ticket = ticket
        self.session = session
        self.link = Link(driver.sessions[session])
        self.link.key = id(driver), ticket
        self.dialogue = driver.new_dialogue(session)
        # Nobody waits for facts of it any more: it is logged in, or closed.
        self.is_over = False
        self._driver = driver
        self._is_logged_in = False
        self._is_to_secure = False

    def run(self) -> None:
        """Open it, and read until the login is over."""
        machine = self._driver.machine
        self.link.open()
        self._driver.report(self, machine.opened)
        while not self.is_over:
            if self._is_to_secure:
                self._is_to_secure = False
                self.link.start_tls()
                self._driver.report(self, machine.secured)
            elif data := self.link.read():
                self.dialogue.received(data)
                self._driver.report(self, machine.receive, data)
            else:
                self._driver.login_ended(self)

    def start_tls(self) -> None:
        """Let the thread do the handshake."""
        self._is_to_secure = True

    def send(self, data: bytes) -> None:
        """Write all of it: a login fits into the buffers of the system."""
        try:
            self.link.write(data)
        except LoginFailed as problem:
            self._driver.ended(self.ticket, problem)

    def pause(self) -> None:
        """Read no more."""
        self.is_over = self._is_logged_in = True

    def close(self) -> None:
        """End it, and wake the thread."""
        self.is_over = True
        if self._is_logged_in:
            self.link.close()
        self.link.interrupt()

    def done(self) -> None:
        """Close it, now that its thread ends, unless it is logged in."""
        if not self._is_logged_in:
            self.link.close()
