"""Paths to a real Dovecot that turn into black holes: nothing passes any more, nothing is closed, and nobody is told.

    python tests/servers/paths.py                          # until its standard input ends
    python tests/servers/paths.py COMMAND [ARGUMENT...]    # as long as the command runs

The first prints a line of JSON; the command of the second has the same in MAILBEARER_PATHS:

    {"kind": "namespaces", "control": 40000, "user": "joe@example.com", "ca": "-----BEGIN CERTIFICATE-----..."}

Each connection to the port ``control`` of 127.0.0.1 has a path of its own, and a mailbox. Both sides speak lines of
JSON. First comes the name of the mailbox, which is made anew; the answer says where the path begins:

    {"mailbox": "kotlin"}
    {"host": "10.77.3.65", "port": 40001}

Then each line is a call, answered by what it returns:

    {"call": "token", "lives": 600}    a token that Dovecot takes for so many seconds
    {"call": "deliver"}                a message comes into the mailbox
    {"call": "cut"}                    the connections that are open lead into a black hole from now on; new ones work

Dovecot lives in a network namespace, and a router in another one between it and the programs: it drops packets without
a word. That needs root and iproute2 on Linux. Elsewhere a relay swallows what it reads, and says so: TCP itself notices
nothing then, and its timers are not tried.
"""

from __future__ import annotations

import contextlib
import imaplib
import itertools
import json
import os
import pathlib
import shutil
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any, Self

import mailservers

USER = "joe@example.com"
# Most paths of a run.
PATHS_MAX = 16
# /proc/net/tcp, column "st".
ESTABLISHED = "01"


class Path:
    """A way from here to Dovecot: others have their own."""

    def __init__(self, host: str, port: int, cut: Callable[[], None]) -> None:
        self.host, self.port = host, port
        self.cut = cut


class Namespaces:
    """Dovecot in a network namespace, behind a router in another one, which can be told to drop packets."""

    kind = "namespaces"

    def __init__(self) -> None:
        _end_leftovers()
        self._router, self._host = f"mb{os.getpid()}r", f"mb{os.getpid()}h"
        self._net = _free_net()
        self._here = f"{self._net}.1"
        self._numbers = itertools.count(65)
        self._addresses = [f"{self._net}.{64 + number}" for number in range(PATHS_MAX + 1)]
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
        try:
            self._lay_out()
            self._facts = self._start_dovecot()
        except BaseException:
            self.close()
            raise
        self.ca_file = self._facts["ca_file"]
        # The one that is never cut.
        self.open_end = (self._addresses[0], self._port)

    @property
    def _port(self) -> int:
        return int(self._facts["ports"]["imap-implicit"])

    def path(self) -> Path:
        """Give a path that nobody has."""
        host = f"{self._net}.{next(self._numbers)}"
        return Path(host, self._port, lambda: self._cut(host))

    def _lay_out(self) -> None:
        router, host, net = self._router, self._host, self._net
        outside, inside = f"mb{os.getpid()}a", f"mb{os.getpid()}c"
        for command in (
            f"netns add {router}",
            f"netns add {host}",
            f"link add {outside} type veth peer name outside netns {router}",
            f"addr add {self._here}/30 dev {outside}",
            f"link set {outside} up",
            f"-n {router} link add {inside} type veth peer name dovecot netns {host}",
            f"-n {router} addr add {net}.2/30 dev outside",
            f"-n {router} addr add {net}.5/30 dev {inside}",
            f"-n {router} link set outside up",
            f"-n {router} link set {inside} up",
            f"-n {host} addr add {net}.6/30 dev dovecot",
            f"-n {host} link set dovecot up",
            f"-n {host} link set lo up",
            f"-n {host} route add default via {net}.5",
            f"-n {router} route add {net}.64/26 via {net}.6",
            f"route add {net}.64/26 via {net}.2",
            *(f"-n {host} addr add {address}/32 dev lo" for address in self._addresses),
        ):
            _ip(command)
        _ip(f"netns exec {router} sh -c", "echo 1 > /proc/sys/net/ipv4/ip_forward")

    def _start_dovecot(self) -> dict[str, Any]:
        program = [sys.executable, mailservers.__file__, "start", str(self.directory)]
        addresses = [word for address in self._addresses for word in ("--address", address)]
        output = subprocess.check_output(["ip", "netns", "exec", self._host, *program, *addresses], text=True)
        facts: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
        return facts

    def _cut(self, host: str) -> None:
        ports = [port for address, port in self._connections() if address == host]
        for port in ports:
            there = f"from {self._here} to {host} ipproto tcp sport {port}"
            back = f"from {host} to {self._here} ipproto tcp dport {port}"
            for way in (there, back):
                _ip(f"-n {self._router} rule add {way} blackhole")

    def _connections(self) -> list[tuple[str, int]]:
        """Return the connections that Dovecot has: at which of its addresses, and from which port of ours."""
        table = _ip(f"netns exec {self._host} cat /proc/net/tcp").splitlines()[1:]
        open_ones = [line.split()[1:3] for line in table if line.split()[3] == ESTABLISHED]
        found = []
        for near, far in open_ones:
            octets = bytes.fromhex(near.partition(":")[0])[::-1]
            found.append((".".join(map(str, octets)), int(far.partition(":")[2], 16)))
        return found

    def close(self) -> None:
        """End Dovecot, and take all of it away."""
        mailservers.RealServers(self.directory).stop()
        for name in (self._router, self._host):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


