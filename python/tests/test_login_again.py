"""Logging in with less and less said: again after a login, with a client of its own, and from the address alone."""

from __future__ import annotations

import threading
from typing import Any

import authserver
import pytest
from login_world import USER, World

import mailbearer
from discover_cases import StandIn
from mailbearer import login, login_plan, oauth
from mailbearer.__main__ import main


def test_to_log_in_again_nothing_need_be_said_again(mail_world: World) -> None:
    name, secret = mail_world.server["clients"]["secret"]
    file = mail_world.folder / "secret"
    file.touch(mode=0o600)
    file.write_text(secret)
    client = ("--client-id", name, "--client-secret-file", str(file))
    assert mail_world.run(*mail_world.to_login(*mail_world.places(), client=client)).returncode == 0
    before = mail_world.members()
    mail_world.server.revoke(USER)
    mail_world.change_grant(expires_at=0)
    done = mail_world.run("token", USER)
    assert f"run `mailbearer login {USER}`" in done.stderr
    done = mail_world.run("login", USER)
    assert done.returncode == 0, done.stderr
    after = mail_world.members()
    assert after["grant"].pop("refresh_token") != before["grant"].pop("refresh_token")
    assert after["grant"]["client_secret"] == secret
    del before["grant"], after["grant"]
    assert after == before
    assert mail_world.run("token", USER).returncode == 0


def test_a_damaged_login_is_no_help_and_no_hindrance(world: World) -> None:
    world.login()
    world.file().write_text("{")
    done = world.run("login", USER, "--no-discover")
    assert done.returncode == 2
    assert "--issuer" in done.stderr
    assert world.run(*world.to_login("--no-check")).returncode == 0


def test_a_client_is_registered_where_every_program_may(world: World) -> None:
    done = world.run(*world.to_login("--no-check", client=()))
    assert done.returncode == 0, done.stderr
    name = world.members()["client_id"]
    assert name.startswith("registered-")
    assert "client_secret" not in world.members()["grant"]
    # It is used again.
    assert world.run("login", USER, "--no-check", "--no-discover").returncode == 0
    assert world.members()["client_id"] == name
    assert world.run("token", USER).returncode == 0


def test_where_no_client_can_be_registered_the_steps_are_told(world: World) -> None:
    world.server.set(metadata={"registration_endpoint": world.server["token_endpoint"]})
    done = world.run(*world.to_login("--no-check", client=()))
    assert done.returncode == 2
    assert "registers no program that asks by itself" in done.stderr
    assert f"To have one for {USER}" in done.stderr


AUTOCONFIG = """<?xml version="1.0"?>
<clientConfig version="1.2"><emailProvider id="x">
<incomingServer type="imap"><hostname>imap.example.com</hostname><port>993</port><socketType>SSL</socketType>
<authentication>OAuth2</authentication><username>{user}</username></incomingServer>
</emailProvider><oAuth2><issuer>{issuer}</issuer><scope>mail offline_access</scope></oAuth2></clientConfig>"""
ISSUER = "https://id.example.com"
ADDRESS = "https://autoconfig.example.com/mail/config-v1.1.xml"


def discovering(world: World, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> list[str]:
    """Let the network be what a test says, and a visitor sit at the browser; what was opened is returned."""
    opened: list[str] = []

    def look_up(user: str, _context: object = None, _proxy: object = None) -> mailbearer.Discovered:
        stand_in = StandIn(answers)
        return mailbearer.discover(user, resolver=stand_in, opener=stand_in)

    def visit(url: str) -> None:
        opened.append(url)
        authserver.Visitor(USER).visit(url)

    monkeypatch.setattr(login_plan, "for_login", look_up)
    monkeypatch.setattr(login, "_open", visit)
    monkeypatch.setattr(login, "can_open_browser", lambda: True)
    return opened


@pytest.mark.parametrize("user", ["%EMAILADDRESS%", "%EMAILLOCALPART%"])
def test_from_the_address_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], user: str
) -> None:
    answers = {ADDRESS: {"status": 200, "body": AUTOCONFIG.format(issuer=ISSUER, user=user)}}
    metadata = oauth.metadata

    def of_the_issuer(https: Any, issuer: str) -> dict[str, Any]:
        assert issuer == ISSUER
        return metadata(https, world.server["issuer"])

    monkeypatch.setattr(oauth, "metadata", of_the_issuer)
    opened = discovering(world, monkeypatch, answers)
    assert main(["login", USER, "--store", "file", "--no-check"]) == 0
    assert "imap.example.com" in capsys.readouterr().out
    members = world.members()
    assert members["scopes"] == ["mail", "offline_access"]
    assert members["authorization"]["issuer"] == world.server["issuer"]
    # Where the user name is another one, it is looked up again.
    place = {"imap": {"host": "imap.example.com", "port": 993, "tls": "implicit"}}
    assert members["services"] == (place if user == "%EMAILADDRESS%" else None)
    assert len(opened) == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "mailbearer-login"]


def test_an_address_of_which_nothing_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = discovering(world, monkeypatch, {})
    assert main(["login", USER]) == 2
    assert "--issuer" in capsys.readouterr().err
    assert opened == []


def test_a_domain_at_a_provider_that_is_known(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    discovering(world, monkeypatch, {"MX example.com": [[0, "example-com.mail.protection.outlook.com."]]})
    assert main(["login", USER]) == 2
    said = capsys.readouterr()
    assert "Microsoft 365" in said.out
    assert "IMAP.AccessAsUser.All" in said.err
    assert not world.home.exists()
