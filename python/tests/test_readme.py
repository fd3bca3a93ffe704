"""The README's Python examples, as they stand, against the testing server in place of Gmail."""

from __future__ import annotations

import itertools
import pathlib
import re
import smtplib
from email.message import EmailMessage
from typing import Any

import pytest

import mailbearer
import mailbearer.connection
from mailbearer.testing import Server, client_context

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


OURS = (pathlib.Path(__file__).resolve().parents[1] / "README.md").read_text()
EXPLAINS = [example for example in re.findall(r"```python\n(.*?)```", OURS, re.DOTALL) if "explain" in example]


def test_the_example_of_explain_runs_as_it_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = EXPLAINS
    there = smtplib.SMTP_SSL
    with Server() as server:
        at = {"host": "localhost", "port": server.port("smtp"), "context": client_context()}
        monkeypatch.setattr(smtplib, "SMTP_SSL", lambda host, port: there(**at))  # type: ignore[arg-type]
        exec(example, {})
        said, sentence = capsys.readouterr().out.splitlines()
        assert f"# {said}\n" in example
        assert "Username and Password not accepted" in sentence
        # With a token that is good it logs in, and says nothing.
        exec(example.replace("ya29.an-expired-token", server.issue_token("joe@gmail.com")), {})
        assert capsys.readouterr().out == ""
        assert [event.what for event in server.events() if event.protocol == "smtp"].count("logged_in") == 1


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3
