"""Keeps tokens out of what is shown: the locals of our frames, and the words of token sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._core import redact_source


class Hidden:
    """A token as the program gave it. It stands in our frames, whose locals a traceback may show."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "<token>"

    @property
    def is_text(self) -> bool:
        """Whether it may be a token."""
        return isinstance(self._value, str)

    def reveal(self) -> Any:
        """Return it: to be handed on, and not to be kept."""
        return self._value


_PLAIN = (str, bytes, bytearray, memoryview, tuple, list, Mapping)


def hidden(value: Any) -> Any:
    """Hide what may hold a token in plain. Each function that takes a token begins with it."""
    return Hidden(value) if isinstance(value, _PLAIN) else value


def words_of(error: BaseException) -> str:
    """Return the kind of an exception and what it says, as one line without secrets."""
    # google-auth puts the whole answer behind its words.
    first = error.args[0] if error.args else None
    said = redact_source(first if isinstance(first, str) else str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def error_of(answer: Mapping[str, Any]) -> str | None:
    """Return what the answer of a token endpoint says in place of a token (RFC 6749 section 5.2)."""
    said = [str(answer[name]) for name in ("error", "error_description") if answer.get(name)]
    return redact_source(": ".join(said)) or None
