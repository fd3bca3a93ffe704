"""The README's Python examples, as they stand, against the testing server in place of Gmail."""

from __future__ import annotations

import pathlib
import re
from email.message import EmailMessage
from typing import Any

import pytest

import mailbearer.connection
from mailbearer.testing import Server

README = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    message = EmailMessage()
    message["From"] = message["To"] = "joe@gmail.com"
    with Server() as server:
        resolve = mailbearer.connection.resolve

        def at_the_server(protocol: Any, user: str, **settings: Any) -> Any:
            given = {name: value for name, value in settings.items() if value is not None}
            return resolve(protocol, user, **(server.at(protocol) | given))

        monkeypatch.setattr(mailbearer.connection, "resolve", at_the_server)
        names = {"get_access_token": lambda: server.issue_token("joe@gmail.com"), "message": message}
        exec(EXAMPLES[number], names)
        if number == 0:
            assert len(server.submitted()) == 1
            assert "token" in capsys.readouterr().out


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2
