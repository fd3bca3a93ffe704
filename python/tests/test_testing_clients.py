"""The ordinary calls of mail libraries, each with the real one, against the testing server."""

from __future__ import annotations

import asyncio
import datetime
import imaplib
import poplib
import smtplib
import time
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import aioimaplib
import aiosmtplib
import imap_tools
import imapclient
import pytest

import mailbearer
from mailbearer.testing import Server, client_context

USER = "joe@gmail.com"
FLAVOURS = ["gmail", "outlook", "dovecot"]
MAIL = (
    b"From: =?utf-8?q?J=C3=BCrgen?= <juergen@example.org>\r\nTo: Joe <joe@gmail.com>, eve@example.org\r\n"
    b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\nDate: Sat, 28 Nov 2026 08:00:00 +0000\r\nMessage-ID: <new@example.org>\r\n"
    b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
    b"\r\nGr=C3=BC=C3=9Fe\r\n"
    b"--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--b--\r\n"
)


@pytest.fixture(params=FLAVOURS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(flavour=request.param) as server:
        server.deliver(USER, MAIL, date=datetime.datetime(2026, 11, 28, 8, tzinfo=datetime.UTC))
        yield server


def ok(answer: tuple[str, Any]) -> Any:
    assert answer[0] == "OK", answer
    return answer[1]


def test_imaplib(server: Server) -> None:
    with mailbearer.imap(USER, server.issue_token(USER), **server.at("imap")) as imap:
        assert ok(imap.select("INBOX")) == [b"4"]
        assert ok(imap.search(None, "UNSEEN", "SUBJECT", '"Message 2"')) == [b"2"]
        assert ok(imap.uid("SEARCH", "NOT", "(FROM sender1@example.org)")) == [b"2 3 4"]
        imap.literal = "Grüße".encode()  # type: ignore[assignment]
        assert ok(imap.search("UTF-8", "SUBJECT")) == [b"4"]
        head, content = ok(imap.fetch("4", "(UID FLAGS RFC822.SIZE BODY.PEEK[])"))[0]
        assert content == MAIL
        assert f"RFC822.SIZE {len(MAIL)}".encode() in head
        assert b'"PDF"' in ok(imap.fetch("4", "(BODYSTRUCTURE)"))[0]
        assert ok(imap.store("1", "+FLAGS", r"(\Seen $Work)")) == [rb"1 (FLAGS ($Work \Seen))"]
        ok(imap.create("Projects/2026"))
        ok(imap.subscribe("Projects/2026"))
        assert any(b"Projects/2026" in one for one in ok(imap.list()))
        assert any(b"Projects/2026" in one for one in ok(imap.lsub('""', '"Pro*"')))
        ok(imap.copy("1:2", "Projects/2026"))
        ok(imap.append("Projects/2026", r"(\Seen)", imaplib.Time2Internaldate(0), MAIL))
        assert ok(imap.status("Projects/2026", "(MESSAGES UNSEEN UIDNEXT)")) == [
            b'"Projects/2026" (MESSAGES 3 UNSEEN 1 UIDNEXT 4)'
        ]
        ok(imap.rename("Projects/2026", "Projects/old"))
        ok(imap.uid("MOVE", "2", "Projects/old"))
        ok(imap.store("1", "+FLAGS.SILENT", r"\Deleted"))
        assert ok(imap.expunge())[-1] == b"1"
        assert ok(imap.namespace())[0].startswith(b'(("" "/"))')
        ok(imap.unsubscribe("Projects/2026"))
        ok(imap.noop())
        ok(imap.check())
        ok(imap.close())
        ok(imap.delete("Projects/old"))
        assert imap.select("Nowhere")[0] == "NO"


def imapclient_at(server: Server) -> imapclient.IMAPClient:
    client = imapclient.IMAPClient("localhost", server.port("imap"), ssl_context=client_context())
    client.oauth2_login(USER, server.issue_token(USER))
    return client


def test_imapclient(server: Server) -> None:
    with imapclient_at(server) as client:
        assert client.folder_exists("INBOX")
        names = {name for _, _, name in client.list_folders()}
        assert names > {"INBOX"}
        assert client.find_special_folder(rb"\Trash") in names
        selected = client.select_folder("INBOX")
        assert selected[b"EXISTS"] == 4
        assert client.search(["FROM", "sender3@example.org"]) == [3]
        assert client.search(["SINCE", datetime.date(2026, 11, 28)]) == [4]
        assert client.search(["OR", "UID", "1", "SUBJECT", "Grüße"], charset="UTF-8") == [1, 4]
        fetched = client.fetch([4], ["ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "FLAGS", "RFC822"])[4]
        assert fetched[b"ENVELOPE"].from_[0].mailbox == b"juergen"
        assert fetched[b"ENVELOPE"].message_id == b"<new@example.org>"
        assert fetched[b"BODYSTRUCTURE"].is_multipart
        assert fetched[b"RFC822"] == MAIL
        assert client.get_flags([4]) == {4: (rb"\Seen",)}
        assert client.add_flags([1, 2], [imapclient.FLAGGED]) == {1: (rb"\Flagged",), 2: (rb"\Flagged",)}
        client.remove_flags([1], [imapclient.FLAGGED])
        client.set_flags([2], [imapclient.SEEN])
        client.create_folder("Entwürfe & mehr")
        assert "Entwürfe & mehr" in {name for _, _, name in client.list_folders()}
        assert "Entwürfe & mehr" in server.mailboxes(USER)
        assert client.append("Entwürfe & mehr", MAIL, flags=[imapclient.DRAFT]).endswith(b"(Success)")
        client.copy([1], "Entwürfe & mehr")
        client.move([2], "Entwürfe & mehr")
        assert client.folder_status("Entwürfe & mehr", ["MESSAGES"]) == {b"MESSAGES": 3}
        client.delete_messages([1])
        client.expunge([1])
        client.rename_folder("Entwürfe & mehr", "Alt")
        client.subscribe_folder("Alt")
        client.unsubscribe_folder("Alt")
        client.idle()
        server.deliver(USER, MAIL)
        assert (3, b"EXISTS") in client.idle_check(timeout=10)
        client.idle_done()
        client.delete_folder("Alt")
        client.close_folder()
        assert client.namespace().personal is not None
        client.noop()


def test_imap_tools(server: Server) -> None:
    box = imap_tools.MailBox("localhost", server.port("imap"), ssl_context=client_context())
    with box.xoauth2(USER, server.issue_token(USER)) as mailbox:
        messages = list(mailbox.fetch(imap_tools.AND(subject="Grüße"), charset="UTF-8", mark_seen=False))
        assert [message.subject for message in messages] == ["Grüße"]
        assert messages[0].text.strip() == "Grüße"
        assert messages[0].attachments[0].filename == "a.pdf"
        assert messages[0].from_values is not None
        assert messages[0].from_values.name == "Jürgen"
        assert mailbox.uids(imap_tools.AND(seen=False, date_gte=datetime.date(2026, 11, 25))) == ["4"]
        assert mailbox.uids(imap_tools.OR(from_="sender1", to="eve@example.org")) == ["1", "4"]
        assert mailbox.uids(imap_tools.NOT(uid=imap_tools.U("1", "*"))) == []
        assert [len(one.uid or "") for one in mailbox.fetch(limit=2, headers_only=True, reverse=True, bulk=True)] == [
            1,
            1,
        ]
        assert mailbox.numbers() == ["1", "2", "3", "4"]
        mailbox.flag(["1", "2"], imap_tools.MailMessageFlags.FLAGGED, True)
        mailbox.folder.create("Projects")
        assert mailbox.folder.exists("Projects")
        mailbox.copy("1", "Projects")
        mailbox.move("2", "Projects")
        mailbox.append(
            MAIL, "Projects", dt=datetime.datetime.now(datetime.UTC), flag_set=[imap_tools.MailMessageFlags.SEEN]
        )
        assert mailbox.folder.status("Projects")["MESSAGES"] == 3
        mailbox.delete("1")
        assert mailbox.uids() == ["3", "4"]
        mailbox.folder.rename("Projects", "Old")
        mailbox.folder.set("Old")
        assert len(list(mailbox.fetch())) == 3
        mailbox.folder.set("INBOX")
        mailbox.folder.delete("Old")
        assert mailbox.folder.get() == "INBOX"
        assert "INBOX" in {folder.name for folder in mailbox.folder.list()}
        mailbox.idle.start()  # type: ignore[no-untyped-call]
        server.deliver(USER, MAIL)
        assert any(b"EXISTS" in one for one in mailbox.idle.poll(timeout=10))
        mailbox.idle.stop()  # type: ignore[no-untyped-call]


def test_aioimaplib(server: Server) -> None:
    async def main() -> None:
        client = aioimaplib.IMAP4_SSL("localhost", server.port("imap"), ssl_context=client_context())
        await client.wait_hello_from_server()
        assert (await client.xoauth2(USER, server.issue_token(USER))).result == "OK"
        assert (await client.select("INBOX")).result == "OK"
        assert (await client.search("UNSEEN")).lines[0] == b"1 2 3 4"
        assert (await client.uid_search("SUBJECT Message")).lines[0] == b"1 2 3"
        fetched = await client.uid("fetch", "4", "(RFC822)")
        assert bytes(fetched.lines[1]) == MAIL
        assert (await client.uid("store", "1", r"+FLAGS (\Seen)")).result == "OK"
        assert (await client.create("Projects")).result == "OK"
        assert (await client.append(MAIL, "Projects")).result == "OK"
        assert (await client.copy("1", "Projects")).result == "OK"
        assert (await client.status("Projects", "(MESSAGES)")).lines[0] == b'"Projects" (MESSAGES 2)'
        assert (await client.list('""', "*")).result == "OK"
        idle = await client.idle_start(timeout=30)
        server.deliver(USER, MAIL)
        assert b"5 EXISTS" in await asyncio.wait_for(client.wait_server_push(), 10)
        client.idle_done()
        await asyncio.wait_for(idle, 10)
        assert (await client.expunge()).result == "OK"
        await client.logout()
        client.protocol.transport.close()
        await asyncio.sleep(0.05)

    asyncio.run(main())


def test_poplib(server: Server) -> None:
    pop3 = mailbearer.pop3(USER, server.issue_token(USER), **server.at("pop3"))
    assert pop3.stat()[0] == 4
    assert b"\r\n".join(pop3.retr(4)[1]) + b"\r\n" == MAIL
    assert len(pop3.uidl()[1]) == len(pop3.list()[1]) == 4
    assert pop3.top(4, 0)[1][-1] == b""
    pop3.dele(1)
    pop3.rset()
    pop3.dele(2)
    with pytest.raises(poplib.error_proto):
        pop3.retr(2)
    pop3.quit()
    assert [one.uid for one in server.stored(USER)] == [1, 3, 4]


def test_smtplib_and_aiosmtplib(server: Server) -> None:
    server.add_user("eve@example.org")
    server.refuse_recipient("nobody@example.org")
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = USER, "eve@example.org, nobody@example.org", "Hello"
    message.set_content("x")
    with mailbearer.smtp(USER, server.issue_token(USER), **server.at("smtp")) as smtp:
        refused = smtp.send_message(message)
        assert list(refused) == ["nobody@example.org"]
        assert refused["nobody@example.org"][0] == 550
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail(USER, ["nobody@example.org"], b"x")
        with pytest.raises(smtplib.SMTPSenderRefused) as large:
            smtp.sendmail(USER, ["eve@example.org"], b"x" * 36_000_000)
        assert large.value.smtp_code == 552
    assert len(server.messages("eve@example.org")) == 4

    async def main() -> None:
        options = server.at("smtp")
        client = aiosmtplib.SMTP(hostname="localhost", port=options["port"], use_tls=True, tls_context=client_context())
        await client.connect()
        token = server.issue_token(USER)
        await client.auth_xoauth2(USER, token)
        errors, _ = await client.send_message(message)
        assert list(errors) == ["nobody@example.org"]
        await client.quit()

    asyncio.run(main())
    assert len(server.submitted()) == 2


def test_greylisting_ends() -> None:
    with Server(greylist=0.3) as server, mailbearer.smtp(USER, server.issue_token(USER), **server.at("smtp")) as smtp:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as early:
            smtp.sendmail(USER, ["eve@example.org"], b"x")
        assert early.value.recipients["eve@example.org"][0] == 451
        time.sleep(0.35)
        smtp.sendmail(USER, ["eve@example.org"], b"x")


def test_each_user_has_a_mailbox_and_tokens_of_its_own() -> None:
    with Server(users=["joe@gmail.com", "eve@gmail.com"], messages=1) as server:
        assert server.users == ["eve@gmail.com", "joe@gmail.com"]
        token = server.issue_token("eve@gmail.com")
        with pytest.raises(mailbearer.LoginFailed) as refused:
            mailbearer.connect("imap", "joe@gmail.com", token, **server.at("imap"))
        assert refused.value.cause == "token_rejected"
        server.deliver("eve@gmail.com", MAIL, mailbox="Archive/2026", flags=[r"\Flagged", "$Work"])
        with mailbearer.imap("eve@gmail.com", token, **server.at("imap")) as imap:
            assert ok(imap.select("INBOX")) == [b"1"]
            assert ok(imap.select("Archive/2026")) == [b"1"]
        (stored,) = server.stored("eve@gmail.com", "Archive/2026")
        assert stored.flags == ("$Work", r"\Flagged")
        assert abs(stored.date - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=5)
        assert server.stored("joe@gmail.com", "Archive/2026") == []
        with pytest.raises(ValueError, match="has no mailbox"):
            server.delete_mailbox("joe@gmail.com", "Archive/2026")


def test_a_refusal_that_cannot_be_said_is_an_error() -> None:
    with Server() as server:
        with pytest.raises(ValueError, match="gmail has no words for mailbox_locked over imap and smtp") as unsayable:
            server.refuse("mailbox_locked")
        assert "over imap gmail can say: token_rejected, " in str(unsayable.value)
        server.refuse("mailbox_locked", "pop3")
        with pytest.raises(mailbearer.LoginFailed) as refused:
            mailbearer.pop3(USER, server.issue_token(USER), **server.at("pop3"))
        assert refused.value.cause == "mailbox_locked"
        mailbearer.connect("imap", USER, server.issue_token(USER), **server.at("imap")).close()
    with pytest.raises(ValueError, match="insufficient_scope"):
        Server(refuse="insufficient_scope")
    Server(flavour="dovecot", refuse="insufficient_scope")


def test_a_port_that_is_taken_is_an_error_and_nothing_stays() -> None:
    with Server() as server:
        other = Server(ports={("smtp", "starttls"): server.port("imap")})
        with pytest.raises(OSError, match="in use"):
            other.start()
    with Server(ports={("imap", "implicit"): 0}, host="127.0.0.1") as server:
        assert server.port("imap") > 0
