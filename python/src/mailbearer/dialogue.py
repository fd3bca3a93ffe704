"""What a program is shown of a login: its lines, and never the token."""

from __future__ import annotations

from collections.abc import Sequence

from ._core import AccessToken, Transcript
from .options import Trace
from .words import Side


class Dialogue:
    """Gives the lines of a login to the program's trace, each when it is whole."""

    def __init__(self, trace: Trace | None) -> None:
        self._trace = trace
        self._transcript: Transcript | None = None

    def begin(self, token: AccessToken) -> None:
        """Begin, with the token that is not to be shown."""
        if self._trace is not None:
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
            if self._trace is not None:
                self._trace(side, text)
