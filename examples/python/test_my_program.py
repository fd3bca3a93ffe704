"""Tests of a program of one's own: run with `pytest`, which finds the fixture `mailbearer_server` by itself."""

import pytest

import mailbearer
from mailbearer.testing import Server


def unread(user, token, **server) -> int:
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


def test_sessions_outlive_their_tokens() -> None:
    """Tokens of a second: what takes hours with a provider takes two seconds here."""
    with Server(flavour="outlook", token_lifetime=1.0) as server:
        seen = []
        for connection in mailbearer.sessions(
            "imap", "joe@outlook.com", lambda: (server.issue_token("joe@outlook.com"), 1.0), **server.at("imap")
        ):
            with connection:
                connection.client.select("INBOX")
                seen.append(connection.generation)
                connection.wait(5)
            if len(seen) == 3:
                break
    assert seen == [1, 2, 3]


def test_a_server_that_is_down(mailbearer_server: Server) -> None:
    mailbearer_server.set_fault("login", "drop")
    with pytest.raises(mailbearer.LoginFailed) as caught:
        unread("joe@gmail.com", mailbearer_server.issue_token("joe@gmail.com"), **mailbearer_server.at("imap"))
    assert caught.value.cause == "connection_lost"
