"""Keeps tokens out of what is shown: the locals of our frames, and the words of token sources."""

from __future__ import annotations

import re
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


# Runs of what tokens are made of (RFC 6750 section 2.1), but for the slash, which parts a path.
_RUN = re.compile(r"[A-Za-z0-9._~+=-]+")
# What Google's begin with, and JSON Web Tokens.
_BEGINS = re.compile(r"ya29\.|eyJ[A-Za-z0-9_-]{5}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# The shortest part that is no name of a user, a host or a file, where it has capitals, small letters and digits.
_PART_LEAST = 32


def looks_like_token(text: object) -> bool:
    """Whether a text that is to be a name is an access token, for all that one can see."""
    if not isinstance(text, str) or "@" in text:
        return False
    return any(_BEGINS.match(run) or any(map(_is_random, run.split("."))) for run in _RUN.findall(text))


def _is_random(part: str) -> bool:
    has_all = all(any(map(kind, part)) for kind in (str.isupper, str.islower, str.isdigit))
    return len(part) >= _PART_LEAST and has_all and not _UUID.fullmatch(part)


def without_tokens(text: str) -> str:
    """Return a text of ours in which something stands that a program or a person gave, without what looks like one."""
    return _RUN.sub(lambda found: "<secret>" if looks_like_token(found[0]) else found[0], text)


def shown_name(name: str) -> str:
    """Return a user name to be shown: without the domain of an address it may be a secret in the place of one."""
    return name if "@" in name else redact_source(without_tokens(name))


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
