"""What cannot work raises before anything is sent, names the field, and never shows the value."""

from __future__ import annotations

import asyncio
import pickle
import ssl
from typing import Any

import pytest

import mailbearer
import mailbearer.aio

SECRET = "Sesame0penSesame"

CASES: list[tuple[str, dict[str, Any], type[Exception]]] = [
    ("token", {"token": f"{SECRET}\r\nA1 LOGOUT"}, mailbearer.ConfigError),
    ("token", {"token": f"{SECRET}\x01"}, mailbearer.ConfigError),
    ("token", {"token": f"{SECRET}\ud800"}, mailbearer.ConfigError),
    ("token", {"token": ""}, mailbearer.ConfigError),
    ("token", {"token": f"Bearer {SECRET}"}, mailbearer.ConfigError),
    ("token", {"token": f'"{SECRET}"'}, mailbearer.ConfigError),
    ("token", {"token": SECRET * 1000}, mailbearer.ConfigError),
    ("token", {"token": None}, mailbearer.ConfigError),
    ("token", {"token": 7}, mailbearer.ConfigError),
    ("user", {"user": f"{SECRET}\n"}, mailbearer.ConfigError),
    ("user", {"user": f"{SECRET}\0"}, mailbearer.ConfigError),
    ("user", {"user": f"{SECRET}\udfff"}, mailbearer.ConfigError),
    ("user", {"user": ""}, mailbearer.ConfigError),
    ("user", {"user": SECRET * 100}, mailbearer.ConfigError),
    ("user", {"user": None}, TypeError),
    ("user", {"user": b"joe"}, TypeError),
    ("host", {"host": f"{SECRET} x"}, mailbearer.ConfigError),
    ("host", {"host": f"{SECRET}\r\n"}, mailbearer.ConfigError),
    ("host", {"host": ""}, mailbearer.ConfigError),
    ("host", {"host": 7}, TypeError),
    ("host", {"host": None, "discover": False}, mailbearer.ConfigError),
    ("port", {"port": 0}, mailbearer.ConfigError),
    ("port", {"port": 65_536}, mailbearer.ConfigError),
    ("port", {"port": -1}, mailbearer.ConfigError),
    ("port", {"port": "993"}, TypeError),
    ("port", {"port": 993.5}, TypeError),
    ("protocol", {"protocol": "jmap"}, mailbearer.ConfigError),
    ("protocol", {"protocol": None}, mailbearer.ConfigError),
    ("tls", {"tls": "none"}, mailbearer.ConfigError),
    ("mechanisms", {"mechanisms": ["PLAIN"]}, mailbearer.ConfigError),
    ("mechanisms", {"mechanisms": []}, mailbearer.ConfigError),
    ("mechanisms", {"mechanisms": "XOAUTH2"}, TypeError),
    ("initial_response", {"initial_response": "sometimes"}, mailbearer.ConfigError),
    ("ehlo_name", {"ehlo_name": "x\r\nMAIL FROM:<evil@example.test>"}, mailbearer.ConfigError),
    ("authzid", {"authzid": f"{SECRET}\x7f"}, mailbearer.ConfigError),
    ("provider", {"provider": "nobody"}, mailbearer.ConfigError),
    ("timeout", {"timeout": 0}, mailbearer.ConfigError),
    ("timeout", {"timeout": "1"}, mailbearer.ConfigError),
    ("ssl_context", {"ssl_context": ssl._create_unverified_context()}, mailbearer.ConfigError),
    ("ssl_context", {"ssl_context": True}, TypeError),
]


@pytest.mark.parametrize(("field", "change", "error"), CASES)
def test_connect_raises_and_names_the_field(field: str, change: dict[str, Any], error: type[Exception]) -> None:
    settings: dict[str, Any] = {
        "protocol": "imap",
        "user": "joe@example.org",
        "token": SECRET,
        # Nothing listens there: a test that gets so far sees LoginFailed.
        "host": "127.0.0.1",
        "port": 1,
    }
    with pytest.raises(error) as caught:
        mailbearer.connect(**(settings | change))
    assert field in str(caught.value)
    assert SECRET not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize(("field", "change", "error"), [case for case in CASES if case[0] in ("token", "user", "host")])
