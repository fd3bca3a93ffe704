"""Token sources: other programs, files, clients that act for themselves; and what authorization servers are told."""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from login_world import USER, World

import mailbearer
import mailbearer.testing
from mailbearer import ConfigError, TokenSourceFailed, oauth
from mailbearer.code_login import CodeLogin, NotTheAnswer
from mailbearer.hiding import Hidden
from mailbearer.oauth_http import Answer, Https

# ---- Commands and files ------------------------------------------------------------------------------------------


def test_a_command_prints_a_token() -> None:
    token = mailbearer.AccessToken("a-token")
    assert mailbearer.command("echo a-token")() == token
    assert mailbearer.command(["printf", "%s\n\n", "a-token"])() == token
    # No shell reads it.
    assert mailbearer.command("echo ~")() == mailbearer.AccessToken("~")


@pytest.mark.parametrize(
    ("words", "said", "permanent"),
    [
        (["false"], "failed with status 1: it said nothing", False),
        (["sh", "-c", "echo no network >&2; exit 3"], "failed with status 3: no network", False),
        (["sh", "-c", "echo a b"], "must print one token", False),
        (["true"], "must print one token", False),
        (["/nowhere/oama"], "could not be run: No such file", True),
    ],
)
def test_a_command_that_fails_says_why(words: list[str], said: str, permanent: bool) -> None:
    with pytest.raises(TokenSourceFailed, match=said) as raised:
        mailbearer.command(words)()
    assert raised.value.permanent == permanent


def test_a_command_complains_without_secrets() -> None:
    secret = "ya29.A0ARrdaM9x8Zk2mQ7"
    program = f"echo {secret}; echo cannot renew {secret}, refresh_token=1//09abcDEF >&2; exit 1"
    with pytest.raises(TokenSourceFailed, match="cannot renew") as raised:
        mailbearer.command(["sh", "-c", program])()
    assert secret not in str(raised.value)
    assert "1//09abcDEF" not in str(raised.value)


def test_a_command_has_its_time() -> None:
    begun = time.monotonic()
    with pytest.raises(TokenSourceFailed, match=r"did not end within 0\.2 seconds"):
        mailbearer.command("sleep 30", timeout=0.2)()
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("words", ["", [], 'echo "', [b"echo"]])
def test_what_is_no_command(words: Any) -> None:
    with pytest.raises(ConfigError, match="command"):
        mailbearer.command(words)


def test_a_file_is_read_each_time(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "token"
    source = mailbearer.token_file(path)
    with pytest.raises(TokenSourceFailed, match="cannot be read: No such file"):
        source()
    path.touch(mode=0o600)
    for token in ("first", "second"):
        path.write_text(f"{token}\n")
        assert source() == mailbearer.AccessToken(token)
    path.write_text("two words")
    with pytest.raises(TokenSourceFailed, match="one token"):
        source()
    path.chmod(0o644)
    with pytest.raises(TokenSourceFailed, match=f"chmod 600 {path}") as raised:
        source()
    assert raised.value.permanent


def test_check_takes_the_stored_login_the_command_and_standard_input(world: World) -> None:
    world.login()
    with mailbearer.testing.Server(flavour="dovecot") as server:
        token = server.issue_token(USER)
        world.change_grant(access_token=token)
        place = f"--imap=localhost:{server.port('imap')}"
        only = [
            "check",
            USER,
            "--no-pop3",
            "--no-smtp",
            "--unusual-port",
            place,
            "--ca-file",
            mailbearer.testing.ca_file(),
        ]
        assert world.run(*only).returncode == 0
        assert world.run(*only, input="another-token\n").returncode == 1
        assert world.run(*only, "--token-command", "echo another-token").returncode == 1


# ---- Clients that act for themselves -----------------------------------------------------------------------------


def test_an_application_of_microsofts_kind_acts_for_itself(world: World) -> None:
    # MSAL wants a tenant.
    authority = world.server["issuer"] + "/tenant"
    world.server.set(metadata={"issuer": authority})
    source = mailbearer.client_credentials(
        "microsoft",
        authority=authority,
        client_id="application",
        client_secret="the-secret-of-the-application",
        scopes=[],
    )
    first, seconds = source()
    assert seconds > 500
    assert source()[0] == first
    assert source(force_refresh=True)[0] != first
    wrong = mailbearer.client_credentials(
        "microsoft", authority=authority, client_id="application", client_secret="wrong", scopes=[]
    )
    with pytest.raises(TokenSourceFailed, match="invalid_client") as raised:
        wrong()
    assert raised.value.permanent


def test_a_service_account_of_google_names_the_mailbox(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, https_server: HttpsServer
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", mailbearer.testing.ca_file())
    key = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, text=True, check=True).stdout
    asked: list[dict[str, Any]] = []

    def answer(handler: Any, form: dict[str, str]) -> tuple[int, str]:
        import google.auth.jwt

        asked.append(google.auth.jwt.decode(form["assertion"], verify=False))
        return 200, json.dumps({"access_token": "ya29.of-joe", "expires_in": 3599, "token_type": "Bearer"})

    https_server.answer = answer
    file = tmp_path / "key.json"
    members = {"type": "service_account", "client_email": "robot@example.iam", "private_key": key}
    file.write_text(json.dumps(members | {"token_uri": https_server.url}))
    credentials = mailbearer.client_credentials("gmail", key_file=file, subject="joe@example.com")
    from mailbearer import tokens

    token = tokens.source(credentials, user="joe@example.com").get(False)
    assert token.token == mailbearer.AccessToken("ya29.of-joe")
    assert (asked[0]["sub"], asked[0]["scope"]) == ("joe@example.com", "https://mail.google.com/")


@pytest.mark.parametrize(
    ("provider", "arguments", "said"),
    [
        ("microsoft", {"tenant": "x"}, "client_id"),
        ("gmail", {"key_file": "/nowhere"}, "subject"),
        ("gmail", {"key_file": "/nowhere", "subject": "joe@example.com"}, "/nowhere cannot be read"),
        ("gmail", {"key_file": "/dev/null", "subject": "joe@example.com"}, "no key of a service account"),
        ("yahoo", {}, "provider is none of the known values"),
    ],
)
def test_what_client_credentials_want(provider: Any, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        mailbearer.client_credentials(provider, **arguments)


@pytest.mark.parametrize(
    ("package", "provider", "arguments"),
    [
        ("msal", "microsoft", {"tenant": "x", "client_id": "x", "client_secret": "x"}),
        ("google", "gmail", {"key_file": "/nowhere", "subject": "joe@example.com"}),
    ],
)
def test_a_package_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, package: str, provider: Any, arguments: dict[str, Any]
) -> None:
    missing = {"msal": ["msal"], "google": ["google.auth.transport.requests"]}[package]
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"pip install 'mailbearer\[{package}\]'"):
        mailbearer.client_credentials(provider, **arguments)


