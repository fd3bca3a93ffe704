"""A server that is hostile to mail clients, over real TLS: one port for each way to be so.

    python tests/servers/hostile.py                          # until its standard input ends
    python tests/servers/hostile.py COMMAND [ARGUMENT...]    # as long as the command runs

The first prints a line of JSON; the command of the second has the same in MAILBEARER_HOSTILE:

    {"ca_file": "/.../ca.pem", "control": 40000, "attacks": [
        {"name": "endless line", "protocol": "imap", "tls": "implicit", "port": 40001,
         "ends": "limit", "causes": ["limit_exceeded"]}, ...]}

``ends`` says what ends the login: ``limit`` (the client has seen enough), ``server`` (the server closes), ``deadline``
(nothing but the client's time), ``login``: it works, and what is hostile comes afterwards, until the client closes; or
``answer``: it works, and what is hostile comes in place of an answer, to IDLE or DONE in IMAP and else to NOOP.
``causes`` are those of which the client has to name one. Whatever the server does, it sends as fast as the client takes
it. Who connects to the port ``control`` gets, as JSON, what came to pass on each port, and no more:

    {"40001": {"connections": 1, "open": 0, "octets": 131072}, ...}

A connection counts as open until the client has ended it, also where the attack is over.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import select
import selectors
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import handshakes

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The testing server's: it is for localhost and 127.0.0.1.
CERTIFICATE = ROOT / "python" / "src" / "mailbearer" / "testing" / "localhost.pem"
CA_FILE = CERTIFICATE.with_name("ca.pem")

BLOCK_OCTETS = 65_536
# Each octet comes long before any time-out that begins anew with it.
DRIP_SECONDS = 0.1
# A client that has not gone by then has failed its test long ago.
LONGEST_SECONDS = 120.0

CHALLENGE = b"eyJzdGF0dXMiOiI0MDEifQ=="  # {"status":"401"}


@dataclass
class Record:
    """What came to pass on a port."""

    connections: int = 0
    open: int = 0
    octets: int = 0


class Connection:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, record: Record) -> None:
        sock.settimeout(LONGEST_SECONDS)
        self._sock = sock
        self._context = context
        self._record = record
        self._tls: handshakes.TlsServer | None = None
        self._heard = b""
        self.tag = b""

    def start_tls(self) -> None:
        self._sock = self._context.wrap_socket(self._sock, server_side=True)

    def start_tls_of(self, version: int) -> None:
        """Begin a TLS that can send handshake messages later."""
        self._tls = handshakes.TlsServer(self._sock, CERTIFICATE, version)

    def start_tls_without_certificate(self) -> None:
        """Begin a TLS in which nobody says who they are: a client must have asked for that."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("aNULL:@SECLEVEL=0")
        self._sock = context.wrap_socket(self._sock, server_side=True)

    def begin_handshake(self) -> None:
        """Answer the ClientHello with the first half of what is due."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        handshake = self._context.wrap_bio(incoming, outgoing, server_side=True)
        while not outgoing.pending:
            incoming.write(self._sock.recv(BLOCK_OCTETS))
            with contextlib.suppress(ssl.SSLWantReadError):
                handshake.do_handshake()
        answer = outgoing.read()
        self.say(answer[: len(answer) // 2])
        # It is on its way before a reset throws away what is not.
        time.sleep(DRIP_SECONDS)

    def say(self, data: bytes) -> None:
        (self._tls or self._sock).sendall(data)
        self._record.octets += len(data)

    def flood(self, data: bytes) -> None:
        """Send it again and again, until the client ends it."""
        threading.Thread(target=self._notice_the_end, daemon=True).start()
        block = data * max(1, BLOCK_OCTETS // len(data))
        while True:
            self.say(block)

    def flood_with_handshakes(self) -> None:
        """Ask for new keys, or for a new handshake, again and again, and read no answer, until the client ends it."""
        threading.Thread(target=self._notice_the_end, daemon=True).start()
        assert self._tls is not None
        ask = self._tls.ask_for_keys if self._tls.version == handshakes.TLS_1_3 else self._tls.ask_for_handshake
        while True:
            ask()

    def _notice_the_end(self) -> None:
        """Stop writing to a client that has closed: whether its system takes what is on its way is no matter of it."""
        poll = select.poll()
        poll.register(self._sock, select.POLLRDHUP)
        poll.poll(LONGEST_SECONDS * 1000)
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def drip(self, first: bytes, data: bytes) -> None:
        """Send octet after octet, for ever."""
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in first:
            self.say(bytes([octet]))
            time.sleep(DRIP_SECONDS)
        while True:
            for octet in data:
                self.say(bytes([octet]))
                time.sleep(DRIP_SECONDS)

    def hear(self) -> bytes:
        """Read a line, and remember its tag."""
        while b"\n" not in self._heard:
            data = (self._tls or self._sock).recv(BLOCK_OCTETS)
            if not data:
                raise ConnectionResetError("the client has closed")
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        self.tag = line.split(b" ")[0].strip()
        return line

    def say_goodbye(self) -> None:
        """End TLS, as a server does that stops, and the stream below it."""
        if isinstance(self._sock, ssl.SSLSocket):
            # The client's own goodbye is not waited for.
            self._sock.settimeout(0)
            with contextlib.suppress(OSError):
                self._sock.unwrap()
        self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Drop the connection, without a goodbye of TLS or TCP."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def wait_for_the_end(self) -> None:
        """Return when the client has closed."""
        self._sock.settimeout(LONGEST_SECONDS)
        with contextlib.suppress(OSError, ValueError):
            while socket.socket.recv(self._sock, BLOCK_OCTETS):
                pass

    def close(self) -> None:
        if self._tls is not None:
            self._tls.close()
        self._sock.close()


@dataclass(frozen=True)
class Words:
    """How a protocol says things. ``%`` stands for the tag of the client's command."""

    greeting: bytes
    greeting_begins: bytes
    greeting_goes_on: bytes
    starttls_offered: bytes
    starttls_begins: bytes
    capabilities: bytes
    capabilities_begin: bytes
    capability: bytes
    challenge: bytes
    untagged: bytes
    refused: bytes
    logged_in: bytes
    later: bytes


