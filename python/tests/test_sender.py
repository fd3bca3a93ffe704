"""Senders, blocking and with asyncio: each message once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any

import pytest

import mailbearer
import mailbearer.aio
from mailbearer.outgoing import outgoing
from mailbearer.testing import Server

USER = "joe@gmail.com"
# A machine that is busy makes a test slow, and not wrong.
PATIENCE = 30.0


def mail(subject: str, *to: str, **fields: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = USER, ", ".join(to or ("ann@example.org",)), subject
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    message.set_content("hello\n.\n")
    return message


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


class Way:
    """A sender of one of the two kinds, as blocking code sees it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._loop = asyncio.new_event_loop() if kind == "asyncio" else None
        self._thread = threading.Thread(target=self._loop.run_forever) if self._loop else None

    def __enter__(self) -> Way:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop and self._thread:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def run(self, work: Callable[[], Any]) -> Any:
        """Do it in the event loop, where there is one."""

        async def here() -> Any:
            done = work()
            return await done if hasattr(done, "__await__") else done

        return asyncio.run_coroutine_threadsafe(here(), self._loop).result() if self._loop else work()

    @contextlib.contextmanager
    def sender(self, server: Server, token: Any = None, **options: Any) -> Iterator[Any]:
        def issue() -> tuple[str, float]:
            return server.issue_token(USER), 3600.0

        make = mailbearer.aio.sender if self._loop else mailbearer.sender
        sender: Any = make(USER, token or issue, **server.at("smtp"), **options)
        try:
            yield sender
        finally:
            self.close(sender)

    def send(self, sender: Any, message: Any, **options: Any) -> Any:
        return self.run(lambda: sender.send(message, **options))

    def result(self, receipt: Any, timeout: float = PATIENCE) -> mailbearer.SendOutcome:
        return self.run(lambda: receipt.result(timeout))  # type: ignore[no-any-return]

    def close(self, sender: Any, timeout: float | None = None) -> Any:
        return self.run(lambda: (sender.aclose if self._loop else sender.close)(timeout))


@pytest.fixture(params=["blocking", "asyncio"])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    with Way(request.param) as one:
        yield one


def subjects(server: Server) -> list[str]:
    lines = [line for one in server.submitted() for line in one["content"].decode().split("\r\n")]
    return [line.removeprefix("Subject: ") for line in lines if line.startswith("Subject: ")]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_queue_goes_in_its_order_over_one_login(way: Way, server: Server) -> None:
    with way.sender(server) as sender:
        receipts = [way.send(sender, mail(str(number))) for number in range(5)]
        outcomes = [way.result(receipt) for receipt in receipts]
        assert [one.status for one in outcomes] == ["sent"] * 5
        assert receipts[0].done()
        assert len(sender) == 0
    assert subjects(server) == ["0", "1", "2", "3", "4"]
    assert server.submitted()[0]["content"].endswith(b"hello\r\n.\r\n")
    what = [event.what for event in server.events()]
    assert (what.count("logged_in"), "QUIT" in what) == (1, True), what


def test_nothing_is_connected_before_the_first_message(way: Way, server: Server) -> None:
    with way.sender(server):
        pass
    assert server.events() == []


def test_sending_outlives_tokens(way: Way) -> None:
    with Server(flavour="outlook", token_lifetime=1.0) as server:
        token = lambda: (server.issue_token(USER), 1.0)  # noqa: E731
        with way.sender(server, token) as sender:
            for number in range(3):
                assert way.result(way.send(sender, mail(str(number)))).status == "sent"
                generations = [event.what for event in server.events()].count("logged_in")
                assert number or generations == 1
                time.sleep(0.9)
    assert subjects(server) == ["0", "1", "2"]


@pytest.mark.parametrize("stage", ["command"])
def test_what_was_not_accepted_is_sent_again(way: Way, server: Server, stage: str) -> None:
    with way.sender(server) as sender:
        assert way.result(way.send(sender, mail("first"))).status == "sent"
        server.set_fault(stage, "drop")
        receipts = [way.send(sender, mail(subject)) for subject in ("second", "third")]
        assert [way.result(receipt).status for receipt in receipts] == ["sent", "sent"]
    assert sorted(subjects(server)) == ["first", "second", "third"]


