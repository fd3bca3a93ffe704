"""asyncio has the names that blocking code has; what is closed takes `with`; an extra that is missing is named."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

import mailbearer
import mailbearer.aio
from mailbearer.clients import Pop3
from mailbearer.testing import Server

USER = "joe@gmail.com"


def public() -> Iterator[Any]:
    for module in ("mailbearer", "mailbearer.aio"):
        found = importlib.import_module(module)
        yield from (getattr(found, name) for name in found.__all__)


# ---- asyncio has the same names --------------------------------------------------------------------------------------

PAIRS = ("Account", "Connection", "Sender", "SessionConnection", "Sessions")

# Why one of the two has a name that the other lacks.
BLOCKING_ONLY = {
    "": {
        # The standard library has no client of asyncio, and there is none for POP3.
        "pop3",
        "imapclient",
        "mailbox",
    },
    # asyncio has a transport with streams in its place; octets that came behind the login are in the reader.
    "Connection": {"sock", "leftover", "greeted", "said_goodbye"},
    # For IDLE over imaplib, which reads ahead, and for threads that wait.
    "SessionConnection": {
        "note_selected",
        "patience_of",
        "read_ahead",
        "answer",
        "is_delivering",
        "expects_by",
        "notice_the_end",
    },
}
ASYNC_ONLY = {
    "": {"AsyncTokenSource"},
    "Account": {"aclose"},
    "Sessions": {"aclose"},
    "Sender": {"aclose"},
    "Connection": {"aclose", "reader", "writer", "transport", "hand_over", "late"},
    # `due()` is `wait()` without its answer.
    "SessionConnection": {"due", "woken", "tap"},
}


def names_of(kind: type) -> set[str]:
    found = {name for base in kind.__mro__[:-1] for name in [*vars(base), *inspect.get_annotations(base)]}
    source = inspect.getsource(kind)
    found |= set(re.findall(r"self\.([a-z]\w*)(?:: [^=\n]+)? = ", source))
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize("name", PAIRS)
def test_connections_of_asyncio_have_the_same_names(name: str) -> None:
    blocking, later = names_of(getattr(mailbearer, name)), names_of(getattr(mailbearer.aio, name))
    inherited = {"SessionConnection": "Connection"}.get(name, "")
    only = BLOCKING_ONLY.get(name, set()) | (BLOCKING_ONLY[inherited] if inherited else set())
    assert blocking - later == only
    only = ASYNC_ONLY.get(name, set()) | (ASYNC_ONLY[inherited] if inherited else set())
    assert later - blocking == only


def test_the_front_doors_of_asyncio_have_the_same_names_and_arguments() -> None:
    doors = {
        name for name, value in vars(mailbearer).items() if name in mailbearer.__all__ and inspect.isfunction(value)
    }
    later = {name for name in mailbearer.aio.__all__ if inspect.isfunction(getattr(mailbearer.aio, name))}
    connecting = {"connect", "sessions", "sender", "discover", "imap", "smtp", "pop3", "imapclient", "mailbox"}
    assert doors & connecting - later == BLOCKING_ONLY[""]
    assert later <= doors
    for name in sorted(later):
        ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (mailbearer, mailbearer.aio))
        assert list(ours) == list(theirs), name
        assert [one.kind for one in ours.values()] == [one.kind for one in theirs.values()], name


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_session_of_asyncio_has_its_usual_client(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main(server: Server) -> None:
        token = server.issue_token(USER, lifetime=3600.0)
        async with mailbearer.aio.sessions("smtp", USER, token, **server.at("smtp")) as outboxes:
            connection = await anext(outboxes)
            assert (await connection.client.noop()).code == 250
            assert connection.client is connection.client
            # It said nothing before the login that is not asked again where a program wants it.
            assert (await connection.client.ehlo()).code == 250
            with pytest.raises(mailbearer.Misuse, match="either it"):
                _ = connection.reader

        def short() -> tuple[str, float]:
            return server.issue_token(USER), 1.0

        async with mailbearer.aio.sessions("imap", USER, short, **server.at("imap")) as inboxes:
            inbox = await anext(inboxes)
            async with inbox:
                assert (await inbox.client.select("INBOX")).result == "OK"
                # Nothing changes until the session is to be let go.
                assert [change async for change in inbox.idle(reissue=0.2)] == []
            assert inbox.is_due

    with Server(token_lifetime=1.0) as server, asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(main(server), 30))


def test_what_reads_from_a_connection_of_asyncio_is_either_of_two() -> None:
    async def main(server: Server) -> None:
        token = server.issue_token(USER)
        async with mailbearer.aio.sessions("imap", USER, token, **server.at("imap")) as inboxes:
            inbox = await anext(inboxes)
            inbox.writer.write(b"A1 NOOP\r\n")
            assert (await inbox.reader.readline()).startswith(b"A1 OK")
            with pytest.raises(mailbearer.Misuse, match="reader and writer"):
                _ = inbox.client
        async with mailbearer.aio.sessions("pop3", USER, token, **server.at("pop3")) as boxes:
            with pytest.raises(mailbearer.Misuse, match="the reader and the writer"):
                _ = (await anext(boxes)).client
        async with mailbearer.aio.sessions("imap", USER, token, client=None, **server.at("imap")) as inboxes:
            with pytest.raises(mailbearer.Misuse, match='client="aioimaplib"'):
                _ = (await anext(inboxes)).client

    with Server() as server:
        asyncio.run(main(server))


# ---- with and async with ---------------------------------------------------------------------------------------------


def test_what_is_closed_takes_with() -> None:
    classes = [value for value in public() if inspect.isclass(value)]
    closed = [value for value in classes if hasattr(value, "close") or hasattr(value, "aclose")]
    assert len(closed) == 2 * len(PAIRS)
    for kind in closed:
        is_async = "aio" in kind.__module__
        assert hasattr(kind, "__aenter__" if is_async else "__enter__"), kind
        assert hasattr(kind, "__aexit__" if is_async else "__exit__"), kind
        assert hasattr(kind, "aclose") == is_async, kind


def test_the_clients_take_with_too() -> None:
    async def main(server: Server) -> None:
        token = server.issue_token(USER)
        async with await mailbearer.aio.imap(USER, token, **server.at("imap")) as imap:
            assert (await imap.select("INBOX")).result == "OK"
        async with await mailbearer.aio.smtp(USER, token, **server.at("smtp")) as smtp:
            assert (await smtp.noop()).code == 250
        connection = await mailbearer.aio.connect("imap", USER, token, **server.at("imap"))
        # At once, and waited for.
        await connection.close()
        await connection.aclose()

    with Server() as server:
        token = server.issue_token(USER)
        with mailbearer.imap(USER, token, **server.at("imap")) as imap:
            assert imap.noop()[0] == "OK"
        with mailbearer.imapclient(USER, token, **server.at("imap")) as client:
            client.noop()
        with mailbearer.smtp(USER, token, **server.at("smtp")) as smtp:
            assert smtp.noop()[0] == 250
        asyncio.run(main(server))
        assert server.sessions == 0


def test_a_block_of_pop3_deletes_where_it_ends_normally() -> None:
    with Server() as server:
        token = server.issue_token(USER)
        with contextlib.suppress(ZeroDivisionError), mailbearer.pop3(USER, token, **server.at("pop3")) as pop3:
            pop3.dele(1)
            raise ZeroDivisionError
        with mailbearer.pop3(USER, token, **server.at("pop3")) as pop3:
            assert isinstance(pop3, Pop3)
            assert pop3.stat()[0] == 3
            pop3.dele(1)
        with mailbearer.pop3(USER, token, **server.at("pop3")) as pop3:
            assert pop3.stat()[0] == 2
            pop3.quit()


# ---- Extras ----------------------------------------------------------------------------------------------------------


def asked(source: list[str]) -> Callable[[], str]:
    def token() -> str:
        source.append("asked")
        return "token"

    return token


class Google:
    """What google-auth's credentials look like."""

    token = "token"
    expiry = None
    valid = True

    def refresh(self, request: object) -> None:
        raise AssertionError


