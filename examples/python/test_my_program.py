"""Tests of a program of one's own: run with `pytest`, which finds mailbearer's fixtures by itself."""

from typing import Unpack

import pytest

import mailbearer
from mailbearer.testing import Server
from mailbearer.testing.pytest_plugin import ServerAccount


def unread(user: str, token: mailbearer.TokenSource, **server: Unpack[mailbearer.LoginOptions]) -> int:
    """The program that is tested."""
    with mailbearer.imap(user, token, **server) as imap:
        imap.select("INBOX", readonly=True)
        return len(imap.search(None, "UNSEEN")[1][0].split())


def test_it_counts(mailbearer_server: Server) -> None:
    token = mailbearer_server.issue_token("joe@gmail.com")
    mailbearer_server.deliver("joe@gmail.com", b"Subject: one more\r\n\r\nhello\r\n")
    assert unread("joe@gmail.com", token, **mailbearer_server.at("imap")) == 4


def test_a_token_that_is_over(mailbearer_server: Server) -> None:
    token = mailbearer_server.issue_token("joe@gmail.com", lifetime=0.0)
    with pytest.raises(mailbearer.LoginFailed) as caught:
        unread("joe@gmail.com", token, **mailbearer_server.at("imap"))
    assert (caught.value.cause, caught.value.advice) == ("token_rejected", "refresh_token")


@pytest.mark.mailbearer(flavour="outlook", token_lifetime=1.0)
def test_sessions_outlive_their_tokens(mailbearer_account: ServerAccount) -> None:
    """Tokens of a second: what takes hours with a provider takes two seconds here."""
    joe, seen = mailbearer_account, []
    for connection in mailbearer.sessions("imap", joe.user, joe.token, **joe.at("imap")):
        with connection:
            connection.client.select("INBOX")
            seen.append(connection.generation)
            connection.wait(5)
        if len(seen) == 3:
            break
    assert seen == [1, 2, 3]


@pytest.mark.mailbearer(users=["joe@gmail.com", "ann@gmail.com"], messages=0)
def test_two_accounts(mailbearer_accounts: list[ServerAccount], mailbearer_server: Server) -> None:
    joe, ann = mailbearer_accounts
    mailbearer_server.deliver(ann.user, b"Subject: for ann\r\n\r\n")
    assert [unread(one.user, one.token, **one.at("imap")) for one in (joe, ann)] == [0, 1]


@pytest.mark.mailbearer(users=["joe@gmail.com", "ann@gmail.com"])
def test_one_of_two_accounts_is_refused(mailbearer_accounts: list[ServerAccount], mailbearer_server: Server) -> None:
    """Whoever owns it has withdrawn her consent: the other account goes on."""
    joe, ann = mailbearer_accounts
    token = mailbearer_server.issue_token(ann.user)
    mailbearer_server.revoke_token(token)
    with pytest.raises(mailbearer.LoginFailed):
        unread(ann.user, token, **ann.at("imap"))
    assert unread(joe.user, joe.token, **joe.at("imap")) == 3


def test_a_server_that_is_down(mailbearer_server: Server) -> None:
    mailbearer_server.set_fault("login", "drop")
    with pytest.raises(mailbearer.LoginFailed) as caught:
        unread("joe@gmail.com", mailbearer_server.issue_token("joe@gmail.com"), **mailbearer_server.at("imap"))
    assert caught.value.cause == "connection_lost"