# ---- What is said to authorization servers -----------------------------------------------------------------------


class HttpsServer:
    """A server that answers as a test wants it."""

    def __init__(self) -> None:
        self.answer: Callable[[Any, dict[str, str]], tuple[int, str]] = lambda handler, form: (200, "{}")
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
                status, body = outer.answer(self, form)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", body)
                self.end_headers()
                self.wfile.write(body.encode())

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pathlib.Path(mailbearer.testing.ca_file()).with_name("localhost.pem"))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"https://localhost:{self._server.server_address[1]}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def https_server() -> Iterator[HttpsServer]:
    server = HttpsServer()
    yield server
    server.close()


def trusting(seconds: float = 20.0) -> Https:
    return Https(mailbearer.testing.client_context(), seconds)


def refreshed(server: HttpsServer, https: Https | None = None) -> Any:
    return oauth.refresh(https or trusting(), {"token_endpoint": server.url}, oauth.Client("x"), Hidden("old"))


def test_a_redirect_is_not_followed(https_server: HttpsServer) -> None:
    paths: list[str] = []

    def answer(handler: Any, form: dict[str, str]) -> tuple[int, str]:
        paths.append(handler.path)
        return 302, https_server.url + "/elsewhere"

    https_server.answer = answer
    with pytest.raises(TokenSourceFailed, match="status 302"):
        refreshed(https_server)
    assert paths == ["/token"]


def test_an_answer_has_bounds(https_server: HttpsServer) -> None:
    https_server.answer = lambda handler, form: (200, "x" * (2 << 20))
    with pytest.raises(TokenSourceFailed, match="more than a megabyte"):
        refreshed(https_server)

    def slow(handler: Any, form: dict[str, str]) -> tuple[int, str]:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.05)
        return 200, ""

    https_server.answer = slow
    with pytest.raises(TokenSourceFailed, match="cannot be reached: TimeoutError"):
        refreshed(https_server, trusting(0.3))


@pytest.mark.parametrize(
    ("status", "body", "said", "permanent"),
    [
        (200, "[]", "status 200 and without a token", False),
        (200, '{"access_token": ""}', "no access token", False),
        (200, '{"expires_in": "soon", "access_token": "x"}', "status 200", False),
        (400, '{"error": "invalid_grant"}', "^invalid_grant", True),
        (200, '{"error": "invalid_grant", "error_description": "said with 200"}', "said with 200", True),
        (503, '{"error": "invalid_grant"}', "^invalid_grant", False),
        (400, '{"error": "slow_down"}', "slow_down", False),
        (403, "<html>blocked", "status 403", False),
    ],
)
def test_answers_of_token_endpoints(
    https_server: HttpsServer, status: int, body: str, said: str, permanent: bool
) -> None:
    https_server.answer = lambda handler, form: (status, body)
    with pytest.raises(TokenSourceFailed, match=said) as raised:
        refreshed(https_server)
    assert raised.value.permanent == permanent


@pytest.mark.parametrize("said", [3600, "3600", 3600.0])
def test_seconds_may_be_a_text(https_server: HttpsServer, said: Any) -> None:
    https_server.answer = lambda handler, form: (200, json.dumps({"access_token": "x", "expires_in": said}))
    assert abs(refreshed(https_server).expires_at - time.time() - 3600) < 30