class Relays:
    """Dovecot on loopback, and relays that swallow what they read."""

    kind = "relay"

    def __init__(self) -> None:
        self._servers = mailservers.RealServers().start()
        self.ca_file = self._servers.ca_file
        self._port = self._servers.ports["imap-implicit"]
        self.open_end = ("localhost", self._port)
        self._relays: list[mailservers.Relay] = []

    def path(self) -> Path:
        """Give a path that nobody has."""
        relay = mailservers.Relay(self._port)
        self._relays.append(relay)
        return Path("localhost", relay.port, relay.swallow)

    def close(self) -> None:
        """End all of it."""
        for relay in self._relays:
            relay.close()
        self._servers.stop()


class Paths:
    """All of it: a context manager. ``kind`` says which."""

    def __enter__(self) -> Self:
        """Make them, in namespaces where the machine lets us."""
        subprocess.run([mailservers.HERE / "install.sh"], check=True, stdout=sys.stderr)
        try:
            if shutil.which("ip") is None or os.geteuid() != 0:
                raise RuntimeError("it takes root, and ip of iproute2")
            self._below: Namespaces | Relays = Namespaces()
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            words = getattr(error, "stderr", None) or error
            print(f"NO NETWORK NAMESPACES HERE, and so relays in place of black holes: {words}", file=sys.stderr)
            self._below = Relays()
        self.kind = self._below.kind
        self.ca_file = self._below.ca_file
        return self

    def __exit__(self, *_: object) -> None:
        self._below.close()

    def path(self) -> Path:
        """Give a path that nobody has."""
        return self._below.path()

    def mailbox(self, name: str) -> Mailbox:
        """Make a mailbox anew."""
        return Mailbox(*self._below.open_end, self.ca_file, name)


class Mailbox:
    """A mailbox, and a connection to it that is never cut. ``name`` is as it is on the wire."""

    def __init__(self, host: str, port: int, ca_file: str, name: str) -> None:
        self._name = f'"{name}"'
        trusted = ssl.create_default_context(cafile=ca_file)
        self._imap = imaplib.IMAP4_SSL(host, port, ssl_context=trusted)
        token = mailservers.token(USER)
        self._imap.authenticate("XOAUTH2", lambda _: f"user={USER}\1auth=Bearer {token}\1\1".encode())
        self._imap.delete(self._name)
        assert self._imap.create(self._name)[0] == "OK"

    def deliver(self) -> None:
        """Let a message come."""
        status, words = self._imap.append(self._name, "", "", b"Subject: hello\r\n\r\nhello\r\n")
        assert status == "OK", words

    def close(self) -> None:
        """Delete it."""
        self._imap.delete(self._name)
        self._imap.logout()


class Control(socketserver.StreamRequestHandler):
    """One path and its mailbox, for programs in other languages."""

    server: Listener

    def handle(self) -> None:
        """Serve, until the program has gone."""
        path = self.server.paths.path()
        mailbox = self.server.paths.mailbox(json.loads(self.rfile.readline())["mailbox"])
        self._say({"host": path.host, "port": path.port})
        numbers = itertools.count()
        calls: dict[str, Callable[..., Any]] = {
            # One like the one before would be no newer one.
            "token": lambda lives: mailservers.token(USER, expires_in=lives, jti=next(numbers)),
            "deliver": mailbox.deliver,
            "cut": path.cut,
        }
        with contextlib.closing(mailbox):
            for line in self.rfile:
                call = json.loads(line)
                self._say({"returned": calls[call.pop("call")](**call)})

    def _say(self, answer: dict[str, Any]) -> None:
        self.wfile.write(json.dumps(answer).encode() + b"\n")


class Listener(socketserver.ThreadingTCPServer):
    """Listens for programs that want a path."""

    daemon_threads = True

    def __init__(self, paths: Paths) -> None:
        super().__init__(("127.0.0.1", 0), Control)
        self.paths = paths


def _ip(command: str, *last: str) -> str:
    return subprocess.run(["ip", *command.split(), *last], check=True, capture_output=True, text=True).stdout


def _free_net() -> str:
    """Find a net that nobody here has a way to: other runs of this have theirs."""
    for number in range(256):
        net = f"10.77.{(os.getpid() + number) % 256}"
        if not _ip(f"route show root {net}.0/24").strip():
            return net
    raise RuntimeError("all nets are taken")


def _end_leftovers() -> None:
    """Delete the namespaces of runs that were killed."""
    for name in (line.split()[0] for line in _ip("netns list").splitlines()):
        process = name[2:-1]
        if name[:2] == "mb" and process.isdigit() and not pathlib.Path(f"/proc/{process}").exists():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def main() -> int:
    """Serve until the input ends, or as long as a command runs."""
    with Paths() as paths, Listener(paths) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        ca = pathlib.Path(paths.ca_file).read_text()
        facts = json.dumps({"kind": paths.kind, "control": listener.server_address[1], "user": USER, "ca": ca})
        print(f"paths to Dovecot: {paths.kind}", file=sys.stderr)
        if len(sys.argv) > 1:
            return subprocess.call(sys.argv[1:], env=os.environ | {"MAILBEARER_PATHS": facts})
        print(facts, flush=True)
        sys.stdin.read()
        listener.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
