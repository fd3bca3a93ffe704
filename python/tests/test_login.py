"""``mailbearer login`` as a process, at a real authorization server: with a browser, a terminal, and a device code."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import authserver
import browser
import pytest
from login_world import PATIENCE_SECONDS, SERVERS, USER, World, address_in

import mailbearer

ROOT = pathlib.Path(__file__).resolve().parents[2]


def finished(program: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, said = program.communicate(timeout=PATIENCE_SECONDS)
    return program.returncode, out, said


def visited(address: str, answer: str = "allow", user: str = USER) -> str:
    """Go through the pages, and return the address that the browser is sent to at the end."""
    return authserver.Visitor(user).visit(address, answer, stop_at="http://127.0.0.1")[0]


def follow(redirect: str) -> tuple[int, str]:
    """What the browser does then: the status, and the page."""
    try:
        with urllib.request.urlopen(redirect, timeout=PATIENCE_SECONDS) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def changed(address: str, **parameters: str) -> str:
    parts = urllib.parse.urlsplit(address)
    query = dict(urllib.parse.parse_qsl(parts.query)) | parameters
    return urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(query)))


# ---- The ways that work ------------------------------------------------------------------------------------------


def test_a_real_browser_at_the_consent_page(mail_world: World) -> None:
    subprocess.run([SERVERS / "install-browser.sh"], check=True)
    done = mail_world.run(
        *mail_world.to_login(*mail_world.places()), BROWSER=mail_world.browser("browser.py", USER, "allow")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert seen["text"].startswith("You may close this window")
    # What the browser keeps has no code in it.
    assert not [address for address in seen["history"] if "code=" in address]
    assert [line[:9] for line in done.stdout.splitlines() if line.startswith("ok ")] == [
        "ok   IMAP",
        "ok   POP3",
        "ok   SMTP",
    ]
    members = mail_world.members()
    assert members["user"] == USER
    assert members["client_id"] == "native"
    assert members["authorization"]["token_endpoint"] == mail_world.server["token_endpoint"]
    assert set(members["grant"]) == {"refresh_token", "access_token", "expires_at"}
    assert members["services"]["imap"]["tls"] == "implicit"


def test_a_real_browser_whose_user_denies(world: World) -> None:
    subprocess.run([SERVERS / "install-browser.sh"], check=True)
    with world.start() as program:
        seen = browser.consent(address_in(program.stdout), USER, "deny")
        status, _, said = finished(program)
    assert seen["text"].startswith("The login did not work")
    assert status == 1
    assert "access_denied: the user has denied it" in said
    assert not world.file().exists()


def test_on_a_terminal_far_from_the_browser_the_address_is_pasted(world: World) -> None:
    ours, its = pty.openpty()
    command = world.command(*world.to_login("--no-check"))
    environment = world.environment | {"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}
    del environment["BROWSER"]
    with subprocess.Popen(
        command, stdin=its, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as program:
        os.close(its)
        redirect = visited(address_in(program.stdout))
        for pasted in ("what?", changed(redirect, state="of another login"), "", redirect):
            os.write(ours, f"{pasted}\n".encode())
        status, out, said = finished(program)
    os.close(ours)
    assert status == 0, said
    assert "No: that is not the address that was asked for" in out
    assert "No: that is the answer to another login" in out
    assert world.members()["grant"]["refresh_token"]


def test_a_device_code(world: World) -> None:
    with world.start("--device", "--no-check") as program:
        assert program.stdout is not None
        address = next(line for line in program.stdout if line.startswith("or open ")).split()[2]
        assert "is connected" in authserver.Visitor(USER).visit(address)[1]
        status, _, said = finished(program)
    assert status == 0, said
    assert world.run("token", USER).returncode == 0


def test_the_redirect_of_a_client_that_cannot_have_this_machine(world: World) -> None:
    # Nobody listens there: the address is copied from the browser.
    elsewhere = "http://localhost:9/"
    with world.start("--no-check", "--redirect-uri", elsewhere) as program:
        redirect = authserver.Visitor(USER).visit(address_in(program.stdout), stop_at=elsewhere)[0]
        out, said = program.communicate(redirect + "\n", timeout=PATIENCE_SECONDS)
    assert program.returncode == 0, out + said


def test_a_client_with_a_secret_as_google_gives_it(world: World) -> None:
    name, secret = world.server["clients"]["secret"]
    file = world.folder / "client_secret.json"
    file.write_text(json.dumps({"installed": {"client_id": name, "client_secret": secret, "auth_uri": "…"}}))
    done = world.run(*world.to_login("--no-check", client=("--client-file", str(file))))
    assert done.returncode == 0, done.stderr
    assert world.members()["grant"]["client_secret"] == secret
    # It is sent with each refresh.
    world.change_grant(expires_at=0)
    assert world.run("token", USER).returncode == 0


@pytest.mark.parametrize("named", ["issuer", "provider"])
def test_a_client_of_the_config_file(world: World, named: str) -> None:
    name, secret = world.server["clients"]["secret"]
    world.home.mkdir(mode=0o700)
    config = world.home / "clients.json"
    config.touch(mode=0o600)
    key = world.server["issuer"] if named == "issuer" else "comcast"
    config.write_text(json.dumps({key: {"client_id": name, "client_secret": secret}, "gmail": {"client_id": "other"}}))
    more = () if named == "issuer" else ("--provider", "comcast")
    done = world.run(*world.to_login("--no-check", *more, client=()))
    assert done.returncode == 0, done.stderr
    assert world.members()["client_id"] == name
    config.chmod(0o644)
    done = world.run(*world.to_login("--no-check", client=()))
    assert done.returncode == 2
    assert f"chmod 600 {config}" in done.stderr


# ---- What must not work ------------------------------------------------------------------------------------------


def test_an_answer_with_another_state_is_not_taken_and_the_login_goes_on(world: World) -> None:
    with world.start("--no-check") as program:
        redirect = visited(address_in(program.stdout))
        status, page = follow(changed(redirect, state="forged", code="forged"))
        assert (status, "no answer to the login" in page) == (404, True)
        assert follow(changed(redirect, state=""))[0] == 404
        assert follow(urllib.parse.urljoin(redirect, "/favicon.ico"))[0] == 404
        status, page = follow(redirect)
        assert (status, "You may close this window" in page) == (200, True)
        assert "<script" not in page
        assert finished(program)[0] == 0


@pytest.mark.parametrize("iss", ["https://attacker.example", None])
def test_an_answer_of_another_server_ends_the_login(world: World, iss: str | None) -> None:
    with world.start("--no-check") as program:
        redirect = visited(address_in(program.stdout))
        forged = changed(redirect, iss=iss) if iss else redirect.partition("&iss=")[0]
        assert "did not work" in follow(forged)[1]
        status, _, said = finished(program)
    assert status == 1
    assert "another authorization server" in said
    assert not world.file().exists()
    # The code was sent to nobody.
    assert world.server.counts()["token_requests"] == 0


def test_a_challenge_of_somebody_else(world: World) -> None:
    with world.start("--no-check") as program:
        address = changed(address_in(program.stdout), code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
        follow(visited(address))
        status, _, said = finished(program)
    assert status == 1
    assert "invalid_grant" in said
    assert not world.file().exists()


def test_what_was_stored_is_kept_where_no_server_lets_the_new_login_in(mail_world: World) -> None:
    mail_world.login()
    before = mail_world.file().read_bytes()
    # Somebody else is logged in with the browser.
    eve = mail_world.browser("authserver.py", "eve@example.com")
    done = mail_world.run(*mail_world.to_login(*mail_world.places()), BROWSER=eve)
    assert done.returncode == 1
    assert "the login that was stored before is kept" in done.stderr
    assert mail_world.file().read_bytes() == before
    mail_world.run("logout", USER)
    done = mail_world.run(*mail_world.to_login(*mail_world.places()), BROWSER=eve)
    assert done.returncode == 1
    assert "no mail server lets it in" in done.stderr


def test_without_a_refresh_token_there_is_no_lasting_login(world: World) -> None:
    world.server.set(refresh_tokens=False)
    done = world.run(*world.to_login("--no-check"))
    assert done.returncode == 1
    assert "no refresh token" in done.stderr
    assert not world.file().exists()


def test_metadata_of_another_issuer_is_not_believed(world: World) -> None:
    world.server.set(metadata={"issuer": "https://attacker.example"})
    done = world.run(*world.to_login("--no-check"))
    assert done.returncode == 2
    assert "another issuer" in done.stderr
    world.server.set(metadata={"token_endpoint": "http://localhost/token"})
    done = world.run(*world.to_login("--no-check"))
    assert done.returncode == 2
    assert "must begin with https://" in done.stderr


def test_a_certificate_that_nobody_vouches_for(world: World) -> None:
    done = world.run(*world.to_login("--no-check"), SSL_CERT_FILE="/dev/null")
    assert done.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


# ---- What is missing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("joe@gmail.com", "Desktop app"),
        ("joe@outlook.com", "IMAP.AccessAsUser.All"),
        ("joe@yahoo.com", "--redirect-uri"),
        ("joe@fastmail.com", "http://localhost/"),
        ("joe@yandex.com", "mail:imap_full"),
        ("joe@mail.ru", "o2.mail.ru"),
        ("joe@comcast.net", "ask its support"),
    ],
)
def test_without_a_client_id_the_steps_are_told(world: World, user: str, words: str) -> None:
    done = world.run("login", user)
    assert done.returncode == 2
    assert f"To have one for {user}" in done.stderr
    assert words in done.stderr
    assert "{" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["joe@gmx.de"], "GMX gives no tokens"),
        (["joe@unknown.example"], "--issuer"),
        (["joe@icloud.com"], "icloud is not known to give tokens"),
        (["joe@gmail.com", "--client-id", "x", "--device", "--store", "file"], "does not allow --device"),
        (["joe@gmail.com", "--provider", "nobody"], "provider"),
        (["joe@gmail.com", "--client-file", "/nowhere"], "/nowhere cannot be read"),
        (["joe@gmail.com", "--client-secret-file", "/dev/null"], "must hold one client secret"),
        (["joe@gmail.com", "--client-id", "x", "--ca-file", "/nowhere"], "--ca-file /nowhere"),
    ],
)
def test_what_is_used_wrongly_is_told(world: World, arguments: list[str], words: str) -> None:
    done = world.run("login", *arguments)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert not world.home.exists()


def test_a_secret_on_the_command_line_is_refused_and_not_repeated(world: World) -> None:
    for form in (["--client-secret", "hunter2hunter2"], ["--client-secret=hunter2hunter2"]):
        done = world.run("login", "joe@gmail.com", *form)
        assert done.returncode == 2
        assert "--client-secret-file" in done.stderr
        assert "hunter2" not in done.stderr + done.stdout


def test_without_a_keyring_it_says_so_before_the_browser_opens(world: World) -> None:
    arguments = [one if one != "file" else "keyring" for one in world.to_login("--no-check")]
    done = world.run(*arguments, PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring")
    assert done.returncode == 2
    assert "--store file" in done.stderr
    assert world.server.counts()["logins"] == 0


def test_nobody_waits_for_an_address_that_cannot_come(world: World) -> None:
    done = world.run(*world.to_login("--no-check", "--redirect-uri", "https://localhost:8443/"))
    assert done.returncode == 1
    assert "no address was pasted" in done.stderr


def test_without_a_port_of_this_machine_a_device_code_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from mailbearer import login

    def no_port(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(login, "Loopback", no_port)
    monkeypatch.setattr(login, "_by_device", lambda *_: "by device")
    arguments: Any = SimpleNamespace(redirect_uri=None)
    plan: Any = SimpleNamespace(profile=None, oauth=None, authorization={"authorization_endpoint": "https://x"})
    with pytest.raises(mailbearer.ConfigError, match="Operation not permitted"):
        login._by_browser(plan, None, arguments)
    plan.authorization["device_authorization_endpoint"] = "https://x"
    assert login._by_browser(plan, None, arguments) == "by device"


def test_microsoft_is_given_the_name_of_this_machine() -> None:
    from types import SimpleNamespace

    from mailbearer import login

    plan: Any = SimpleNamespace(profile=mailbearer.Provider.named("microsoft"), oauth={}, authorization={})
    loopback = login._loopback(plan)
    assert loopback is not None
    assert loopback.redirect_uri.rpartition(":")[0] == "http://localhost"
    assert loopback.redirect_uri.rpartition(":")[2].isdigit()
    loopback.close()


def test_nothing_of_it_is_imported_before_it_is_needed() -> None:
    names = ("oauthlib", "filelock", "keyring", "platformdirs", "dns")
    program = (
        f"import sys, mailbearer.aio, mailbearer.__main__; print([name for name in {names} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_browser_is_opened_where_none_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    from mailbearer.login import can_open_browser

    for name in ("BROWSER", "SSH_CONNECTION", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not can_open_browser()
    monkeypatch.setenv("DISPLAY", ":0")
    assert can_open_browser()
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")
    assert not can_open_browser()
    assert mailbearer.__version__
