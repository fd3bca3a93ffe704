"""What programs see: the words of the core, dicts, options, no `Any`, and what `help()` tells."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import json
import pathlib
import re
import sys
import typing
from collections.abc import Callable, Iterator
from typing import Any, get_args

import aioimaplib
import aiosmtplib
import imap_tools
import imapclient
import pytest

import mailbearer
import mailbearer.aio
from mailbearer import _core, facts, settings, words
from mailbearer.log import LEVELS

USER = "joe@gmail.com"

# ---- Words and dicts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(_core.WORDS))
def test_the_words_are_those_of_the_core(name: str) -> None:
    known = list(get_args(getattr(words, name)))
    # Python looks servers up itself, and tells that.
    assert [word for word in known if word != "discovered"] == _core.WORDS[name]
    assert getattr(mailbearer, name) is getattr(words, name)


def test_every_list_of_words_is_held_to_the_core() -> None:
    lists = {name for name, value in vars(words).items() if typing.get_origin(value) is typing.Literal}
    # Renewal is held to the core below.
    assert lists == {*_core.WORDS, "Renewal"}
    assert list(get_args(words.Cause)) == _core.CAUSES
    assert list(get_args(words.Advice)) == _core.ADVICES
    assert list(get_args(words.ProviderName)) == mailbearer.Provider.NAMES
    assert LEVELS.keys() == set(get_args(words.EventKind))


def test_the_core_takes_each_way_of_renewal_and_no_other() -> None:
    for renewal in get_args(words.Renewal):
        _core.Session("imap", USER, host="h.example", seed=1, policy={"renewal": renewal})
        mailbearer.SessionPolicy(renewal=renewal)
    with pytest.raises(ValueError, match="renewal"):
        _core.Session("imap", USER, host="h.example", seed=1, policy={"renewal": "early"})  # type: ignore[typeddict-item]


def test_the_machine_takes_each_setting_of_its_policy() -> None:
    values = {"login": "host", "renewal": "ahead", "ends_with_token": True, "connections": 1}
    policy = {name: values.get(name, 1) for name in mailbearer.MachinePolicy.__annotations__}
    _core.Session("imap", USER, host="h.example", seed=1, policy=policy)  # type: ignore[arg-type]


def test_the_dicts_have_the_members_of_their_types() -> None:
    failure = _core.failure_of_host("timed_out", "")
    rejection = _core.read_rejection("eyJzdGF0dXMiOiI0MDEifQ==")
    watch = _core.Watch("imap")
    watch.sent(b"A1 SELECT INBOX\r\n")
    watch.received(b"A1 OK [READ-WRITE] done\r\n")
    selected = watch.aftermath().selected
    assert selected is not None
    session = _core.Session("imap", USER, host="h.example", seed=1)
    gmail = mailbearer.Provider.named("gmail")
    account = mailbearer.Account(USER, "token")
    inbox = account.sessions("imap")
    missing = mailbearer.aio.sessions("imap", "joe@example.org", "token", client=None).status()
    found = mailbearer.discover(USER)
    shapes: list[tuple[Any, type]] = [
        (failure.to_dict(), facts.FailureFacts),
        (rejection.to_dict(), facts.RejectionFacts),
        (_core.verdict_of_host("timed_out").to_dict(), facts.VerdictFacts),
        (selected.to_dict(), facts.MailboxFacts),
        (watch.aftermath().to_dict(), facts.AftermathFacts),
        (session.status(), facts.MachineStatus),
        (account.status(), facts.AccountStatus),
        (account.status()["sessions"][0], facts.SessionStatus),
        (inbox.status(), facts.SessionStatus),
        (missing, facts.SessionStatus),
        (gmail.service("imap"), facts.ServiceFacts),
        (gmail.oauth, facts.OAuthFacts),
        (found.to_dict(), facts.DiscoveredFacts),
        (found.to_dict()["services"][0], facts.FoundServiceFacts),
        (found.to_dict()["oauth"], facts.FoundOAuthFacts),
    ]
    for value, shape in shapes:
        hints = typing.get_type_hints(shape)
        assert value.keys() == hints.keys(), shape
        # A word that is none of its type's would make it a lie.
        for name, kind in hints.items():
            if typing.get_origin(kind) is typing.Literal:
                assert value[name] in get_args(kind), name
    assert json.loads(json.dumps(failure.to_dict())) == failure.to_dict()
    account.close()


# ---- Options ---------------------------------------------------------------------------------------------------------


def keywords(door: Callable[..., Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(door)
    parameters = inspect.signature(door).parameters.values()
    return {one.name: hints[one.name] for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY}


def test_the_options_are_those_that_a_login_takes() -> None:
    options = typing.get_type_hints(mailbearer.LoginOptions)
    taken = inspect.signature(settings.resolve).parameters.values()
    named = {one.name for one in taken if one.kind is inspect.Parameter.KEYWORD_ONLY}
    assert named - options.keys() == {"discovered"}
    assert options.keys() <= named
    account = keywords(mailbearer.Account.__init__)
    assert keywords(mailbearer.aio.Account.__init__) == account
    lone = typing.get_type_hints(mailbearer.LoneOptions)
    assert account.keys() <= lone.keys()
    assert account.keys() & options.keys() == {"provider", "proxy"}
    assert lone.keys() - typing.get_type_hints(mailbearer.SessionOptions).keys() == {"snapshot", "on_event"}


def told_options(value: Any) -> dict[str, str]:
    """Return what a docstring says of each option, in one line."""
    told: dict[str, str] = {}
    for line in (inspect.getdoc(value) or "").splitlines():
        if found := re.match(r" {4}(\w+): (.*)", line):
            name, text = found.groups()
            told[name] = text
        elif told and line.startswith(" " * 8):
            told[name] += f" {line.strip()}"
    return {name: text for name, text in told.items() if name in mailbearer.LoginOptions.__annotations__}


def test_connect_tells_the_options_as_their_type_does() -> None:
    """The type is the source; `help(mailbearer.connect)` has them, too, where people look first."""
    told = told_options(mailbearer.LoginOptions)
    assert told.keys() == mailbearer.LoginOptions.__annotations__.keys()
    assert told_options(mailbearer.connect) == told


# ---- No Any ----------------------------------------------------------------------------------------------------------

MODULES = ("mailbearer", "mailbearer.aio", "mailbearer.testing")
LIBRARIES: dict[str, Any] = {
    "AioImap": aioimaplib.IMAP4,
    "AioSmtp": aiosmtplib.SMTP,
    "IMAPClient": imapclient.IMAPClient,
    "MailBox": imap_tools.MailBox,
    "aioimaplib": aioimaplib,
    "aiosmtplib": aiosmtplib,
}


def public() -> Iterator[tuple[str, Any]]:
    for module in MODULES:
        found = importlib.import_module(module)
        for name in found.__all__:
            yield f"{module}.{name}", getattr(found, name)


def has_any(kind: Any, seen: set[int]) -> bool:
    """Whether `Any` is in a type, or in what it is made of."""
    if kind is Any:
        return True
    if id(kind) in seen:
        return False
    seen.add(id(kind))
    if typing.is_typeddict(kind):
        return any(has_any(one, seen) for one in typing.get_type_hints(kind).values())
    members = get_args(kind)
    if isinstance(kind, type) and getattr(kind, "_is_protocol", False):
        members += tuple(
            one for value in vars(kind).values() if callable(value) for one in typing.get_type_hints(value).values()
        )
    return any(has_any(list(one) if isinstance(one, tuple) else one, seen) for one in flat(members))


def flat(members: Any) -> Iterator[Any]:
    for one in members:
        if isinstance(one, list):
            yield from flat(one)
        else:
            yield one


def signatures(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a checker sees of a name: of a function that has them, its overloads."""
    if inspect.isfunction(value):
        for door in typing.get_overloads(value) or [value]:
            yield name, door
    elif inspect.isclass(value):
        if value.__module__.startswith("mailbearer"):
            yield f"{name} (its members)", value
        for member, inner in vars(value).items():
            inner = inner.__func__ if isinstance(inner, classmethod | staticmethod) else inner
            inner = inner.fget if isinstance(inner, property) else inner
            if inspect.isfunction(inner) and (not member.startswith("_") or member == "__init__"):
                yield from signatures(f"{name}.{member}", inner)


