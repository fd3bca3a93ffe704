"""``mailbearer demo``: logs in to a Gmail-like server on loopback, fails on purpose, and stays logged in."""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from typing import Any

from . import clients
from .account import sessions
from .connection import connect
from .errors import LoginFailed
from .events import SessionEvent
from .policy import SessionPolicy
from .settings import MailProtocol
from .testing import Server
from .words import counted

_USER = "joe@gmail.com"

# So short that an hour of a real token passes while somebody looks on.
_TOKEN_SECONDS = 4.0
_AT_END = SessionPolicy(renewal="at_end", token_lifetime=_TOKEN_SECONDS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.description = (
        "Starts a Gmail-like server on this machine, logs in over IMAP, POP3 and SMTP, fails on purpose, "
        "and stays logged in through the end of tokens and sessions."
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration and return its exit status."""
    begun = time.monotonic()

    def say(text: str) -> None:
        # In one piece: three programs speak at the same time.
        print(f"{time.monotonic() - begun:6.2f} s  {text}\n", end="", flush=True)

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
    say(f"3. Stay logged in, while tokens live for {_TOKEN_SECONDS:g} s: three programs at the same time")
    problems += _stay(say)
    say("")
    say("All went as it should." if problems == 0 else f"{problems} things went wrong: this is a bug.")
    return 0 if problems == 0 else 1


def _work(server: Server, say: Callable[[str], None]) -> None:
    token = server.issue_token(_USER)
    with clients.imap(_USER, token, **server.at("imap")) as imap:
        _, count = imap.select("INBOX")
        _, data = imap.fetch("1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        subject = next(part[1] for part in data if isinstance(part, tuple)).decode().splitlines()[0]
        say(f"   IMAP  {_login(imap)}; {int(count[0] or b'0')} messages, the first: {subject}")
    pop3 = clients.pop3(_USER, server.issue_token(_USER), **server.at("pop3"))
    messages, octets = pop3.stat()
    say(f"   POP3  {_login(pop3)}; {messages} messages of {octets} octets")
    pop3.quit()
    message = _message("Hello from mailbearer", to=_USER)
    # 1,500 octets: too long for one line of SMTP, which mailbearer knows.
    with clients.smtp(_USER, server.issue_token(_USER, octets=1500), **server.at("smtp", "starttls")) as smtp:
        smtp.send_message(message)
        say(f"   SMTP  {_login(smtp)}; a message was sent and delivered: {len(server.messages(_USER))} messages now")


def _message(subject: str, to: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = _USER, to, subject
    message.set_content("It works.")
    return message


def _login(client: object) -> str:
    connection = client._connection  # type: ignore[attr-defined]
    trips = counted(connection.round_trips, "round trip")
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


Say = Callable[[str], None]


def _stay(say: Say) -> int:
    with Server(token_lifetime=_TOKEN_SECONDS) as server, ThreadPoolExecutor(3) as pool:
        programs = (_stay_in_mailbox, _delete_through_a_cut, _send_through_a_cut)
        running = [pool.submit(program, server, say) for program in programs]
        return sum(0 if one.result() else 1 for one in running)


def _connections(protocol: MailProtocol, server: Server, say: Say, policy: SessionPolicy) -> Iterator[Any]:
    """Three sessions, and a line for each thing that happens to them."""
    name = protocol.upper()

    def show(event: SessionEvent) -> None:
        match event.kind:
            case "fetching_token":
                say(f"   {name:5} a token is fetched")
            case "online":
                say(f"   {name:5} online: session {event.generation}")
            case "renewing":
                say(f"   {name:5} {event.text} is near: let go within {event.seconds:.1f} s")
            case "ended":
                say(f"   {name:5} the session ended: {event.cause}")
            case _:
                return

    def token() -> tuple[str, float]:
        return server.issue_token(_USER), _TOKEN_SECONDS

    with sessions(protocol, _USER, token, policy=policy, on_event=show, **server.at(protocol)) as connections:
        yield from itertools.islice(connections, 3)


def _stay_in_mailbox(server: Server, say: Say) -> bool:
    """IMAP, renewed ahead of the end: the mailbox is found again."""
    mailboxes = []
    for connection in _connections("imap", server, say, SessionPolicy(token_lifetime=_TOKEN_SECONDS)):
        with connection:
            mailbox = connection.resumed.selected.name if connection.resumed else "INBOX"
            mailboxes.append(mailbox)
            _, count = connection.client.select(mailbox)
            say(
                f"   IMAP  in {mailbox} again: {count[0].decode()} messages"
                if connection.resumed
                else "   IMAP  in INBOX"
            )
            while len(mailboxes) < 3 and not connection.wait(0.2):
                connection.client.noop()
    return mailboxes == ["INBOX"] * 3


def _delete_through_a_cut(server: Server, say: Say) -> bool:
    """POP3, ended by the server: what it did not commit is deleted again."""
    again: list[int] = []
    for connection in _connections("pop3", server, say, _AT_END):
        with connection:
            pop3 = connection.client
            if connection.generation == 1:
                pop3.dele(1)
                say("   POP3  message 1 is deleted, and QUIT never comes")
                while True:
                    pop3.noop()
                    time.sleep(0.2)
            if connection.generation == 2:
                again = connection.resumed.uncommitted_deletes
                for number in again:
                    pop3.dele(number)
                say(f"   POP3  the cut undid the deletion of {again}: done again, and QUIT")
            if connection.generation == 3:
                left = pop3.stat()[0]
                say(f"   POP3  now it is deleted: {left} messages are left")
    return again == [1]


def _send_through_a_cut(server: Server, say: Say) -> bool:
    """SMTP: a message whose fate is unknown is looked for, and not just sent again."""
    subject = "Sent once"
    outcome = None
    for connection in _connections("smtp", server, say, _AT_END):
        with connection:
            if connection.generation == 1:
                while True:
                    connection.client.noop()
                    time.sleep(0.2)
            if connection.generation == 2:
                server.set_fault("after_dot", "drop")
                say("   SMTP  a message is sent, and the connection is lost behind its final dot")
                connection.client.send_message(_message(subject, to="eve@gmail.com"))
            if connection.generation == 3:
                outcome = connection.resumed.submission
                say(f"   SMTP  whether it was taken is {outcome}: it is looked for, found, and not sent again")
    found = [one for one in server.submitted() if subject.encode() in one["content"]]
    return outcome == "unknown" and len(found) == 1