def test_what_is_unknown_is_told_and_never_sent_again(way: Way, server: Server) -> None:
    told: list[mailbearer.SendOutcome] = []
    with way.sender(server, on_outcome=told.append) as sender:
        server.set_fault("after_dot", "drop")
        first = way.send(sender, mail("first", Message_ID="<1@example.org>"))
        second = way.send(sender, mail("second"))
        outcome = way.result(first)
        assert (outcome.status, outcome.unknown) == ("unknown", ("ann@example.org",))
        assert outcome.message_id == first.message_id == "<1@example.org>"
        assert way.result(second).status == "sent"
    assert subjects(server) == ["first", "second"]
    assert [one.status for one in told] == ["unknown", "sent"]


def test_a_limit_of_rate_holds(way: Way, server: Server) -> None:
    with way.sender(server, limits=[(2, 0.4)]) as sender:
        began = time.monotonic()
        receipts = [way.send(sender, mail(str(number))) for number in range(5)]
        assert [way.result(receipt).status for receipt in receipts] == ["sent"] * 5
        assert time.monotonic() - began >= 0.8


def test_connections_are_opened_as_messages_wait_and_no_more_than_allowed(way: Way, server: Server) -> None:
    with way.sender(server, connections=2) as sender:
        assert way.result(way.send(sender, mail("alone"))).status == "sent"
        time.sleep(0.1)
        assert server.sessions == 1
        receipts = [way.send(sender, mail(str(number))) for number in range(40)]
        assert {way.result(receipt).status for receipt in receipts} == {"sent"}
        assert 1 <= server.sessions <= 2
    assert len(server.submitted()) == 41
    assert server.sessions == 0


def test_a_stop_is_told_to_all_who_ask_and_ended_by_a_person(way: Way, server: Server) -> None:
    server.refuse("account_disabled")
    with way.sender(server) as sender:
        receipt = way.send(sender, mail("first"))
        with pytest.raises(mailbearer.NeedsUser):
            way.result(receipt)
        assert isinstance(sender.stop, mailbearer.NeedsUser)
        with pytest.raises(mailbearer.NeedsUser):
            way.send(sender, mail("second"))
        assert (len(sender), receipt.done()) == (1, False)
        server.refuse(None)
        way.run(sender.retry)
        assert way.result(receipt).status == "sent"
        assert sender.stop is None
    assert subjects(server) == ["first"]


def test_a_stop_is_not_waited_for_at_the_end(way: Way, server: Server) -> None:
    server.refuse("account_disabled")
    with way.sender(server) as sender:
        receipt = way.send(sender, mail("first"))
        with pytest.raises(mailbearer.NeedsUser):
            way.result(receipt)
        (outcome,) = way.close(sender)
        assert (outcome.status, outcome.not_sent) == ("not_sent", ("ann@example.org",))
        assert way.result(receipt) == outcome
        with pytest.raises(mailbearer.Misuse):
            way.send(sender, mail("second"))


def test_the_end_waits_for_what_is_queued(way: Way, server: Server) -> None:
    with way.sender(server, limits=[(1, 0.2)]) as sender:
        receipts = [way.send(sender, mail(str(number))) for number in range(3)]
        assert way.close(sender) == []
        assert all(receipt.done() for receipt in receipts)
    assert subjects(server) == ["0", "1", "2"]


def test_the_end_has_a_limit_of_time(way: Way, server: Server) -> None:
    with way.sender(server, limits=[(1, 3600)]) as sender:
        way.result(way.send(sender, mail("first")))
        receipt = way.send(sender, mail("second"))
        began = time.monotonic()
        (left,) = way.close(sender, 0.1)
        assert (left.message_id, left.status) == (receipt.message_id, "not_sent")
        assert time.monotonic() - began < PATIENCE / 2


def test_a_server_that_vanishes_behind_the_message_leaves_it_unknown_at_the_end(way: Way, server: Server) -> None:
    with way.sender(server) as sender:
        server.set_fault("after_dot", "vanish")
        receipt = way.send(sender, mail("first"))
        until(lambda: len(server.submitted()) == 1)
        assert not receipt.done()
        (left,) = way.close(sender, 0.1)
        assert left.status == "unknown"
        assert way.result(receipt) == left


