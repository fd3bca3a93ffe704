"""Runs each recipe in `examples/python/`, as it stands, against the testing server in place of Gmail."""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
import re
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import mailbearer
from mailbearer.testing import Server, client_context

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples/python"
USER = "joe@gmail.com"
# A machine that is busy makes a recipe slow, and not wrong.
PATIENCE_SECONDS = 30.0


class Surroundings:
    """A server, and what a recipe finds around it."""

    def __init__(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = server
        self._monkeypatch = monkeypatch

    def token(self, force_refresh: bool = False) -> tuple[str, float]:
        return self.server.issue_token(USER), self.server.lifetime  # type: ignore[attr-defined]

    def load(self, name: str) -> Any:
        """Import a recipe anew."""
        self._monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    def run(self, work: Callable[[], object], *, until: Callable[[], bool]) -> None:
        """Run what goes on for ever, and end it as ^C does, once something has become so."""
        over = threading.Event()

        def watch() -> None:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not over.is_set():
                if until() or time.monotonic() > deadline:
                    os.kill(os.getpid(), signal.SIGINT)
                    # What is raised in a finalizer is lost: once more, then.
                    over.wait(3)
                over.wait(0.02)

        # A shell starts what runs in its background with ^C ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                work()
        finally:
            over.set()
            watcher.join()
            signal.signal(signal.SIGINT, before)
        assert until()


@contextlib.contextmanager
def surroundings(monkeypatch: pytest.MonkeyPatch, lifetime: float, **options: Any) -> Iterator[Surroundings]:
    import mailbearer.account_settings
    import mailbearer.connection

    resolve = mailbearer.connection.resolve
    with Server(token_lifetime=lifetime, **options) as server:
        server.lifetime = lifetime  # type: ignore[attr-defined]

        def at_the_server(protocol: Any, user: str, **settings: Any) -> Any:
            given = {name: value for name, value in settings.items() if value is not None}
            return resolve(protocol, user, **(server.at(protocol) | given))

        for module in ("mailbearer.connection", "mailbearer.account_settings", "mailbearer.aio.connection"):
            if hasattr(importlib.import_module(module), "resolve"):
                monkeypatch.setattr(f"{module}.resolve", at_the_server)
        around = Surroundings(server, monkeypatch)
        mine = types.ModuleType("my_account")
        mine.USER, mine.get_access_token = USER, around.token  # type: ignore[attr-defined]
        mine.at = lambda protocol: {}  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "my_account", mine)
        monkeypatch.syspath_prepend(str(EXAMPLES))
        yield around


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Surroundings]:
    """Tokens that outlive the test."""
    with surroundings(monkeypatch, 3600.0) as around:
        yield around


@pytest.fixture
def expiring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Surroundings]:
    """Tokens of two seconds, and sessions that end with them: four logins may come at once, then one in a minute."""
    with surroundings(monkeypatch, 2.0, flavour="outlook") as around:
        yield around


def test_every_recipe_is_tested() -> None:
    """What is shown runs: no recipe is forgotten here."""
    tests = pathlib.Path(__file__).read_text()
    for recipe in EXAMPLES.glob("*.py"):
        assert f'"{recipe.stem}"' in tests, recipe.name


def test_the_token_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, "my_account", raising=False)
    monkeypatch.setenv("MAIL_TOKEN_COMMAND", "printf 'ya29.%s\\n' token")
    monkeypatch.setenv("MAIL_USER", "ann@example.org")
    module = importlib.import_module("my_account")
    assert (module.USER, module.get_access_token()) == ("ann@example.org", mailbearer.AccessToken("ya29.token"))
    assert module.at("imap") == {}


