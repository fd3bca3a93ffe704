"""The logger `mailbearer`: what it is told at which level, never a token, and nothing that nobody reads."""

from __future__ import annotations

import asyncio
import datetime
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from test_secrets import DOORS, Echo, shows

import mailbearer
import mailbearer.aio
import mailbearer.dialogue
from mailbearer.testing import Server, client_context
from mailbearer.words import MailProtocol

USER = "joe@gmail.com"
PROTOCOLS: tuple[MailProtocol, ...] = ("imap", "pop3", "smtp")


class Source:
    """Tokens of the testing server, and all that it gave."""

    def __init__(self, server: Server, lifetime: float) -> None:
        self._server = server
        self._lifetime = lifetime
        self.given: list[str] = []

    def __call__(self) -> tuple[str, float]:
        self.given.append(self._server.issue_token(USER))
        return self.given[-1], self._lifetime


@pytest.fixture
def server() -> Iterator[Server]:
    # A machine that is busy takes a part of a second for a login.
    with Server(token_lifetime=1.5) as running:
        yield running


def blocking(protocol: MailProtocol, source: Source, server: Server, connections: int, **options: Any) -> None:
    with mailbearer.sessions(protocol, USER, source, **server.at(protocol, "starttls"), **options) as sessions:
        for connection in sessions:
            with connection:
                connection.wait()
            if connection.generation == connections:
                return


def later(protocol: MailProtocol, source: Source, server: Server, connections: int, **options: Any) -> None:
    async def main() -> None:
        async with mailbearer.aio.sessions(protocol, USER, source, **server.at(protocol, "starttls"), **options) as all:
            async for connection in all:
                async with connection:
                    await connection.wait()
                if connection.generation == connections:
                    return

    asyncio.run(main())


RUNS: dict[str, Callable[..., None]] = {"blocking": blocking, "asyncio": later}


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "mailbearer"]


def text_of(record: logging.LogRecord) -> str:
    """Return all of a record that any handler could write."""
    return f"{logging.Formatter().format(record)} {record.__dict__!r}"


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_whole_session_is_told_and_no_token_is(
    server: Server, caplog: pytest.LogCaptureFixture, run: str, protocol: MailProtocol
) -> None:
    caplog.set_level(logging.DEBUG, "mailbearer")
    source = Source(server, 1.5)
    traced: list[str] = []
    logins = 2 if protocol == "imap" else 1
    RUNS[run](protocol, source, server, logins, trace=lambda side, line: traced.append(f"{side}: {line}"))
    records = ours(caplog)
    events = [(record.levelname, vars(record).get("mailbearer_event")) for record in records]
    told = [(level, event.kind) for level, event in events if event is not None]
    for expected in (("INFO", "online"), ("INFO", "renewing"), ("INFO", "ended"), ("DEBUG", "fetching_token")):
        assert expected in told
    dialogue = [record.getMessage() for record in records if "mailbearer_event" not in vars(record)]
    # Each login, with what the client says.
    assert sum("<token, " in line and " C: " in line for line in dialogue) >= logins, dialogue
    assert [line.partition(" (STARTTLS) ")[2] for line in dialogue] == traced
    assert len(source.given) >= logins
    for record in records:
        assert not any(shows(text_of(record), token) for token in source.given), record


@pytest.mark.parametrize("door", [door for door, (protocol, _) in DOORS.items() if protocol == "imap"])
def test_a_token_that_a_server_sends_back_is_in_no_record(caplog: pytest.LogCaptureFixture, door: str) -> None:
    token = "ya29.Sesame0penSesame-0penSesame_0penSesame"
    caplog.set_level(logging.DEBUG, "mailbearer")
    _, login = DOORS[door]
    with Echo(7) as server, pytest.raises(mailbearer.Error):
        login(USER, token, host="localhost", port=server.port, ssl_context=client_context(), timeout=5.0)
    dialogue = [text_of(record) for record in ours(caplog)]
    assert any(" S: * NO I heard " in line for line in dialogue), dialogue
    assert not any(shows(line, token) for line in dialogue)