WORDS = {
    "imap": Words(
        greeting=b"* OK ready\r\n",
        greeting_begins=b"* OK ",
        greeting_goes_on=b"x",
        starttls_offered=b"* CAPABILITY IMAP4rev1 STARTTLS\r\n% OK\r\n",
        starttls_begins=b"% OK begin\r\n",
        capabilities=b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER\r\n% OK\r\n",
        capabilities_begin=b"* CAPABILITY IMAP4rev1",
        capability=b"* CAPABILITY X-ONE X-TWO X-THREE X-FOUR\r\n",
        challenge=b"+ ",
        untagged=b"* 1 EXISTS\r\n",
        refused=b"% NO ",
        logged_in=b"% OK in\r\n",
        later=b"* 1 EXISTS\r\n",
    ),
    "pop3": Words(
        greeting=b"+OK ready\r\n",
        greeting_begins=b"+OK ",
        greeting_goes_on=b"x",
        starttls_offered=b"+OK\r\nSTLS\r\n.\r\n",
        starttls_begins=b"+OK begin\r\n",
        capabilities=b"+OK\r\nSASL XOAUTH2 OAUTHBEARER\r\n.\r\n",
        capabilities_begin=b"+OK\r\nSASL",
        capability=b"X-CAPABILITY ONE TWO\r\n",
        challenge=b"+ ",
        untagged=b"+ \r\n",
        refused=b"-ERR ",
        logged_in=b"+OK in\r\n",
        later=b"+OK and again\r\n",
    ),
    "smtp": Words(
        greeting=b"220 ready ESMTP\r\n",
        greeting_begins=b"220-",
        greeting_goes_on=b"x\r\n220-",
        starttls_offered=b"250-ready\r\n250 STARTTLS\r\n",
        starttls_begins=b"220 begin\r\n",
        capabilities=b"250-ready\r\n250 AUTH XOAUTH2 OAUTHBEARER\r\n",
        capabilities_begin=b"250-ready\r\n250-",
        capability=b"250-X-CAPABILITY ONE TWO\r\n",
        challenge=b"334 ",
        untagged=b"535-no\r\n",
        refused=b"535-",
        logged_in=b"235 in\r\n",
        later=b"250 and again\r\n",
    ),
}


