"""The token is not in what a program may log: locals of our frames, exceptions, traces and records."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import pathlib
import pickle
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import pytest

import mailbearer
import mailbearer.aio
import mailbearer.aio.link
from mailbearer.testing import Server, ca_file, client_context

USER = "joe@gmail.com"
TOKEN = "ya29.Sesame0penSesame-0penSesame_0penSesame"


def forms(token: str) -> set[str]:
    """Return every run of ten characters of a token, plain and in base64 at each of its three places."""
    texts = [token]
    for before in range(3):
        encoded = base64.b64encode(b"x" * before + token.encode()).decode()
        texts.append(encoded[4:-4])
    return {text[at : at + 10] for text in texts for at in range(len(text) - 9)}


def shows(text: str, token: str = TOKEN) -> bool:
    return any(form in text for form in forms(token))


def frames(error: BaseException | None) -> Iterator[tuple[str, str, Any]]:
    """Yield the locals of our frames in a traceback, and of those of all that led to it."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
        step: TracebackType | None = one.__traceback__
        while step is not None:
            frame, step = step.tb_frame, step.tb_next
            if "/mailbearer/" in frame.f_code.co_filename and "/testing/" not in frame.f_code.co_filename:
                for name, value in frame.f_locals.items():
                    yield frame.f_code.co_qualname, name, value


def assert_hidden(error: BaseException, token: str = TOKEN) -> None:
    found = 0
    for where, name, value in frames(error):
        found += 1
        assert not shows(f"{value!r} {value!s}", token), f"{name} in {where}"
    assert found
    for text in (str(error), repr(error), *map(repr, error.args)):
        assert not shows(text, token)


# What a logger with locals prints: the test's own frames hold the token, of course.
def test_this_test_can_fail() -> None:
    def holds(token: str) -> None:
        raise ValueError

    with pytest.raises(ValueError) as caught:  # noqa: PT011
        holds(TOKEN)
    stack = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert any(shows(line) for line in stack.format())
    assert shows(base64.b64encode(f"user=x\1auth=Bearer {TOKEN}\1\1".encode()).decode())