def test_one_login_is_told(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mailbearer")

    async def later(token: str) -> None:
        async with await mailbearer.aio.connect("smtp", USER, token, **server.at("smtp")):
            pass

    def now(token: str) -> None:
        with mailbearer.connect("smtp", USER, token, **server.at("smtp")):
            pass

    for login in (now, lambda token: asyncio.run(later(token))):
        caplog.clear()
        login(server.issue_token(USER))
        (told,) = ours(caplog)
        assert told.levelname == "INFO"
        assert told.getMessage().startswith(f"{USER} smtp: logged in to localhost:")
        caplog.clear()
        with pytest.raises(mailbearer.LoginFailed) as caught:
            login("expired")
        (told,) = ours(caplog)
        assert told.levelname == "WARNING"
        assert told.getMessage().startswith(f"{USER} smtp: could not log in to localhost:")
        assert caught.value.failure.server_text in told.getMessage()


class Down(Exception):
    """What a source raises."""


def test_a_source_that_fails_is_told_with_its_own_exception(caplog: pytest.LogCaptureFixture, server: Server) -> None:
    caplog.set_level(logging.WARNING, "mailbearer")
    down = Down("the broker does not answer")

    def source() -> str:
        raise down

    policy = mailbearer.SessionPolicy(first=0.1, backoff_base=0.01)
    sessions = mailbearer.sessions("imap", USER, source, policy=policy, **server.at("imap"))
    with sessions, pytest.raises(mailbearer.GaveUp):
        next(sessions)
    first = ours(caplog)[0]
    assert first.levelname == "WARNING"
    assert "the broker does not answer" in first.getMessage()
    assert first.exc_info is not None
    assert first.exc_info[1] is down
    assert ours(caplog)[-1].getMessage().startswith(f"{USER} imap 1 gave up")
    caplog.clear()
    with pytest.raises(mailbearer.TokenSourceFailed):
        mailbearer.connect("imap", USER, source, **server.at("imap"))
    (told,) = ours(caplog)
    assert told.exc_info is not None
    assert told.exc_info[1] is down


def test_a_secret_in_the_words_of_a_source_is_in_no_record(caplog: pytest.LogCaptureFixture, server: Server) -> None:
    caplog.set_level(logging.DEBUG, "mailbearer")
    token = server.issue_token(USER)

    def source(force_refresh: bool = False) -> str:
        if force_refresh:
            try:
                raise Down(f"access_token={token}")
            except Down as down:
                raise OSError("the broker does not answer") from down
        return token

    server.revoke_token(token)
    with pytest.raises(mailbearer.TokenSourceFailed):
        mailbearer.connect("imap", USER, source, **server.at("imap"))
    policy = mailbearer.SessionPolicy(first=0.1, backoff_base=0.01)
    sessions = mailbearer.sessions("imap", USER, source, policy=policy, **server.at("imap"))
    with sessions, pytest.raises(mailbearer.LoginFailed):
        next(sessions)
    told = [record for record in ours(caplog) if record.exc_info]
    assert len(told) >= 2
    for record in told:
        assert "OSError: the broker does not answer" in text_of(record)
        # The traceback says where it was raised all the same.
        assert "test_logging.py" in text_of(record)
        assert not shows(text_of(record), token)


def test_what_nobody_reads_is_not_made(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*_: object) -> str:
        raise AssertionError

    monkeypatch.setattr(mailbearer.SessionEvent, "message", property(made))
    monkeypatch.setattr(mailbearer.dialogue, "Transcript", made)
    caplog.set_level(logging.ERROR, "mailbearer")
    blocking("imap", Source(server, 1.5), server, 1)
    later("imap", Source(server, 1.5), server, 1)
    mailbearer.connect("imap", USER, server.issue_token(USER), **server.at("imap")).close()
    assert not ours(caplog)


def test_an_event_has_a_time_and_reads_well(server: Server) -> None:
    events: list[mailbearer.SessionEvent] = []
    before = time.time()
    blocking("imap", Source(server, 1.5), server, 1, on_event=events.append)
    assert all(before <= event.time <= time.time() for event in events)
    online = next(event for event in events if event.kind == "online")
    assert online.message == f"{USER} imap 1 is online, connection 1"
    at, _, rest = str(online).partition(f" {USER} ")
    assert datetime.datetime.fromisoformat(at).timestamp() == pytest.approx(online.time, abs=0.001)
    assert rest == "imap 1 is online, connection 1"
    kinds = {event.kind for event in events}
    assert {"fetching_token", "connecting", "renewing", "ended"} <= kinds


PROGRAM = """
import mailbearer
from mailbearer.testing import Server, client_context
with Server() as server:
    try:
        mailbearer.imap("joe@gmail.com", "expired", **server.at("imap"))
    except mailbearer.LoginFailed:
        pass
    token = server.issue_token("joe@gmail.com")
    def on_event(event):
        if {raises} and event.kind == "online":
            raise ValueError("mine")
    with mailbearer.sessions("imap", "joe@gmail.com", token, on_event=on_event, **server.at("imap")) as sessions:
        print(next(sessions).client.noop()[0])
"""


def test_a_program_without_logging_is_told_nothing_but_its_own_mistakes() -> None:
    for raises in (False, True):
        command = [sys.executable, "-c", PROGRAM.format(raises=raises)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout == "OK\n"
        assert ("ValueError: mine" in done.stderr) == raises
        assert raises or done.stderr == ""
