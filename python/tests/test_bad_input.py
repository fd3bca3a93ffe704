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
    ("host", {"host": None}, mailbearer.ConfigError),
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
        mailbearer.Negotiation(**(settings | change))
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


@pytest.mark.parametrize("host", ["a..b", f"{'x' * 70}.example", ".example"])
def test_a_host_name_that_no_name_server_can_know_is_not_found(host: str) -> None:
    with pytest.raises(mailbearer.LoginFailed) as caught:
        mailbearer.connect("imap", "joe@example.org", SECRET, host=host, timeout=5)
    assert caught.value.cause == "host_not_found"

    async def connect() -> None:
        await mailbearer.aio.connect("imap", "joe@example.org", SECRET, host=host, timeout=5)

    with pytest.raises(mailbearer.LoginFailed) as caught:
        asyncio.run(connect())
    assert caught.value.cause == "host_not_found"
