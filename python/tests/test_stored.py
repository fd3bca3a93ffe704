"""Logins that are stored: renewed by one at a time, lost by nobody, and taken back with the provider's words."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from login_world import PATIENCE_SECONDS, USER, World

import mailbearer
import mailbearer.aio
from mailbearer import ConfigError, NeedsUser, SessionPolicy, TokenSourceFailed

QUICK = SessionPolicy(backoff_base=0.2, backoff_max=1.0, login_interval=0.001)


# ---- Programs without a line of OAuth ----------------------------------------------------------------------------

SIX_LINES = """
import mailbearer
for connection in mailbearer.sessions("imap", "joe@example.com", policy=POLICY):
    with connection:
        print(connection.client.select("INBOX")[0], connection.generation)
        while connection.generation < 6 and not connection.wait(0.1):
            connection.client.noop()
    if connection.generation == 6:
        break
"""
SIX_LINES_OF_ASYNCIO = """
import asyncio, mailbearer.aio
async def main():
    async for connection in mailbearer.aio.sessions("smtp", "joe@example.com", policy=POLICY):
        async with connection:
            print("OK", connection.generation)
            while connection.generation < 6 and not await connection.wait(0.1):
                connection.writer.write(b"NOOP\\r\\n")
                await connection.reader.readline()
        if connection.generation == 6:
            break
asyncio.run(main())
"""
# Dovecot leaves sessions alone whose token is over: these let go as with a provider that does not.
POLICY = "mailbearer.SessionPolicy(ends_with_token=True, login_interval=0.001)"


def test_two_programs_outlive_five_access_tokens_of_one_login(mail_world: World) -> None:
    mail_world.login()
    mail_world.server.set(access_token_seconds=3)
    mail_world.change_grant(expires_at=0)
    first = mail_world.members()["grant"]["refresh_token"]
    programs = [start(mail_world, text.replace("POLICY", POLICY)) for text in (SIX_LINES, SIX_LINES_OF_ASYNCIO)]
    for program in programs:
        out, _ = program.communicate(timeout=PATIENCE_SECONDS)
        assert out.splitlines() == [f"OK {generation}" for generation in range(1, 7)]
    counts = mail_world.server.counts()
    assert counts["refreshes"] >= 12
    assert_no_login_was_lost(counts)
    assert mail_world.members()["grant"]["refresh_token"] != first


def start(world: World, text: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True, env=world.environment)


def assert_no_login_was_lost(counts: dict[str, Any]) -> None:
    assert counts["token_errors"] == []
    assert counts["refresh_tokens_used_again"] == 0
    assert counts["token_requests_at_once"] == 1


def test_every_front_door_works_without_a_token(mail_world: World) -> None:
    mail_world.login()
    with mailbearer.connect("pop3", USER) as connection:
        assert connection.mechanism == "OAUTHBEARER"
    with mailbearer.imap(USER) as imap:
        assert imap.select("INBOX")[0] == "OK"
    with mailbearer.smtp(USER) as smtp:
        assert smtp.noop()[0] == 250
    mailbearer.pop3(USER).quit()
    with mailbearer.imapclient(USER) as client:
        assert client.select_folder("INBOX")
    with mailbearer.Account(USER) as account:
        inboxes = account.sessions("imap")
        assert next(inboxes).client.noop()[0] == "OK"

    async def with_asyncio() -> None:
        async with await mailbearer.aio.connect("imap", USER) as connection:
            assert connection.mechanism == "OAUTHBEARER"
        await (await mailbearer.aio.imap(USER)).logout()
        await (await mailbearer.aio.smtp(USER)).quit()
        async with mailbearer.aio.Account(USER) as account:
            inboxes = account.sessions("pop3")
            assert (await anext(inboxes)).generation == 1

    asyncio.run(with_asyncio())
    # One access token for all of it.
    assert mail_world.server.counts()["refreshes"] == 0
    assert mail_world.run("check", USER, "--no-pop3").returncode == 0


def test_what_the_program_says_of_the_server_goes_before_what_is_stored(mail_world: World) -> None:
    mail_world.login()
    with pytest.raises(mailbearer.LoginFailed, match="refused"):
        mailbearer.connect("imap", USER, host="localhost", port=9, unusual_port=True)
    for door in (mailbearer.connect, mailbearer.sessions):
        with pytest.raises(ConfigError, match="run `mailbearer login nobody@"):
            door("imap", "nobody@example.com")
    with pytest.raises(ConfigError, match="or give a token"):
        mailbearer.Account("nobody@example.com")
    with pytest.raises(ConfigError, match="token is None"):
        mailbearer.connect("imap", USER, None, host="localhost")


# ---- One refresh at a time ---------------------------------------------------------------------------------------

REFRESHES = """
import mailbearer
source = mailbearer.stored("joe@example.com")
for _ in range(100):
    token, seconds = source(force_refresh=True)
    assert seconds > 0