# What the adapters and the driver call; a program does not.
INTERNAL = re.compile(
    r"(Connection|Sender)\.(__init__|hand_over|renew|over)\b|Sessions\.__init__|\.of$|SessionPolicy\.of_|greeted"
)


def hints_of(door: Any) -> dict[str, Any]:
    module = sys.modules[door.__module__]
    # What is imported for checkers only is there in another module.
    others = [vars(one) for name, one in sys.modules.items() if name.startswith("mailbearer.") and one is not module]
    names: dict[str, Any] = {}
    for known in (*others, LIBRARIES, vars(builtins), vars(module)):
        names |= known
    return typing.get_type_hints(door, names, names)


def test_no_public_signature_has_any() -> None:
    found = []
    for name, value in public():
        if not callable(value) or typing.get_origin(value) is not None:
            if has_any(value, set()):
                found.append(name)
            continue
        for place, door in signatures(name, value):
            if INTERNAL.search(place):
                continue
            try:
                hints = hints_of(door)
            except NameError as error:
                raise AssertionError(f"{place}: {error}") from error
            found += [f"{place}: {one}" for one, kind in hints.items() if one[0] != "_" and has_any(kind, set())]
    assert found == []


def test_that_test_can_fail() -> None:
    assert has_any(dict[str, Any], set())
    assert has_any(Callable[[Any], None], set())
    assert not has_any(mailbearer.TokenSource, set())


