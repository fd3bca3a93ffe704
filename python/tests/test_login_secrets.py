"""No token, code, verifier or secret in what others can read: output, logs, errors, the list of processes, files."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import threading
import traceback
from typing import Any

import pytest
from login_world import PATIENCE_SECONDS, USER, World

import mailbearer
from mailbearer import TokenSourceFailed

# All that can be logged is.
LOUD = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
from mailbearer.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


class Watcher:
    """Reads the list of processes, again and again."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.wait(0.002):
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def loudly(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "dev", "-c", LOUD, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=world.environment, timeout=PATIENCE_SECONDS, check=False
    )


def test_nothing_of_a_login_is_seen_anywhere(world: World) -> None:
    name, secret = world.server["clients"]["secret"]
    file = world.folder / "client.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps({"client_id": name, "client_secret": secret}))
    with Watcher() as watcher:
        done = [loudly(world, *world.to_login("--no-check", client=("--client-file", str(file))))]
        assert done[0].returncode == 0, done[0].stderr
        world.change_grant(expires_at=0)
        printed = loudly(world, "token", USER)
        assert printed.returncode == 0
        done += [loudly(world, "accounts"), loudly(world, "accounts", "--json")]
        # Failures have words, too.
        world.change_grant(expires_at=0)
        world.server.set(fail_token_requests=1)
        done.append(loudly(world, "token", USER))
        world.server.revoke(USER)
        done += [loudly(world, "token", USER), loudly(world, "logout", USER)]
    secrets = world.server.secrets()
    assert len(secrets) > 6
    said = "".join(one.stdout + one.stderr for one in done) + printed.stderr
    assert [one for one in secrets if one in said] == []
    processes = b"\n".join(watcher.seen)
    assert b"mailbearer" in processes
    assert [one for one in secrets if one.encode() in processes] == []
    # What a token costs is that it is printed, alone.
    assert printed.stdout.strip() in secrets


def test_only_one_file_has_secrets_and_only_its_owner_can_read_it(world: World) -> None:
    assert world.run(*world.to_login("--no-check")).returncode == 0
    holders = []
    for path in world.folder.rglob("*"):
        if path.is_file() and any(secret in path.read_text(errors="replace") for secret in world.server.secrets()):
            holders.append((path.name, path.stat().st_mode & 0o777))
    assert holders == [(f"{USER}.json", 0o600)]


@pytest.mark.parametrize(
    "setting",
    [
        {"fail_token_requests": 1},
        {"next_error": {"error": "invalid_grant", "error_description": "expired"}},
        {"next_error": {"no": "token"}},
        {"next_error": {"access_token": 7, "refresh_token": "a-refresh-token-of-the-answer"}},
    ],
)
def test_the_locals_of_our_frames_show_nothing(world: World, setting: dict[str, Any]) -> None:
    world.login()
    world.server.set(**setting)
    source = mailbearer.stored(USER)
    with pytest.raises(TokenSourceFailed) as raised:
        source(force_refresh=True)
    frames = traceback.TracebackException.from_exception(raised.value, capture_locals=True).stack
    shown = "".join(f"{frame.locals}" for frame in frames if "/mailbearer/" in frame.filename)
    assert "force_refresh" in shown
    secrets = [*world.server.secrets(), "a-refresh-token-of-the-answer"]
    assert [one for one in secrets if one in shown] == []


def test_what_is_stored_has_no_secret_in_its_repr(world: World) -> None:
    world.login()
    from mailbearer import store

    grant = store.grant_of(store.need(USER))
    shown = f"{mailbearer.stored(USER)!r} {store.need(USER)!r} {grant!r} {grant}"
    assert USER in shown
    assert [one for one in world.server.secrets() if one in shown] == []
