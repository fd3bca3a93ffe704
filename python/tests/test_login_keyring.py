"""Logins in a real keyring of the system: GNOME's, over D-Bus, in a session of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keyring
import keyring.backend
import pytest
from login_world import PATIENCE_SECONDS, SERVERS, USER, World

import mailbearer
from mailbearer import ConfigError, TokenSourceFailed, store, system_keyring

# The daemon is unlocked with a password, as a login to the desktop does it.
SESSION = 'echo -n password | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; exec "$@"'

PROGRAM = """
import json, subprocess, sys, mailbearer
from mailbearer import store
command = [sys.executable, "-m", "mailbearer"]
def run(*arguments):
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr
report = {"login": run(*sys.argv[1:])}
path = next(iter((store.data_folder() / "accounts").glob("*.json")))
report["file"] = path.read_text()
source = mailbearer.stored("joe@example.com")
first = source()[0]
report["same"] = source()[0] == first
report["another"] = source(force_refresh=True)[0] != first
import keyring
report["backend"] = type(keyring.get_keyring()).__module__
report["kept"] = json.loads(keyring.get_password("mailbearer", "joe@example.com"))
report["token"] = run("token", "joe@example.com")
report["accounts"] = run("accounts", "--json")
report["logout"] = run("logout", "joe@example.com")
report["left"] = keyring.get_password("mailbearer", "joe@example.com")
report["again"] = run("token", "joe@example.com")
print(json.dumps(report))
"""


def test_a_login_in_the_keyring_of_gnome(world: World) -> None:
    subprocess.run([SERVERS / "install-browser.sh"], check=True)
    login = [one if one != "file" else "keyring" for one in world.to_login("--no-check")]
    session = ["dbus-run-session", "--", "sh", "-c", SESSION, "sh", sys.executable, "-c", PROGRAM, *login]
    # Its files are the test's own, too.
    environment = world.environment | {"HOME": str(world.folder), "XDG_DATA_HOME": str(world.folder / "data")}
    environment["XDG_RUNTIME_DIR"] = str(world.folder)
    done = subprocess.run(
        session, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["login"][0] == 0, report["login"]
    assert "keyring" in report["login"][1]
    assert report["backend"] == "keyring.backends.SecretService"
    # The file has no secret, and the keyring has all of them.
    assert '"store": "keyring"' in report["file"]
    assert "grant" not in json.loads(report["file"])
    assert not [secret for secret in world.server.secrets() if secret in report["file"]]
    assert set(report["kept"]) == {"refresh_token", "access_token", "expires_at"}
    assert (report["same"], report["another"]) == (True, True)
    assert report["token"][:2] == [0, report["kept"]["access_token"] + "\n"]
    assert json.loads(report["accounts"][1])[0]["store"] == "keyring"
    assert (report["logout"][0], report["left"], report["again"][0]) == (0, None, 2)


class SmallKeyring(keyring.backend.KeyringBackend):
    """A keyring that takes little, as that of Windows."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.takes = 10_000
        self.kept: dict[str, str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        if len(password) > self.takes:
            raise OSError("Stub received bad data")
        self.kept[username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[username]


@pytest.fixture
def small_keyring() -> Iterator[SmallKeyring]:
    before = keyring.get_keyring()
    small = SmallKeyring()
    keyring.set_keyring(small)
    yield small
    keyring.set_keyring(before)


def move_into_keyring(world: World) -> None:
    world.login()
    account = store.need(USER)
    with store.locked(USER):
        store.save(replace(account, store="keyring"), store.grant_of(account))
    assert "grant" not in world.members()


def test_a_keyring_that_takes_little_keeps_the_refresh_token(world: World, small_keyring: SmallKeyring) -> None:
    move_into_keyring(world)
    small_keyring.takes = 130
    token, seconds = mailbearer.stored(USER)(force_refresh=True)
    assert seconds > 3000
    assert json.loads(small_keyring.kept[USER])["access_token"] == ""
    # The next one refreshes, and is no further.
    assert mailbearer.stored(USER)()[0] != token
    small_keyring.takes = 10
    with pytest.raises(TokenSourceFailed, match="the system's keyring cannot be used"):
        mailbearer.stored(USER)()


def test_what_the_keyring_has_lost_is_told(world: World, small_keyring: SmallKeyring) -> None:
    move_into_keyring(world)
    lost = small_keyring.kept.pop(USER)
    with pytest.raises(TokenSourceFailed, match=f"has nothing for {USER}: run `mailbearer login"):
        mailbearer.stored(USER)()
    small_keyring.kept[USER] = lost[:-5]
    with pytest.raises(TokenSourceFailed, match="no grant that can be used: run `mailbearer login"):
        mailbearer.stored(USER)()
    # Back in a file, nothing is left in the keyring.
    world.login()
    assert small_keyring.kept == {}
    mailbearer.stored(USER)()


def test_a_keyring_that_keeps_nothing_is_found_out(small_keyring: SmallKeyring, monkeypatch: Any) -> None:
    system_keyring.check()
    assert small_keyring.kept == {}
    monkeypatch.setattr(small_keyring, "set_password", lambda *_: None)
    with pytest.raises(ConfigError, match="keeps nothing: --store file"):
        system_keyring.check()