WITHOUT: list[tuple[str, str, Callable[[Callable[[], str]], Any]]] = [
    ("imapclient", "imapclient", lambda token: mailbearer.imapclient(USER, token)),
    ("imapclient", "imapclient", lambda token: mailbearer.sessions("imap", USER, token, client="imapclient")),
    ("imapclient", "imapclient", lambda token: mailbearer.Account(USER, token).sessions("imap", client="imapclient")),
    ("aioimaplib", "aioimaplib", lambda token: asyncio.run(mailbearer.aio.imap(USER, token))),
    ("aiosmtplib", "aiosmtplib", lambda token: asyncio.run(mailbearer.aio.smtp(USER, token))),
    ("aioimaplib", "aioimaplib", lambda token: mailbearer.aio.sessions("imap", USER, token, client="aioimaplib")),
    ("aiosmtplib", "aiosmtplib", lambda token: mailbearer.aio.sessions("smtp", USER, token, client="aiosmtplib")),
    ("requests", "google", lambda token: mailbearer.imap(USER, Google())),
    ("google.auth", "google", lambda token: mailbearer.client_credentials("gmail", key_file="k", subject=USER)),
    (
        "msal",
        "msal",
        lambda token: mailbearer.client_credentials("microsoft", tenant="t", client_id="c", client_secret="s"),
    ),
]


@pytest.mark.parametrize("number", range(len(WITHOUT)))
def test_an_extra_that_is_missing_is_named_before_any_login(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    module, extra, door = WITHOUT[number]
    for name in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)  # type: ignore[arg-type]
    for name in [name for name in sys.modules if name.startswith("google.auth.transport")]:
        monkeypatch.delitem(sys.modules, name)
    source: list[str] = []
    with pytest.raises(mailbearer.ConfigError, match=re.escape(f"pip install 'mailbearer[{extra}]'")):
        door(asked(source))
    assert source == []


def test_the_usual_client_of_asyncio_says_which_extra_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(server: Server) -> None:
        token = server.issue_token(USER)
        async with mailbearer.aio.sessions("imap", USER, token, **server.at("imap")) as inboxes:
            inbox = await anext(inboxes)
            with pytest.raises(mailbearer.ConfigError, match=re.escape("pip install 'mailbearer[aioimaplib]'")):
                _ = inbox.client
            # Whoever needs none goes on.
            inbox.writer.write(b"A1 NOOP\r\n")
            assert (await inbox.reader.readline()).startswith(b"A1 OK")

    monkeypatch.setitem(sys.modules, "aioimaplib", None)  # type: ignore[arg-type]
    with Server() as server:
        asyncio.run(main(server))
