"""Keeps tokens out of what is shown: the locals of our frames, and the words of token sources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


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


# What a sentence holds of the words of a token source.
_WORDS_MAX = 300

# In a text of others, what a member holds that is called so.
_NAMED_SECRET = re.compile(
    r"""(?i)((?:access|refresh|id)_?token|client_?secret|(?:client_)?assertion|password|authorization|bearer)
    (["']?\s*[=:\s]\s*["']?(?:bearer\s+)?)[^\s"'&,;}]{6,}""",
    re.VERBOSE,
)
# And what looks like a token: capitals, small letters and digits in a row of sixteen, or hexadecimal digits as in
# a key. What stands around it, up to what a token cannot hold, belongs to it.
_LONG = re.compile(r"[A-Za-z0-9+/_.~=-]{16,}")
_RANDOM = re.compile(
    r"(?=[A-Za-z0-9_+-]*[A-Z])(?=[A-Za-z0-9_+-]*[a-z])(?=[A-Za-z0-9_+-]*[0-9])[A-Za-z0-9_+-]{16,}|[0-9a-fA-F]{32,}"
)


def words_of(error: BaseException) -> str:
    """Return the kind of an exception and what it says, as one line without secrets."""
    # google-auth puts the whole answer behind its words.
    first = error.args[0] if error.args else None
    said = without_secrets(first if isinstance(first, str) else str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def without_secrets(text: str) -> str:
    """Make a text of others fit to be shown: one line, in short, with a mask in place of what may be a secret."""
    text = " ".join("".join(one if one.isprintable() else " " for one in text[: 8 * _WORDS_MAX]).split())
    text = _NAMED_SECRET.sub(r"\1\2<secret>", text)
    text = _LONG.sub(lambda found: "<secret>" if _RANDOM.search(found[0]) else found[0], text)
    return text if len(text) <= _WORDS_MAX else f"{text[:_WORDS_MAX]}…"


def error_of(answer: Mapping[str, Any]) -> str | None:
    """Return what the answer of a token endpoint says in place of a token (RFC 6749 section 5.2)."""
    said = [str(answer[name]) for name in ("error", "error_description") if answer.get(name)]
    return without_secrets(": ".join(said)) or None