class Dialogue:
    """A server up to the place where it becomes hostile."""

    def __init__(self, connection: Connection, words: Words, starttls: bool) -> None:
        self.connection = connection
        self.words = words
        self._starttls = starttls

    def say(self, data: bytes) -> None:
        self.connection.say(data.replace(b"%", self.connection.tag))

    def to_first_question(self) -> None:
        """Go on to the first question about capabilities."""
        self.say(self.words.greeting)
        self.connection.hear()

    def to_starttls(self) -> None:
        """Go on to the place where STARTTLS was taken."""
        self.to_first_question()
        self.say(self.words.starttls_offered)
        self.connection.hear()
        self.say(self.words.starttls_begins)

    def to_capabilities(self) -> None:
        """Go on to the question about capabilities inside of TLS."""
        if self._starttls:
            self.to_starttls()
            self.connection.start_tls()
            self.connection.hear()
        else:
            self.to_first_question()

    def to_token(self) -> None:
        """Go on to the place where the token was sent."""
        self.to_capabilities()
        self.say(self.words.capabilities)
        command = self.connection.hear()
        if len(command.split()) < (4 if self.connection.tag != b"AUTH" else 3):
            self.say(self.words.challenge + b"\r\n")
            tag = self.connection.tag
            self.connection.hear()
            self.connection.tag = tag

    def to_answer(self) -> None:
        """Go on to the place where the client has logged in, and waits for the answer to its next command."""
        self.to_token()
        self.say(self.words.logged_in)
        self.connection.hear()


Attack = Callable[[Dialogue], None]
ATTACKS: list[tuple[Attack, dict[str, Any]]] = []


def attack(
    ends: str,
    *causes: str,
    tls: tuple[str, ...] = ("implicit",),
    protocols: tuple[str, ...] = ("imap", "pop3", "smtp"),
    plain: bool = False,
) -> Callable[[Attack], Attack]:
    """Name what a client has to make of it. ``plain``: it begins without TLS, also on a port of implicit TLS."""

    def add(function: Attack) -> Attack:
        facts = {"ends": ends, "causes": list(causes), "tls": tls, "protocols": protocols, "plain": plain}
        ATTACKS.append((function, facts))
        return function

    return add


# ---- Before the greeting ---------------------------------------------------------------------------------------------


@attack("deadline", "timed_out", plain=True, protocols=("imap",))
def silence_in_place_of_tls(one: Dialogue) -> None:
    one.connection.wait_for_the_end()


