"""An option that a front door does not know is named, with the door that was called and the option that was meant."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import mailbearer
import mailbearer.aio
import mailbearer.telemetry
from mailbearer import front_door
from mailbearer.__main__ import main
from mailbearer.testing import Server

USER = "joe@gmail.com"
TOKEN = "ya29.Sesame0penSesame"


def message() -> bytes:
    return b"From: joe@gmail.com\r\nTo: ann@example.org\r\n\r\n"


def connected(module: Any) -> Any:
    """Make a connection of a session that is none, to see what its methods are called with."""
    return module.SessionConnection.__new__(module.SessionConnection)


def in_loop(door: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **options: asyncio.run(door(*arguments, **options))


def doors_of(module: Any, run: Callable[[Callable[..., Any]], Callable[..., Any]]) -> dict[str, tuple[Any, str, str]]:
    """Return, by name, what is called; an option that is misspelt; and the one that is meant."""
    name = module.__name__
    account = module.Account(USER, TOKEN)
    sender = module.sender(USER, TOKEN)
    given = connected(module)
    return {
        f"{name}.connect": (
            lambda **options: run(module.connect)("imap", USER, TOKEN, **options),
            "time_out",
            "timeout",
        ),
        f"{name}.imap": (lambda **options: run(module.imap)(USER, TOKEN, **options), "time_out", "timeout"),
        f"{name}.smtp": (lambda **options: run(module.smtp)(USER, TOKEN, **options), "username", "user"),
        f"{name}.sessions": (
            lambda **options: module.sessions("imap", USER, TOKEN, **options),
            "on_events",
            "on_event",
        ),
        f"{name}.sender": (lambda **options: module.sender(USER, TOKEN, **options), "limit", "limits"),
        f"{name}.Account": (lambda **options: module.Account(USER, TOKEN, **options), "snap_shot", "snapshot"),
        f"{name}.Account.sessions": (lambda **options: account.sessions("imap", **options), "server", "host"),
        f"{name}.discover": (lambda **options: run(module.discover)(USER, **options), "time_out", "timeout"),
        f"{name}.Sender.send": (lambda **options: sender.send(message(), **options), "recipient", "recipients"),
        f"{name}.SessionConnection.idle": (lambda **options: given.idle(**options), "re_issue", "reissue"),
        f"{name}.SessionConnection.new_messages": (
            lambda **options: given.new_messages(**options),
            "readonly",
            "read_only",
        ),
    }


DOORS: dict[str, tuple[Any, str, str]] = {
    **doors_of(mailbearer, lambda door: door),
    **doors_of(mailbearer.aio, in_loop),
    "mailbearer.pop3": (lambda **options: mailbearer.pop3(USER, TOKEN, **options), "ssl", "tls"),
    "mailbearer.imapclient": (
        lambda **options: mailbearer.imapclient(USER, TOKEN, **options),
        "sslcontext",
        "ssl_context",
    ),
    "mailbearer.mailbox": (lambda **options: mailbearer.mailbox(USER, **options), "access_token", "token"),
    "mailbearer.stored": (lambda **options: mailbearer.stored(USER, **options), "proxies", "proxy"),
    "mailbearer.command": (lambda **options: mailbearer.command("true", **options), "time_out", "timeout"),
    "mailbearer.token_file": (lambda **options: mailbearer.token_file(**options), "pth", "path"),
    "mailbearer.client_credentials": (
        lambda **options: mailbearer.client_credentials("gmail", **options),
        "keyfile",
        "key_file",
    ),
    "mailbearer.initial_response": (
        lambda **options: mailbearer.initial_response("XOAUTH2", USER, TOKEN, **options),
        "hostname",
        "host",
    ),
    "mailbearer.explain": (lambda **options: mailbearer.explain(OSError(), **options), "hostname", "host"),
    "mailbearer.SessionPolicy": (lambda **options: mailbearer.SessionPolicy(**options), "renew", "renewal"),
    "mailbearer.telemetry.instrument": (
        lambda **options: mailbearer.telemetry.instrument(**options),
        "tracer",
        "tracer_provider",
    ),
    "mailbearer.testing.Server": (lambda **options: Server(**options), "flavor", "flavour"),
    "mailbearer.testing.Server.issue_token": (
        lambda **options: Server().issue_token(USER, **options),
        "life_time",
        "lifetime",
    ),
    "mailbearer.testing.Server.deliver": (lambda **options: Server().deliver(USER, b"", **options), "folder", ""),
}


@pytest.mark.parametrize("name", DOORS)
def test_an_option_that_is_not_known_is_told_by_the_door_that_was_called(name: str) -> None:
    door, wrong, meant = DOORS[name]
    with pytest.raises(TypeError) as caught:
        door(**{wrong: 3})
    hint = f" (did you mean '{meant}'?)" if meant else ""
    assert str(caught.value).startswith(f"{name}() got an unexpected keyword argument '{wrong}'{hint}; see help(")
    # What it says to look at is there, and tells the option.
    pages = re.findall(r"help\((mailbearer[\w.]*)\)", str(caught.value))
    assert pages
    told = "".join(f"{inspect.getdoc(found(page))} {signature(found(page))}" for page in pages)
    assert meant in ("user", "token") or meant in told


def signature(value: Any) -> str:
    return str(inspect.signature(value)) if inspect.isfunction(value) else ""


def found(name: str) -> Any:
    value: Any = mailbearer
    for part in name.split(".")[1:]:
        value = getattr(value, part)
    return value


def test_every_front_door_is_tried() -> None:
    importlib.import_module("mailbearer.django")
    assert {name for name in front_door._DOORS if " " not in name} == DOORS.keys()
    for module in (mailbearer, mailbearer.aio):
        for name in module.__all__:
            value = getattr(module, name)
            takes_options = inspect.isfunction(value) and any(
                one.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
                for one in inspect.signature(value).parameters.values()
            )
            assert not takes_options or f"{module.__name__}.{name}" in DOORS, name


@pytest.mark.parametrize(
    ("door", "option", "other"),
    [
        (lambda **given: mailbearer.Account(USER, TOKEN, **given), "host", "mailbearer.Account.sessions"),
        (lambda **given: mailbearer.aio.Account(USER, TOKEN, **given), "port", "mailbearer.aio.Account.sessions"),
        (lambda **given: mailbearer.Account(USER, TOKEN).sessions("imap", **given), "on_event", "mailbearer.Account"),
        (lambda **given: mailbearer.imap(USER, TOKEN, **given), "policy", "mailbearer.sessions"),
        (lambda **given: mailbearer.sessions("smtp", USER, TOKEN, **given), "limits", "mailbearer.sender"),
        (lambda **given: mailbearer.aio.sessions("smtp", USER, TOKEN, **given), "limits", "mailbearer.aio.sender"),
        (lambda **given: mailbearer.sessions("smtp", USER, TOKEN, **given), "keep_alive", "mailbearer.SessionPolicy"),
        (lambda **given: mailbearer.sender(USER, TOKEN, **given), "recipients", "mailbearer.Sender.send"),
    ],
)
def test_an_option_of_another_door_is_sent_there(door: Callable[..., Any], option: str, other: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"'{option}' (give it to {other}); see")):
        door(**{option: 3})


def test_what_a_server_gives_is_not_for_an_account() -> None:
    with Server() as server, pytest.raises(TypeError, match=r"'host' \(give it to mailbearer\.Account\.sessions\)"):
        mailbearer.Account(USER, TOKEN, **server.at("imap"))  # type: ignore[misc]


def test_a_door_says_no_more_than_the_name() -> None:
    for door in (mailbearer.imap, mailbearer.sender, mailbearer.Account, in_loop(mailbearer.aio.imap)):
        with pytest.raises(TypeError) as caught:
            door(USER, TOKEN, passwrod=TOKEN)  # type: ignore[operator]
        step = caught.value.__traceback__
        while step is not None:
            if "/mailbearer/" in step.tb_frame.f_code.co_filename:
                assert TOKEN not in f"{list(map(str, step.tb_frame.f_locals.items()))}"
            step = step.tb_next


# ---- What is no value ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["google", "GoogleMail", "gmail.com", "gmial"])
def test_the_provider_that_was_meant_is_told(name: Any) -> None:
    doors: list[Callable[[], Any]] = [
        lambda: mailbearer.imap(USER, TOKEN, provider=name),
        lambda: mailbearer.sessions("imap", USER, TOKEN, provider=name),
        lambda: mailbearer.sender(USER, TOKEN, provider=name),
        lambda: mailbearer.Account(USER, TOKEN, provider=name),
        lambda: mailbearer.Provider.named(name),
        lambda: asyncio.run(mailbearer.aio.connect("imap", USER, TOKEN, provider=name)),
    ]
    for door in doors:
        with pytest.raises(ValueError, match=r"did you mean gmail\?\): gmail, microsoft"):
            door()


WRONG: list[tuple[str, Any, str]] = [
    ("provider", 3, "provider must be a name, as 'gmail', or a Provider, not int"),
    ("local_address", 3, "local_address must be a str, not int"),
    ("unusual_port", "yes", "unusual_port must be a bool, not str"),
    ("mechanisms", ["PLAIN"], "mechanisms is none of the known values: XOAUTH2, OAUTHBEARER"),
    ("tls", "ssl", "tls is none of the known values: implicit, starttls"),
    ("initial_response", "yes", "initial_response is none of the known values: auto, never, always"),
    ("timeout", "3", "timeout must be a number of seconds above zero"),
]


@pytest.mark.parametrize(("option", "value", "told"), WRONG)
def test_a_setting_that_is_none_is_named(option: str, value: Any, told: str) -> None:
    doors: list[Callable[..., Any]] = [
        mailbearer.imap,
        mailbearer.sender,
        in_loop(mailbearer.aio.smtp),
        lambda *rest, **options: mailbearer.Account(*rest).sessions("imap", **options),
        lambda *rest, **options: mailbearer.aio.sessions("imap", *rest, **options),
    ]
    for door in doors:
        with pytest.raises((TypeError, ValueError)) as caught:
            door(USER, TOKEN, **{option: value})
        assert str(caught.value) == told


@pytest.mark.parametrize("limits", [30, (30, 60), [30], [(30,)], [(0, 1)], None, "30"])
@pytest.mark.parametrize("module", [mailbearer, mailbearer.aio])
def test_limits_that_are_none_are_told_with_an_example(module: Any, limits: Any) -> None:
    with pytest.raises(mailbearer.ConfigError, match=r"limits must be a list of pairs, .* as \[\(100, 3600\)\]"):
        module.sender(USER, TOKEN, limits=limits)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"first": 0}, "first must be a number of seconds, from 0.001 to 31536000, a year"),
        ({"later": 1e8}, "later must be a number of seconds, from 0.001 to 31536000, a year"),
        ({"answer": 0}, "answer must be a number of seconds, from 0.001 to 31536000, a year"),
        ({"token_life_least": -1}, "token_life_least must be a number of seconds, from 0 to 31536000, a year"),
        ({"backoff_max": 0.5}, "backoff_max must not be less than backoff_base"),
    ],
)
def test_a_policy_that_the_machine_would_not_take_is_told_in_seconds(options: Any, told: str) -> None:
    with pytest.raises(mailbearer.ConfigError, match=f"^{told}$"):
        mailbearer.SessionPolicy(**options)


def test_the_machine_takes_each_policy() -> None:
    """What is checked here is what it checks: the least and the most of each."""
    times = [one.name for one in dataclasses.fields(mailbearer.SessionPolicy) if isinstance(one.default, float)]
    for name in [*times, "session_limit", "later", "token_lifetime"]:
        for seconds in (0.001, 31_536_000) if not name.startswith("backoff") else (1.0, 300.0):
            policy = mailbearer.SessionPolicy(**{name: seconds})
            mailbearer.sessions("imap", USER, TOKEN, policy=policy).close()


@pytest.mark.parametrize("module", [mailbearer, mailbearer.aio])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"recipients": 3}, "recipients must be a str, or a list of str"),
        ({"recipients": [3]}, "recipients must be a str, or a list of str"),
        ({"sender": 3}, "sender must be a str, not int"),
    ],
)
def test_the_envelope_of_what_is_sent_is_checked(module: Any, options: Any, told: str) -> None:
    async def send() -> None:
        module.sender(USER, TOKEN).send(message(), **options)

    with pytest.raises(TypeError, match=told):
        asyncio.run(send())


def test_other_values_that_are_none_are_told() -> None:
    wrong: list[tuple[Callable[[], Any], str]] = [
        (lambda: mailbearer.explain("-ERR", "pop"), "protocol is none of the known values: imap, pop3, smtp"),  # type: ignore[arg-type]
        (lambda: mailbearer.explain("-ERR", phase="login"), "phase is none of the known values: .*auth_fail"),  # type: ignore[arg-type]
        (lambda: mailbearer.command(3), "command must name a program"),  # type: ignore[arg-type]
        (lambda: mailbearer.command("true", timeout="3"), "timeout must be a number of seconds above zero"),  # type: ignore[arg-type]
        (lambda: connected(mailbearer).idle(reissue="3"), "reissue must be a number of seconds above zero"),
        (lambda: connected(mailbearer.aio).new_messages(reissue=0), "reissue must be a number of seconds above zero"),
        (lambda: Server(ports={"imap": 3}), "ports must be a dict as"),  # type: ignore[dict-item]
        (lambda: Server().deliver(USER, b"", flags="\\Seen"), "flags must be a list of flags, not one text"),
    ]
    for call, told in wrong:
        with pytest.raises(mailbearer.ConfigError, match=told):
            call()
    with pytest.raises(TypeError, match="date must be a datetime, not str"):
        Server().deliver(USER, b"", date="today")  # type: ignore[arg-type]
    with pytest.raises(mailbearer.Misuse, match="with block"):
        Server().restart()


def test_limits_may_come_from_json() -> None:
    with mailbearer.sender(USER, TOKEN, limits=[[30, 60], (100, 3600)]) as sender:  # type: ignore[list-item]
        assert len(sender) == 0


@pytest.mark.parametrize("discover", [mailbearer.discover, in_loop(mailbearer.aio.discover)])
def test_what_a_discovery_is_told_is_checked(discover: Callable[..., Any]) -> None:
    for seconds in ("3", None, 0, True):
        with pytest.raises(mailbearer.ConfigError, match="timeout must be a number of seconds above zero"):
            discover(USER, timeout=seconds)
    with pytest.raises(TypeError, match=r"ssl_context must be an ssl\.SSLContext"):
        discover(USER, ssl_context=True)


# ---- The testing server ----------------------------------------------------------------------------------------------


def test_a_refusal_that_is_none_tells_those_that_there_are() -> None:
    server = Server()
    for wrong in ("scope_missing", "insufficient_scope"):
        with pytest.raises(ValueError, match=r"over pop3 gmail can say: token_rejected, .*mailbox_locked"):
            server.refuse(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"over imap gmail can say: token_rejected, .*account_disabled") as caught:
            server.refuse(wrong, "imap")  # type: ignore[arg-type]
        assert "smtp" not in str(caught.value)
    with pytest.raises(ValueError, match="over smtp outlook can say: "):
        Server(flavour="outlook", refuse="scope_missing")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"token_lifetime": "3"}, "token_lifetime must be a number of seconds, from zero on"),
        ({"session_limit": "3"}, "session_limit must be a number of seconds, from zero on"),
        ({"greylist": -1}, "greylist must be a number of seconds, from zero on"),
        ({"messages": "3"}, "messages must be a whole number, from zero on"),
        ({"connections_max": 1.5}, "connections_max must be a whole number, from zero on"),
        ({"seed": "3"}, "seed must be a whole number, from zero on"),
        ({"flavour": "google"}, "flavour is none of gmail, outlook, dovecot"),
    ],
)
def test_what_a_server_is_told_is_checked(options: Any, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}$"):
        Server(**options)


def test_a_server_that_does_not_run_says_so() -> None:
    with pytest.raises(mailbearer.Misuse, match="with block"):
        Server().at("imap")
    with pytest.raises(TypeError, match="message must be bytes, text or a message of email, not int"):
        Server().deliver(USER, 1)  # type: ignore[arg-type]


def test_what_is_sent_is_among_the_sent_as_at_the_provider() -> None:
    for flavour, user, name, kept in (
        ("gmail", USER, "[Gmail]/Sent Mail", 1),
        ("outlook", "joe@outlook.com", "Sent Items", 1),
        ("dovecot", "joe@example.org", "Sent", 0),
    ):
        with Server(flavour=flavour) as server:  # type: ignore[arg-type]
            with mailbearer.smtp(user, server.issue_token(user), **server.at("smtp")) as smtp:
                smtp.sendmail(user, ["ann@example.org", "bob@example.org"], b"Subject: hello\r\n\r\n")
            stored = server.stored(user, name)
            assert [one.flags for one in stored] == [("\\Seen",)] * kept
            assert [one.content for one in stored] == [one["content"] for one in server.submitted()][:kept]


# ---- The command -----------------------------------------------------------------------------------------------------


def test_the_command_tells_the_option_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", USER, "--provder", "gmail"]) == 2
    assert "--provder (did you mean --provider?)" in capsys.readouterr().err
    assert main(["login", USER, "--client_id=me"]) == 2
    assert "--client_id (did you mean --client-id?)" in capsys.readouterr().err


def test_django_that_is_missing_is_said(tmp_path: Any) -> None:
    code = "import sys; sys.modules['django'] = None\nimport mailbearer.django"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "ConfigError: the package Django is missing: pip install 'mailbearer[django]'" in ran.stderr
    code = code.replace(
        "import mailbearer.django", "try:\n import mailbearer.django\nexcept ImportError: print('as usual')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ran.stdout == "as usual\n", ran.stderr
