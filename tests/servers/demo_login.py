"""``make demo-login``: from a mail address to a session that lasts, against real servers on this machine.

The authorization server is oidc-provider, the mail server Dovecot, which asks it about each token. The person at the
consent page is played by ``authserver.Visitor``. Nothing leaves this machine, and nothing is left on it.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import authserver
import mailservers

USER = "joe@example.com"
# So short that an hour of a real token passes while somebody looks on.
TOKEN_SECONDS = 3

PROGRAM = """\
import mailbearer

for connection in mailbearer.sessions("imap", "joe@example.com"):
    with connection:
        connection.client.select("INBOX")
        while not connection.wait(1):
            connection.client.noop()
"""
# The same with more to see, until it is over: Dovecot leaves sessions alone whose token has ended, others do not.
SHOWN = """
import sys, time, mailbearer
begun = time.monotonic()
def show(event):
    if event.kind in ("fetching_token", "online", "renewing"):
        what = {"fetching_token": "a token is fetched", "online": f"online: session {event.generation}",
                "renewing": "its token is nearly over"}[event.kind]
        print(f"{time.monotonic() - begun:5.1f} s  {what}", flush=True)
policy = mailbearer.SessionPolicy(ends_with_token=True, login_interval=0.001, backoff_base=0.2, backoff_max=0.5)
try:
    for connection in mailbearer.sessions("imap", sys.argv[1], policy=policy, on_event=show):
        with connection:
            connection.client.select("INBOX")
            if connection.generation == int(sys.argv[2]):
                break
            while not connection.wait(0.1):
                connection.client.noop()
except mailbearer.NeedsUser as error:
    print("NeedsUser:", error)
"""


class Demo:
    """A machine without any login, and the servers."""

    def __init__(
        self, folder: pathlib.Path, authorization: authserver.AuthorizationServer, mail: mailservers.RealServers
    ) -> None:
        self.home = folder / "home"
        self.issuer = authorization["issuer"]
        self.problems = 0
        authorities = folder / "authorities.pem"
        authorities.write_text("".join(pathlib.Path(file).read_text() for file in (authserver.CA_FILE, mail.ca_file)))
        visitor = pathlib.Path(authserver.__file__).resolve()
        self.environment = os.environ | {
            "MAILBEARER_HOME": str(self.home),
            "SSL_CERT_FILE": str(authorities),
            "BROWSER": f"{sys.executable} {visitor} %s {USER}",
        }
        ports = {protocol: mail.ports[f"{protocol}-implicit"] for protocol in ("imap", "pop3", "smtp")}
        self.places = [f"--{protocol}=localhost:{port}" for protocol, port in ports.items()]

    def say(self, text: str = "") -> None:
        """Print a line."""
        print(text, flush=True)

    def run(self, *arguments: str, shown: str | None = None, status: int = 0) -> None:
        """Show a command, and what it prints."""
        self.say(f"   $ mailbearer {shown or ' '.join(arguments)}")
        self._show([sys.executable, "-m", "mailbearer", *arguments], status)

    def program(self, sessions: int) -> None:
        """Run the program for so many sessions."""
        self._show([sys.executable, "-c", SHOWN, USER, str(sessions)], 0)

    def _show(self, command: list[str], status: int) -> None:
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, env=self.environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.STDOUT, text=True
        ) as running:
            assert running.stdout is not None
            for line in running.stdout:
                self.say(f"     {shortened(line.rstrip())}")
        if running.returncode != status:
            self.problems += 1
            self.say(f"     … ended with status {running.returncode}, and not {status}: this is a bug.")
        self.say()


def shortened(line: str) -> str:
    """Cut the long address for the browser, and mask a token: this one is on a screen."""
    line = re.sub(r"(https://localhost:\d+/auth\?)\S{60,}", r"\1response_type=code&…", line)
    return f"{line[:6]}…" if re.fullmatch(r"[\w-]{40,}", line) else line


def main() -> int:
    """Show it."""
    begun = time.monotonic()
    print(
        "An authorization server (oidc-provider) and a mail server (Dovecot) are started on this machine …", flush=True
    )
    with (
        authserver.AuthorizationServer(access_token_seconds=TOKEN_SECONDS) as authorization,
        mailservers.RealServers(introspection=authorization.description) as mail,
        tempfile.TemporaryDirectory() as folder,
    ):
        demo = Demo(pathlib.Path(folder), authorization, mail)
        demo.say(
            f"\n1. Log in, once. A browser opens; here, a program presses its button. Tokens live {TOKEN_SECONDS} s.\n"
        )
        login = ["login", USER, "--issuer", demo.issuer, "--client-id", "native", "--store", "file"]
        scopes = ["--scope", "mail", "--scope", "offline_access"]
        shown = f"login {USER} --issuer {demo.issuer} --client-id native --store file …"
        demo.run(*login, *scopes, "--no-discover", "--unusual-port", *demo.places, shown=shown)
        for path in sorted(demo.home.rglob("*")):
            mode = oct(path.stat().st_mode & 0o777)[2:]
            demo.say(f"     {mode}  $MAILBEARER_HOME/{path.relative_to(demo.home)}")
        demo.say()
        demo.run("accounts")
        demo.say("2. A program, without a line of OAuth in it, outlives its tokens:\n")
        for line in PROGRAM.splitlines():
            demo.say(f"     {line}".rstrip())
        demo.say()
        demo.program(4)
        refreshes = authorization.counts()["refreshes"]
        demo.say(f"     The login was renewed {refreshes} times; each refresh token was used once, and replaced.\n")
        demo.say("3. mutt, msmtp and mbsync take tokens from a command:\n")
        demo.run("token", USER)
        demo.say("4. The user takes the login back, in the settings of the account:\n")
        authorization.revoke(USER)
        demo.program(99)
        demo.say("5. And forget it:\n")
        demo.run("logout", USER)
        demo.run("accounts")
        problems = demo.problems + (refreshes < 4)
    said = "All went as it should." if problems == 0 else f"{problems} things went wrong: this is a bug."
    print(f"{said} It took {time.monotonic() - begun:.0f} s.")
    return 0 if problems == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