@attack("deadline", "timed_out", plain=True, protocols=("imap",))
def slow_tls(one: Dialogue) -> None:
    # The head of a record of 16 KiB, which holds a ServerHello.
    one.connection.drip(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03", b"\x00")


@attack("limit", "wrong_tls_mode", "tls_failed", plain=True, protocols=("imap",))
def garbage_in_place_of_tls(one: Dialogue) -> None:
    one.connection.flood(garbage())


# What ends a handshake says nothing of certificates: it is no reason to give up for good (issue 13).


@attack("server", "connection_lost", plain=True, protocols=("imap",))
def close_in_place_of_tls(one: Dialogue) -> None:
    one.connection.say_goodbye()


@attack("server", "connection_lost", plain=True, protocols=("imap", "smtp"))
def reset_in_place_of_tls(one: Dialogue) -> None:
    one.connection.reset()


@attack("server", "connection_lost", plain=True, protocols=("imap", "pop3"))
def close_in_handshake(one: Dialogue) -> None:
    one.connection.begin_handshake()
    one.connection.say_goodbye()


@attack("server", "connection_lost", plain=True, protocols=("imap", "pop3"))
def reset_in_handshake(one: Dialogue) -> None:
    one.connection.begin_handshake()
    one.connection.reset()


# The token is for nobody who is not known (issue 13, point 11): also where a program's options allow such ciphers.


@attack("server", "tls_failed", plain=True, protocols=("imap",))
def no_certificate(one: Dialogue) -> None:
    one.connection.start_tls_without_certificate()
    one.to_token()
    one.say(one.words.logged_in)


@attack("deadline", "timed_out", plain=True, protocols=("pop3",))
def key_updates_in_place_of_greeting(one: Dialogue) -> None:
    one.connection.start_tls_of(handshakes.TLS_1_3)
    one.connection.flood_with_handshakes()


@attack("deadline", "timed_out")
def silence(one: Dialogue) -> None:
    one.connection.wait_for_the_end()


# ---- The greeting ----------------------------------------------------------------------------------------------------


@attack("deadline", "timed_out", tls=("implicit", "starttls"))
def slow_greeting(one: Dialogue) -> None:
    one.connection.drip(one.words.greeting_begins, one.words.greeting_goes_on)


@attack("limit", "limit_exceeded", tls=("implicit", "starttls"))
def endless_line(one: Dialogue) -> None:
    one.say(one.words.greeting_begins)
    one.connection.flood(b"x")


@attack("limit", "protocol_violation")
def endless_empty_lines(one: Dialogue) -> None:
    one.connection.flood(b"\r\n")


@attack("limit", "protocol_violation", tls=("implicit", "starttls"))
def garbage_as_greeting(one: Dialogue) -> None:
    one.connection.flood(garbage())


@attack("limit", "protocol_violation")
def nuls(one: Dialogue) -> None:
    one.connection.flood(b"\0")


@attack("limit", "protocol_violation")
def nul_in_greeting(one: Dialogue) -> None:
    one.say(one.words.greeting.replace(b"ready", b"re\0ady"))
    one.connection.wait_for_the_end()


@attack("server", "connection_lost")
def half_a_greeting(one: Dialogue) -> None:
    one.say(one.words.greeting[:-4])
    one.connection.say_goodbye()


@attack("server", "connection_lost")
def reset_in_greeting(one: Dialogue) -> None:
    one.say(one.words.greeting[:-4])
    one.connection.reset()


# ---- The capabilities ------------------------------------------------------------------------------------------------


@attack("limit", "limit_exceeded", tls=("implicit", "starttls"))
def endless_capability_line(one: Dialogue) -> None:
    one.to_first_question()
    one.say(one.words.capabilities_begin)
    one.connection.flood(b" X-CAPABILITY")


@attack("limit", "limit_exceeded", tls=("implicit", "starttls"))
def endless_capabilities(one: Dialogue) -> None:
    one.to_first_question()
    one.say(one.words.capabilities_begin + b"\r\n")
    one.connection.flood(one.words.capability)


@attack("deadline", "timed_out")
def slow_capabilities(one: Dialogue) -> None:
    one.to_first_question()
    one.connection.drip(one.words.capabilities_begin + b"\r\n", one.words.capability)


@attack("limit", "limit_exceeded", protocols=("imap",), tls=("implicit", "starttls"))
def huge_literal(one: Dialogue) -> None:
    one.to_first_question()
    one.say(b"* CAPABILITY {2147483647}\r\n")
    one.connection.flood(b"x")


@attack("limit", "protocol_violation", protocols=("imap",))
def literal_beyond_any_integer(one: Dialogue) -> None:
    one.to_first_question()
    one.say(b"* LIST () {340282366920938463463374607431768211456}\r\n")
    one.connection.flood(b"x")


@attack("limit", "limit_exceeded", protocols=("imap",))
def endless_literals(one: Dialogue) -> None:
    one.to_first_question()
    one.connection.flood(b"* LIST () {1000}\r\n" + b"x" * 1000 + b"\r\n")


# ---- STARTTLS --------------------------------------------------------------------------------------------------------


@attack("limit", "plaintext_injected", tls=("starttls",))
def flood_behind_starttls(one: Dialogue) -> None:
    one.to_first_question()
    one.say(one.words.starttls_offered)
    one.connection.hear()
    one.say(one.words.starttls_begins + one.words.capabilities)
    one.connection.flood(one.words.capability)


@attack("deadline", "timed_out", tls=("starttls",))
def silence_behind_starttls(one: Dialogue) -> None:
    one.to_starttls()
    one.connection.wait_for_the_end()


@attack("server", "connection_lost", "tls_failed", tls=("starttls",))
def close_behind_starttls(one: Dialogue) -> None:
    one.to_starttls()
    one.connection.say_goodbye()


# ---- The login -------------------------------------------------------------------------------------------------------


@attack("limit", "limit_exceeded", tls=("implicit", "starttls"))
def endless_challenge(one: Dialogue) -> None:
    one.to_token()
    one.say(one.words.challenge)
    one.connection.flood(b"QUJD")


@attack("limit", "protocol_violation")
def endless_challenges(one: Dialogue) -> None:
    one.to_token()
    one.connection.flood(one.words.challenge + CHALLENGE + b"\r\n")


@attack("limit", "protocol_violation")
def challenge_after_challenge(one: Dialogue) -> None:
    one.to_token()
    while True:
        one.say(one.words.challenge + CHALLENGE + b"\r\n")
        one.connection.hear()


@attack("limit", "protocol_violation", "limit_exceeded")
def endless_untagged(one: Dialogue) -> None:
    one.to_token()
    one.connection.flood(one.words.untagged)


@attack("deadline", "timed_out", tls=("implicit", "starttls"))
def slow_verdict(one: Dialogue) -> None:
    one.to_token()
    one.connection.drip(one.words.refused.replace(b"%", one.connection.tag), b"x")


@attack("limit", "limit_exceeded")
def endless_verdict(one: Dialogue) -> None:
    one.to_token()
    one.say(one.words.refused)
    one.connection.flood(b"no ")


@attack("deadline", "timed_out")
def silence_behind_token(one: Dialogue) -> None:
    one.to_token()
    one.connection.wait_for_the_end()


@attack("deadline", "timed_out", plain=True, protocols=("smtp",))
def hello_requests_behind_token(one: Dialogue) -> None:
    one.connection.start_tls_of(handshakes.TLS_1_2)
    one.to_token()
    one.connection.flood_with_handshakes()


@attack("limit", "protocol_violation")
def garbage_behind_token(one: Dialogue) -> None:
    one.to_token()
    one.connection.flood(garbage())


@attack("server", "connection_lost")
def reset_behind_token(one: Dialogue) -> None:
    one.to_token()
    one.connection.reset()


# ---- After the login -------------------------------------------------------------------------------------------------


@attack("login")
def flood_of_lines(one: Dialogue) -> None:
    one.to_token()
    one.say(one.words.logged_in)
    one.connection.flood(one.words.later)


@attack("login")
def flood_without_line_end(one: Dialogue) -> None:
    one.to_token()
    one.say(one.words.logged_in)
    one.connection.flood(b"x")


# ---- In place of an answer -------------------------------------------------------------------------------------------


@attack("answer", "timed_out")
def no_answer(one: Dialogue) -> None:
    one.to_answer()
    one.connection.wait_for_the_end()


@attack("answer", "timed_out", plain=True, protocols=("smtp",))
def hello_requests_in_place_of_an_answer(one: Dialogue) -> None:
    one.connection.start_tls_of(handshakes.TLS_1_2)
    one.to_answer()
    one.connection.flood_with_handshakes()


@attack("answer", "timed_out", plain=True, protocols=("imap",))
def key_updates_in_place_of_an_answer(one: Dialogue) -> None:
    one.connection.start_tls_of(handshakes.TLS_1_3)
    one.to_answer()
    one.connection.flood_with_handshakes()


@attack("answer", "timed_out", protocols=("imap",))
def done_without_an_answer(one: Dialogue) -> None:
    one.to_answer()
    one.say(b"+ idling\r\n")
    one.connection.hear()
    one.connection.wait_for_the_end()


@attack("answer", "session_limit", protocols=("imap",))
def goodbye_without_a_close(one: Dialogue) -> None:
    one.to_answer()
    one.say(b"* BYE Session expired, please login again.\r\n")
    one.connection.wait_for_the_end()


def garbage() -> bytes:
    return random.Random(20261125).randbytes(BLOCK_OCTETS)


# ---- The server ------------------------------------------------------------------------------------------------------


@dataclass
class Port:
    """A way to be hostile, and where."""

    name: str
    protocol: str
    tls: str
    ends: str
    causes: list[str]
    port: int = 0
    attack: Attack = field(default=lambda _: None, repr=False)
    plain: bool = False
    record: Record = field(default_factory=Record)

    def facts(self) -> dict[str, Any]:
        names = ("name", "protocol", "tls", "port", "ends", "causes")
        return {name: getattr(self, name) for name in names}


class Hostile:
    """Listens on all ports; each connection has a thread."""

    def __init__(self) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(CERTIFICATE)
        self._listeners = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._control = self._listen(None)
        self.ports = [self._open(*one) for one in self._all()]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def facts(self) -> dict[str, Any]:
        return {"ca_file": str(CA_FILE), "control": self._control, "attacks": [one.facts() for one in self.ports]}

    def _all(self) -> list[tuple[Attack, dict[str, Any], str, str]]:
        return [
            (function, facts, protocol, tls)
            for function, facts in ATTACKS
            for tls in facts["tls"]
            for protocol in facts["protocols"]
        ]

    def _open(self, function: Attack, facts: dict[str, Any], protocol: str, tls: str) -> Port:
        name = function.__name__.replace("_", " ")
        one = Port(name, protocol, tls, facts["ends"], facts["causes"], attack=function)
        one.plain = facts["plain"] or tls == "starttls"
        one.port = self._listen(one)
        return one

    def _listen(self, port: Port | None) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        self._listeners.register(listener, selectors.EVENT_READ, port)
        return int(listener.getsockname()[1])

    def _accept(self) -> None:
        while True:
            for key, _ in self._listeners.select():
                sock, _ = key.fileobj.accept()  # type: ignore[union-attr]
                target, arguments = (self._tell, (sock,)) if key.data is None else (self._serve, (key.data, sock))
                threading.Thread(target=target, args=arguments, daemon=True).start()

    def _tell(self, sock: socket.socket) -> None:
        with self._lock:
            facts = {one.port: asdict(one.record) for one in self.ports}
        with sock, contextlib.suppress(OSError):
            sock.sendall(json.dumps(facts).encode())

    def _serve(self, port: Port, sock: socket.socket) -> None:
        record = port.record
        with self._lock:
            record.connections += 1
            record.open += 1
        connection = Connection(sock, self._context, record)
        # However it ends, the client has gone, or the attack is over.
        with contextlib.suppress(OSError, ValueError):
            if not port.plain:
                connection.start_tls()
            port.attack(Dialogue(connection, WORDS[port.protocol], port.tls == "starttls"))
            connection.wait_for_the_end()
        connection.close()
        with self._lock:
            record.open -= 1


def main() -> int:
    """Serve until the input ends, or as long as a command runs."""
    facts = json.dumps(Hostile().facts)
    if len(sys.argv) > 1:
        return subprocess.call(sys.argv[1:], env=os.environ | {"MAILBEARER_HOSTILE": facts})
    print(facts, flush=True)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
