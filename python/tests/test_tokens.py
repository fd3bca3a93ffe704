"""Token sources of every kind."""

from __future__ import annotations

import asyncio
import datetime
import threading
from typing import Any

import google.auth.credentials
import msal
import pytest

import mailbearer
import mailbearer.aio
from mailbearer import tokens
from mailbearer.testing import Server

USER = "joe@gmail.com"


def source(value: Any, scopes: tuple[str, ...] = ()) -> tokens.Source:
    return tokens.source(value, user=USER, scopes=scopes)


def test_a_text_is_the_same_for_ever() -> None:
    one = source("abc")
    assert one.get(force_refresh=True) == one.get(force_refresh=False)
    assert not one.can_refresh


def test_a_function_may_say_how_long_and_take_force_refresh() -> None:
    assert source(lambda: "abc").get(force_refresh=True).expires_in_ms is None
    assert source(lambda: ("abc", 3599.5)).get(force_refresh=False).expires_in_ms == 3_599_500
    asked: list[bool] = []

    def with_force(*, force_refresh: bool) -> str:
        asked.append(force_refresh)
        return "abc"

    source(with_force).get(force_refresh=True)
    assert asked == [True]


def test_an_async_function_needs_asyncio() -> None:
    async def later() -> tuple[str, None]:
        return "abc", None

    assert asyncio.run(source(later).aget(force_refresh=False)).token == mailbearer.AccessToken("abc")
    with pytest.raises(mailbearer.ConfigError, match=r"mailbearer\.aio"):
        source(later).get(force_refresh=False)


def test_what_a_source_raises_is_the_cause() -> None:
    def broken() -> str:
        raise LookupError("secret text")

    with pytest.raises(mailbearer.TokenSourceFailed, match="LookupError") as caught:
        source(broken).get(force_refresh=False)
    assert isinstance(caught.value.__cause__, LookupError)
    assert "secret" not in str(caught.value)
    with pytest.raises(mailbearer.TokenSourceFailed, match="NoneType"):
        source(lambda: None).get(force_refresh=False)


class Credentials(google.auth.credentials.Credentials):
    """Credentials of google-auth, whose refresh needs no network."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def refresh(self, request: Any) -> None:
        self.count += 1
        self.token = f"google-{self.count}"
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        self.expiry = now + datetime.timedelta(hours=1)


def test_google_credentials_refresh_where_they_must() -> None:
    credentials = Credentials()
    one = source(credentials)
    first = one.get(force_refresh=False)
    assert first.token == mailbearer.AccessToken("google-1")
    assert 3_590_000 < (first.expires_in_ms or 0) <= 3_600_000
    assert one.get(force_refresh=False).token == first.token
    assert one.get(force_refresh=True).token == mailbearer.AccessToken("google-2")


class Application(msal.PublicClientApplication):
    """An application of MSAL, whose cache needs no network."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], bool]] = []

    def get_accounts(self, username: str | None = None) -> list[dict[str, str]]:
        return [{"username": username or ""}]

    def acquire_token_silent(self, scopes: list[str], account: Any, force_refresh: bool = False) -> dict[str, Any]:
        self.asked.append((scopes, force_refresh))
        return {"access_token": "msal-1", "expires_in": 4000}


def test_msal_is_asked_for_the_scopes_of_the_protocol() -> None:
    application = Application()
    scopes = ("https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access")
    token = source(application, scopes).get(force_refresh=True)
    assert token.expires_in_ms == 4_000_000
    assert application.asked == [(["https://outlook.office.com/IMAP.AccessAsUser.All"], True)]


def test_the_token_that_was_refused_is_not_sent_again() -> None:
    with Server() as server:
        expired = server.issue_token(USER, lifetime=0.0)
        with pytest.raises(mailbearer.LoginFailed):
            mailbearer.connect("imap", USER, lambda: expired, **server.at("imap"))
        assert [event.what for event in server.events()].count("refused") == 1


@pytest.mark.parametrize("blocking", [True, False])
def test_a_fresh_one_is_tried_once(blocking: bool) -> None:
    with Server(flavour="outlook") as server:
        issued = [server.issue_token(USER, lifetime=0.0), server.issue_token(USER)]
        settings = server.at("smtp")
        if blocking:
            mailbearer.connect("smtp", USER, lambda: issued.pop(0), **settings).close()
        else:

            async def main() -> None:
                await (await mailbearer.aio.connect("smtp", USER, lambda: issued.pop(0), **settings)).close()

            asyncio.run(main())
        assert issued == []


@pytest.mark.parametrize("is_async", [True, False])
def test_a_call_that_hangs_holds_up_nobody_who_comes_later(is_async: bool) -> None:
    """Also where somebody waits for it at every moment, so that it is never without a waiter."""
    asked: list[None] = []
    go_on = threading.Event()

    def hangs() -> str:
        asked.append(None)
        if len(asked) == 1:
            go_on.wait(20)
        return "abc"

    async def hangs_async() -> str:
        asked.append(None)
        if len(asked) == 1:
            await asyncio.sleep(20)
        return "abc"

    async def main() -> None:
        one = source(hangs_async if is_async else hangs)
        waits_on = asyncio.create_task(one.aget(False))
        await asyncio.sleep(0)
        with pytest.raises(mailbearer.TokenSourceFailed, match="in time"):
            await one.aget(False, 0.1)
        assert len(asked) == 1
        assert (await one.aget(False, 10)).token == mailbearer.AccessToken("abc")
        assert (await one.aget(True, 10)).token == mailbearer.AccessToken("abc")
        assert not waits_on.done()
        waits_on.cancel()
        go_on.set()

    asyncio.run(main())


@pytest.mark.parametrize("is_async", [True, False])
def test_whoever_gives_up_takes_the_token_from_nobody_else(is_async: bool) -> None:
    go_on = threading.Event()

    def slow() -> str:
        go_on.wait(20)
        return "abc"

    async def slow_async() -> str:
        await asyncio.to_thread(go_on.wait, 20)
        return "abc"

    async def main() -> None:
        one = source(slow_async if is_async else slow)
        waiters = [asyncio.create_task(one.aget(False)) for _ in range(3)]
        await asyncio.sleep(0.05)
        waiters[0].cancel()
        waiters[2].cancel()
        await asyncio.sleep(0.05)
        go_on.set()
        assert (await waiters[1]).token == mailbearer.AccessToken("abc")
        for cancelled in (waiters[0], waiters[2]):
            with pytest.raises(asyncio.CancelledError):
                await cancelled

    asyncio.run(main())


def test_a_source_that_hangs_ends_a_login_with_asyncio_in_its_time() -> None:
    async def hangs() -> str:
        await asyncio.sleep(20)
        return "abc"

    with Server() as server, pytest.raises(mailbearer.TokenSourceFailed, match="in time"):
        asyncio.run(mailbearer.aio.connect("imap", USER, hangs, **(server.at("imap") | {"timeout": 0.2})))