def test_the_machine_raises_as_well(field: str, change: dict[str, Any], error: type[Exception]) -> None:
    settings: dict[str, Any] = {"protocol": "imap", "user": "joe", "token": SECRET, "host": "a.example"}
    with pytest.raises((error, TypeError)) as caught:
        # The machine looks nothing up.
        mailbearer.Negotiation(**{name: value for name, value in (settings | change).items() if name != "discover"})
    assert field in str(caught.value)
    assert SECRET not in str(caught.value) + repr(caught.value)


def test_calls_in_the_wrong_order_are_misuse_and_harm_nothing() -> None:
    machine = mailbearer.Negotiation("imap", "joe", SECRET, host="a.example")
    with pytest.raises(mailbearer.Misuse, match="StartTls"):
        machine.tls_established()
    with pytest.raises(mailbearer.Misuse, match="closed"):
        machine.receive(b"")
    assert machine.receive(bytearray(b"* OK hi\r\n")).next == "read"
    assert machine.receive(memoryview(b"* BYE\r\n")).next == "failed"
    with pytest.raises(mailbearer.Misuse, match="over"):
        machine.receive(b"* OK\r\n")
    for wrong in ("text", None, 7):
        with pytest.raises(TypeError):
            machine.receive(wrong)  # type: ignore[arg-type]


def test_a_token_never_shows_itself() -> None:
    token = mailbearer.AccessToken(SECRET)
    assert SECRET not in f"{token} {token!r}"
    assert token == mailbearer.AccessToken(SECRET)
    with pytest.raises(TypeError):
        pickle.dumps(token)


HOSTS = {
    "a..b": "between its dots",
    f"{'x' * 70}.example": "between its dots",
    ".example": "between its dots",
    "mail.example.org:993": "port",
    "imaps://mail.example.org": "URL",
    "imap.münchen.example": "imap.xn--mnchen-3ya.example",
}


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_is_none_is_told_what_is_wrong_with_it(host: str) -> None:
    for door in (mailbearer.connect, mailbearer.sessions):
        with pytest.raises(mailbearer.ConfigError, match="host") as caught:
            door("imap", "joe@example.org", SECRET, host=host)  # type: ignore[operator]
        assert HOSTS[host] in str(caught.value)
    with pytest.raises(mailbearer.ConfigError, match="host"):
        asyncio.run(mailbearer.aio.connect("imap", "joe@example.org", SECRET, host=host))


MISTAKES = {
    "whole message": "user=joe\1auth=Bearer {}\1\1",
    "header": "Bearer {}",
    "end of a line": "{}\n",
    "bytes": "b'{}'",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_token_with_something_around_it_is_told_what_that_is(mistake: str) -> None:
    with pytest.raises(mailbearer.ConfigError, match="token") as caught:
        mailbearer.connect("imap", "joe@example.org", MISTAKES[mistake].format(SECRET), host="127.0.0.1")
    assert SECRET not in str(caught.value)
    # More than which octet is not allowed.
    assert "offset" not in str(caught.value)


@pytest.mark.parametrize("user", ["joe@gmx.net", "joe@proton.me", "joe@qq.com"])
def test_a_provider_that_takes_no_tokens_says_what_to_do_instead(user: str) -> None:
    provider = mailbearer.Provider.of_address(user)
    assert provider is not None
    assert provider.oauth is None
    assert provider.instead is not None
    for attempt in (mailbearer.connect, mailbearer.sessions):
        with pytest.raises(mailbearer.ConfigError) as caught:
            attempt("imap", user, "t" * 40)  # type: ignore[operator]
        assert str(caught.value) == f"{provider.name} cannot be logged in to with OAuth. {provider.instead}"


def test_a_provider_says_where_its_tokens_come_from() -> None:
    oauth = mailbearer.Provider.named("gmail").oauth
    assert oauth is not None
    assert oauth["token_endpoint"] == "https://oauth2.googleapis.com/token"
    assert oauth["parameters"] == {"access_type": "offline", "prompt": "consent"}
    assert oauth["device_authorization_endpoint"] is None
    assert mailbearer.Provider.generic("mail.example.org").oauth is None