"""


def test_two_processes_refresh_two_hundred_times_and_lose_nothing(world: World) -> None:
    world.login()
    # So short that none is good for the other: each asks the server.
    world.server.set(access_token_seconds=30)
    programs = [start(world, REFRESHES) for _ in range(2)]
    for program in programs:
        program.communicate(timeout=PATIENCE_SECONDS)
    assert [program.returncode for program in programs] == [0, 0]
    counts = world.server.counts()
    assert counts["refreshes"] == 200
    assert_no_login_was_lost(counts)
    assert world.run("token", USER).returncode == 0


def test_threads_that_come_together_refresh_once(world: World) -> None:
    world.login()
    sources = [mailbearer.stored(USER) for _ in range(8)]
    old, _ = sources[0]()
    for source in sources:
        source()
    got: list[Any] = []

    def ask(source: Any) -> None:
        got.append(source(force_refresh=True, refused=old)[0])

    threads = [threading.Thread(target=ask, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert all(token == got[0] != old for token in got)
    assert world.server.counts()["refreshes"] == 1


def test_what_another_program_has_fetched_is_taken(world: World) -> None:
    world.login()
    source = mailbearer.stored(USER)
    first, seconds = source()
    assert 3500 < seconds <= 3600
    assert source(force_refresh=False)[0] == first
    # Another program comes to know that it is refused, before this one does.
    second, _ = mailbearer.stored(USER)(force_refresh=True, refused=first)
    assert second != first
    assert source(force_refresh=True, refused=first)[0] == second
    assert world.server.counts()["refreshes"] == 1
    # This one knows it now: past the cache means past the store, too.
    third, _ = source(force_refresh=True, refused=first)
    assert third not in (first, second)
    assert world.server.counts()["refreshes"] == 2


@pytest.mark.parametrize("left", [59, 61])
def test_a_token_with_less_than_a_minute_is_renewed(world: World, left: int) -> None:
    world.login()
    world.change_grant(expires_at=int(time.time()) + left)
    mailbearer.stored(USER)()
    assert world.server.counts()["refreshes"] == (1 if left < 60 else 0)


def test_where_no_refresh_token_comes_the_old_one_holds(world: World) -> None:
    world.login()
    world.server.set(rotate=False)
    before = world.members()["grant"]
    mailbearer.stored(USER)(force_refresh=True)
    after = world.members()["grant"]
    assert after["refresh_token"] == before["refresh_token"]
    assert after["access_token"] != before["access_token"]


def test_the_new_refresh_token_is_written_before_the_access_token_is_given(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.login()
    from mailbearer import store

    def full(*_: object) -> None:
        raise ConfigError("the disk is full")

    source = mailbearer.stored(USER)
    before = world.file().read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(store, "write_private", full)
        for _ in range(2):
            with pytest.raises(TokenSourceFailed, match="the disk is full") as raised:
                source(force_refresh=True)
            assert raised.value.permanent
    assert world.file().read_bytes() == before
    # There is room again: the refresh token that came meanwhile is not lost.
    token, _ = source(force_refresh=True)
    assert token == mailbearer.AccessToken(world.members()["grant"]["access_token"])
    source(force_refresh=True)
    assert_no_login_was_lost(world.server.counts())


# ---- Failures ----------------------------------------------------------------------------------------------------


def test_a_login_that_was_taken_back_needs_the_user(mail_world: World) -> None:
    mail_world.login()
    mail_world.change_grant(expires_at=0)
    mail_world.server.revoke(USER)
    with mailbearer.sessions("imap", USER, policy=QUICK) as sessions:
        for _ in range(2):
            with pytest.raises(NeedsUser) as raised:
                next(sessions)
            said = str(raised.value)
            assert "invalid_grant: grant request is invalid" in said
            assert f"mailbearer login {USER}" in said
        # The user logs in again, and the program goes on.
        mail_world.login()
        sessions.retry()
        assert next(sessions).client.noop()[0] == "OK"
    # A stop asks nobody.
    assert mail_world.server.counts()["token_errors"] == ["invalid_grant"]


def test_an_access_token_that_was_taken_back_is_replaced(mail_world: World) -> None:
    mail_world.login()
    mail_world.change_grant(access_token="nobody-knows-this-token", expires_at=int(time.time()) + 3600)
    with mailbearer.imap(USER) as imap:
        assert imap.noop()[0] == "OK"
    assert mail_world.server.counts()["refreshes"] == 1


@pytest.mark.parametrize(
    "outage",
    [
        {"fail_token_requests": 1},
        {"fail_token_requests": 1, "fail_status": 429},
        {"next_error": {"error": "temporarily_unavailable"}},
    ],
    ids=["500", "429", "temporarily_unavailable"],
)
def test_an_outage_is_no_end(world: World, outage: dict[str, Any]) -> None:
    world.login()
    before = world.file().read_bytes()
    world.server.set(**outage)
    source = mailbearer.stored(USER)
    with pytest.raises(TokenSourceFailed) as raised:
        source(force_refresh=True)
    assert not raised.value.permanent
    assert world.file().read_bytes() == before
    source(force_refresh=True)


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client", "invalid_scope"])
def test_what_no_waiting_mends_is_permanent(world: World, error: str) -> None:
    world.login()
    world.server.set(next_error={"error": error, "error_description": "AADSTS7000218: a secret is wanted"})
    with pytest.raises(TokenSourceFailed, match=f"{error}: AADSTS7000218") as raised:
        mailbearer.stored(USER)(force_refresh=True)
    assert raised.value.permanent


def test_nobody_listens_at_the_token_endpoint(world: World) -> None:
    world.login()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    world.change(authorization={"token_endpoint": f"https://localhost:{port}/token"})
    with pytest.raises(TokenSourceFailed, match="cannot be reached: ConnectionRefusedError") as raised:
        mailbearer.stored(USER)(force_refresh=True)
    assert not raised.value.permanent


# ---- The file ----------------------------------------------------------------------------------------------------


def test_members_of_later_versions_are_kept(world: World) -> None:
    world.login()
    world.change(colour={"is": "blue"})
    world.change_grant(id_token="of-later")
    mailbearer.stored(USER)(force_refresh=True)
    assert world.members()["colour"] == {"is": "blue"}
    assert world.members()["grant"]["id_token"] == "of-later"
    world.login()
    assert "colour" not in world.members()


def damaged(world: World) -> str:
    world.file().write_text(world.file().read_text()[:100])
    return f"is damaged: run `mailbearer login {USER}`"


def without_a_grant(world: World) -> str:
    world.change(grant=None)
    return f"has no grant that can be used: run `mailbearer login {USER}`"


def of_later(world: World) -> str:
    world.change(version=2)
    return "written by a newer mailbearer: update this one"


def without_endpoint(world: World) -> str:
    world.change(authorization={})
    return f"is damaged: run `mailbearer login {USER}`"


def readable(world: World) -> str:
    world.file().chmod(0o640)
    return f"may be read by others: run chmod 600 {world.file()}"


@pytest.mark.parametrize("make", [damaged, without_a_grant, of_later, without_endpoint, readable])
def test_a_file_that_cannot_be_used_says_what_to_do(world: World, make: Callable[[World], str]) -> None:
    world.login()
    source = mailbearer.stored(USER)
    words = make(world)
    before = world.file().read_bytes()
    with pytest.raises(TokenSourceFailed) as raised:
        source(force_refresh=True)
    assert words in str(raised.value)
    assert raised.value.permanent
    assert world.file().read_bytes() == before
    assert world.server.counts()["refreshes"] == 0
    done = world.run("token", USER)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert done.stdout == ""
    assert world.run("accounts").returncode == 1
    # A login mends all of it.
    if make is not of_later:
        world.login()
        source()


def test_files_are_private_whatever_the_umask(world: World) -> None:
    command = world.command(*world.to_login("--no-check"))
    shell = ["sh", "-c", 'umask 000; exec "$@"', "sh", *command]
    assert subprocess.run(shell, env=world.environment, capture_output=True, check=False).returncode == 0
    modes = {path.name: path.stat().st_mode & 0o777 for path in [world.home, *world.home.rglob("*")]}
    assert modes == {"home": 0o700, "accounts": 0o700, f"{USER}.json": 0o600, f"{USER}.lock": 0o600}


def test_what_a_killed_program_left_half_written_is_removed(world: World) -> None:
    world.login()
    stale = world.file().with_name(f".{world.file().name}.0123456789abcdef.tmp")
    stale.write_text("{")
    other = world.file().with_name(".eve@example.com.json.0123456789abcdef.tmp")
    other.write_text("{")
    mailbearer.stored(USER)(force_refresh=True)
    assert not stale.exists()
    assert other.exists()


def test_on_windows_a_reader_holds_up_who_writes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from mailbearer import private_files

    world.login()
    replace, refusals = os.replace, [PermissionError(13, "Access is denied")] * 3

    def refused(*arguments: Any) -> None:
        if refusals:
            raise refusals.pop()
        replace(*arguments)

    monkeypatch.setattr(os, "replace", refused)
    monkeypatch.setattr(private_files, "_POSIX", False)
    before = world.members()["grant"]["access_token"]
    mailbearer.stored(USER)(force_refresh=True)
    assert refusals == []
    assert world.members()["grant"]["access_token"] != before


def test_names_of_files() -> None:
    from mailbearer.store import file_name

    assert file_name("joe+lists@Example.COM") == "joe+lists@example.com"
    assert file_name("Jöe@example.com") == "%4A%C3%B6e@example.com"
    assert file_name("../../etc/passwd") == "..%2F..%2Fetc%2Fpasswd"
    for wrong in ("", "x" * 255, "a\nb"):
        with pytest.raises(ConfigError):
            file_name(wrong)


def test_the_folder_is_the_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    from mailbearer.private_files import data_folder

    monkeypatch.delenv("MAILBEARER_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    assert str(data_folder()) == "/somewhere/mailbearer"


# ---- The commands ------------------------------------------------------------------------------------------------


def test_the_commands_of_a_login(world: World) -> None:
    assert "No login is stored" in world.run("accounts").stdout
    assert world.run("token", USER).returncode == 2
    assert world.run("logout", USER).returncode == 2
    world.login()
    listed = json.loads(world.run("accounts", "--json").stdout)
    assert [(one["user"], one["provider"], one["store"]) for one in listed] == [(USER, None, "file")]
    assert listed[0]["expires_at"] == world.members()["grant"]["expires_at"]
    assert USER in world.run("accounts").stdout
    done = world.run("token", "joe@EXAMPLE.com")
    assert done.stdout == world.members()["grant"]["access_token"] + "\n"
    assert done.stderr == ""
    refresh_token = world.members()["grant"]["refresh_token"]
    done = world.run("logout", USER)
    assert (done.returncode, "taken back at the provider" in done.stdout) == (0, True)
    assert world.server.counts()["revocations"] == 1
    assert [path.name for path in (world.home / "accounts").iterdir()] == [f"{USER}.lock"]
    # Whoever has copied the login has nothing.
    world.login()
    world.change_grant(refresh_token=refresh_token, expires_at=0)
    assert "invalid_grant" in world.run("token", USER).stderr


def test_what_cannot_be_taken_back_is_forgotten_and_told(world: World) -> None:
    world.login()
    world.change(authorization=world.members()["authorization"] | {"revocation_endpoint": None})
    done = world.run("logout", USER)
    assert done.returncode == 0
    assert "lets no program take a login back" in done.stdout
    world.login()
    world.change(authorization=world.members()["authorization"] | {"revocation_endpoint": "https://localhost:9/"})
    done = world.run("logout", USER)
    assert done.returncode == 1
    assert "is forgotten here, but not taken back" in done.stderr
    assert not world.file().exists()
    world.login()
    damaged(world)
    assert world.run("logout", USER).returncode == 1
    assert not world.file().exists()


def test_a_lock_that_another_program_keeps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    from mailbearer import store

    world.login()
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.2)
    # As another language does it: the system's own lock on the file.
    with open(world.file(".lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TokenSourceFailed, match="another program has held") as raised:
            mailbearer.stored(USER)(force_refresh=True)
        assert not raised.value.permanent
    mailbearer.stored(USER)(force_refresh=True)
    assert os.path.exists(world.file(".lock"))
