"""imap_tools' MailBox over a login, and over sessions that are renewed while it works."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from imap_tools import AND, MailBox

import mailbearer
from mailbearer.testing import Server

USER = "joe@outlook.com"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(flavour="outlook", token_lifetime=1.0) as running:
        running.deliver(USER, b"From: ann@example.org\r\nSubject: one more\r\n\r\nhello\r\n")
        yield running


def test_a_mailbox_is_logged_in_and_reads(server: Server) -> None:
    with mailbearer.mailbox(USER, server.issue_token(USER), **server.at("imap")) as mailbox:
        assert isinstance(mailbox, MailBox)
        assert mailbox.folder.get() == "INBOX"
        assert [message.subject for message in mailbox.fetch(AND(all=True))][-1] == "one more"
        assert mailbox.uids(AND(uid="4")) == ["4"]
        assert [message.text for message in mailbox.fetch(AND(uid="4"), mark_seen=False)] == ["hello\r\n"]


def test_an_archive_goes_on_across_renewals(server: Server) -> None:
    """One message at a time: what was fetched before a renewal is not fetched again."""
    saved: dict[str, str] = {}
    generations: list[int] = []
    token = lambda: (server.issue_token(USER), 1.0)  # noqa: E731
    with mailbearer.sessions("imap", USER, token, client="imap_tools", **server.at("imap")) as sessions:
        for connection in sessions:
            with connection:
                generations.append(connection.generation)
                for uid in connection.client.uids():
                    if uid not in saved:
                        (message,) = connection.client.fetch(AND(uid=uid), mark_seen=False)
                        saved[uid] = message.subject
                        time.sleep(0.4)
                    if connection.is_due:
                        break
            if len(saved) == 4:
                break
    assert list(saved) == ["1", "2", "3", "4"]
    assert saved["4"] == "one more"
    assert len(generations) >= 2


def test_an_end_is_that_of_the_session(server: Server) -> None:
    with mailbearer.sessions("imap", USER, server.issue_token(USER), client="imap_tools", **server.at("imap")) as one:
        connection = next(one)
        mailbox = connection.client
        server.restart()
        with connection:
            with pytest.raises(mailbearer.SessionEnded):
                list(mailbox.fetch())
            list(mailbox.fetch())
        # The end left the block, and is no error outside.
        assert connection.verdict is not None


def test_idle_and_new_messages_over_its_connection() -> None:
    with Server() as server:
        user = "joe@gmail.com"
        with mailbearer.sessions(
            "imap", user, server.issue_token(user), client="imap_tools", **server.at("imap")
        ) as sessions:
            connection = next(sessions)
            mailbox = connection.client
            mailbox.idle.start()
            server.deliver(user, b"Subject: four\r\n\r\n")
            assert b"* 4 EXISTS" in mailbox.idle.poll(timeout=20)
            mailbox.idle.stop()
            told = connection.new_messages("INBOX", since=None)
            first = next(told)
            server.deliver(user, b"Subject: five\r\n\r\n")
            assert next(told).uids == [5]
            assert first.uids == []
            assert [message.subject for message in mailbox.fetch(AND(uid="5"))] == ["five"]


def test_a_package_that_is_missing_is_told_before_a_login(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setitem(__import__("sys").modules, "imap_tools", None)
    with pytest.raises(mailbearer.ConfigError, match=r"pip install 'mailbearer\[imap-tools\]'"):
        mailbearer.mailbox(USER, "token", **server.at("imap"))
    assert server.events() == []
