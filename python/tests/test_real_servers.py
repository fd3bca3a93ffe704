"""Against real Dovecot and Postfix over real TLS: login or the right cause, and real work afterwards."""

from __future__ import annotations

import asyncio
import itertools
import poplib
import smtplib
import ssl
import time
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import mailservers
import pytest

import mailbearer
import mailbearer.aio

USER = "joe@example.com"
PROTOCOLS = ("imap", "pop3", "smtp")
ENDPOINTS = list(itertools.product(PROTOCOLS, ("implicit", "starttls")))
MECHANISMS = ("XOAUTH2", "OAUTHBEARER")


def at(
    servers: mailservers.RealServers, protocol: str, tls: str = "implicit", host: str = "localhost"
) -> dict[str, Any]:
    return {
        "host": host,
        "port": servers.ports[f"{protocol}-{tls}"],
        "tls": tls,
        "ssl_context": ssl.create_default_context(cafile=servers.ca_file),
        "timeout": 20.0,
    }


def connect(blocking: bool, *arguments: Any, **settings: Any) -> None:
    if blocking:
        mailbearer.connect(*arguments, **settings)
    else:
        asyncio.run(mailbearer.aio.connect(*arguments, **settings))


@pytest.fixture(autouse=True)
def _never_long(request: pytest.FixtureRequest) -> Any:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < 30, "something waited for a deadline"


