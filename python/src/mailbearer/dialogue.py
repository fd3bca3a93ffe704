"""What a program is shown of a login: its lines, and never the token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from . import log
from ._core import AccessToken, Transcript
from .options import Trace
from .words import Side

if TYPE_CHECKING:
    from .settings import Endpoint


class Dialogue:
    """Gives the lines of a login to the program's trace and to the log, each when it is whole."""

    def __init__(self, trace: Trace | None, endpoint: Endpoint | None = None) -> None:
        self._trace = trace
        self._logged = endpoint if endpoint is not None and log.is_dialogue_on() else None
        self._transcript: Transcript | None = None

    @property
    def is_shown(self) -> bool:
        """Whether anybody sees it: else it costs nothing."""
        return self._trace is not None or self._logged is not None

    def begin(self, token: AccessToken) -> None:
        """Begin, with the token that is not to be shown."""
        if self.is_shown:
            self._transcript = Transcript(token)

    def sent(self, data: bytes, sensitive: bool = False) -> None:
        """Show what the client says."""
        try:
            if self._transcript is not None:
                self._show(self._transcript.sent(data, sensitive))
        finally:
            # It may hold the token, and a traceback the locals.
            del data

    def received(self, data: bytes) -> None:
        """Show what the server says."""
        try:
            if self._transcript is not None:
                self._show(self._transcript.received(data))
        finally:
            # A server may have sent the token back.
            del data

    def pause(self) -> None:
        """Show what has no line end yet: before a handshake, and at the end."""
        if self._transcript is not None:
            self._show(self._transcript.flush())

    def _show(self, lines: Sequence[tuple[Side, str]]) -> None:
        for side, text in lines:
            if self._logged is not None:
                log.line(self._logged, side, text)
            if self._trace is not None:
                self._trace(side, text)


class SessionDialogue(Dialogue):
    """The same of a login that a session makes: a trace that raises does not end it."""

    def __init__(
        self, trace: Trace | None, endpoint: Endpoint, redact: Callable[[str], str], token: AccessToken
    ) -> None:
        super().__init__(trace, endpoint)
        self._redact = redact
        self.begin(token)

    def _show(self, lines: Sequence[tuple[Side, str]]) -> None:
        try:
            # An account may have more than one token at a time.
            super()._show([(side, self._redact(text)) for side, text in lines])
        except Exception as error:
            log.raised_by_the_program("trace raised", error)
