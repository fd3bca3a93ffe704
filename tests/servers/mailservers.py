#!/usr/bin/env python3
"""Real Dovecot and Postfix with OAuth on loopback, for the tests of every language.

    mailservers.py start DIR       starts both, prints one JSON object: ports, CA file, pids
    mailservers.py stop DIR        ends them
    mailservers.py token USER ...  prints a token that Dovecot accepts (or refuses: see --help)

In Python: ``with RealServers() as servers: ...``. Dovecot checks the tokens itself: they are JWTs, signed with HS256.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

HERE = pathlib.Path(__file__).resolve().parent
DOMAIN = "example.com"
HOST = "localhost"
_SECRET = "a secret of the tests"
_ISSUER = "https://issuer.test"
_PORTS = (
    "imap-starttls",
    "imap-implicit",
    "pop3-starttls",
    "pop3-implicit",
    "smtp-starttls",
    "smtp-implicit",
    "postfix-starttls",
    "postfix-implicit",
    "relay",
)


def token(
    user: str,
    *,
    expires_in: float = 3600,
    length: int | None = None,
    secret: str = _SECRET,
    **claims: Any,
) -> str:
    """Mint a JWT for a user; with ``length``, of exactly so many characters."""
    now = int(time.time())
    body = {
        "iss": _ISSUER,
        "sub": user,
        "email": user,
        "iat": min(now, now + int(expires_in)) - 1,
        "exp": now + int(expires_in),
        **claims,
    }
    if length is None:
        return _sign(body, secret)
    bare = len(_sign(body | {"pad": ""}, secret))
    # Base64 grows by four for three: one of the lengths near the estimate fits.
    for padding in range(max(0, (length - bare) * 3 // 4 - 4), length):
        made = _sign(body | {"pad": "x" * padding}, secret)
        if len(made) == length:
            return made
        if len(made) > length:
            # JSON may carry spaces behind its members, which changes nothing.
            break
    raise ValueError(f"no token of {length} characters can be made: {bare} are the least, or try one more")


def _sign(body: dict[str, Any], secret: str) -> str:
    head = _base64url(b'{"alg":"HS256","typ":"JWT"}') + "." + _base64url(json.dumps(body).encode())
    return head + "." + _base64url(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest())


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


class RealServers:
    """Dovecot (IMAP, POP3, submission, LMTP) and Postfix, whose mail goes to Dovecot.

    Attributes:
        ports: by ``imap-implicit``, ``imap-starttls``, ``pop3-…``, ``smtp-…`` (Dovecot's submission) and ``postfix-…``.
        ca_file: the certificate authority to trust.

    Args:
        directory: where they keep everything.
        addresses: those at which Dovecot listens besides loopback's; Postfix is not there then.
        introspection: what ``authserver`` describes of an authorization server, which Dovecot asks about tokens then
            (RFC 7662), in place of reading them itself.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        addresses: Sequence[str] = (),
        introspection: dict[str, Any] | None = None,
    ) -> None:
        self._introspection = introspection
        # Below /tmp: the path of a Unix socket has at most 107 characters, and the daemons' users must reach it.
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
        self.ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self.ca_file = str(self.directory / "tls" / "ca.pem")
        self._addresses = addresses

    def start(self) -> Self:
        """Install what is missing, write the configuration, and start; return when every port answers."""
        subprocess.run([HERE / "install.sh"], check=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        _make_certificates(self.directory / "tls", self._addresses)
        self.start_dovecot()
        if self._addresses:
            return self
        self._start_postfix()
        for port in self.ports.values():
            _wait_for(port)
        return self

    def stop(self) -> None:
        """End both and remove the directory."""
        self.stop_dovecot()
        _end(self.directory / "postfix" / "spool" / "pid" / "master.pid")
        shutil.rmtree(self.directory, ignore_errors=True)

    def start_dovecot(self) -> None:
        """Start Dovecot alone: after :meth:`stop_dovecot`, on the same ports."""
        run = self.directory / "run"
        # A stale socket of the anvil costs five seconds at the first login.
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        run.chmod(0o755)
        keys = self.directory / "keys" / "default" / "HS256"
        keys.mkdir(parents=True, exist_ok=True)
        (keys / "default").write_bytes(base64.b64encode(_SECRET.encode()))
        mail = self.directory / "mail"
        mail.mkdir(exist_ok=True)
        shutil.chown(mail, "dovecot", "dovecot")
        (self.directory / "oauth2.conf").write_text(self._oauth2())
        configuration = self.directory / "dovecot.conf"
        names = {name.replace("-", "_"): port for name, port in self.ports.items()}
        listen = ", ".join(("127.0.0.1", "127.0.0.2", *self._addresses))
        configuration.write_text(_DOVECOT.format(directory=self.directory, listen=listen, **names))
        _run(["dovecot", "-c", configuration], self.directory / "dovecot-start.log")
        for name in _PORTS[:6]:
            _wait_for(self.ports[name])

    def stop_dovecot(self) -> None:
        """End Dovecot alone, with all its sessions."""
        group = _group_of(self.directory / "run" / "master.pid")
        _end(self.directory / "run" / "master.pid")
        # A session that is in use outlives the master by half a minute.
        if group is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def _oauth2(self) -> str:
        if self._introspection is None:
            return _OAUTH2.format(directory=self.directory, issuer=_ISSUER)
        client, secret = self._introspection["clients"]["dovecot"]
        address = self._introspection["introspection_endpoint"].replace("https://", f"https://{client}:{secret}@")
        return _INTROSPECTION.format(address=address, ca_file=self._introspection["ca_file"])

    def kick(self, user: str) -> None:
        """End the sessions of a user, as an administrator does."""
        command = ["doveadm", "-c", self.directory / "dovecot.conf", "kick", user]
        subprocess.run(command, check=False, capture_output=True)

    def _start_postfix(self) -> None:
        home = self.directory / "postfix"
        for folder in ("etc", "spool", "data"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        shutil.chown(home / "data", "postfix")
        names = {name.replace("-", "_"): port for name, port in self.ports.items()}
        (home / "etc" / "main.cf").write_text(_POSTFIX_MAIN.format(directory=self.directory, home=home, **names))
        (home / "etc" / "master.cf").write_text(_POSTFIX_MASTER.format(**names))
        _run(["postfix", "-c", home / "etc", "start"], home / "start.log")

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def describe(self) -> dict[str, Any]:
        """Return what a test in another language needs to know."""
        return {
            "host": HOST,
            "ports": self.ports,
            "ca_file": self.ca_file,
            "domain": DOMAIN,
        }


class BadTls:
    """A port whose TLS nobody should accept: ``unknown-ca``, ``wrong-host`` or ``expired``."""

    def __init__(self, servers: RealServers, kind: str) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        folder = servers.directory / "tls"
        self._context.load_cert_chain(folder / f"{kind}.pem", folder / f"{kind}.key")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.received = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                client.settimeout(5)
                try:
                    with self._context.wrap_socket(client, server_side=True) as tls:
                        tls.sendall(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] come in\r\n")
                        self.received += tls.recv(65536)
                except OSError:
                    continue

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


class Relay:
    """A port that leads to another one, until it is told to swallow all: nothing passes then, and nothing is closed."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._swallowed: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self) -> None:
        """Let nothing pass any more on the connections that are open; new ones work."""
        for pair in self._pairs:
            self._swallowed.extend(pair)

    def cut(self) -> None:
        """Drop the connections that are open, without a goodbye of TLS; new ones work."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for one in pair:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def close(self) -> None:
        """Stop listening, and close all."""
        self._listener.close()
        for pair in self._pairs:
            for one in pair:
                one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._pairs.append((client, server))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if source not in self._swallowed:
                    target.sendall(data)
            if source not in self._swallowed:
                target.shutdown(socket.SHUT_WR)
        except OSError:
            return


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _run(command: list[Any], log: pathlib.Path) -> None:
    """Run a command that leaves a daemon behind: it must not hold our output."""
    with log.open("wb") as output:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} did not start:\n{log.read_text()}")


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"nothing listens on port {port}") from None
            time.sleep(0.02)