@pytest.mark.parametrize(("protocol", "tls"), ENDPOINTS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("length", [300, 900, 2000, 4000])
def test_logs_in_with_tokens_of_every_length(
    servers: mailservers.RealServers, protocol: Any, tls: str, mechanism: str, length: int
) -> None:
    token = mailservers.token(USER, length=length)
    with mailbearer.connect(protocol, USER, token, mechanisms=[mechanism], **at(servers, protocol, tls)) as connection:
        assert connection.mechanism == mechanism
        assert connection.tls_version in ("TLSv1.2", "TLSv1.3")
        assert connection.leftover == b""
        # After STARTTLS one more, and the capabilities again.
        alone = {"imap": 1, "pop3": 3, "smtp": 2 if length == 300 else 3}[protocol]
        upgraded = {"imap": 3, "pop3": 5, "smtp": alone + 2}[protocol]
        assert connection.round_trips == (alone if tls == "implicit" else upgraded)


BAD_TOKENS: dict[str, Callable[[], str]] = {
    "expired": lambda: mailservers.token(USER, expires_in=-3600),
    "of another user": lambda: mailservers.token("eve@example.com"),
    "garbled": lambda: mailservers.token(USER)[:-8] + "AAAAAAAA",
    "made up": lambda: "ya29.nothing",
}


@pytest.mark.parametrize(("protocol", "tls"), ENDPOINTS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_a_bad_token_is_refused_as_such(
    servers: mailservers.RealServers, protocol: Any, tls: str, mechanism: str, kind: str
) -> None:
    token = BAD_TOKENS[kind]()
    with pytest.raises(mailbearer.LoginFailed) as caught:
        mailbearer.connect(protocol, USER, token, mechanisms=[mechanism], **at(servers, protocol, tls))
    assert caught.value.cause == "token_rejected"
    assert caught.value.advice == "refresh_token"
    assert caught.value.failure.rejection is not None
    assert token[:12] not in str(caught.value) + repr(caught.value.failure)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_source_is_asked_once_more_with_force(servers: mailservers.RealServers, protocol: Any) -> None:
    asked = []

    def source(force_refresh: bool = False) -> str:
        asked.append(force_refresh)
        return mailservers.token(USER, expires_in=3600 if force_refresh else -3600)

    mailbearer.connect(protocol, USER, source, **at(servers, protocol)).close()
    assert asked == [False, True]


@pytest.mark.parametrize(("protocol", "tls"), ENDPOINTS)
def test_from_another_address_too(servers: mailservers.RealServers, protocol: Any, tls: str) -> None:
    # From 127.0.0.1 to itself Dovecot offers AUTH before TLS; 127.0.0.2 behaves as a network does.
    token = mailservers.token(USER)
    mailbearer.connect(protocol, USER, token, **at(servers, protocol, tls, "127.0.0.2")).close()


@pytest.mark.parametrize("kind", ["unknown-ca", "wrong-host", "expired"])
@pytest.mark.parametrize("blocking", [True, False])
def test_a_certificate_that_is_not_good_ends_it_before_the_token(
    servers: mailservers.RealServers, kind: str, blocking: bool
) -> None:
    bad = mailservers.BadTls(servers, kind)
    try:
        settings = at(servers, "imap") | {"port": bad.port}
        with pytest.raises(mailbearer.LoginFailed) as caught:
            connect(blocking, "imap", USER, mailservers.token(USER), **settings)
    finally:
        bad.close()
    assert caught.value.cause == "tls_failed"
    assert "certificate" in str(caught.value)
    assert bad.received == b""


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("blocking", [True, False])
def test_a_plaintext_server_gets_no_token(servers: mailservers.RealServers, protocol: Any, blocking: bool) -> None:
    settings = at(servers, protocol) | {"port": servers.ports[f"{protocol}-starttls"], "timeout": 5.0}
    with pytest.raises(mailbearer.LoginFailed) as caught:
        connect(blocking, protocol, USER, mailservers.token(USER), **settings)
    assert caught.value.cause == "wrong_tls_mode"


@pytest.mark.parametrize(("protocol", "tls"), ENDPOINTS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_asyncio_logs_in_as_well(servers: mailservers.RealServers, protocol: Any, tls: str, mechanism: str) -> None:
    async def main() -> bytes:
        async def source() -> tuple[str, float]:
            return mailservers.token(USER, length=2000), 3600.0

        async with await mailbearer.aio.connect(
            protocol, USER, source, mechanisms=[mechanism], **at(servers, protocol, tls)
        ) as connection:
            connection.writer.write(b"a NOOP\r\n" if protocol == "imap" else b"NOOP\r\n")
            return await connection.reader.readline()

    assert asyncio.run(main()).startswith((b"a OK", b"+OK", b"250 "))


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("length", [300, 2000])
def test_postfix_takes_both_mechanisms(servers: mailservers.RealServers, tls: str, mechanism: str, length: int) -> None:
    settings = at(servers, "postfix", tls) | {"mechanisms": [mechanism]}
    with mailbearer.smtp(USER, mailservers.token(USER, length=length), **settings) as smtp:
        assert smtp.noop()[0] == 250
    with pytest.raises(mailbearer.LoginFailed) as caught:
        mailbearer.smtp(USER, mailservers.token(USER, expires_in=-1), **settings)
    assert caught.value.cause == "token_rejected"


def message(user: str, subject: str) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = user, user, subject
    made.set_content("* BYE is only text\n.\n-ERR as well\n")
    return made


def subjects_in(servers: mailservers.RealServers, user: str, wanted: int) -> list[str]:
    """The subjects in a mailbox, once there are so many."""
    for _ in range(100):
        with mailbearer.imap(user, mailservers.token(user), **at(servers, "imap")) as imap:
            _, (count,) = imap.select("INBOX")
            if int(count) >= wanted:
                _, data = imap.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
                return [part[1].decode().strip() for part in data if isinstance(part, tuple)]
        time.sleep(0.05)
    raise AssertionError("the mail did not arrive")


def test_the_clients_of_the_standard_library_work(servers: mailservers.RealServers) -> None:
    user = "standard@example.com"
    token = mailservers.token(user)
    with mailbearer.smtp(user, token, **at(servers, "postfix")) as smtp:
        assert smtp.has_extn("8bitmime")
        smtp.send_message(message(user, "by Postfix"))
    with mailbearer.smtp(user, token, **at(servers, "smtp", "starttls")) as smtp:
        smtp.send_message(message(user, "by Dovecot"))
    assert sorted(subjects_in(servers, user, 2)) == ["Subject: by Dovecot", "Subject: by Postfix"]
    with mailbearer.imap(user, token, **at(servers, "imap", "starttls")) as imap:
        assert imap.state == "AUTH"
        assert "IDLE" in imap.capabilities
        imap.select("INBOX")
        assert imap.search(None, "ALL") == ("OK", [b"1 2"])
    pop3 = mailbearer.pop3(user, token, **at(servers, "pop3"))
    assert pop3.stat()[0] == 2
    _, lines, _ = pop3.retr(1)
    assert b"-ERR as well" in lines
    assert b"." in lines
    pop3.dele(1)
    pop3.quit()
    assert len(subjects_in(servers, user, 1)) == 1


def test_imapclient_works(servers: mailservers.RealServers) -> None:
    user = "imapclient@example.com"
    with mailbearer.smtp(user, mailservers.token(user), **at(servers, "postfix")) as smtp:
        smtp.send_message(message(user, "for IMAPClient"))
    subjects_in(servers, user, 1)
    with mailbearer.imapclient(user, mailservers.token(user), **at(servers, "imap")) as client:
        client.select_folder("INBOX")
        found = client.fetch(client.search(["ALL"]), ["ENVELOPE"])
        assert [one[b"ENVELOPE"].subject for one in found.values()] == [b"for IMAPClient"]


def test_aioimaplib_and_aiosmtplib_work(servers: mailservers.RealServers) -> None:
    user = "asyncio@example.com"

    async def source() -> str:
        return mailservers.token(user, length=2000)

    async def main() -> None:
        smtp = await mailbearer.aio.smtp(user, source, **at(servers, "postfix", "starttls"))
        await smtp.send_message(message(user, "by aiosmtplib"))
        await smtp.quit()
        await asyncio.to_thread(subjects_in, servers, user, 1)
        imap = await mailbearer.aio.imap(user, source, **at(servers, "imap"))
        assert imap.get_state() == "AUTH"
        answer = await imap.select("INBOX")
        assert answer.result == "OK"
        answer = await imap.fetch("1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        assert any(b"by aiosmtplib" in bytes(line) for line in answer.lines)
        await imap.logout()

    asyncio.run(main())


def test_the_objects_are_what_they_say(servers: mailservers.RealServers) -> None:
    with mailbearer.smtp(USER, mailservers.token(USER), **at(servers, "smtp")) as smtp:
        assert isinstance(smtp, smtplib.SMTP)
    pop3 = mailbearer.pop3(USER, mailservers.token(USER), **at(servers, "pop3"))
    assert isinstance(pop3, poplib.POP3)
    pop3.quit()
