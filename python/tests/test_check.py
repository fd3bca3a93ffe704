"""The command: ``mailbearer check`` and ``mailbearer demo``, as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import mailservers
import pytest

from mailbearer.testing import Server, ca_file

USER = "joe@gmail.com"


def run(*arguments: str, token: str | None = None, stdin: str = "", **environment: str) -> Any:
    values = {**os.environ, **environment}
    values.pop("MAILBEARER_TOKEN", None)
    if token is not None:
        values["MAILBEARER_TOKEN"] = token
    command = [sys.executable, "-m", "mailbearer", *arguments]
    return subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=60, env=values, check=False)


def places(server: Server, tls: Any = "implicit") -> list[str]:
    chosen = [f"--{one}=localhost:{server.port(one, tls)}" for one in ("imap", "pop3", "smtp")]  # type: ignore[arg-type]
    return [*chosen, "--ca-file", ca_file(), *(["--starttls"] if tls == "starttls" else [])]


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_all_three_work(tls: str) -> None:
    with Server() as server:
        done = run("check", USER, *places(server, tls), token=server.issue_token(USER))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok  ") == 3
    assert "TLSv1.3" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_failure_says_cause_and_advice_and_the_exit_status_tells() -> None:
    with Server() as server:
        token = server.issue_token(USER, lifetime=0.0)
        done = run("check", USER, "--no-pop3", *places(server), token=token)
    assert done.returncode == 1
    assert "token_rejected" in done.stdout
    assert "refresh_token" in done.stdout
    assert token not in done.stdout + done.stderr


def test_json_is_for_programs() -> None:
    with Server(refuse="protocol_disabled") as server:
        done = run("check", USER, "--json", "--no-pop3", "--no-smtp", *places(server), token=server.issue_token(USER))
    (result,) = json.loads(done.stdout)["results"]
    assert (result["protocol"], result["ok"], result["failure"]["cause"]) == (
        "imap",
        False,
        "protocol_disabled",
    )


def test_the_trace_shows_the_dialogue_and_masks_the_token() -> None:
    with Server() as server:
        token = server.issue_token(USER)
        done = run("check", USER, "--trace", *places(server), token=token)
    assert "C: A0001 AUTHENTICATE" in done.stdout or "C: A0002 AUTHENTICATE" in done.stdout
    assert "<token, " in done.stdout
    assert token not in done.stdout


def test_the_token_may_come_from_a_command_or_standard_input() -> None:
    with Server() as server:
        token = server.issue_token(USER)
        only = ["--no-pop3", "--no-smtp"]
        assert run("check", USER, *only, *places(server), stdin=f"{token}\n").returncode == 0
        assert run("check", USER, *only, *places(server), "--token-command", f"echo {token}").returncode == 0
    done = run("check", USER, "--token-command", "false")
    assert done.returncode == 2
    assert "status 1" in done.stderr
    assert run("check", USER, stdin="\n").returncode == 2


def test_a_setting_that_cannot_work_is_said(servers: mailservers.RealServers) -> None:
    done = run("check", "joe@example.org", token="abc")
    assert done.returncode == 1
    assert "give host or provider" in done.stdout
    done = run("check", "joe@gmail.com", "--ca-file", "/nope.pem", token="abc")
    assert done.returncode == 1
    assert "--ca-file /nope.pem cannot be read" in done.stdout


def test_real_servers(servers: mailservers.RealServers) -> None:
    chosen = [f"--{one}=localhost:{servers.ports[f'{one}-implicit']}" for one in ("imap", "pop3", "smtp")]
    token = mailservers.token("joe@example.com")
    done = run("check", "joe@example.com", *chosen, "--ca-file", servers.ca_file, token=token)
    assert done.returncode == 0, done.stdout
    # Without the tests' authority the certificate is nobody's.
    done = run("check", "joe@example.com", *chosen, token=token)
    assert done.returncode == 1
    assert done.stdout.count("tls_failed") == 3


def test_the_demo_runs() -> None:
    done = run("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All went as it should." in done.stdout
