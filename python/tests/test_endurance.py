"""Programs that work through 50 expiries of their token and lose nothing: one for each protocol, with usual clients.

Each session ends because the server ends it, in the middle of whatever the program does, with the provider's words or
without any. ``MAILBEARER_TOKEN_SECONDS`` sets how long a token lives, ``MAILBEARER_EXPIRIES`` how many there are.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from typing import Any, Literal

import pytest

import mailbearer
from mailbearer import SessionEvent, SessionPolicy
from mailbearer.testing import Server

USER = "joe@gmail.com"
TOKEN_SECONDS = float(os.environ.get("MAILBEARER_TOKEN_SECONDS", "1.0"))
EXPIRIES = int(os.environ.get("MAILBEARER_EXPIRIES", "50"))
# A connection that is cut on purpose counts as a failure: without a limit the waits would grow. And sessions of a
# second are held back, but for this interval.
AT_END = SessionPolicy(renewal="at_end", backoff_base=0.05, backoff_max=0.1, login_interval=0.001)


class Account:
    """A mailbox on a server of its own, whose tokens live for a short time."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.causes: Counter[str] = Counter()
        self.tokens = 0

    def token(self) -> tuple[str, float]:
        self.tokens += 1
        return self.server.issue_token(USER), TOKEN_SECONDS

    def note(self, event: SessionEvent) -> None:
        if event.kind == "ended":
            self.causes[str(event.cause)] += 1

    @property
    def expiries(self) -> int:
        return self.causes["token_expired"]

    def sessions(self, protocol: Any, client: Any) -> Any:
        return mailbearer.sessions(
            protocol,
            USER,
            self.token,
            client=client,
            policy=AT_END,
            on_event=self.note,
            **self.server.at(protocol),
        )


def message(number: int) -> bytes:
    # Content that says that all is over: it must not be taken for the server's word.
    return b"Subject: number %d\r\n\r\n* BYE Session expired\r\n-ERR session expired\r\n421 4.7.0 closing\r\n" % number


def number_of(content: bytes) -> int:
    found = re.search(rb"^Subject: number (\d+)", content, re.MULTILINE)
    assert found is not None, content
    return int(found[1])


# ---- The programs ---------------------------------------------------------------------------------------------------


def watch_mailbox(account: Account) -> dict[str, int]:
    """IMAP: wait in IDLE and fetch what comes, in the mailbox in which the session before was."""
    fetched: Counter[int] = Counter()
    last_uid = 0
    idled = 0
    delivered = Delivery(account)
    for connection in account.sessions("imap", "imapclient"):
        with connection:
            imap = connection.client
            mailbox = "INBOX"
            if connection.resumed is not None:
                assert connection.resumed.selected is not None, "the session before was in a mailbox"
                mailbox = connection.resumed.selected.name
            imap.select_folder(mailbox)
            while True:
                for uid in sorted(uid for uid in imap.search(["UID", f"{last_uid + 1}:*"]) if uid > last_uid):
                    content = imap.fetch([uid], ["BODY[]"])[uid][b"BODY[]"]
                    # Only a result that came counts; what was cut is fetched again.
                    fetched[number_of(content)] += 1
                    last_uid = uid
                if account.expiries >= EXPIRIES and delivered.is_complete(len(fetched)):
                    break
                imap.idle()
                imap.idle_check(timeout=0.1)
                imap.idle_done()
                idled += 1
        if account.expiries >= EXPIRIES and delivered.is_complete(len(fetched)):
            break
    assert set(fetched) == set(range(delivered.count)), "a message was lost"
    assert set(fetched.values()) == {1}, "a message was fetched twice"
    return {"sessions": connection.generation, "messages": delivered.count, "idles": idled}


class Delivery:
    """Delivers messages now and then, until the expiries are over."""

    def __init__(self, account: Account) -> None:
        self.count = 0
        self._account = account
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self._account.expiries < EXPIRIES:
            self._account.server.deliver(USER, message(self.count))
            self.count += 1
            time.sleep(TOKEN_SECONDS / 7)

    def is_complete(self, seen: int) -> bool:
        return not self._thread.is_alive() and seen == self.count