def test_a_recipe_runs_from_a_shell_without_an_account(tmp_path: pathlib.Path) -> None:
    """As the page says: `mailbearer-testing --json > server.json &`, and its name in MAIL_SERVER."""
    import subprocess

    served, python = tmp_path / "server.json", sys.executable
    with (
        served.open("w") as file,
        subprocess.Popen(
            [python, "-m", "mailbearer.testing", "--json", "--stdin"], stdin=subprocess.PIPE, stdout=file
        ) as server,
    ):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not served.read_text().endswith("\n") and time.monotonic() < deadline:
            time.sleep(0.02)
        environment = {**os.environ, "MAIL_SERVER": str(served)}
        ran = subprocess.run(
            [python, "moving_imaplib.py"], cwd=EXAMPLES, env=environment, capture_output=True, text=True, check=False
        )
        assert server.stdin is not None
        server.stdin.close()
    assert (ran.stdout, ran.stderr) == ("('OK', [b'1 2 3'])\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
@pytest.mark.parametrize("name", ["stopping", "stopping_asyncio"])
def test_a_program_is_stopped_by_sigterm_and_goes_on(name: str, tmp_path: pathlib.Path) -> None:
    import json
    import subprocess

    folder = tmp_path / "state"
    with Server() as server:
        ports = {protocol: {"implicit": server.port(protocol)} for protocol in ("imap", "pop3", "smtp")}
        users = [{"user": USER, "token": server.issue_token(USER)}]
        described = tmp_path / "server.json"
        described.write_text(json.dumps({"host": "localhost", "ports": ports, "users": users}))

        def stopped(until: Callable[[], bool]) -> str:
            program = subprocess.Popen(
                [sys.executable, EXAMPLES / f"{name}.py", folder],
                env={**os.environ, "MAIL_SERVER": str(described)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not until() and time.monotonic() < deadline:
                time.sleep(0.02)
            program.terminate()
            said, _ = program.communicate(timeout=PATIENCE_SECONDS)
            assert program.returncode == 0, said
            return said

        cursor = folder / "cursor"
        assert stopped(lambda: cursor.exists() and cursor.read_text() != "") == ""
        began = cursor.read_text()
        assert (folder / "account").read_bytes()
        server.deliver(USER, b"Subject: while nobody looked\r\n\r\nhello\r\n")
        assert stopped(lambda: cursor.read_text() not in ("", began)) == "new: 4\n"


def test_the_recipes_are_typed_strictly(tmp_path: pathlib.Path) -> None:
    """They are what people copy: mypy finds nothing in them, but what other packages do not tell."""
    import subprocess

    flags = ("--strict", "--ignore-missing-imports", "--allow-subclassing-any", "--allow-untyped-decorators")
    names = sorted(one.name for one in EXAMPLES.glob("*.py"))
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, "--python-version=3.11", f"--cache-dir={tmp_path}", *names],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_archive_goes_on_where_it_stopped(expiring: Surroundings, tmp_path: pathlib.Path) -> None:
    archive = expiring.load("archive").archive
    files = lambda: {file.name for file in tmp_path.glob("*.eml")}  # noqa: E731
    expiring.run(lambda: archive(tmp_path), until=lambda: len(files()) == 3)
    expiring.server.deliver(USER, b"Subject: while nobody looked\r\n\r\nhello\r\n")
    expiring.run(lambda: archive(tmp_path), until=lambda: len(files()) == 4)
    assert sorted(files()) == ["1.eml", "2.eml", "3.eml", "4.eml"]
    assert (tmp_path / "4.eml").read_bytes() == b"Subject: while nobody looked\r\n\r\nhello\r\n"


@pytest.mark.parametrize("name", ["new_messages", "new_messages_asyncio"])
def test_new_messages_are_told_once(
    name: str, expiring: Surroundings, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notify, where = expiring.load(name).notify, tmp_path / "cursor"
    import asyncio

    work = (lambda: asyncio.run(notify(where))) if name.endswith("asyncio") else lambda: notify(where)
    expiring.run(work, until=where.exists)
    said: list[str] = []

    def told(count: int) -> bool:
        said.extend(capsys.readouterr().out.split("\n"))
        return sum(line.startswith("Subject: number") for line in said) >= count

    for number in (1, 2):
        began = where.read_text()
        expiring.server.deliver(USER, f"From: ann@example.org\r\nSubject: number {number}\r\n\r\n".encode())
        # Who is stopped after it has told a message, and before it has written that down, tells it again.
        expiring.run(work, until=lambda number=number, began=began: told(number) and where.read_text() > began)
    said.extend(capsys.readouterr().out.split("\n"))
    assert [line.strip() for line in said if line.startswith("Subject")] == ["Subject: number 1", "Subject: number 2"]


def queued(folder: pathlib.Path, count: int) -> None:
    (folder / "queued").mkdir()
    for number in range(count):
        message = f"From: {USER}\r\nTo: ann@example.org\r\nMessage-ID: <{number}@example.org>\r\n\r\nhello\r\n"
        (folder / "queued" / f"{number}.eml").write_text(message)


def test_a_queue_is_sent_once(expiring: Surroundings, tmp_path: pathlib.Path) -> None:
    queued(tmp_path, 5)
    send_all = expiring.load("outbox").send_all
    expiring.run(lambda: send_all(tmp_path, 0.1), until=lambda: len(list((tmp_path / "sent").glob("*"))) == 5)
    assert len(expiring.server.submitted()) == 5


def test_a_message_that_nobody_knows_of_is_left_to_a_person(lasting: Surroundings, tmp_path: pathlib.Path) -> None:
    queued(tmp_path, 3)
    send_all = lasting.load("outbox").send_all
    lasting.server.set_fault("after_dot", "drop")
    over = lambda: len(list((tmp_path / "sent").glob("*"))) == 2  # noqa: E731
    lasting.run(lambda: send_all(tmp_path, 0.1), until=over)
    assert [one.name for one in (tmp_path / "unknown").iterdir()] == ["0.eml"]


def test_a_message_that_was_not_accepted_is_sent_again(lasting: Surroundings, tmp_path: pathlib.Path) -> None:
    queued(tmp_path, 2)
    send_all = lasting.load("outbox").send_all
    lasting.server.set_fault("command", "drop")
    over = lambda: len(list((tmp_path / "sent").glob("*"))) == 2  # noqa: E731
    lasting.run(lambda: send_all(tmp_path, 0.1), until=over)
    assert len(lasting.server.submitted()) == 2


def test_a_newsletter_is_sent_once_to_each(lasting: Surroundings, capsys: pytest.CaptureFixture[str]) -> None:
    recipients = [f"r{number}@example.org" for number in range(5)]
    lasting.server.set_fault("after_dot", "drop")
    outcomes = lasting.load("send_each_once").send_all(recipients)
    assert sorted(outcome.status for outcome in outcomes) == ["sent"] * 4 + ["unknown"]
    assert sorted(one["recipients"][0] for one in lasting.server.submitted()) == recipients
    assert "may have it" in capsys.readouterr().out


def test_the_application_that_only_sends(lasting: Surroundings) -> None:
    from fastapi.testclient import TestClient

    app = lasting.load("web_app_sender").app
    mail = {"to": "ann@example.org", "subject": "hello", "text": "..."}
    with TestClient(app) as client:
        assert client.post("/mails", json=mail).status_code == 202
        lasting.server.set_fault("after_dot", "drop")
        unknown = client.post("/mails", json=mail)
        assert (unknown.status_code, unknown.json()["detail"]["status"]) == (502, "unknown")
    lasting.server.refuse("account_disabled")
    with TestClient(app) as client:
        stopped = client.post("/mails", json=mail)
        assert (stopped.status_code, "disabled" in stopped.json()["detail"]) == (503, True)
        assert client.post("/mails", json=mail).status_code == 503
        lasting.server.refuse(None)
        assert client.post("/retry").status_code == 204
        assert client.post("/mails", json=mail).status_code == 202
    assert len(lasting.server.submitted()) == 3


def test_a_django_application(lasting: Surroundings) -> None:
    lasting.load("django_app")
    import django
    from django.test import Client

    import mailbearer.django

    django.setup()
    # What settings are for a test is that Django's own outbox takes the mails; here they are to be sent.
    client = Client()
    assert client.get("/send?to=ann@example.org").status_code == 202
    assert [one["recipients"] for one in lasting.server.submitted()] == [["ann@example.org"]]
    lasting.server.refuse_recipient("bob@example.org", "unknown")
    sent = client.get("/send?to=ann@example.org&to=bob@example.org")
    place, deadline = {"message_id": sent.json()["message_id"]}, time.monotonic() + PATIENCE_SECONDS
    while client.get("/outcome", place).status_code == 404 and time.monotonic() < deadline:
        time.sleep(0.01)
    told = client.get("/outcome", place).json()
    assert (sent.status_code, told["status"], told["accepted"]) == (202, "partly_sent", ["ann@example.org"])
    assert "does not exist" in told["refused"]["bob@example.org"]
    for sender in mailbearer.django._SENDERS.values():
        sender.close(0.0)


def test_an_archive_with_imap_tools(expiring: Surroundings, tmp_path: pathlib.Path) -> None:
    archive = expiring.load("archive_imap_tools").archive
    files = lambda: {file.name for file in tmp_path.glob("*.eml")}  # noqa: E731
    expiring.run(lambda: archive(tmp_path, 0.1), until=lambda: len(files()) == 3)
    expiring.server.deliver(USER, b"Subject: while nobody looked\r\n\r\nhello\r\n")
    expiring.run(lambda: archive(tmp_path, 0.1), until=lambda: len(files()) == 4)
    assert sorted(files()) == ["1.eml", "2.eml", "3.eml", "4.eml"]
    assert b"while nobody looked" in (tmp_path / "4.eml").read_bytes()


def test_a_login_through_a_proxy_that_is_not_there(lasting: Surroundings, capsys: pytest.CaptureFixture[str]) -> None:
    """With real proxies it runs in python/tests/test_proxies.py."""
    main = lasting.load("through_a_proxy").main
    with pytest.raises(SystemExit, match="The proxy does not lead to the server"):
        main("socks5://127.0.0.1:1")
    assert capsys.readouterr().out == "the proxy: unreachable\n"
    main(None)
    assert "OK" in capsys.readouterr().out


def test_spans_and_metrics(expiring: Surroundings, capsys: pytest.CaptureFixture[str]) -> None:
    expiring.load("opentelemetry_spans").main(2)
    said = capsys.readouterr().out
    assert '"name": "mailbearer.session"' in said
    assert "mailbearer.renewals" in said
    assert USER not in said


def test_pop3_is_downloaded_and_deleted(lasting: Surroundings, tmp_path: pathlib.Path) -> None:
    lasting.server.deliver(USER, b"Subject: one more\r\n\r\n.hidden\r\n")
    before = lasting.server.messages(USER)
    lasting.load("pop3_download").download(tmp_path)
    saved = [file.read_bytes() for file in tmp_path.glob("*.eml")]
    assert before[-1] in saved
    assert len(saved) == len(before) >= 1
    assert lasting.server.messages(USER) == []


def test_the_application_sends_and_tells_a_stop(lasting: Surroundings) -> None:
    from fastapi.testclient import TestClient

    app = lasting.load("web_app").app
    mail = {"to": "ann@example.org", "subject": "hello", "text": "..."}
    with TestClient(app) as client:
        assert client.post("/mails", json=mail).status_code == 202
        assert client.get("/health").json() == {"sessions": ["given"], "needs": []}
    assert len(lasting.server.submitted()) == 1
    lasting.server.refuse("account_disabled")
    with TestClient(app) as client:
        stopped = client.post("/mails", json=mail)
        assert stopped.status_code == 503
        assert "disabled" in stopped.json()["detail"]
        lasting.server.refuse(None)
        assert client.post("/retry").status_code == 204
        assert client.post("/mails", json=mail).status_code == 202


def test_a_worker_keeps_its_accounts_apart(lasting: Surroundings, tmp_path: pathlib.Path) -> None:
    import asyncio

    worker, told = lasting.load("worker"), []

    async def good() -> str:
        return lasting.server.issue_token(USER)

    async def bad() -> str:
        raise mailbearer.TokenSourceFailed("invalid_grant", permanent=True)

    accounts = {USER: good, "ann@gmail.com": bad}
    run = lambda: asyncio.run(worker.main(accounts, tmp_path, lambda user, uid: told.append((user, uid))))  # noqa: E731
    lasting.run(run, until=(tmp_path / f"{USER}.cursor").exists)
    lasting.server.deliver(USER, b"Subject: hello\r\n\r\n")
    lasting.run(run, until=lambda: told == [(USER, 4)] and (tmp_path / "ann@gmail.com.account").exists())


def test_a_library_of_ones_own(lasting: Surroundings) -> None:
    module = lasting.load("own_library")
    imap, smtp = (("localhost", lasting.server.port(protocol), client_context()) for protocol in ("imap", "smtp"))
    module.get_access_token = lambda: lasting.server.issue_token(USER)
    assert module.select_inbox(*imap) == "OK"
    assert module.send("ann@example.org", b"Subject: hello\r\n\r\n", *smtp) == "sent"
    # What a source returns is taken as it is: also the two of `mailbearer.stored`.
    module.get_access_token = lambda: (mailbearer.AccessToken(lasting.server.issue_token(USER)), 3600.0)
    assert module.select_inbox(*imap) == "OK"
    assert module.send("ann@example.org", b"Subject: hello\r\n\r\n", *smtp) == "sent"
    module.get_access_token = lambda: lasting.server.issue_token(USER, lifetime=0.0)
    assert module.select_inbox(*imap) == "token_rejected: refresh_token"
    assert module.send("ann@example.org", b"Subject: hello\r\n\r\n", *smtp) == "token_rejected: refresh_token"
    assert len(lasting.server.submitted()) == 2


def test_the_tests_of_a_program(lasting: Surroundings, tmp_path: pathlib.Path) -> None:
    import subprocess

    recipe = EXAMPLES / "test_my_program.py"
    assert recipe.stem == "test_my_program"
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, recipe],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout
    assert "6 passed" in ran.stdout


def test_logs_and_metrics(
    expiring: Surroundings, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    expiring.load("logging_and_metrics").main(2)
    assert 'mail_events_total{kind="online",protocol="imap",cause=""} 2' in capsys.readouterr().out
    assert f"{USER} imap 1 is online, connection 2" in caplog.text


@pytest.mark.parametrize(
    "name", ["moving_imaplib", "moving_imapclient", "moving_imap_tools", "moving_aioimaplib", "moving_smtplib"]
)
def test_who_moves(name: str, lasting: Surroundings, capsys: pytest.CaptureFixture[str]) -> None:
    lasting.load(name)
    if name == "moving_smtplib":
        assert len(lasting.server.submitted()) == 1
    else:
        assert "1 2 3" in capsys.readouterr().out.replace(", ", " ")


ROOT = EXAMPLES.parents[1]


def examples(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


PYTHON, START = examples("python/README.md"), examples("docs/start/python.md")


@pytest.fixture
def about(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[tuple[Surroundings, dict[str, Any]]]:
    """What an example of a page takes from its reader."""
    monkeypatch.chdir(tmp_path)
    with surroundings(monkeypatch, 1.0, flavour="gmail") as around:
        mine = types.SimpleNamespace(token=around.token)
        yield around, {"get_access_token": around.token, "my_oauth_library": mine, "mailbearer": mailbearer}


def logins(around: Surroundings) -> Callable[[], bool]:
    """Tell whether there were two logins: the first token is over."""
    seen: list[str] = []

    def two() -> bool:
        seen.extend(event.what for event in around.server.events())
        return seen.count("logged_in") >= 2

    return two


@pytest.mark.parametrize("example", [example for example in PYTHON + START if "for connection in" in example])
def test_an_example_of_a_page_stays_logged_in(example: str, about: tuple[Surroundings, dict[str, Any]]) -> None:
    around, names = about
    has_logged_in = logins(around)
    sends = "sendmail" in example
    around.run(
        lambda: exec(example, names), until=lambda: has_logged_in() and (not sends or bool(around.server.submitted()))
    )


@pytest.mark.parametrize("example", [example for example in PYTHON + START if "LoginFailed" in example])
def test_an_example_of_a_page_tells_why(
    example: str, about: tuple[Surroundings, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    _, names = about
    exec(example, names)
    assert capsys.readouterr().out.endswith("\ntoken_rejected refresh_token\n")


@pytest.mark.parametrize("example", [example for example in PYTHON + START if "mailbearer.sender" in example])
def test_an_example_of_a_page_sends(
    example: str, about: tuple[Surroundings, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    around, names = about
    exec(example, names)
    assert capsys.readouterr().out == "sent {}\n"
    assert len(around.server.submitted()) == 1


def test_the_other_examples_of_the_pages(
    about: tuple[Surroundings, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    _, names = about
    others = [one for one in PYTHON + START if "for connection in" not in one and "LoginFailed" not in one]
    # The one of explain runs in python/tests/test_readme.py.
    others = [one for one in others if "explain" not in one and "mailbearer.sender" not in one]
    without, testing, login = sorted(others, key=lambda one: ("print(imap" not in one, "def test_" not in one))
    exec(without, {})
    shown = re.findall(r"print.*  # (.*)", without)
    assert capsys.readouterr().out.splitlines() == shown != []
    exec(testing, names)
    names["test_it_finds_the_messages"]()
    exec(login, names)


def test_the_table_of_the_testing_server_is_its_signature() -> None:
    import inspect

    page = (ROOT / "docs/reference/python.md").read_text()
    table = page.split("<!-- server -->")[1].split("<!-- end of server -->")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| `?([^|`]+)`? \|$", table, re.MULTILINE)
    signature = inspect.signature(Server).parameters.values()
    defaults = [(one.name, repr(one.default).replace("'", '"')) for one in signature]
    assert rows == defaults


def test_the_times_of_a_login_are_told_alike() -> None:
    """Python has both times as options of a login: no page says that it has them elsewhere."""
    times = (ROOT / "docs/reference/timeouts.md").read_text()
    for name in ("answer_timeout", "data_timeout"):
        assert name in mailbearer.LoginOptions.__annotations__
        assert f"| `{name}` |" in times
        assert f"| `{name}` |" in (ROOT / "docs/reference/settings.md").read_text()
