"""The fixtures for pytest, as a program's own tests use them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mailbearer
from mailbearer.testing import Server
from mailbearer.testing.pytest_plugin import ServerAccount


def test_an_account_without_a_marker(mailbearer_account: ServerAccount) -> None:
    assert (mailbearer_account.user, mailbearer_account.token()[1]) == ("joe@gmail.com", 3600.0)
    with mailbearer.imap(mailbearer_account.user, mailbearer_account.token, **mailbearer_account.at("imap")) as imap:
        assert imap.select("INBOX") == ("OK", [b"3"])


@pytest.mark.mailbearer(flavour="outlook", token_lifetime=1.0)
class TestTheMarker:
    def test_of_a_class(self, mailbearer_account: ServerAccount) -> None:
        assert (mailbearer_account.user, mailbearer_account.token_lifetime) == ("joe@outlook.com", 1.0)

    @pytest.mark.mailbearer(users=["ann@outlook.com", "bob@outlook.com"], messages=1)
    def test_of_a_test_adds_to_it(self, mailbearer_accounts: list[ServerAccount]) -> None:
        seen: list[int] = []
        for account in mailbearer_accounts:
            for connection in mailbearer.sessions("imap", account.user, account.token, **account.at("imap")):
                with connection:
                    seen.append(int(connection.client.select("INBOX")[1][0]))
                    connection.wait(20)
                if connection.generation == 2:
                    break
        assert seen == [1, 1, 1, 1]
        assert [account.user for account in mailbearer_accounts] == ["ann@outlook.com", "bob@outlook.com"]


def test_more_servers(mailbearer_servers: Callable[..., Server], mailbearer_server: Server) -> None:
    other = mailbearer_servers(flavour="dovecot", messages=0)
    assert other.port("imap") != mailbearer_server.port("imap")
    token = other.issue_token("joe@example.org")
    with mailbearer.imap("joe@example.org", token, **other.at("imap")) as imap:
        assert imap.select("INBOX") == ("OK", [b"0"])


def test_what_a_marker_cannot_say_is_told(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.mailbearer(flavor='gmail')\n"
        "def test_misspelt(mailbearer_server): pass\n"
        "@pytest.mark.mailbearer('gmail')\n"
        "def test_positional(mailbearer_server): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider", tmp_path]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 1
    told = "pytest.mark.mailbearer: mailbearer.testing.Server() got an unexpected keyword argument 'flavor'"
    assert f"{told} (did you mean 'flavour'?)" in ran.stdout
    assert "keyword arguments only" in ran.stdout