def later(door: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **settings: asyncio.run(door(*arguments, **settings))


async def first_of_async(protocol: Any, user: str, token: Any, **settings: Any) -> Any:
    async with mailbearer.aio.sessions(protocol, user, token, **settings) as sessions:
        return await anext(sessions)


def first_of(protocol: Any, user: str, token: Any, **settings: Any) -> Any:
    with mailbearer.sessions(protocol, user, token, **settings) as sessions:
        return next(sessions)


DOORS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "connect": ("pop3", lambda *rest, **settings: mailbearer.connect("pop3", *rest, **settings)),
    "imap": ("imap", mailbearer.imap),
    "imapclient": ("imap", mailbearer.imapclient),
    "pop3": ("pop3", mailbearer.pop3),
    "smtp": ("smtp", mailbearer.smtp),
    "sessions": ("smtp", lambda *rest, **settings: first_of("smtp", *rest, **settings)),
    "aio.connect": ("pop3", later(lambda *rest, **settings: mailbearer.aio.connect("pop3", *rest, **settings))),
    "aio.imap": ("imap", later(mailbearer.aio.imap)),
    "aio.smtp": ("smtp", later(mailbearer.aio.smtp)),
    "aio.sessions": ("imap", later(lambda *rest, **settings: first_of_async("imap", *rest, **settings))),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_refusal(door: str) -> None:
    protocol, login = DOORS[door]
    with Server() as server, pytest.raises(mailbearer.LoginFailed) as caught:
        login(USER, TOKEN, **server.at(protocol))
    assert_hidden(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("wrong", [f"{TOKEN} {TOKEN}", f"{TOKEN}\r\n", f"Bearer {TOKEN}", TOKEN.encode(), (TOKEN, 1)])
def test_a_token_that_is_none(door: str, wrong: Any) -> None:
    with Server() as server, pytest.raises(mailbearer.ConfigError) as caught:
        DOORS[door][1](USER, wrong, **server.at(DOORS[door][0]))
    assert_hidden(caught.value)


@pytest.mark.parametrize("door", [mailbearer.sender, mailbearer.aio.sender, mailbearer.mailbox])
@pytest.mark.parametrize("wrong", [f"{TOKEN} {TOKEN}", TOKEN.encode(), (TOKEN, 1)])
def test_a_token_that_is_none_at_other_doors(door: Any, wrong: Any) -> None:
    with Server() as server, pytest.raises(mailbearer.ConfigError) as caught:
        door(USER, wrong, **server.at("imap" if door is mailbearer.mailbox else "smtp"))
    assert_hidden(caught.value)


@pytest.mark.parametrize("door", DOORS)
def test_a_setting_that_cannot_work(door: str) -> None:
    with pytest.raises(mailbearer.ConfigError) as caught:
        DOORS[door][1](USER, TOKEN, host="127.0.0.1", port=0)
    assert_hidden(caught.value)


@pytest.mark.parametrize("door", [door for door in DOORS if "sessions" not in door])
def test_no_connection(door: str) -> None:
    with pytest.raises(mailbearer.LoginFailed) as caught:
        DOORS[door][1](USER, TOKEN, host="127.0.0.1", port=1)
    assert_hidden(caught.value)


ANSWERS: list[Any] = [f"{TOKEN} {TOKEN}", TOKEN.encode(), (3600, TOKEN), (TOKEN, TOKEN), [TOKEN]]
ANSWERS.append({"access_token": TOKEN})


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_what_a_source_must_not_return(door: str, answer: Any) -> None:
    protocol, login = DOORS[door]
    with Server() as server, pytest.raises(mailbearer.Error) as caught:
        # What the source itself returns is in its own frame, which is gone.
        login(USER, lambda: answer, **server.at(protocol), timeout=3.0)
    assert_hidden(caught.value)


@pytest.mark.parametrize("door", ["aio.connect", "aio.sessions"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_what_an_async_source_must_not_return(door: str, answer: Any) -> None:
    async def source() -> Any:
        return answer

    protocol, login = DOORS[door]
    with Server() as server, pytest.raises(mailbearer.Error) as caught:
        login(USER, source, **server.at(protocol), timeout=3.0)
    assert_hidden(caught.value)


class Echo:
    """A server that sends the token back, in pieces of so many octets."""

    def __init__(self, pieces: int) -> None:
        self._pieces = pieces
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(pathlib.Path(ca_file()).with_name("localhost.pem"))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with contextlib.suppress(OSError), self._context.wrap_socket(client, server_side=True) as tls:
                    # Each piece is a record of its own, and a read.
                    tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    tls.sendall(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n")
                    line = tls.recv(65_536)
                    if not line:
                        continue
                    said = b"* NO I heard " + line + line.split()[0] + b" NO [ALERT] you said " + line
                    for at in range(0, len(said), self._pieces):
                        tls.sendall(said[at : at + self._pieces])

    def __enter__(self) -> Echo:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()


@pytest.mark.parametrize("door", ["imap", "imapclient", "aio.imap"])
@pytest.mark.parametrize("pieces", [1, 7, 5_000])
def test_a_trace_shows_whole_lines_and_no_token_that_comes_back_in_pieces(door: str, pieces: int) -> None:
    traced: list[tuple[str, str]] = []
    with Echo(pieces) as server, pytest.raises(mailbearer.LoginFailed) as caught:
        DOORS[door][1](
            USER,
            TOKEN,
            host="localhost",
            port=server.port,
            ssl_context=client_context(),
            trace=lambda side, line: traced.append((side, line)),
        )
    assert_hidden(caught.value)
    assert not shows(" ".join(line for _, line in traced))
    sent = [line for side, line in traced if side == "C"]
    received = [line for side, line in traced if side == "S"]
    assert sent[0].startswith(("A0001 AUTHENTICATE XOAUTH2 <token, ", "A0001 AUTHENTICATE XOAUTH2 "))
    assert received[0] == "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi"
    assert received[1].startswith("* NO I heard A0001 AUTHENTICATE XOAUTH2 ")
    assert received[2].startswith("A0001 NO [ALERT] you said A0001 AUTHENTICATE XOAUTH2 ")
    assert len(received) == 3


class Watched(Exception):
    """What a trace raises."""


@pytest.mark.parametrize("door", ["imap", "imapclient", "aio.imap"])
@pytest.mark.parametrize("at", ["C", "S"])
def test_a_trace_that_raises_shows_no_token_either(door: str, at: str) -> None:
    def look(side: str, line: str) -> None:
        if side == at and "XOAUTH2 " in line:
            raise Watched

    with Echo(5_000) as server, pytest.raises(Watched) as caught:
        DOORS[door][1](USER, TOKEN, host="localhost", port=server.port, ssl_context=client_context(), trace=look)
    assert_hidden(caught.value)


@pytest.mark.parametrize("door", ["connect", "aio.connect"])
def test_a_write_that_fails_shows_no_token(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol, login = DOORS[door]

    def full(*_: Any) -> None:
        raise TimeoutError

    with Server() as server:
        settings = server.at(protocol)
        if door == "connect":
            monkeypatch.setattr(ssl.SSLSocket, "sendall", full)
        else:
            monkeypatch.setattr(mailbearer.aio.link.Inbox, "read", full)
        with pytest.raises(mailbearer.LoginFailed) as caught:
            login(USER, TOKEN, **settings, timeout=2.0)
    assert_hidden(caught.value)