def test_who_waits_no_longer_takes_nothing_back(way: Way, server: Server) -> None:
    with way.sender(server, limits=[(1, 0.5)]) as sender:
        way.result(way.send(sender, mail("first")))
        receipt = way.send(sender, mail("second"))
        with pytest.raises(TimeoutError, match="stays queued"):
            way.result(receipt, 0.01)
        assert way.result(receipt).status == "sent"


def test_an_observer_that_raises_disturbs_nobody(way: Way, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    def broken(outcome: mailbearer.SendOutcome) -> None:
        raise LookupError("broken")

    with way.sender(server, on_outcome=broken) as sender:
        assert way.result(way.send(sender, mail("first"))).status == "sent"
        assert way.result(way.send(sender, mail("second"))).status == "sent"
    assert "on_outcome raised" in caplog.text


def test_an_idle_connection_is_let_go(way: Way, server: Server) -> None:
    with way.sender(server, idle=0.1) as sender:
        assert way.result(way.send(sender, mail("first"))).status == "sent"
        until(lambda: server.sessions == 0)
        assert way.result(way.send(sender, mail("second"))).status == "sent"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"connections": 0}, "connections must be a whole number"),
        ({"limits": [(0, 1)]}, "limits must be a list of pairs"),
        ({"limits": [5]}, "limits must be a list of pairs"),
        ({"idle": -1}, "idle must be a number of seconds"),
        ({"give_up_after": "1"}, "give_up_after must be a number of seconds"),
    ],
)
def test_an_option_that_cannot_work(way: Way, server: Server, options: Any, text: str) -> None:
    with pytest.raises(mailbearer.ConfigError, match=text), way.sender(server, **options):
        pass


def test_an_option_that_is_misspelt(way: Way, server: Server) -> None:
    with pytest.raises(TypeError, match="limit"), way.sender(server, limit=[(1, 1)]):
        pass


def test_cancelling_the_end_leaves_nothing_open(server: Server) -> None:
    async def main() -> str:
        sender = mailbearer.aio.sender(USER, lambda: server.issue_token(USER), limits=[(1, 60)], **server.at("smtp"))
        await sender.send(mail("first")).result()
        receipt = sender.send(mail("second"))
        end = asyncio.create_task(sender.aclose())
        await asyncio.sleep(0.05)
        end.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await end
        assert len(asyncio.all_tasks()) == 1
        return (await receipt.result()).status

    assert asyncio.run(main()) == "not_sent"


# ---- The message -----------------------------------------------------------------------------------------------------


def test_the_envelope_is_that_of_the_header_fields() -> None:
    message = mail("x", "Ann <ann@example.org>, bob@example.org", Cc="ann@example.org", Bcc="eve@example.org")
    ready = outgoing(message, None, None)
    assert (ready.sender, ready.recipients) == (USER, ("ann@example.org", "bob@example.org", "eve@example.org"))
    assert b"eve@" not in ready.octets
    assert message["Bcc"] == "eve@example.org"
    assert ready.message_id.endswith("@gmail.com>")
    assert ready.message_id.encode() in ready.octets
    assert b"\r\nDate: " in ready.octets
    assert outgoing(message, "me@example.org", "you@example.org").recipients == ("you@example.org",)
    message["Sender"] = "secretary@example.org"
    assert outgoing(message, None, None).sender == "secretary@example.org"


def test_octets_are_sent_as_they_are_but_for_a_message_id() -> None:
    ready = outgoing(b"From: joe@gmail.com\nTo: ann@example.org\n\nhello", None, None)
    assert ready.octets.endswith(b">\r\nFrom: joe@gmail.com\nTo: ann@example.org\n\nhello")
    named = b"Message-ID: <1@x>\r\nFrom: joe@gmail.com\r\nTo: ann@example.org\r\n\r\n"
    assert (outgoing(named, None, None).octets, outgoing(named, None, None).message_id) == (named, "<1@x>")


