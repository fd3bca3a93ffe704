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
from mailbearer._core import redact_source
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


SECRET = "1//0gXaB3-dEf_GhIjKlMnOpQrStUvWxYz"


def test_what_a_source_raises_is_the_cause_and_in_the_sentence() -> None:
    def broken() -> str:
        raise LookupError(f"invalid_grant: Token has been expired or revoked. (refresh_token={SECRET})\x1b[31m\nmore")

    with pytest.raises(mailbearer.TokenSourceFailed) as caught:
        source(broken).get(force_refresh=False)
    assert isinstance(caught.value.__cause__, LookupError)
    expected = (
        "raised LookupError: invalid_grant: Token has been expired or revoked. (refresh_token=<secret>) [31m more"
    )
    assert str(caught.value) == f"the token source {expected}"


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "returned None in place of a token: return the access token"),
        (b"t" * 40, "returned bytes in place of a token"),
        (7, "returned an int in place of a token"),
        ({"acces_token": SECRET}, "returned a response with acces_token: it is called access_token"),
        ({"AccessToken": SECRET}, "returned a response with AccessToken: it is called access_token"),
        ({"secret": SECRET}, "returned a dict in place of a token"),
        ({"access_token": SECRET, "expiresIn": 5}, "a response with expiresIn: it is called expires_in"),
        ({"access_token": SECRET, "expires_at": "soon"}, "an expires_at that is neither seconds since 1970"),
        ({"error": "invalid_grant", "error_description": "revoked"}, "it says invalid_grant: revoked"),
        ((3600, SECRET), "returned an int in place of a token"),
        ((None, 3600), "returned None in place of a token"),
        ((SECRET, 1, 2), "returned a tuple in place of a token"),
    ],
)
def test_what_a_source_returned_is_in_the_sentence(returned: Any, words: str) -> None:
    async def later() -> Any:
        return returned

    with pytest.raises(mailbearer.TokenSourceFailed) as caught:
        source(lambda: returned).get(force_refresh=False)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)
    with pytest.raises(mailbearer.TokenSourceFailed) as caught:
        asyncio.run(source(later).aget(force_refresh=False))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "token is None"),
        (b"ya29.token", "token is bytes, not a str: decode it"),
        ({"access_token": SECRET}, "give its access_token"),
        (7, "not int"),
        ((SECRET, 3600), "not tuple"),
        ([SECRET], "not list"),
    ],
)
def test_what_is_given_in_place_of_a_source_is_told(given: Any, words: str) -> None:
    for call in (mailbearer.connect, mailbearer.sessions):
        with pytest.raises(mailbearer.ConfigError) as caught:
            call("imap", "joe@gmail.com", given)  # type: ignore[operator]
        assert words in str(caught.value)
        assert SECRET not in str(caught.value)


async def of_nobody() -> str:
    return "t"


def test_a_coroutine_that_nobody_awaits_is_told() -> None:
    call = of_nobody()
    with pytest.raises(mailbearer.ConfigError, match="give the async function itself"):
        mailbearer.connect("imap", "joe@gmail.com", call)
    call.close()


DOORS: dict[str, Any] = {
    "connect": lambda token, at: mailbearer.connect("imap", USER, token, **at),
    "sessions": lambda token, at: first_of(token, at),
    "aio.connect": lambda token, at: asyncio.run(mailbearer.aio.connect("imap", USER, token, **at)),
    "aio.sessions": lambda token, at: asyncio.run(first_of_async(token, at)),
}


def first_of(token: Any, at: dict[str, Any]) -> Any:
    with mailbearer.sessions("imap", USER, token, **at) as sessions:
        return next(sessions)


async def first_of_async(token: Any, at: dict[str, Any]) -> Any:
    async with mailbearer.aio.sessions("imap", USER, token, **at) as sessions:
        return await anext(sessions)


@pytest.mark.parametrize("door", DOORS)
def test_a_fixed_text_that_has_ended_says_to_give_a_function(door: str) -> None:
    with Server(flavour="outlook") as server:
        token = server.issue_token(USER, lifetime=0.0)
        with pytest.raises(mailbearer.LoginFailed, match="give a function that gets") as caught:
            DOORS[door](token, server.at("imap"))
        assert caught.value.cause == "token_rejected"
        assert caught.value.failure.sentence == str(caught.value)
        # Who gives a function already is not told to.
        with pytest.raises(mailbearer.LoginFailed) as caught:
            DOORS[door](lambda: server.issue_token(USER, lifetime=0.0), server.at("imap"))
    assert "give a function" not in str(caught.value)
    assert f"the second one in a row for {USER}" in str(caught.value)
    assert caught.value.advice == "ask_user"


@pytest.mark.parametrize("door", DOORS)
def test_a_source_that_gives_the_refused_token_again_is_told_to_get_a_new_one(door: str) -> None:
    with Server(flavour="outlook") as server:
        token = server.issue_token(USER, lifetime=0.0)
        with pytest.raises(mailbearer.LoginFailed, match=r"gave (it )?back .*give a function that gets a new one"):
            DOORS[door](lambda: token, server.at("imap"))


@pytest.mark.parametrize("door", DOORS)
def test_what_a_source_says_reaches_the_user(door: str) -> None:
    def revoked() -> str:
        raise mailbearer.TokenSourceFailed("invalid_grant: Token has been expired or revoked", permanent=True)

    with Server() as server, pytest.raises(mailbearer.Error) as caught:
        DOORS[door](revoked, server.at("imap"))
    assert "invalid_grant: Token has been expired or revoked" in str(caught.value)
    if "sessions" in door:
        assert isinstance(caught.value, mailbearer.NeedsUser)
        assert caught.value.cause == "token_unavailable"
        assert isinstance(caught.value.__cause__, mailbearer.TokenSourceFailed)


TEXTS = {
    "ya29.a0AfH6SMBx3dEfGhIjKlMn is not good": "<secret> is not good",
    f"wrong {SECRET}!": "wrong <secret>!",
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NSJ9.c2lnbmF0dXJl": "<secret>",
    '{"error": "invalid", "client_secret": "hunter2hunter"}': '{"error": "invalid", "client_secret": "<secret>"}',
    "Authorization: Bearer abcdefghijklm": "Authorization: Bearer <secret>",
    "AADSTS700082: The refresh token has expired due to inactivity.": None,
    "POST https://login.microsoftonline.com/common/oauth2/v2.0/token: 401": None,
    "https://app.example.test/back?code=Zq7&state=x": "https://app.example.test/back?code=<secret>&state=x",
    "https://app.example.test/errors?code=404": None,
    "Trace ID: 6f1c2d3e-0000-4a5b-8c9d-0123456789ab": None,
    "HTTPSConnectionPool(host='oauth2.googleapis.com', port=443): Max retries exceeded with url: /token": None,
}


@pytest.mark.parametrize("text", TEXTS)
def test_secrets_are_masked_in_words_of_others_and_nothing_else(text: str) -> None:
    assert redact_source(text) == (TEXTS[text] or text)
    assert len(redact_source(f"{text} " * 10_000)) <= 512


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
