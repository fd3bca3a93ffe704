"""IDLE over each client: what changes is told, a renewal ends it, and a server that has gone mute is noticed."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import mailbearer
import mailbearer.aio
import mailbearer.aio.idle
import mailbearer.idle
from mailbearer.testing import Server, client_context
from scripted import ScriptedServer

USER = "joe@gmail.com"
CLIENTS = ["imaplib", "imapclient", "bare", "aioimaplib", "aio bare"]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(token_lifetime=2.0) as running:
        yield running


def idled(server: Server, client: str, seconds: float) -> tuple[list[tuple[str, int | None]], Any]:
    """What is told from the selection of INBOX until the iteration ends, and why the connection ended."""

    def token() -> tuple[str, float]:
        return server.issue_token(USER, lifetime=seconds), seconds

    at: dict[str, Any] = server.at("imap")
    if not client.startswith("aio"):
        options = {} if client == "bare" else {"client": client}
        with mailbearer.sessions("imap", USER, token, **options, **at) as sessions:
            connection: Any = next(sessions)
            match client:
                case "imaplib":
                    connection.client.select("INBOX")
                case "imapclient":
                    connection.client.select_folder("INBOX")
                case _:
                    connection.sock.sendall(b"A1 SELECT INBOX\r\n")
                    while b"A1 OK" not in connection.sock.recv():
                        pass
            return [(change.kind, change.number) for change in connection.idle()], connection.verdict

    async def main() -> tuple[list[tuple[str, int | None]], Any]:
        options: dict[str, Any] = {"client": "aioimaplib"} if client == "aioimaplib" else {}
        async with mailbearer.aio.sessions("imap", USER, token, **options, **at) as sessions:
            connection: Any = await anext(sessions)
            if client == "aioimaplib":
                await connection.client.select("INBOX")
            else:
                connection.writer.write(b"A1 SELECT INBOX\r\n")
                while not (await connection.reader.readline()).startswith(b"A1 OK"):
                    pass
            return [(change.kind, change.number) async for change in connection.idle()], connection.verdict

    return asyncio.run(main())


@pytest.mark.parametrize("client", CLIENTS)
def test_what_changes_is_told_until_the_renewal(server: Server, client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # It is begun anew several times in between, and nothing is lost by that.
    for module in (mailbearer.idle, mailbearer.aio.idle):
        monkeypatch.setattr(module, "REISSUE_SECONDS", 0.2)
    for number in range(3):
        threading.Timer(0.4 + 0.2 * number, server.deliver, [USER, b"Subject: hello\r\n\r\n"]).start()
    changes, verdict = idled(server, client, 2.0)
    assert [change for change in changes if change[0] == "EXISTS"] == [("EXISTS", number) for number in (4, 5, 6)]
    assert verdict is None
    assert [event.what for event in server.events()].count("IDLE") >= 3


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_that_has_gone_mute_is_noticed(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (mailbearer.idle, mailbearer.aio.idle):
        monkeypatch.setattr(module, "REISSUE_SECONDS", 0.5)
        monkeypatch.setattr(module, "ANSWER_SECONDS", 0.5)
    with Server() as server:
        # In IDLE: the next thing that is said to it has no answer.
        threading.Timer(0.3, server.set_fault, ["command", "vanish"]).start()
        begun = time.monotonic()
        with pytest.raises(mailbearer.SessionEnded) as caught:
            idled(server, client, 600.0)
        assert caught.value.cause == "timed_out"
        assert isinstance(caught.value, TimeoutError)
        assert time.monotonic() - begun < 10


def test_the_times_of_idle_notice_it_within_two_minutes() -> None:
    assert mailbearer.idle.REISSUE_SECONDS + mailbearer.idle.ANSWER_SECONDS <= 120
    assert sys.modules["mailbearer.aio.idle"].REISSUE_SECONDS == mailbearer.idle.REISSUE_SECONDS


def test_idle_that_is_refused_or_of_another_protocol_is_a_misuse(server: Server) -> None:
    says = (
        b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n",
        b"%TAG% OK in\r\n",
        b"%TAG% BAD no IDLE here\r\n",
    )
    with ScriptedServer(*says, tls=True) as scripted:
        at = {"host": "localhost", "port": scripted.port, "ssl_context": client_context(), "tls": "implicit"}
        with mailbearer.sessions("imap", USER, "t" * 40, **at) as sessions:
            connection = next(sessions)
            with pytest.raises(mailbearer.Misuse, match="no IDLE here"):
                list(connection.idle())
            connection.close()
    with (
        mailbearer.sessions("smtp", USER, server.issue_token(USER), **server.at("smtp")) as others,
        pytest.raises(mailbearer.Misuse, match="IMAP"),
    ):
        next(others).idle()