@pytest.mark.parametrize(
    "url", ["http://localhost/", "ftp://localhost/", "https://", "https://a:b@localhost/", "https://[/"]
)
def test_addresses_that_are_not_asked(url: str) -> None:
    with pytest.raises(ConfigError, match="address of an authorization server"):
        trusting().get(url)


class Scripted:
    """A token endpoint and a clock for the device grant: each answer comes at once."""

    def __init__(self, *errors: str | None) -> None:
        self.errors = [*errors]
        self.now = 0.0
        self.waits: list[float] = []

    def post(self, url: str, form: Hidden) -> Answer:
        error = self.errors.pop(0)
        if error == "broken":
            raise TokenSourceFailed("no network")
        body = {"error": error} if error else {"access_token": "x", "refresh_token": "y"}
        return Answer(400 if error else 200, Hidden(json.dumps(body)))

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def wait(self, seconds: float = 300.0) -> Any:
        device = oauth.DeviceLogin(Hidden("code"), "AB-CD", "https://x", None, seconds, 5.0)
        endpoint = {"token_endpoint": "https://x"}
        https: Any = self
        return oauth.wait_for_device(https, endpoint, oauth.Client("x"), device, sleep=self.sleep, now=lambda: self.now)


def test_a_device_asks_as_slowly_as_it_is_told() -> None:
    server = Scripted("authorization_pending", "slow_down", "slow_down", "broken", None)
    assert server.wait().access_token.reveal() == "x"
    # RFC 8628 section 3.5: five seconds more each time, and slower after a time-out.
    assert server.waits == [5, 5, 10, 15, 30]


def test_a_device_gives_up_when_its_code_has_ended_or_was_denied() -> None:
    server = Scripted(*["authorization_pending"] * 100)
    with pytest.raises(oauth.Refused, match="not entered in time"):
        server.wait(30.0)
    assert sum(server.waits) < 30
    with pytest.raises(oauth.Refused, match="access_denied") as raised:
        Scripted("access_denied").wait()
    assert raised.value.permanent


def test_what_a_terminal_would_obey_is_not_shown(https_server: HttpsServer) -> None:
    https_server.answer = lambda handler, form: (
        200,
        json.dumps({"device_code": "x", "user_code": "\x1b]0;", "verification_uri": "https://x", "expires_in": 5}),
    )
    with pytest.raises(TokenSourceFailed, match="cannot be read"):
        oauth.begin_device_login(trusting(), {"device_authorization_endpoint": https_server.url}, oauth.Client("x"), [])


AUTHORIZATION = {
    "issuer": "https://id.example",
    "authorization_endpoint": "https://id.example/auth",
    "token_endpoint": "https://id.example/token",
}


def test_the_address_for_the_browser() -> None:
    login = CodeLogin(
        oauth.Client("me"), AUTHORIZATION, "http://localhost:1234", ["a", "b"], {"access_type": "offline"}
    )
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(login.url).query)
    assert query["scope"] == ["a b"]
    assert query["code_challenge_method"] == ["S256"]
    assert query["access_type"] == ["offline"]
    assert len(query["state"][0]) >= 43
    assert login.url != CodeLogin(oauth.Client("me"), AUTHORIZATION, "http://localhost:1234", [], {}).url
    state = query["state"][0]
    # Browsers add the slash.
    assert login.read(Hidden(f"http://localhost:1234/?code=c&state={state}&iss=https://id.example")).reveal() == "c"
    assert login.read(Hidden(f"http://localhost:1234?code=c&state={state}")).reveal() == "c"
    for other in ("http://localhost:1235/", "https://localhost:1234/", "http://localhost:1234/x", "http://[", ""):
        with pytest.raises(NotTheAnswer):
            login.read(Hidden(f"{other}?code=c&state={state}"))
    with pytest.raises(oauth.Refused, match="says access_denied: no") as raised:
        login.read(Hidden(f"http://localhost:1234/?error=access_denied&error_description=no&state={state}"))
    assert raised.value.error == "access_denied"
    with pytest.raises(oauth.Refused, match="another authorization server"):
        login.read(Hidden(f"http://localhost:1234/?error=access_denied&state={state}&iss=https://evil.example"))
    with pytest.raises(oauth.Refused):
        login.read(Hidden(f"http://localhost:1234/?state={state}"))


def test_profiles_say_what_goes_with_the_address() -> None:
    from mailbearer.code_login import parameters_of

    gmail = mailbearer.Provider.named("gmail").oauth
    made = parameters_of(gmail, USER, [])
    assert made == {"access_type": "offline", "prompt": "consent", "login_hint": USER}
    mailru = mailbearer.Provider.named("mailru").oauth
    assert "login_hint" not in parameters_of(mailru, USER, [])
    assert parameters_of(None, USER, ["offline_access"]) == {"login_hint": USER, "prompt": "consent"}
    assert os.sep