def _group_of(pid_file: pathlib.Path) -> int | None:
    try:
        return os.getpgid(int(pid_file.read_text()))
    except (OSError, ValueError):
        return None


def _end(pid_file: pathlib.Path) -> None:
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        return
    for _ in range(250):
        try:
            # A zombie that nobody has reaped is gone too.
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)


def _make_certificates(folder: pathlib.Path, more: Sequence[str] = ()) -> None:
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    def key(name: str) -> list[str]:
        return [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            f"{name}.key",
        ]

    constraints = [
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "keyUsage=critical,keyCertSign",
    ]
    for authority in ("ca", "other-ca"):
        subject = ["-subj", f"/CN=tests {authority}", "-days", "2"]
        openssl(
            "req",
            "-x509",
            *key(authority),
            "-out",
            f"{authority}.pem",
            *subject,
            *constraints,
        )
    for name, authority, host, days in (
        ("server", "ca", "localhost", "2"),
        ("unknown-ca", "other-ca", "localhost", "2"),
        ("wrong-host", "ca", "other.test", "2"),
        ("expired", "ca", "localhost", "0"),
    ):
        hosts = ("127.0.0.1", "127.0.0.2", *more) if host == "localhost" else ()
        addresses = "".join(f",IP:{address}" for address in hosts)
        (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{host}{addresses}\nextendedKeyUsage=serverAuth\n")
        openssl("req", "-new", *key(name), "-out", f"{name}.csr", "-subj", f"/CN={host}")
        signed = [
            "-CA",
            f"{authority}.pem",
            "-CAkey",
            f"{authority}.key",
            "-CAcreateserial",
            "-days",
            days,
        ]
        openssl(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            *signed,
            "-extfile",
            f"{name}.ext",
            "-out",
            f"{name}.pem",
        )
    for file in folder.iterdir():
        file.chmod(0o644)


_OAUTH2 = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={directory}/keys/
issuers = {issuer}
username_attribute = email
openid_configuration_url = {issuer}/.well-known/openid-configuration
"""

_INTROSPECTION = """\
introspection_mode = post
introspection_url = {address}
username_attribute = sub
active_attribute = active
active_value = true
tls_ca_cert_file = {ca_file}
"""

# From 127.0.0.1 to 127.0.0.1 Dovecot counts a connection as secured, and offers AUTH before TLS: 127.0.0.2 behaves as a
# network does. Without the auth penalty each failure would cost the next login seconds.
_DOVECOT = """\
base_dir = {directory}/run
state_dir = {directory}/run
log_path = {directory}/dovecot.log
listen = {listen}
protocols = imap pop3 submission lmtp
default_internal_user = dovecot
default_login_user = dovenull
mail_location = maildir:~/Maildir
mail_home = {directory}/mail/%u
mail_max_userip_connections = 100
auth_mechanisms = xoauth2 oauthbearer plain
auth_failure_delay = 0
ssl = required
ssl_cert = <{directory}/tls/server.pem
ssl_key = <{directory}/tls/server.key
disable_plaintext_auth = yes
hostname = localhost
postmaster_address = postmaster@example.com
submission_host = localhost
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {directory}/oauth2.conf
}}
userdb {{
  driver = static
  args = uid=dovecot gid=dovecot home={directory}/mail/%u allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap_starttls}
  }}
  inet_listener imaps {{
    port = {imap_implicit}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3_starttls}
  }}
  inet_listener pop3s {{
    port = {pop3_implicit}
    ssl = yes
  }}
}}
service submission-login {{
  chroot =
  inet_listener submission {{
    port = {smtp_starttls}
  }}
  inet_listener submissions {{
    port = {smtp_implicit}
    ssl = yes
  }}
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service auth {{
  unix_listener auth-client {{
    mode = 0666
  }}
}}
"""

_POSTFIX_MAIN = """\
compatibility_level = 3.6
queue_directory = {home}/spool
data_directory = {home}/data
maillog_file = {directory}/postfix.log
maillog_file_prefixes = {directory}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = localhost
mydestination =
alias_maps =
virtual_mailbox_domains = example.com
virtual_mailbox_maps = static:all
virtual_transport = lmtp:unix:{directory}/run/lmtp
default_transport = discard:
smtpd_peername_lookup = no
smtpd_tls_cert_file = {directory}/tls/server.pem
smtpd_tls_key_file = {directory}/tls/server.key
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {directory}/run/auth-client
smtpd_sasl_security_options = noanonymous
mynetworks =
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
"""

_POSTFIX_MASTER = """\
127.0.0.1:{postfix_starttls} inet n - n - - smtpd
127.0.0.1:{postfix_implicit} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
127.0.0.1:{relay} inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=no
  -o mynetworks=127.0.0.0/8
  -o smtpd_relay_restrictions=permit_mynetworks,reject
  -o smtpd_recipient_restrictions=permit_mynetworks,reject
cleanup unix n - n - 0 cleanup
qmgr    unix n - n 300 1 qmgr
tlsmgr  unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce  unix - - n - 0 bounce
defer   unix - - n - 0 bounce
trace   unix - - n - 0 bounce
proxymap unix - - n - - proxymap
lmtp    unix - - n - - lmtp
virtual unix - n n - - virtual
error   unix - - n - - error
retry   unix - - n - - error
discard unix - - n - - discard
anvil   unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Real mail servers with OAuth on loopback, for tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("start", "stop"):
        commands.add_parser(name).add_argument("directory")
    commands.choices["start"].add_argument("--address", action="append", default=[])
    commands.choices["start"].add_argument("--introspection", type=json.loads)
    minting = commands.add_parser("token")
    minting.add_argument("user")
    minting.add_argument("--expires-in", type=float, default=3600)
    minting.add_argument("--length", type=int)
    minting.add_argument("--forged", action="store_true")
    arguments = parser.parse_args()
    if arguments.command == "token":
        secret = "another secret" if arguments.forged else _SECRET
        print(
            token(
                arguments.user,
                expires_in=arguments.expires_in,
                length=arguments.length,
                secret=secret,
            )
        )
    elif arguments.command == "start":
        servers = RealServers(arguments.directory, arguments.address, arguments.introspection)
        print(json.dumps(servers.start().describe()))
    else:
        RealServers(arguments.directory).stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
