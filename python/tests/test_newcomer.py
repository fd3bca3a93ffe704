"""What somebody meets in the first hour: loops without `with`, mistyped mailboxes, clients kept too long."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

import mailbearer
import mailbearer.aio
from mailbearer.__main__ import main
from mailbearer.testing import Server

USER = "joe@gmail.com"
NOT_WAITED = mailbearer.SessionPolicy(login_interval=0.001, backoff_base=0.01)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


def sessions(server: Server, module: Any = mailbearer, **options: Any) -> Any:
    return module.sessions("imap", USER, lambda: server.issue_token(USER), **server.at("imap"), **options)


def test_a_mailbox_that_is_refused_is_named(server: Server) -> None:
    with sessions(server) as imap, next(imap) as connection:
        with pytest.raises(mailbearer.MailboxRefused, match=r"^'INBX' cannot be followed; .*list\(\) shows") as caught:
            next(iter(connection.new_messages("INBX")))
        assert caught.value.mailbox == "INBX"
        again = pickle.loads(pickle.dumps(caught.value))
        assert (str(again), again.mailbox, again.code) == (str(caught.value), "INBX", caught.value.code)


def test_a_mailbox_that_is_refused_is_named_with_asyncio(server: Server) -> None:
    async def follow() -> None:
        async with sessions(server, mailbearer.aio) as imap, await anext(imap) as connection:
            await anext(connection.new_messages("INBX"))

    with pytest.raises(mailbearer.MailboxRefused, match=r"^'INBX' cannot be followed; .*list\(\) shows"):
        asyncio.run(follow())


LET_GO = "was let go, at the end of its with block or by close.*take the next one from the loop"


def test_a_client_that_outlives_its_block_is_told_so(server: Server) -> None:
    with sessions(server) as imap:
        with next(imap) as connection:
            connection.client.select("INBOX")
        with pytest.raises(mailbearer.SessionEnded, match=LET_GO) as caught:
            connection.sock.sendall(b"a NOOP\r\n")
        assert "Nothing is wrong" not in str(caught.value)
        with pytest.raises(mailbearer.SessionEnded, match=LET_GO):
            connection.client.noop()


def test_a_client_that_outlives_its_block_is_told_so_with_asyncio(server: Server) -> None:
    async def use() -> None:
        async with sessions(server, mailbearer.aio) as imap:
            async with await anext(imap) as connection:
                reader = connection.reader
            await reader.readline()

    with pytest.raises(mailbearer.SessionEnded, match=LET_GO):
        asyncio.run(use())


def test_a_loop_over_closed_sessions_is_a_mistake(server: Server) -> None:
    closed = sessions(server)
    closed.close()
    account = mailbearer.Account(USER, "a-token")
    of_account, other = account.sessions("imap"), account.sessions("imap")
    other.close()
    for one in (closed, other):
        with pytest.raises(mailbearer.Misuse, match="the sessions are closed, or their account is: make new ones"):
            for _ in one:
                pass
    account.close()
    with pytest.raises(mailbearer.Misuse, match="the sessions are closed"):
        iter(of_account)


def test_a_loop_over_closed_sessions_is_a_mistake_with_asyncio(server: Server) -> None:
    async def loop(one: Any) -> None:
        async for _ in one:
            pass

    async def run() -> None:
        closed = sessions(server, mailbearer.aio)
        await closed.aclose()
        account = mailbearer.aio.Account(USER, "a-token")
        of_account = account.sessions("imap")
        await account.aclose()
        for one in (closed, of_account):
            with pytest.raises(mailbearer.Misuse, match="the sessions are closed, or their account is: make new ones"):
                await loop(one)

    asyncio.run(run())


def test_a_loop_that_runs_just_ends_when_its_sessions_are_closed(server: Server) -> None:
    imap, rounds = sessions(server), 0
    for connection in imap:
        with connection:
            rounds += 1
            imap.close()
    assert rounds == 1


def hasty(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "let go as soon as they came" in record.getMessage()]


def test_a_loop_without_a_wait_is_told_once(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with sessions(server, policy=NOT_WAITED) as imap:
        for count, connection in enumerate(imap):
            assert connection.generation == count + 1
            assert len(hasty(caplog)) == (1 if count > 2 else 0)
            if count == 4:
                break
    assert "is `with connection:` missing in the loop, or `connection.wait()` in it?" in hasty(caplog)[0]


def test_a_loop_without_a_wait_is_told_once_with_asyncio(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with sessions(server, mailbearer.aio, policy=NOT_WAITED) as imap:
            for _ in range(5):
                await anext(imap)

    caplog.set_level(logging.WARNING)
    asyncio.run(run())
    assert len(hasty(caplog)) == 1


def test_connections_that_the_server_ends_are_no_haste(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with sessions(server, policy=NOT_WAITED) as imap:
        for _ in range(5):
            with next(imap) as connection:
                server.restart()
                connection.client.noop()
    assert hasty(caplog) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--imap", "localhost:abc"], "localhost:abc is not HOST or HOST:PORT"),
        (["--imap", "localhost:0"], "port"),
        (["--provider", "gmial"], "provider"),
        (["--ca-file", "/nowhere/ca.pem"], "--ca-file /nowhere/ca.pem cannot be read"),
        (["--timeout", "-1"], "timeout must be a number of seconds above zero"),
    ],
)
def test_an_argument_that_cannot_work_is_told_once_and_before_a_token_is_looked_for(
    given: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mailbearer.check

    def no_token(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(mailbearer.check, "_token", no_token)
    assert main(["check", USER, *given]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), err.count(told) >= 1) == ("", 1, True), err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["check", USER, "--host", "mail.example.org"], "there is no --host: give --imap, --pop3 or --smtp HOST:PORT"),
        (["chek", USER], "there is no command chek (did you mean check?); there are login, accounts, token, logout, "),
        (["joe@gmail.com"], "there is no command joe@gmail.com; there are login"),
    ],
)
def test_what_a_command_does_not_know_is_told_with_what_was_meant(
    given: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(given) == 2
    assert told in capsys.readouterr().err


def test_a_cause_that_is_none_is_told_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    from mailbearer.testing.__main__ import main as testing

    assert testing(["--refuse", "foo"]) == 2
    said = capsys.readouterr().err
    assert "foo is no cause" in said
    assert all(cause in said for cause in mailbearer.CAUSES)


def test_what_is_no_cursor_is_named_as_the_argument_that_it_was_given_as(server: Server) -> None:
    with sessions(server) as imap, next(imap) as connection, pytest.raises(mailbearer.ConfigError, match=r"^since is "):
        next(iter(connection.new_messages("INBOX", since="soon")))


def test_what_is_no_cursor_is_named_with_asyncio(server: Server) -> None:
    async def follow() -> None:
        async with sessions(server, mailbearer.aio) as imap, await anext(imap) as connection:
            await anext(connection.new_messages("INBOX", since="soon"))

    with pytest.raises(mailbearer.ConfigError, match=r"^since is "):
        asyncio.run(follow())


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("my_project.nowhere.token", "`token` 'my_project.nowhere.token' cannot be imported: No module named"),
        ("mailbearer.no_such_name", "`token` 'mailbearer.no_such_name' cannot be imported: "),
        ("ya29.Sesame0penSesame-0pen", "`token` is no dotted path"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2UifQ.c2ln", "`token` is no dotted path"),
    ],
)
def test_the_path_of_djangos_token_is_told_and_no_token(path: str, told: str) -> None:
    django = pytest.importorskip("mailbearer.django")
    with pytest.raises(mailbearer.ConfigError) as caught:
        django._at(path)
    assert told in str(caught.value)
    assert "a token itself is not taken here" in str(caught.value)
    assert ("'" in str(caught.value)) == ("cannot be imported" in told)


@pytest.mark.parametrize("module", [mailbearer, mailbearer.aio])
def test_help_says_that_idle_needs_a_mailbox(module: Any) -> None:
    assert "without one IDLE is allowed (RFC 2177), and tells nothing" in " ".join(
        module.SessionConnection.idle.__doc__.split()
    )