def empty_maildrop(account: Account) -> dict[str, int]:
    """POP3: take each message once; a deletion that a cut undid is done again, by the UID that outlives the session."""
    server = account.server
    numbers = itertools.count()
    taken: Counter[int] = Counter()
    done: set[str] = set()
    uids: dict[int, str] = {}
    undone = 0
    for connection in account.sessions("pop3", None):
        with connection:
            pop3 = connection.client
            again = [uids[number] for number in connection.resumed.uncommitted_deletes] if connection.resumed else []
            undone += len(again)
            uids = {int(number): uid for number, uid in (line.decode().split() for line in pop3.uidl()[1])}
            numbers_now = {uid: number for number, uid in uids.items()}
            for uid in again:
                assert uid in numbers_now, "a deletion that was not committed was done all the same"
                pop3.dele(numbers_now[uid])
            for uid in [uid for uid in numbers_now if uid not in done]:
                content = b"\r\n".join(pop3.retr(numbers_now[uid])[1])
                taken[number_of(content)] += 1
                done.add(uid)
                pop3.dele(numbers_now[uid])
            # Every second session is left in good order, and its deletions count; the others are cut.
            while not again and account.expiries < EXPIRIES:
                pop3.noop()
                time.sleep(0.01)
        if account.expiries >= EXPIRIES:
            break
        server.deliver(USER, message(next(numbers)))
        server.deliver(USER, message(next(numbers)))
    pop3 = mailbearer.pop3(USER, account.token()[0], **server.at("pop3"))
    for number, uid in (line.decode().split() for line in pop3.uidl()[1]):
        if uid not in done:
            taken[number_of(b"\r\n".join(pop3.retr(number)[1]))] += 1
        pop3.dele(number)
    pop3.quit()
    assert server.messages(USER) == [], "a message is left"
    assert set(taken) == set(range(next(numbers))), "a message was lost"
    assert set(taken.values()) == {1}, "a message was taken twice"
    return {"sessions": connection.generation, "messages": len(taken), "deletions_done_again": undone}


def send_messages(account: Account) -> dict[str, int]:
    """SMTP: each message is delivered once; what is unknown is looked up before it is sent again."""
    server = account.server
    chance = random.Random(7)
    number = 0
    outcomes: Counter[str] = Counter()
    armed = 0
    pending = False
    for connection in account.sessions("smtp", None):
        with connection:
            if pending:
                submission = connection.resumed.submission
                outcomes[submission] += 1
                # The testing server's list stands for the Sent folder.
                if submission == "unknown" and number in _numbers(server):
                    outcomes["found_sent"] += 1
                    number += 1
                pending = False
            while account.expiries < EXPIRIES:
                if armed == outcomes["found_sent"] and chance.random() < 0.002 / TOKEN_SECONDS:
                    # The connection will be lost between the final dot and its reply.
                    server.set_fault("after_dot", "drop")
                    armed += 1
                pending = True
                connection.client.send_message(_mail(number))
                pending = False
                number += 1
                time.sleep(0.005)
        if account.expiries >= EXPIRIES and not pending:
            break
    sent = _numbers(server)
    assert sent == list(range(number)), "a message was lost, or delivered twice"
    # The last fault may still wait for its message.
    assert 0 <= armed - outcomes["found_sent"] <= 1, "a message whose reply was lost was not told as unknown"
    return {"sessions": connection.generation, "messages": number, **outcomes}


def _mail(number: int) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = USER, "eve@gmail.com", f"number {number}"
    mail.set_content("421 4.7.0 closing\n.\nQUIT\n")
    return mail


def _numbers(server: Server) -> list[int]:
    return [int(str(one["content"], "ascii").partition("Subject: number ")[2].split()[0]) for one in server.submitted()]


# ---- The tests ------------------------------------------------------------------------------------------------------

PROGRAMS: list[Callable[[Account], dict[str, int]]] = [watch_mailbox, empty_maildrop, send_messages]


def test_programs_work_through_expiries(capsys: pytest.CaptureFixture[str]) -> None:
    """All of them at the same time, since most of it is waiting."""
    cuts: list[Literal["words", "silent"]] = ["words", "silent"]
    runs = list(itertools.product(PROGRAMS, cuts))
    with ThreadPoolExecutor(len(runs)) as pool:
        results = list(pool.map(lambda run: _run(*run), runs))
    with capsys.disabled():
        print(f"\nThrough {EXPIRIES} expiries of tokens that live {TOKEN_SECONDS} s:")
        for (program, cut), result in zip(runs, results, strict=True):
            print(f"    {program.__name__:15} {cut:7}", *(f"{name}={count}" for name, count in result.items()))
    for result in results:
        assert result["expiries"] >= EXPIRIES
        assert result["sessions"] >= EXPIRIES


def _run(program: Callable[[Account], dict[str, int]], cut: Literal["words", "silent"]) -> dict[str, int]:
    with Server(token_lifetime=TOKEN_SECONDS, cut=cut, messages=0) as server:
        account = Account(server)
        counts = program(account)
        refused = [event for event in server.events() if event.what == "refused"]
        assert refused == [], "a token was sent whose time was over"
        return {"expiries": account.expiries, "tokens": account.tokens, **counts}
