"""A token in the place of another argument is refused, and is in no text of an error, of a log or of a command."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import mailbearer
import mailbearer.aio
from mailbearer.__main__ import main
from mailbearer.hiding import looks_like_token, shown_name, without_tokens
from mailbearer.testing import Server

USER = "joe@gmail.com"
TOKENS = {
    "google": "ya29.Sesame0penSesame-0penSesame_0penSesame",
    "short": "ya29.an-expired-token",
    "jwt": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2UifQ.c2ln",
    "opaque": "EwBwA8l6BAAUbDba3x2OMJElkF7gJ4z0VbCPEz0AAZ",
}


def shows(text: str, token: str) -> bool:
    return any(token[at : at + 8] in text for at in range(5, len(token) - 8))


@pytest.fixture(params=TOKENS)
def canary(request: pytest.FixtureRequest) -> str:
    return TOKENS[request.param]


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    text = io.StringIO()
    handler, logger = logging.StreamHandler(text), logging.getLogger("mailbearer")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield text
    logger.removeHandler(handler)
    logger.setLevel(level)


async def first_of_async(*arguments: Any, **options: Any) -> Any:
    async with mailbearer.aio.sessions(*arguments, **options) as sessions:
        return await anext(sessions)


def first_of(*arguments: Any, **options: Any) -> Any:
    with mailbearer.sessions(*arguments, **options) as sessions:
        return next(sessions)


def later(door: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **options: asyncio.run(door(*arguments, **options))


async def made_async(*arguments: Any, **options: Any) -> Any:
    async with mailbearer.aio.sender(*arguments, **options) as sender:
        return sender


async def account_async(*arguments: Any, **options: Any) -> Any:
    return mailbearer.aio.Account(*arguments, **options).sessions("imap")


# What each is called with in its right order: `p` is the protocol, `u` the user, `t` the token.
DOORS: dict[str, tuple[Callable[..., Any], str]] = {
    "connect": (mailbearer.connect, "put"),
    "sessions": (first_of, "put"),
    "imap": (mailbearer.imap, "ut"),
    "imapclient": (mailbearer.imapclient, "ut"),
    "mailbox": (mailbearer.mailbox, "ut"),
    "pop3": (mailbearer.pop3, "ut"),
    "smtp": (mailbearer.smtp, "ut"),
    "sender": (mailbearer.sender, "ut"),
    "Account": (mailbearer.Account, "ut"),
    "stored": (mailbearer.stored, "u"),
    "StoredLogin": (mailbearer.StoredLogin, "u"),
    "discover": (mailbearer.discover, "u"),
    "initial_response": (mailbearer.initial_response, "mut"),
    "Negotiation": (mailbearer.Negotiation, "put"),
    "command": (lambda words: mailbearer.command(words)(), "u"),
    "token_file": (lambda path: mailbearer.token_file(path)(), "u"),
    "client_credentials": (mailbearer.client_credentials, "p"),
    "aio.connect": (later(mailbearer.aio.connect), "put"),
    "aio.sessions": (later(first_of_async), "put"),
    "aio.imap": (later(mailbearer.aio.imap), "ut"),
    "aio.smtp": (later(mailbearer.aio.smtp), "ut"),
    "aio.sender": (later(made_async), "ut"),
    "aio.Account": (later(account_async), "ut"),
    "aio.discover": (later(mailbearer.aio.discover), "u"),
}
# A token where a name belongs, by the option's own name.
OPTIONS = ("host", "provider", "authzid", "tls", "ehlo_name", "local_address")


def texts(error: BaseException) -> str:
    """Return all that a program may show of an error, and of what led to it."""
    said = ["".join(traceback.TracebackException.from_exception(error).format())]
    one: BaseException | None = error
    while one is not None:
        said += [str(one), repr(one), *map(repr, one.args)]
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    # The source of the test's own lines has the names, and not the values.
    return "\n".join(said)


def calls(arguments: str, token: str) -> Iterator[list[str]]:
    """Yield every order and every prefix of the arguments, and each with the token in two places."""
    right = {"p": "imap", "u": USER, "t": token, "m": "XOAUTH2"}
    for length in range(1, len(arguments) + 1):
        for order in itertools.permutations(arguments, length):
            yield [right[one] for one in order]
    for place in range(len(arguments)):
        yield [token if at == place else right[one] for at, one in enumerate(arguments)]


@pytest.mark.parametrize("door", DOORS)
def test_a_token_in_any_place_is_in_no_text(door: str, canary: str, logged: io.StringIO) -> None:
    call, arguments = DOORS[door]
    options: dict[str, Any] = {}
    if "t" in arguments and door.rpartition(".")[2] not in ("initial_response", "Negotiation", "Account"):
        options["sock"] = refuse
    if "sessions" in door:
        # What cannot connect gives up at once.
        options["policy"] = mailbearer.SessionPolicy(first=0.01)
    for given in calls(arguments, canary):
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            try:
                made = call(*given, **options)
            except Exception as error:
                shown = texts(error)
            else:
                # The octets of SASL are what they are for.
                shown = "" if isinstance(made, bytes) else f"{made!r} {made!s}"
        assert not shows(shown, canary), shown
        assert not shows(said.getvalue() + logged.getvalue(), canary)


def refuse(*_: object, **__: object) -> Any:
    """Stand in for the network: nothing of this test may go there."""
    raise OSError("no network here")


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("door", ["connect", "sessions", "imap", "sender", "aio.connect", "aio.sessions"])
def test_a_token_in_place_of_an_option(door: str, option: str, canary: str) -> None:
    call, arguments = DOORS[door]
    right = {"p": "smtp", "u": USER, "t": canary}
    with pytest.raises(mailbearer.ConfigError, match=rf"^{option} looks like an access token") as caught:
        call(*(right[one] for one in arguments), **{option: canary})
    assert not shows(texts(caught.value), canary)


@pytest.mark.parametrize("door", [door for door, (_, arguments) in DOORS.items() if arguments == "put"])
def test_a_protocol_that_was_forgotten(door: str, canary: str) -> None:
    if door == "Negotiation":
        pytest.skip("a machine of the core")
    for given in ([USER, canary], [canary, USER], [USER, lambda: canary]):
        with pytest.raises(mailbearer.ConfigError, match="protocol is missing: give imap, pop3 or smtp first"):
            DOORS[door][0](*given)
    with pytest.raises(mailbearer.ConfigError, match="protocol is none of the known values: imap, pop3, smtp"):
        DOORS[door][0]("imaps", USER, canary)


@pytest.mark.parametrize("door", [door for door, (_, arguments) in DOORS.items() if arguments == "ut"])
def test_user_and_token_that_were_swapped(door: str, canary: str) -> None:
    with pytest.raises(mailbearer.ConfigError, match="user looks like an access token: the user comes first"):
        DOORS[door][0](canary, USER)
    # What nobody can tell for a token: the mail address is seen, then.
    with pytest.raises(mailbearer.ConfigError, match="token looks like a mail address: the user comes first"):
        DOORS[door][0]("0f4c2e7a", USER)


@pytest.mark.parametrize("command", ["check", "login", "token", "logout", "discover"])
def test_a_command_does_not_repeat_a_token(command: str, canary: str, capsys: pytest.CaptureFixture[str]) -> None:
    for given in ([command, canary], [command, USER, canary], [canary], [canary, command, USER]):
        assert main(given) == 2
        out, err = capsys.readouterr()
        assert err
        assert not shows(out + err, canary)
    assert main([command, canary]) == 2
    assert "this looks like an access token: give the mail address" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--imap", "--provider", "--ca-file", "--mechanism", "--timeout", "--ehlo-name"])
def test_an_option_of_a_command_does_not_repeat_one(
    option: str, canary: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILBEARER_TOKEN", "a-token")
    assert main(["check", USER, option, canary]) == 2
    assert not shows("".join(capsys.readouterr()), canary)


def test_a_name_that_may_be_a_secret_is_shown_only_with_its_domain() -> None:
    secret = "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"
    with pytest.raises(mailbearer.ConfigError, match="<secret> is not stored on this machine") as caught:
        mailbearer.stored(secret)
    assert secret not in texts(caught.value)
    assert shown_name(f"{secret}@example.org") == f"{secret}@example.org"


def test_names_that_are_no_tokens() -> None:
    for name in (
        "joe",
        "first.middle.last-name_of.somebody",
        "3F2504E0-4f89-41d3-9a0c-0305e82c3301",
        "Mail-Server01.Corp.Example-Company.COM",
        "imap.gmail.com",
        "mail.0123456789abcdef.svc.cluster.local",
        "/nix/store/1b9p07z77phvv2hf6gm9f28syp39f1ag-oama/bin/oama",
    ):
        assert not looks_like_token(name), name
        assert without_tokens(name) == name
    with Server() as server:
        assert looks_like_token(server.issue_token(USER))
