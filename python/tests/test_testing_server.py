"""The Gmail-like server through real sockets: refusals, faults, deadlines, cancellation."""

from __future__ import annotations

import asyncio
import imaplib
import os
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Any

import aioimaplib
import pytest

import mailbearer
import mailbearer.aio
from mailbearer.testing import Server, client_context
from mailbearer.words import Tls

USER = "joe@gmail.com"
REASONS = ["protocol_disabled", "too_many_connections", "rate_limited", "unavailable", "interaction_required"]


def connect(blocking: bool, *arguments: Any, **settings: Any) -> None:
    if blocking:
        mailbearer.connect(*arguments, **settings)
    else:
        asyncio.run(mailbearer.aio.connect(*arguments, **settings))


def test_the_fixture_is_a_server(mailbearer_server: Server) -> None:
    token = mailbearer_server.issue_token(USER)
    mailbearer.connect("imap", USER, token, **mailbearer_server.at("imap")).close()
    assert "logged_in" in [event.what for event in mailbearer_server.events()]


@pytest.mark.parametrize("flavour", ["gmail", "outlook", "dovecot"])
@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("protocol", ["imap", "smtp"])
def test_a_reason_for_a_refusal_is_recognised(flavour: Any, reason: str, protocol: Any) -> None:
    with Server(flavour=flavour, refuse=reason) as server:
        with pytest.raises(mailbearer.LoginFailed) as caught:
            mailbearer.connect(protocol, USER, server.issue_token(USER), **server.at(protocol))
        assert caught.value.cause == reason
        # Others send the user to a browser without an address.
        if reason == "interaction_required" and (flavour, protocol) in (("gmail", "imap"), ("gmail", "smtp")):
            assert str(caught.value.failure.url).startswith("https://accounts.google.com/signin/continue")


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
@pytest.mark.parametrize("stage", ["greeting", "capabilities", "login", "verdict"])
@pytest.mark.parametrize("kind", ["drop", "garbage", "flood"])
def test_a_fault_is_a_failure_at_once(tls: Any, stage: str, kind: str) -> None:
    with Server() as server:
        server.set_fault(stage, kind)
        begun = time.monotonic()
        with pytest.raises(mailbearer.LoginFailed) as caught:
            mailbearer.connect("smtp", USER, server.issue_token(USER, octets=900), **server.at("smtp", tls))
        assert time.monotonic() - begun < 5
        assert caught.value.cause in ("connection_lost", "protocol_violation", "limit_exceeded")


@pytest.mark.parametrize("stage", ["greeting", "verdict"])
@pytest.mark.parametrize("blocking", [True, False])
def test_a_server_that_vanishes_meets_the_deadline(stage: str, blocking: bool) -> None:
    with Server() as server:
        server.set_fault(stage, "vanish")
        settings = server.at("imap") | {"timeout": 0.5}
        begun = time.monotonic()
        with pytest.raises(mailbearer.LoginFailed) as caught:
            connect(blocking, "imap", USER, server.issue_token(USER), **settings)
        assert caught.value.cause == "timed_out"
        assert 0.4 < time.monotonic() - begun < 3


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("protocol", ["imap", "pop3", "smtp"])
def test_octets_in_front_of_tls_are_found(blocking: bool, protocol: Any) -> None:
    with Server() as server:
        server.set_fault("upgrade", "inject")
        settings = server.at(protocol, "starttls")
        with pytest.raises(mailbearer.LoginFailed) as caught:
            connect(blocking, protocol, USER, server.issue_token(USER), **settings)
        assert caught.value.cause == "plaintext_injected"
        assert "logged_in" not in [event.what for event in server.events()]


def test_cancelling_closes_the_connection() -> None:
    async def main(server: Server) -> None:
        server.set_fault("verdict", "vanish")
        task = asyncio.create_task(mailbearer.aio.connect("imap", USER, server.issue_token(USER), **server.at("imap")))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Server() as server:
        asyncio.run(main(server))
        deadline = time.monotonic() + 5
        closed = False
        while not closed and time.monotonic() < deadline:
            closed = "closed" in [event.what for event in server.events()]
            time.sleep(0.02)
        assert closed


def test_a_session_ends_in_the_providers_words_when_its_token_expires() -> None:
    with Server(flavour="outlook", token_lifetime=0.5) as server:
        imap = mailbearer.imap(USER, server.issue_token(USER), **server.at("imap"))
        imap.select("INBOX")
        time.sleep(0.7)
        with pytest.raises(imaplib.IMAP4.abort, match="AccessTokenExpired"):
            imap.noop()
        imap.shutdown()


