"""A user with a machine: a home for mailbearer, a browser, and the command, against the authorization server."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import authserver
import mailservers

from mailbearer import oauth, store
from mailbearer.code_login import CodeLogin
from mailbearer.grant import Grant
from mailbearer.hiding import Hidden
from mailbearer.oauth_http import Https

USER = "joe@example.com"
SERVERS = pathlib.Path(authserver.HERE)
# Other programs may keep the machine busy: nothing here waits so long.
PATIENCE_SECONDS = 120
SCOPES = ["--scope", "mail", "--scope", "offline_access"]


class World:
    """What one test has.

    Attributes:
        home: where mailbearer keeps its data.
        environment: of the processes: they trust the tests' authorities, and nobody else.
    """

    def __init__(
        self, folder: pathlib.Path, server: authserver.AuthorizationServer, mail: mailservers.RealServers | None
    ) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.server = server
        self.mail = mail
        authorities = folder / "authorities.pem"
        files = [server["ca_file"], *([mail.ca_file] if mail else [])]
        authorities.write_text("".join(pathlib.Path(file).read_text() for file in files))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("MAILBEARER_", "SSH_"))},
            "MAILBEARER_HOME": str(self.home),
            "SSL_CERT_FILE": str(authorities),
            "REQUESTS_CA_BUNDLE": str(authorities),
            "BROWSER": self.browser("authserver.py"),
            "PYTHONWARNINGS": "error",
        }

    def browser(self, program: str, *arguments: str) -> str:
        """What BROWSER is to be: somebody who answers the pages as a user."""
        return " ".join([sys.executable, str(SERVERS / program), "%s", *(arguments or (USER,))])

    def places(self) -> list[str]:
        """The arguments that lead to Dovecot; without one, the login is not tried."""
        if self.mail is None:
            return ["--no-check"]
        ports = {protocol: self.mail.ports[f"{protocol}-implicit"] for protocol in ("imap", "pop3", "smtp")}
        return ["--unusual-port", *(f"--{protocol}=localhost:{port}" for protocol, port in ports.items())]

    def to_login(self, *arguments: str, client: Sequence[str] = ("--client-id", "native")) -> list[str]:
        """The arguments of a login at the authorization server."""
        fixed = ["--issuer", self.server["issuer"], "--store", "file", "--no-discover", *SCOPES]
        return ["login", USER, *fixed, *client, *arguments]

    def run(self, *arguments: str, input: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return subprocess.run(
            self.command(*arguments),
            input=input,
            capture_output=True,
            text=True,
            env=self.environment | environment,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def command(self, *arguments: str) -> list[str]:
        """The command as a list."""
        return [sys.executable, "-m", "mailbearer", *arguments]

    def login(self) -> None:
        """Store a login as the command does, without a process of its own: that is tested in ``test_login.py``."""
        authorization = {name: self.server[name] for name in oauth.ENDPOINTS}
        client = oauth.Client("native")
        login = CodeLogin(client, authorization, "http://127.0.0.1:9/", ["mail"], {"login_hint": USER})
        redirect, _ = authserver.Visitor(USER).visit(login.url, stop_at=login.redirect_uri)
        tokens = login.tokens(Https(), login.read(Hidden(redirect)))
        assert tokens.refresh_token is not None
        services = None
        if self.mail is not None:
            ports = {protocol: self.mail.ports[f"{protocol}-implicit"] for protocol in ("imap", "pop3", "smtp")}
            services = {name: {"host": "localhost", "port": port, "tls": "implicit"} for name, port in ports.items()}
        account = store.StoredAccount(USER, "file", "native", authorization, None, ("mail",), services)
        with store.locked(USER):
            store.save(account, Grant(tokens.refresh_token, tokens.access_token, tokens.expires_at))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a login that opens no browser; its output follows."""
        command = self.command(*self.to_login("--no-browser", *arguments))
        pipe = subprocess.PIPE
        environment = self.environment | {"PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)

    def file(self, end: str = ".json") -> pathlib.Path:
        """The file of the account."""
        return self.home / "accounts" / f"{USER}{end}"

    def members(self) -> dict[str, Any]:
        """What it says."""
        members: dict[str, Any] = json.loads(self.file().read_text())
        return members

    def change(self, **members: Any) -> None:
        """Change what it says."""
        self.file().write_text(json.dumps(self.members() | members))

    def change_grant(self, **members: Any) -> None:
        """Change what it says of the grant."""
        self.change(grant=self.members()["grant"] | members)


def address_in(lines: Any) -> str:
    """Read what a program prints until the address for the browser comes."""
    for line in lines:
        if found := re.search(r"https://\S*/auth\?\S+", line):
            return found[0]
    raise AssertionError("the program printed no address")
