"""Programs that are killed at any moment of a refresh: what is stored works, or says what to do."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from login_world import PATIENCE_SECONDS, USER, World

import mailbearer
from mailbearer import TokenSourceFailed, store

MOMENTS = 100

# It forks, so that a hundred programs do not cost a hundred starts; each refreshes until it is killed.
KILLED = """
import os, sys, mailbearer
source = mailbearer.stored("joe@example.com")
source(force_refresh=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        while True:
            source(force_refresh=True)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("killed", flush=True)
"""


def works(source: Any) -> bool:
    """Whether a login works; where it does not, it must say what to do."""
    try:
        source(force_refresh=True)
    except TokenSourceFailed as error:
        # Killed between the server's answer and our disk: nobody can know the new refresh token.
        if error.permanent and "invalid_grant" in str(error) and f"run `mailbearer login {USER}`" in str(error):
            return False
        raise
    return True


def test_kill_at_a_hundred_random_moments(world: World) -> None:
    world.login()
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    dice = random.Random(seed)
    pipe = subprocess.PIPE
    source = mailbearer.stored(USER)
    lost = 0
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=pipe, stdout=pipe, text=True, env=world.environment
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for _ in range(MOMENTS):
            parent.stdin.write("\n")
            parent.stdin.flush()
            child = int(parent.stdout.readline())
            # A refresh takes some ten milliseconds.
            time.sleep(dice.uniform(0.0, 0.04))
            os.kill(child, signal.SIGKILL)
            assert parent.stdout.readline() == "killed\n"
            # The lock went with the program, and the file is one of the two.
            assert world.members()["grant"]["refresh_token"]
            if not works(source):
                lost += 1
                world.login()
        parent.stdin.close()
        parent.wait(PATIENCE_SECONDS)
    # The last may have been killed between two writes; the next one clears up.
    world.login()
    assert lost < MOMENTS / 2
    assert sorted(path.name for path in (world.home / "accounts").iterdir()) == [f"{USER}.json", f"{USER}.lock"]


def test_a_logout_takes_what_a_killed_program_left(world: World) -> None:
    world.login()
    accounts = world.home / "accounts"
    (accounts / f".{USER}.json.0123456789abcdef.tmp").write_text("a grant")
    store.forget(USER)
    assert [path.name for path in accounts.iterdir()] == [f"{USER}.lock"]


@pytest.mark.parametrize("moment", ["before the rename", "after the rename"])
def test_kill_around_the_rename(world: World, moment: str) -> None:
    world.login()
    before = world.members()["grant"]["access_token"]
    when = "kill(); replace(*a)" if moment.startswith("before") else "replace(*a); kill()"
    program = f"""
import os, signal, mailbearer
replace = os.replace
def kill(): os.kill(os.getpid(), signal.SIGKILL)
def replaced(*a): {when}
os.replace = replaced
mailbearer.stored("joe@example.com")(force_refresh=True)
"""
    done = subprocess.run([sys.executable, "-c", program], env=world.environment, check=False)
    assert done.returncode == -signal.SIGKILL
    is_new = world.members()["grant"]["access_token"] != before
    assert is_new == moment.startswith("after")
    if is_new:
        mailbearer.stored(USER)(force_refresh=True)
