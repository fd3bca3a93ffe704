"""IDLE over each client: what changes is told, a renewal ends it, and a server that has gone mute is noticed."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import mailbearer
import mailbearer.aio
import mailbearer.aio.aioimaplib_idle
import mailbearer.following
from mailbearer.testing import Server

USER = "joe@gmail.com"
CLIENTS = ["imaplib", "imapclient", "bare", "aioimaplib", "aio bare"]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(token_lifetime=2.0) as running:
        yield running


def idled(server: Server, client: str, seconds: float, reissue: float) -> tuple[list[int | None], Any]:
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
            return [changes.exists for changes in connection.idle(reissue=reissue)], connection.verdict

    async def main() -> tuple[list[int | None], Any]:
        options: dict[str, Any] = {"client": "aioimaplib"} if client == "aioimaplib" else {}
        async with mailbearer.aio.sessions("imap", USER, token, **options, **at) as sessions:
            connection: Any = await anext(sessions)
            if client == "aioimaplib":
                await connection.client.select("INBOX")
            else:
                connection.writer.write(b"A1 SELECT INBOX\r\n")
                while not (await connection.reader.readline()).startswith(b"A1 OK"):
                    pass
            return [changes.exists async for changes in connection.idle(reissue=reissue)], connection.verdict

    return asyncio.run(main())


@pytest.mark.parametrize("client", CLIENTS)
def test_what_changes_is_told_until_the_renewal(server: Server, client: str) -> None:
    for number in range(3):
        threading.Timer(0.4 + 0.2 * number, server.deliver, [USER, b"Subject: hello\r\n\r\n"]).start()
    # It is begun anew several times in between, and nothing is lost by that.
    numbers, verdict = idled(server, client, 2.0, reissue=0.2)
    assert [number for number in numbers if number is not None] == [4, 5, 6]
    assert verdict is None
    assert [event.what for event in server.events()].count("IDLE") >= 3


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_that_has_gone_mute_is_noticed(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbearer.following, "ANSWER_MS_MAX", 500)
    monkeypatch.setattr(mailbearer.aio.aioimaplib_idle, "_ANSWER_SECONDS", 0.5)
    with Server() as server:
        # In IDLE: the next thing that is said to it has no answer.
        threading.Timer(0.3, server.set_fault, ["command", "vanish"]).start()
        begun = time.monotonic()
        with pytest.raises(mailbearer.SessionEnded) as caught:
            idled(server, client, 600.0, reissue=0.5)
        assert caught.value.cause == "timed_out"
        assert isinstance(caught.value, TimeoutError)
        assert time.monotonic() - begun < 10


def test_the_times_of_idle_notice_it_within_two_minutes() -> None:
    reissue = inspect.signature(mailbearer.SessionConnection.idle).parameters["reissue"].default
    assert reissue + mailbearer.following.ANSWER_MS_MAX / 1000 <= 120
    assert inspect.signature(mailbearer.aio.SessionConnection.idle).parameters["reissue"].default == reissue


def test_idle_is_of_imap(server: Server) -> None:
    with (
        mailbearer.sessions("smtp", USER, server.issue_token(USER), **server.at("smtp")) as others,
        pytest.raises(mailbearer.Misuse, match="smtp has no mailboxes"),
    ):
        next(others).idle()


def test_sessions_that_are_closed_leave_no_connection_open_that_had_ended(server: Server) -> None:
    sessions = mailbearer.sessions("imap", USER, server.issue_token(USER), **server.at("imap"))
    connection = next(sessions)
    server.set_fault("command", "drop")
    with pytest.raises(mailbearer.SessionEnded):
        connection.client.noop()
    sessions.close()
    assert connection.sock.fileno() == -1