def test_addresses_and_subjects_beyond_ascii(way: Way, server: Server) -> None:
    with way.sender(server) as sender:
        outcome = way.result(way.send(sender, mail("Grüße", "jürgen@bücher.example", "ann@bücher.example")))
        assert outcome.accepted == ("jürgen@bücher.example", "ann@bücher.example")
    recipients = server.submitted()[0]["recipients"]
    assert recipients == ["jürgen@bücher.example", "ann@xn--bcher-kva.example"]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"To: ann@example.org\n\n", "no From"),
        (b"From: joe@gmail.com\n\n", "no To"),
        (b"From: joe@gmail.com\nTo: a b@example.org\n\n", "recipient has an octet"),
    ],
)
def test_a_message_that_cannot_be_sent_is_not_queued(way: Way, server: Server, message: bytes, text: str) -> None:
    with way.sender(server) as sender:
        with pytest.raises(mailbearer.ConfigError, match=text):
            way.send(sender, message)
        with pytest.raises(TypeError):
            way.send(sender, "text")
        assert len(sender) == 0


# ---- Refusals --------------------------------------------------------------------------------------------------------


def test_refusals_are_told_for_each_recipient_and_the_connection_is_kept(way: Way, server: Server) -> None:
    server.refuse_recipient("nobody@example.org", "unknown")
    server.refuse_recipient("denied@example.org", "denied")
    with way.sender(server) as sender:
        outcome = way.result(way.send(sender, mail("x", "ann@example.org", "nobody@example.org", "denied@example.org")))
        assert (outcome.status, outcome.accepted) == ("partly_sent", ("ann@example.org",))
        assert set(outcome.refused) == {"nobody@example.org", "denied@example.org"}
        refusal = outcome.refused["nobody@example.org"]
        assert (refusal.code, refusal.is_permanent) == (550, True)
        assert str(refusal).startswith("550 ")
        none = way.result(way.send(sender, mail("y", "nobody@example.org")))
        assert (none.status, none.accepted) == ("refused", ())
        assert way.result(way.send(sender, mail("z"))).status == "sent"
    assert subjects(server) == ["x", "z"]
    assert [event.what for event in server.events()].count("logged_in") == 1


def test_a_recipient_that_is_refused_for_now_has_it_later_and_the_others_once(way: Way) -> None:
    with Server(greylist=0.3) as server, way.sender(server, retry=0.8) as sender:
        server.refuse_recipient("nobody@example.org", "unknown")
        outcome = way.result(way.send(sender, mail("x", "ann@example.org", "nobody@example.org")))
        assert (outcome.status, outcome.accepted) == ("partly_sent", ("ann@example.org",))
        assert [one["recipients"] for one in server.submitted()] == [["ann@example.org"]]


def test_what_is_refused_for_now_until_its_time_is_over_is_told_so(way: Way, server: Server) -> None:
    server.refuse_recipient("full@example.org", "rate_limited")
    with way.sender(server, retry=0.1, give_up_after=0.3) as sender:
        outcome = way.result(way.send(sender, mail("x", "full@example.org")))
        refusal = outcome.refused["full@example.org"]
        assert (outcome.status, refusal.is_permanent, refusal.code in (450, 451, 452)) == ("refused", False, True)


def test_a_message_above_the_servers_limit_is_not_sent(way: Way) -> None:
    with Server(message_octets_max=1000) as server, way.sender(server) as sender:
        message = mail("x")
        message.set_content("x" * 2000)
        outcome = way.result(way.send(sender, message))
        refusal = outcome.refused["ann@example.org"]
        assert (outcome.status, refusal.is_permanent, refusal.code) == ("refused", True, None)
        assert "the server takes 1000" in str(refusal)


def test_what_is_taken_back_is_not_sent(way: Way, server: Server) -> None:
    with way.sender(server, limits=[(1, 3600)]) as sender:
        first = way.send(sender, mail("first"))
        way.result(first)
        second = way.send(sender, mail("second"))
        assert (way.run(second.cancel), way.run(second.cancel), way.run(first.cancel)) == (True, False, False)
        assert way.result(second).status == "not_sent"
        assert len(sender) == 0
    assert subjects(server) == ["first"]


def test_an_end_at_once_leaves_nothing_open(server: Server) -> None:
    async def main() -> str:
        sender = mailbearer.aio.sender(USER, lambda: server.issue_token(USER), limits=[(1, 60)], **server.at("smtp"))
        await sender.send(mail("first")).result()
        receipt = sender.send(mail("second"))
        sender.close()
        outcome = await receipt.result()
        await sender.aclose()
        while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return outcome.status

    assert asyncio.run(main()) == "not_sent"
