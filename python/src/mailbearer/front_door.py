"""What a front door is called with: an option that it does not know is named, with the one that was meant.

Python names the innermost function that was called, and up to 3.12 no option that is near.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from .errors import ConfigError
from .hiding import looks_like_token, without_tokens

DoorT = TypeVar("DoorT", bound=Callable[..., Any])

# What other libraries call them.
_CALLED = {
    "access_token": "token",
    "address": "user",
    "email": "user",
    "flavor": "flavour",
    "login": "user",
    "server": "host",
    "ssl": "tls",
    "starttls": "tls",
    "use_ssl": "tls",
    "use_tls": "tls",
    "verify": "ssl_context",
}

# Each front door, and what it takes, in the order in which modules define them.
_DOORS: dict[str, list[str]] = {}


def front_door(name: str, *options: type) -> Callable[[DoorT], DoorT]:
    """Let a function, or a class, say which option it does not know, and which may have been meant.

    Args:
        name: what a program calls it, as ``mailbearer.imap``.
        options: the types of its keyword arguments, where it takes them as a dict: the last one has them all, and
            ``help()`` of each tells a part.

    """

    def decorate(door: DoorT) -> DoorT:
        call: Any = vars(door)["__init__"] if inspect.isclass(door) else door
        known = takes(name, [*_named(call), *(options[-1].__annotations__ if options else ())])
        told = ", ".join(f"help(mailbearer.{one.__name__})" for one in options) or f"help({name})"

        def check(given: Iterable[str]) -> None:
            for option in given:
                if option not in known:
                    raise TypeError(_unknown(name, option, told))

        checked = _checking(call, check, [*inspect.signature(call).parameters])
        if inspect.isclass(door):
            setattr(door, "__init__", checked)  # noqa: B010 - what mypy does not allow
            return door
        return cast("DoorT", checked)

    return decorate


def takes(name: str, known: Iterable[str]) -> list[str]:
    """Note what a front door takes, which may be a setting of another library; return it."""
    _DOORS[name] = [*known]
    return _DOORS[name]


def _named(call: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments that may be given by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(call).parameters.values()
    return [one.name for one in parameters if one.kind in kinds and one.name != "self"]


class _Call(functools.partial[Any]):
    """A call on its way. It holds what the program gave, and a traceback that shows locals does not show that."""

    def __repr__(self) -> str:
        return "<call>"

    __str__ = __repr__


def _checking(
    call: Callable[..., Any], check: Callable[[Iterable[str]], None], parameters: list[str]
) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(call):

        @functools.wraps(call)
        async def later(*arguments: Any, **options: Any) -> Any:
            __tracebackhide__ = True
            made = _Call(call, *arguments, **options)
            names, misplaced = list(options), _misplaced(parameters, arguments, options)
            del arguments, options
            check(names)
            if misplaced is not None:
                raise ConfigError(misplaced)
            return await made()

        return later

    @functools.wraps(call)
    def now(*arguments: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        made = _Call(call, *arguments, **options)
        names, misplaced = list(options), _misplaced(parameters, arguments, options)
        del arguments, options
        check(names)
        if misplaced is not None:
            raise ConfigError(misplaced)
        return made()

    return now


def _unknown(door: str, option: str, told: str) -> str:
    named = without_tokens(repr(option))
    return f"{door}() got an unexpected keyword argument {named}{hint(door, option)}; see {told}"


# What is a name, and may stand in a text: a token in its place must not.
_NAMES = ("user", "host", "provider", "authzid", "client", "tls", "ehlo_name", "local_address", "username")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def _misplaced(parameters: list[str], arguments: tuple[Any, ...], options: dict[str, Any]) -> str | None:
    """Tell which argument is in the place of another one, and nothing of its value."""
    given = {**dict(zip(parameters, arguments, strict=False)), **options}
    try:
        if parameters[0] in ("self", "protocol") and "protocol" in given and (wrong := _no_protocol(given["protocol"])):
            return wrong
        for name in _NAMES:
            if looks_like_token(given.get(name)):
                return f"{name} looks like an access token: the user comes first, then the token"
        token = given.get("token")
        if isinstance(token, str) and _ADDRESS.fullmatch(token):
            return "token looks like a mail address: the user comes first, then the token"
        return None
    finally:
        given.clear()


def _no_protocol(value: object) -> str | None:
    if isinstance(value, str) and value in ("imap", "pop3", "smtp"):
        return None
    if isinstance(value, str) and value.isalnum() and len(value) <= _PROTOCOL_MOST:
        return "protocol is none of the known values: imap, pop3, smtp"
    return "protocol is missing: give imap, pop3 or smtp first"


# What is longer is no misspelt name of one.
_PROTOCOL_MOST = 8


def hint(door: str, option: str) -> str:
    """Tell what may have been meant by an option that a front door does not know: to be put behind its name."""
    known = _DOORS[door]
    meant = _CALLED.get(option.lower())
    if meant not in known:
        if other := _elsewhere(door, option):
            return f" (give it to {other})"
        meant = nearest(option, known)
    return f" (did you mean {meant!r}?)" if meant is not None else ""


def _elsewhere(door: str, option: str) -> str | None:
    """Find another front door that takes it: of the same thing, else of the same kind, else any."""
    taking = [other for other, known in _DOORS.items() if option in known and " " not in other]
    module = door.rpartition(".")[0]
    for is_near in (
        lambda other: other.startswith(f"{door}.") or door.startswith(f"{other}."),
        lambda other: other.startswith(f"{module}."),
        # What a server for tests is told is no option of a login.
        lambda other: not other.startswith("mailbearer.testing."),
    ):
        for other in sorted(filter(is_near, taking), key=_usual):
            return other
    return None


def _usual(door: str) -> int:
    """Name first those in which most options of their kind are told."""
    usual = ["mailbearer.connect", "mailbearer.sessions", "mailbearer.sender"]
    plain = door.replace(".aio.", ".")
    return usual.index(plain) if plain in usual else len(usual)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Find the known word that another one may have meant."""
    word, known = word.lower(), list(known)
    begun = [one for one in known if len(word) > 2 and one.startswith(word)]
    found = difflib.get_close_matches(word, known, n=1) or begun
    return found[0] if found else None
