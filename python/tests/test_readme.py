"""The README's Python examples, as they stand, against the testing server in place of Gmail."""

from __future__ import annotations

import itertools
import pathlib
import re
from email.message import EmailMessage
from typing import Any

import pytest

import mailbearer
import mailbearer.connection
from mailbearer.testing import Server

README = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    message = EmailMessage()
    message["From"] = message["To"] = "joe@gmail.com"
    generations = []
    with Server(token_lifetime=1.0) as server:
        resolve, sessions = mailbearer.connection.resolve, mailbearer.sessions

        def at_the_server(protocol: Any, user: str, **settings: Any) -> Any:
            given = {name: value for name, value in settings.items() if value is not None}
            return resolve(protocol, user, **(server.at(protocol) | given))

        def two_sessions(protocol: Any, user: str, token: Any) -> Any:
            with sessions(protocol, user, token, **server.at(protocol)) as connections:
                for connection in itertools.islice(connections, 2):
                    generations.append(connection.generation)
                    yield connection

        monkeypatch.setattr(mailbearer.connection, "resolve", at_the_server)
        monkeypatch.setattr(mailbearer, "sessions", two_sessions)
        names = {"get_access_token": lambda: (server.issue_token("joe@gmail.com"), 1.0), "message": message}
        exec(EXAMPLES[number], names)
        if "sessions" in EXAMPLES[number]:
            assert generations == [1, 2]
        if "send_message" in EXAMPLES[number]:
            assert len(server.submitted()) == 1
            assert "token" in capsys.readouterr().out


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3
