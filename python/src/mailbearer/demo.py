"""``mailbearer demo``: logs in to a Gmail-like server on loopback, and shows what failures look like."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from email.message import EmailMessage

from . import clients
from .connection import connect
from .errors import LoginFailed
from .settings import MailProtocol
from .testing import Server

_USER = "joe@gmail.com"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.description = (
        "Starts a Gmail-like server on this machine, logs in over IMAP, POP3 and SMTP, and fails on purpose."
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration and return its exit status."""
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.2f} s  {text}", flush=True)

    say("A Gmail-like server is started on 127.0.0.1, with TLS; nothing leaves this machine.")
    with Server() as server:
        say("")
        say("1. Log in, and do real work")
        _work(server, say)
        say("")
        say("2. Fail, and know why")
        problems = _failures(server, say)
    with Server(flavour="dovecot") as server:
        problems += _scope(server, say)
    say("")
    say("All went as it should." if problems == 0 else f"{problems} things went wrong: this is a bug.")
    return 0 if problems == 0 else 1


def _work(server: Server, say: Callable[[str], None]) -> None:
    token = server.issue_token(_USER)
    with clients.imap(_USER, token, **server.at("imap")) as imap:
        _, count = imap.select("INBOX")
        _, data = imap.fetch("1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        subject = next(part[1] for part in data if isinstance(part, tuple)).decode().splitlines()[2]
        say(f"   IMAP  {_login(imap)}; {int(count[0] or b'0')} messages, the first: {subject}")
    pop3 = clients.pop3(_USER, server.issue_token(_USER), **server.at("pop3"))
    messages, octets = pop3.stat()
    say(f"   POP3  {_login(pop3)}; {messages} messages of {octets} octets")
    pop3.quit()
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = _USER, _USER, "Hello from mailbearer"
    message.set_content("It works.")
    # 1,500 octets: too long for one line of SMTP, which mailbearer knows.
    with clients.smtp(_USER, server.issue_token(_USER, octets=1500), **server.at("smtp", "starttls")) as smtp:
        smtp.send_message(message)
        say(f"   SMTP  {_login(smtp)}; a message was sent and delivered: {len(server.messages(_USER))} messages now")


def _login(client: object) -> str:
    connection = client._connection  # type: ignore[attr-defined]
    trips = "1 round trip" if connection.round_trips == 1 else f"{connection.round_trips} round trips"
    return f"{connection.tls_version}, {connection.mechanism}, {trips}"


def _failures(server: Server, say: Callable[[str], None]) -> int:
    expired = server.issue_token(_USER, lifetime=0.0)
    problems = _expect(server, say, "an expired token", "imap", expired, "token_rejected")
    server.refuse("protocol_disabled")
    problems += _expect(server, say, "IMAP switched off", "imap", server.issue_token(_USER), "protocol_disabled")
    server.refuse("too_many_connections")
    problems += _expect(server, say, "too many connections", "imap", server.issue_token(_USER), "too_many_connections")
    server.refuse(None)
    server.set_fault("upgrade", "inject")
    token = server.issue_token(_USER)
    problems += _expect(server, say, "somebody in the middle", "smtp", token, "plaintext_injected", tls="starttls")
    return problems


def _scope(server: Server, say: Callable[[str], None]) -> int:
    token = server.issue_token(_USER, scope="calendar")
    return _expect(server, say, "a token for the calendar", "imap", token, "insufficient_scope")


def _expect(
    server: Server,
    say: Callable[[str], None],
    what: str,
    protocol: MailProtocol,
    token: str,
    cause: str,
    tls: str = "implicit",
) -> int:
    try:
        connect(protocol, _USER, token, **server.at(protocol, tls)).close()  # type: ignore[arg-type]
    except LoginFailed as error:
        say(f"   {what}: {error.cause}, {error.advice}")
        say(f"      {error}")
        return 0 if error.cause == cause else 1
    say(f"   {what}: logged in, which must not be")
    return 1