def test_two_logins_in_two_threads_do_not_meet() -> None:
    with Server() as server:
        failures: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(10):
                    mailbearer.connect("smtp", USER, server.issue_token(USER), **server.at("smtp")).close()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


def test_nothing_stays_behind() -> None:
    before = threading.active_count()
    with Server() as server:
        mailbearer.connect("imap", USER, server.issue_token(USER), **server.at("imap")).close()
    assert threading.active_count() == before


def test_aioimaplib_learns_of_the_end_without_a_session(mailbearer_server: Server) -> None:
    server = mailbearer_server

    async def pushes(client: Any) -> AsyncIterator[Any]:
        while push := await client.wait_server_push():
            yield push

    async def main() -> None:
        client = await mailbearer.aio.imap(USER, server.issue_token(USER), **server.at("imap"))
        await client.select("INBOX")
        await client.idle_start(timeout=300)
        server.restart()
        # aioimaplib by itself would wait for its timeout.
        async with asyncio.timeout(30):
            # The goodbye may be pushed first.
            with pytest.raises(aioimaplib.Abort):
                _ = [push async for push in pushes(client)]
            with pytest.raises(aioimaplib.Abort):
                await client.noop()

    asyncio.run(main())


def test_without_a_context_the_system_decides_whom_to_trust(
    mailbearer_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = mailbearer_server
    settings = server.at("imap") | {"ssl_context": None}
    token = server.issue_token(USER)
    with pytest.raises(mailbearer.LoginFailed) as caught:
        mailbearer.connect("imap", USER, token, **settings)
    assert caught.value.cause == "tls_failed"
    monkeypatch.setenv("SSL_CERT_FILE", mailbearer.testing.ca_file())
    with mailbearer.connect("imap", USER, token, **settings) as connection:
        context = connection.sock.context
        with mailbearer.connect("smtp", USER, token, **server.at("smtp") | {"ssl_context": None}) as other:
            assert other.sock.context is context, "the authorities are read once, and not for each login"
        context.check_hostname = False
        with pytest.raises(mailbearer.ConfigError):
            mailbearer.connect("imap", USER, token, **settings)


def test_a_server_that_stops_leaves_no_socket_open_in_whatever_handshake() -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    with Server():
        pass
    before = open_files()
    for turn in range(10):
        with Server() as server:
            clients = [socket.create_connection(("127.0.0.1", server.port("imap"))) for _ in range(4)]
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            handshake = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
            with pytest.raises(ssl.SSLWantReadError):
                handshake.do_handshake()
            hello = outgoing.read()
            # One says nothing, one half of its first word and one all of it, and one has gone.
            clients[1].sendall(hello[:40])
            clients[2].sendall(hello)
            clients[3].close()
            time.sleep(turn / 2000)
            begun = time.monotonic()
        # No client is waited for.
        assert time.monotonic() - begun < 1.5
        for client in clients:
            client.close()
    assert open_files() == before


def test_what_a_server_cannot_be_asked_is_refused() -> None:
    with pytest.raises(mailbearer.ConfigError, match="a list of names"):
        Server(users=USER)
    with Server() as server:
        for words in [("imaps",), ("imap", "tls")]:
            with pytest.raises(mailbearer.ConfigError, match="implicit or starttls"):
                server.at(*words)  # type: ignore[arg-type]


def test_a_text_and_a_message_are_delivered_as_octets_are() -> None:
    message = EmailMessage()
    message["Subject"] = "a message"
    message.set_content("Hello!")
    with Server(messages=0) as server:
        server.deliver(USER, "Subject: Grüße\n\nHello!\n")
        server.deliver(USER, message)
        server.deliver(USER, b"Subject: octets\r\n\r\nHello!\r\n")
        text, made, octets = server.messages(USER)
    assert text == "Subject: Grüße\r\n\r\nHello!\r\n".encode()
    assert made.startswith(b"Subject: a message\r\n")
    assert made.endswith(b"Hello!\r\n")
    assert octets == b"Subject: octets\r\n\r\nHello!\r\n"


def test_the_tokens_of_two_servers_differ_unless_they_have_one_seed() -> None:
    tokens = []
    for seed in (None, None, 5, 5):
        with Server(seed=seed) as server:
            tokens.append(server.issue_token(USER))
    assert len(set(tokens)) == 3
    assert tokens[2] == tokens[3]


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_a_client_that_only_waits_sees_the_end(tls: Tls) -> None:
    with Server() as server:
        options = server.at("imap", tls)
        with mailbearer.sessions("imap", USER, lambda: server.issue_token(USER), **options) as sessions:
            connection = next(sessions)
            server.restart()
            assert connection.wait(30)