def test_no_public_stub_has_any() -> None:
    path = pathlib.Path(mailbearer.__file__).with_name("_core.pyi")
    classes = [one for one in ast.parse(path.read_text()).body if isinstance(one, ast.ClassDef | ast.FunctionDef)]
    exported = [one for one in classes if getattr(mailbearer, one.name, None) is getattr(_core, one.name)]
    assert len(exported) >= 15
    found = [(one.name, ast.unparse(part)) for one in exported for part in ast.walk(one) if has_name(part, "Any")]
    assert found == []


def has_name(part: ast.AST, name: str) -> bool:
    if not isinstance(part, ast.arg | ast.FunctionDef):
        return False
    annotation = part.annotation if isinstance(part, ast.arg) else part.returns
    return annotation is not None and any(isinstance(one, ast.Name) and one.id == name for one in ast.walk(annotation))


def test_it_is_typed() -> None:
    assert pathlib.Path(mailbearer.__file__).with_name("py.typed").exists()


# ---- help() ----------------------------------------------------------------------------------------------------------

CONNECTING = ("connect", "imap", "pop3", "smtp", "imapclient", "mailbox", "sessions", "sender", "discover")
DOORS: list[Callable[..., Any]] = [
    *(getattr(mailbearer, name) for name in CONNECTING),
    *(getattr(mailbearer, name) for name in ("explain", "stored", "command", "token_file", "client_credentials")),
    *(getattr(mailbearer.aio, name) for name in ("connect", "imap", "smtp", "sessions", "sender", "discover")),
    *(module.Account for module in (mailbearer, mailbearer.aio)),
    *(module.Account.sessions for module in (mailbearer, mailbearer.aio)),
]
OPTIONS = (mailbearer.LoginOptions, mailbearer.SessionOptions, mailbearer.LoneOptions, mailbearer.SenderOptions)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door.__module__}.{door.__qualname__}")
def test_help_tells_all_that_a_front_door_takes(door: Callable[..., Any]) -> None:
    told = inspect.getdoc(door) or ""
    for one in inspect.signature(door).parameters.values():
        if one.kind is inspect.Parameter.VAR_KEYWORD:
            (name,) = re.findall(r"Unpack\[(\w+)\]", str(one.annotation))
            assert f"mailbearer.{name}" in told
        elif one.name != "self":
            assert re.search(rf"\b{one.name}\b", told) or "mailbearer.LoginOptions" in told, one.name


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options.__name__)
def test_help_tells_each_option(options: Any) -> None:
    told = inspect.getdoc(options) or ""
    above = OPTIONS[OPTIONS.index(options) - 1].__annotations__ if options is not OPTIONS[0] else {}
    own = options.__annotations__.keys() - above.keys()
    assert own
    for name in own:
        assert re.search(rf"^ +{name}: ", told, re.MULTILINE), name
