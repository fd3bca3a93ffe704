"""The command as a person or a script meets it: real processes, terminals that are none, and outputs that fail."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

import mailbearer
from mailbearer.__main__ import command_parser
from mailbearer.completion import described
from mailbearer.settings import resolve
from mailbearer.testing import Server, ca_file
from mailbearer.testing import __main__ as testing_command

USER = "joe@gmail.com"
SECRET = "ya29.a-secret-that-nobody-may-see"
PLAIN = {key: value for key, value in os.environ.items() if key not in ("MAILBEARER_TOKEN", "COLUMNS", "NO_COLOR")}


def run(*words: str, stdin: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    environment = PLAIN | options.pop("env", {})
    command = [sys.executable, "-m", "mailbearer", *words]
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        command, input=stdin, stderr=subprocess.PIPE, text=True, env=environment, timeout=60, **options
    )


def places(server: Server) -> list[str]:
    where = [f"--{one}=localhost:{server.port(one)}" for one in ("imap", "pop3", "smtp")]
    return ["check", *where, "--unusual-port", f"--ca-file={ca_file()}", USER]


# ---- Arguments ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", "--tok", SECRET, USER], "looks like an access token"),
        (["check", "--token", SECRET, USER], "there is no --token"),
        (["check", f"--tokens={SECRET}", USER], "arguments that are not known: --tokens"),
        (["check", "--token-comm=x", USER], "--token-comm"),
        (["check", "--timeout", "soon", USER], "--timeout"),
        (["check"], "USER"),
        (["nothing"], "nothing"),
        (["completion", "tcsh"], "tcsh"),
        ([], "COMMAND"),
    ],
)
def test_a_bad_option_ends_with_2_and_is_said_once(words: list[str], said: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert SECRET not in done.stderr
    assert said in done.stderr
    assert done.stderr.count("error:") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("protocol", "port", "tls"), [("smtp", 587, "starttls"), ("imap", 143, "starttls"), ("smtp", 465, "implicit")]
)
def test_the_ports_of_starttls_mean_starttls(protocol: Any, port: int, tls: str) -> None:
    assert resolve(protocol, USER, host="mail.example.org", port=port).endpoint.tls == tls
    done = run("check", f"--{protocol}=127.0.0.1:{port}", *others(protocol), "--timeout=5", "--json", USER, stdin="x\n")
    result = json.loads(done.stdout)["results"][0]
    assert (result["port"], result["tls"]) == (port, tls)


def others(protocol: str) -> list[str]:
    return [f"--no-{one}" for one in ("imap", "pop3", "smtp") if one != protocol]


def test_json_stands_alone_on_the_output_and_the_trace_beside_it() -> None:
    with Server() as server:
        token = server.issue_token(USER)
        done = run(*places(server), "--json", "--trace", stdin=f"{token}\n")
    assert done.returncode == 0, done.stderr
    assert [one["ok"] for one in json.loads(done.stdout)["results"]] == [True] * 3
    assert "IMAP S: * OK Gimap" in done.stderr
    assert "SMTP C: NOOP" in done.stderr
    assert token not in done.stderr + done.stdout


# ---- Terminals ---------------------------------------------------------------------------------------------------


class Terminal:
    """The command at a terminal of its own."""

    def __init__(self, *words: str, **env: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(sys.executable, [sys.executable, "-m", "mailbearer", *words], PLAIN | env)
        self.shown = ""

    def until(self, text: str) -> None:
        deadline = time.monotonic() + 30
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            self.read()

    def read(self) -> bool:
        with contextlib.suppress(OSError):
            if select.select([self.fd], [], [], 0.2)[0]:
                read = os.read(self.fd, 65_536).decode()
                self.shown += read
                return bool(read)
            return True
        return False

    def end(self) -> int:
        while self.read():
            continue
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_token_that_is_pasted_is_not_shown() -> None:
    with Server() as server:
        token = server.issue_token(USER)
        terminal = Terminal(*places(server), TERM="xterm")
        terminal.until("Enter: ")
        os.write(terminal.fd, token.encode() + b"\n")
        assert terminal.end() == 0, terminal.shown
    assert token not in terminal.shown
    assert "3 of 3 worked." in terminal.shown
    assert "\x1b[32mok" in terminal.shown


@pytest.mark.parametrize("env", [{"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "dumb"}])
def test_colours_can_be_switched_off(env: dict[str, str]) -> None:
    with Server() as server:
        terminal = Terminal(*places(server), MAILBEARER_TOKEN=server.issue_token(USER), **env)
        assert terminal.end() == 0
    assert "\x1b[" not in terminal.shown


@pytest.mark.parametrize(("columns", "widest"), [(None, 80), ("60", 60), ("200", 200)])
def test_text_is_wrapped_at_the_width(columns: str | None, widest: int) -> None:
    with Server(refuse="protocol_disabled") as server:
        env = {} if columns is None else {"COLUMNS": columns}
        done = run(*places(server), stdin=f"{server.issue_token(USER)}\n", env=env)
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if "https://" not in line]
    longest = max(len(line) for line in lines)
    assert widest - 30 < longest <= widest, done.stdout


# ---- Outputs that fail -------------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("words", [["--help"], ["accounts", "--json"], ["completion", "bash"]])
def test_a_full_disk_is_told(words: list[str], tmp_path: Any) -> None:
    with open("/dev/full", "w") as full:
        done = run(*words, stdout=full, env={"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)})
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_pipe_that_nobody_reads_is_no_fault() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run("completion", "bash", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    "env", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_an_output_of_ascii_is_enough(env: dict[str, str]) -> None:
    done = run("check", "--no-pop3", "--no-smtp", "--ca-file=/nowhere/ü.pem", USER, stdin="x\n", env=env)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "--ca-file /nowhere/\\" in done.stderr


# ---- Completion and manual ---------------------------------------------------------------------------------------


def completed(script: str, *words: str) -> list[str]:
    given = " ".join(f"'{word}'" for word in ["mailbearer", *words])
    program = (
        f'{script}\nCOMP_WORDS=({given}); COMP_CWORD={len(words)}; _mailbearer; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(["bash", "--norc", "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_commands_options_and_values() -> None:
    script = run("completion", "bash").stdout
    assert completed(script, "che") == ["check"]
    assert set(completed(script, "log")) == {"login", "logout"}
    assert "--token-command" in completed(script, "check", "--to")
    assert "--token" not in completed(script, "check", "--to")
    assert completed(script, "check", "--provider", "ya") == ["yahoo", "yandex"]
    assert completed(script, "login", "--store", "") == ["keyring", "file"]
    assert completed(script, "completion", "z") == ["zsh"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shells_script_is_one(shell: str) -> None:
    script = run("completion", shell).stdout
    assert all(name in script for name in ("check", "login", "discover", "--ca-file" if shell != "fish" else "ca-file"))
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n", "/dev/stdin"], input=script, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


# ---- The testing server from a shell -----------------------------------------------------------------------------


@contextlib.contextmanager
def shell(*words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "mailbearer.testing", *words]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_testing_server_says_where_it_is_and_ends_when_told(number: signal.Signals) -> None:
    with shell("--json", "--user=a@b.org", "--user=c@d.org", "--flavour=dovecot") as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        for one in said["users"]:
            place = {"host": said["host"], "port": said["ports"]["imap"]["implicit"], "discover": False}
            context = ssl.create_default_context(cafile=said["ca_file"])
            mailbearer.connect(
                "imap", one["user"], one["token"], ssl_context=context, unusual_port=True, **place
            ).close()
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.communicate() == ("", "")


def test_the_testing_server_can_be_read_and_refuses() -> None:
    with shell("--refuse=account_disabled:imap", "--stdin") as process:
        assert process.stdout is not None
        assert process.stdin is not None
        lines = [process.stdout.readline() for _ in range(10)]
        assert lines[2].startswith("imap   localhost: TLS ")
        assert lines[5].split()[0] == "trust"
        process.stdin.close()
        process.stdin = None
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--port=x"], 2, "give PORT, or NAME=PORT"),
        (["--port=65533"], 2, "no six ports"),
        (["--port=nntp=119"], 2, "smtp+starttls"),
        (["--refuse=nothing"], 2, "nothing is no cause"),
        (["--refuse=mailbox_locked"], 2, "refuse it over pop3 alone"),
        (["--flav=gmail"], 2, "unrecognized"),
    ],
)
def test_what_the_testing_server_cannot_do_is_said(words: list[str], status: int, said: str) -> None:
    with shell(*words) as process:
        _, stderr = process.communicate(timeout=30)
        assert process.returncode == status
        assert said in " ".join(stderr.split())


def test_a_port_that_is_taken_is_said_and_others_are_kept() -> None:
    with Server() as server, shell(f"--port=imap={server.port('imap')}") as process:
        _, stderr = process.communicate(timeout=30)
        assert (process.returncode, "in use" in stderr) == (1, True)


ROOT = pathlib.Path(__file__).parents[2]


def test_the_manual_is_of_todays_text() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs/site/manual.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_manual_names_every_command_and_option() -> None:
    manual = (ROOT / "docs/man/mailbearer.md").read_text()
    for command in described(command_parser()):
        assert f"**{command.name}**" in manual
        for name in (name for option in command.options for name in option.names):
            assert name in ("--help", "-h") or f"**{name}**" in manual, name
    manual = (ROOT / "docs/man/mailbearer-testing.md").read_text()
    names = [name for action in testing_command.parser()._actions for name in action.option_strings]
    missing = [name for name in names if f"**{name}**" not in manual]
    assert missing == ["-h", "--help", "--version"]


@pytest.mark.skipif(shutil.which("man") is None, reason="no man here")
def test_the_manual_can_be_read() -> None:
    page = ROOT / "node/man/mailbearer.1"
    done = subprocess.run(
        ["man", "--warnings", "-l", page], capture_output=True, text=True, env=PLAIN | {"MANPAGER": "cat"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--token-command COMMAND" in done.stdout
