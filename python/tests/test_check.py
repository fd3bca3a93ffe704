"""The command: ``mailbearer check`` and ``mailbearer demo``, as a user runs them."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import socket
import subprocess
import sys
from typing import Any

import mailservers
import pytest

from mailbearer.testing import Server, ca_file
from scripted import ScriptedServer

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


# ---- The mailbox behind the login ------------------------------------------------------------------------------------


def test_pop3_that_is_switched_off_behind_a_login_that_works() -> None:
    with Server(refuse="protocol_disabled") as server:
        token = server.issue_token(USER)
        done = run("check", USER, "--no-imap", "--no-smtp", "--trace", *places(server), "--provider=gmail", token=token)
    assert done.returncode == 1
    assert "The login works, but the mailbox cannot be used." in done.stdout
    assert "protocol_disabled" in done.stdout
    assert "SYS/PERM" in done.stdout
    assert "C: STAT" in done.stdout
    assert "S: -ERR" in done.stdout
    assert token not in done.stdout


IMAP = [b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n", b"%TAG% OK in\r\n"]
POP3 = [b"+OK hi\r\n", b"+OK\r\nSASL XOAUTH2\r\n.\r\n", b"+OK in\r\n"]
SMTP = [b"220 hi\r\n", b"250-hi\r\n250 AUTH XOAUTH2\r\n", b"235 in\r\n"]


@pytest.mark.parametrize(
    ("protocol", "login", "answer", "cause"),
    [
        ("imap", IMAP, b"* 3 EXISTS\r\n%TAG% BAD User is authenticated but not connected.\r\n", "not_connected"),
        ("imap", IMAP, b"* BYE Session expired, please login again.\r\n", "session_limit"),
        ("imap", IMAP, b"%TAG% NO [UNAVAILABLE] Server busy\r\n", "unavailable"),
        ("pop3", POP3, b"-ERR [SYS/PERM] Your account is not enabled for POP access.\r\n", "protocol_disabled"),
        ("smtp", SMTP, b"421 4.3.2 Service not available, closing transmission channel\r\n", "unavailable"),
    ],
)
def test_a_mailbox_that_does_not_answer_is_told(protocol: str, login: list[bytes], answer: bytes, cause: str) -> None:
    others = [f"--no-{one}" for one in ("imap", "pop3", "smtp") if one != protocol]
    with ScriptedServer(*login, answer, tls=True) as server:
        place = [f"--{protocol}=localhost:{server.port}", "--ca-file", ca_file(), *others]
        done = run("check", USER, "--json", *place, "--mechanism=XOAUTH2", token="t" * 40)
    (result,) = json.loads(done.stdout)["results"]
    assert (result["ok"], result["logged_in"], result["failure"]["cause"]) == (False, True, cause), result
    assert done.returncode == 1


def test_a_server_that_hangs_up_on_the_first_command_is_told() -> None:
    with ScriptedServer(*IMAP, b"", tls=True) as server:
        place = [f"--imap=localhost:{server.port}", "--ca-file", ca_file(), "--no-pop3", "--no-smtp"]
        done = run("check", USER, "--json", *place, token="t" * 40)
    (result,) = json.loads(done.stdout)["results"]
    assert (result["logged_in"], result["failure"]["cause"]) == (True, "connection_lost")
    assert "asked for the mailbox" in result["failure"]["sentence"]


# ---- What never gets there -------------------------------------------------------------------------------------------


def test_an_answer_to_the_login_that_comes_late_is_shown_without_the_token() -> None:
    token = "ya29.A0late-Secret-0123456789"
    login = [
        b"+OK hi\r\n",
        b"+OK\r\nSASL XOAUTH2\r\n.\r\n",
        b"+OK in\r\n-ERR unknown command: " + token.encode() + b"\r\n",
    ]
    with ScriptedServer(*login, tls=True) as server:
        place = f"--pop3=localhost:{server.port}"
        for form in ([], ["--json"], ["--trace"]):
            done = run("check", USER, "--no-imap", "--no-smtp", place, "--ca-file", ca_file(), *form, token=token)
            assert done.returncode == 1
            assert "unknown command: <token>" in done.stdout
            assert token not in done.stdout + done.stderr


def test_no_connection_is_told_by_its_cause() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    with Server() as server:
        plain = server.port("smtp", "starttls")
        wrong = ["--imap=mail.invalid", f"--pop3=127.0.0.1:{closed}", f"--smtp=localhost:{plain}"]
        done = run("check", USER, *wrong, token="t" * 40)
    assert done.returncode == 1
    for cause in ("host_not_found", "connection_refused", "wrong_tls_mode"):
        assert f"cause    {cause}" in done.stdout, done.stdout
    assert "Connection refused" in done.stdout


def test_another_service_and_a_refused_ehlo_name_are_told() -> None:
    hello = [
        b"220 mail.example.test ESMTP\r\n",
        b"504 5.5.2 <joe>: Helo command rejected: need fully-qualified hostname\r\n",
    ]
    with ScriptedServer(*hello, tls=True) as server:
        both = [
            f"--imap=localhost:{server.port}",
            f"--smtp=localhost:{server.port}",
            "--no-pop3",
            "--ca-file",
            ca_file(),
        ]
        done = run("check", "joe@example.test", *both, token="t" * 40)
    assert "cause    wrong_service" in done.stdout, done.stdout
    assert "cause    client_name_refused" in done.stdout
    assert "ehlo_name" in done.stdout


def test_a_port_of_the_other_kind_is_refused_unless_it_is_said_to_be_unusual() -> None:
    only = ["--no-pop3", "--no-smtp", "--imap=127.0.0.1:993", "--starttls"]
    done = run("check", USER, *only, token="t" * 40)
    assert (done.returncode, done.stdout, "unusual_port" in done.stderr) == (2, "", True)
    done = run("check", USER, *only, "--unusual-port", "--timeout=2", token="t" * 40)
    assert "connection_refused" in done.stdout


def test_the_ehlo_name_is_an_option() -> None:
    with Server() as server:
        only = ["--no-pop3", "--no-imap", "--trace", *places(server)]
        done = run("check", USER, *only, "--ehlo-name=client.example.org", token=server.issue_token(USER))
    assert done.returncode == 0
    assert "C: EHLO client.example.org" in done.stdout


# ---- Secrets ---------------------------------------------------------------------------------------------------------

SECRET = "ya29.A0Secret_Sesame0pen-4Sesame"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--token", SECRET],
        [f"--token={SECRET}"],
        ["--token", f"touch {SECRET}"],
        ["--token"],
        ["--toke", SECRET],
        [f"--tok={SECRET}"],
        [SECRET],
        ["--token", f"-{SECRET}"],
    ],
)
def test_a_secret_in_the_arguments_is_neither_run_nor_repeated(arguments: list[str], tmp_path: pathlib.Path) -> None:
    program = tmp_path / SECRET
    program.write_text("#!/bin/sh\ntouch ran\necho token\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = run("check", USER, "--no-pop3", "--no-smtp", "--no-imap", *arguments, PATH=path, PWD=str(tmp_path))
    assert done.returncode == 2
    assert SECRET not in done.stdout + done.stderr
    assert "--tok" in done.stderr or "not known: 1" in done.stderr
    assert not pathlib.Path("ran").exists()
    assert not (tmp_path / "ran").exists()


def test_what_a_token_command_complains_of_is_short_and_without_secrets() -> None:
    complaint = f"echo 'no token {SECRET} refresh_token=1//0gSecret here' >&2; yes again | head -n 9999 >&2"
    said = f"echo {SECRET}; {complaint}; exit 3"
    done = run("check", USER, "--token-command", f"sh -c {shlex.quote(said)}")
    assert done.returncode == 2
    assert "status 3" in done.stderr
    assert "no token <secret>" in done.stderr
    assert "Secret" not in done.stderr
    assert len(done.stderr) < 700
    for wrong in (f"echo {SECRET} {SECRET}", f"printf %s {SECRET}' '"):
        done = run("check", USER, "--no-imap", "--no-pop3", "--token-command", wrong, "--smtp=127.0.0.1:1")
        assert SECRET not in done.stdout + done.stderr


def test_a_setting_that_cannot_work_is_said(servers: mailservers.RealServers) -> None:
    done = run("check", "joe@example.org", "--no-discover", token="abc")
    assert done.returncode == 1
    assert "give host or provider" in done.stdout
    done = run("check", "joe@gmail.com", "--ca-file", "/nope.pem", token="abc")
    assert done.returncode == 2
    assert "--ca-file /nope.pem cannot be read" in done.stderr


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
