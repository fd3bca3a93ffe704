"""What other mail libraries raise and return, by themselves, is explained: the real ones, against real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import imaplib
import poplib
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import aioimaplib
import aiosmtplib
import imap_tools
import imapclient
import pytest

import mailbearer
import mailbearer.aio
from mailbearer.testing import Server, client_context
from scripted import ScriptedServer

USER = "joe@gmail.com"


def message(token: str) -> bytes:
    return mailbearer.initial_response("XOAUTH2", USER, token)


def in_base64(token: str) -> str:
    return base64.b64encode(message(token)).decode()


# ---- Each library, logging in by its own means -----------------------------------------------------------------------


def by_imaplib(server: Server, token: str) -> Any:
    with imaplib.IMAP4_SSL("localhost", server.port("imap"), ssl_context=client_context()) as imap:
        return imap.authenticate("XOAUTH2", lambda _: message(token))


def by_imapclient(server: Server, token: str) -> Any:
    with imapclient.IMAPClient("localhost", server.port("imap"), ssl_context=client_context()) as imap:
        return imap.oauth2_login(USER, token)


def by_imap_tools(server: Server, token: str) -> Any:
    with imap_tools.MailBox("localhost", server.port("imap"), ssl_context=client_context()) as imap:
        return imap.xoauth2(USER, token)


def by_aioimaplib(server: Server, token: str) -> Any:
    async def main() -> Any:
        imap = aioimaplib.IMAP4_SSL("localhost", server.port("imap"), ssl_context=client_context())
        await imap.wait_hello_from_server()
        try:
            return await imap.xoauth2(USER, token)
        finally:
            with contextlib.suppress(Exception):
                await imap.logout()
            # It closes nothing by itself, and what is left open is found in the middle of another test.
            imap.protocol.transport.abort()
            await asyncio.sleep(0.01)

    return asyncio.run(main())


def by_poplib(server: Server, token: str) -> Any:
    pop3 = poplib.POP3_SSL("localhost", server.port("pop3"), context=client_context())
    try:
        pop3._shortcmd("AUTH XOAUTH2")  # type: ignore[attr-defined]
        return pop3._shortcmd(in_base64(token))  # type: ignore[attr-defined]
    finally:
        pop3.close()


def by_smtplib(server: Server, token: str) -> Any:
    with smtplib.SMTP_SSL("localhost", server.port("smtp"), context=client_context()) as smtp:
        smtp.ehlo()
        # To the challenge that follows, too, smtplib gives the answer.
        return smtp.auth("XOAUTH2", lambda challenge=None: "" if challenge else message(token).decode())


def by_aiosmtplib(server: Server, token: str) -> Any:
    async def main() -> Any:
        context = client_context()
        smtp = aiosmtplib.SMTP(hostname="localhost", port=server.port("smtp"), use_tls=True, tls_context=context)
        async with smtp:
            await smtp.ehlo()
            return await smtp.auth_xoauth2(USER, token)

    return asyncio.run(main())


LIBRARIES: dict[str, Callable[[Server, str], Any]] = {
    "imaplib": by_imaplib,
    "IMAPClient": by_imapclient,
    "imap_tools": by_imap_tools,
    "aioimaplib": by_aioimaplib,
    "poplib": by_poplib,
    "smtplib": by_smtplib,
    "aiosmtplib": by_aiosmtplib,
}
# What keeps the status to itself.
WITHOUT_STATUS = ("imaplib", "IMAPClient", "imap_tools")


def raised_or_returned(library: str, server: Server, token: str) -> Any:
    try:
        return LIBRARIES[library](server, token)
    except Exception as error:
        return error


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("library", "flavour"),
    # aioimaplib does not answer the error challenge that the other two send, and waits for ever.
    [
        (library, flavour)
        for library in LIBRARIES
        for flavour in (["outlook"] if library == "aioimaplib" else ["gmail", "outlook", "dovecot"])
    ],
)
def test_a_refused_token(library: str, flavour: Any) -> None:
    with Server(flavour=flavour) as server:
        found = raised_or_returned(library, server, server.issue_token(USER, lifetime=0.0))
    failure = mailbearer.explain(found, user=USER, host="localhost")
    assert (failure.cause, failure.advice) == ("token_rejected", "refresh_token"), (found, failure)
    assert failure.server_text
    assert "b'" not in failure.sentence
    if library in WITHOUT_STATUS:
        assert failure.certainty == "guessed"


REFUSALS = [
    "protocol_disabled",
    "account_disabled",
    "interaction_required",
    "app_password_required",
    "too_many_connections",
    "rate_limited",
    "unavailable",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("library", "cause"),
    # Gmail's POP3 that is off lets the login pass, and refuses what follows.
    [(one, cause) for one in LIBRARIES for cause in REFUSALS if (one, cause) != ("poplib", "protocol_disabled")],
)
def test_another_refusal_has_the_advice_that_mailbearer_gives_itself(library: str, cause: str) -> None:
    protocol: Any = {"poplib": "pop3"}.get(library, "smtp" if "smtp" in library else "imap")
    with Server(refuse=cause) as server:
        token = server.issue_token(USER)
        with pytest.raises(mailbearer.LoginFailed) as known:
            mailbearer.connect(protocol, USER, token, **server.at(protocol))
        found = raised_or_returned(library, server, token)
    failure = mailbearer.explain(found, user=USER)
    assert (failure.cause, failure.advice) == (known.value.cause, known.value.advice), (found, failure)
    assert bool(failure.url) == bool(known.value.failure.url)
    if library in WITHOUT_STATUS:
        assert failure.certainty != "stated"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("library", ["imaplib", "aioimaplib", "poplib", "smtplib", "aiosmtplib"])
def test_a_login_that_works_is_no_fault_where_it_is_seen(library: str) -> None:
    with Server() as server:
        found = LIBRARIES[library](server, server.issue_token(USER))
    assert mailbearer.explain(found).cause == "no_fault"


# ---- After the login, and without one --------------------------------------------------------------------------------


PREAUTH = b"* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n"


def imap_error(*says: bytes, call: Callable[[imaplib.IMAP4], Any] = lambda imap: imap.noop()) -> Any:
    with ScriptedServer(PREAUTH, *says) as server:
        imap = imaplib.IMAP4("127.0.0.1", server.port, timeout=5)
        try:
            return call(imap)
        except imaplib.IMAP4.error as error:
            return error
        finally:
            imap.shutdown()


def test_imap_after_the_login() -> None:
    capability = b"* CAPABILITY IMAP4rev1\r\n%TAG% OK done\r\n"
    failure = mailbearer.explain(imap_error(capability, b"%TAG% BAD User is authenticated but not connected.\r\n"))
    assert (failure.cause, failure.certainty) == ("not_connected", "stated")
    # What a command was refused for is no refusal of the token, whatever it says.
    failure = mailbearer.explain(imap_error(capability, b"%TAG% BAD Invalid credentials\r\n"))
    assert failure.advice != "refresh_token"
    failure = mailbearer.explain(imap_error(capability, b"* BYE Session expired, please login again.\r\n"))
    assert (failure.cause, failure.certainty) == ("session_limit", "guessed")
    failure = mailbearer.explain(imap_error(capability))
    assert failure.cause == "connection_lost"
    program = imap_error(capability, call=lambda imap: imap.fetch("1", "FLAGS"))
    failure = mailbearer.explain(program)
    assert (failure.cause, failure.advice) == ("unrecognized", "fix_configuration")
    assert "The server" not in failure.sentence
    reply = imap_error(capability, b"%TAG% NO [UNAVAILABLE] later\r\n")
    failure = mailbearer.explain(reply, phase="mid_session")
    assert (failure.cause, failure.code) == ("unavailable", "UNAVAILABLE")


def test_imapclient_says_which_command_was_refused() -> None:
    with Server() as server:
        client = mailbearer.imapclient(USER, server.issue_token(USER), **server.at("imap"))
        with pytest.raises(imapclient.exceptions.IMAPClientError) as caught:
            client.select_folder("nowhere")
        client.logout()
    failure = mailbearer.explain(caught.value)
    assert failure.advice != "refresh_token"
    assert failure.certainty == "guessed"


def test_pop3_after_the_login() -> None:
    with ScriptedServer(b"+OK hi\r\n", b"-ERR [SYS/PERM] Your account is not enabled for POP access.\r\n") as server:
        pop3 = poplib.POP3("127.0.0.1", server.port, timeout=5)
        with pytest.raises(poplib.error_proto) as caught:
            pop3.stat()
    failure = mailbearer.explain(caught.value)
    assert (failure.cause, failure.code, failure.advice) == ("protocol_disabled", "SYS/PERM", "ask_user")
    # The server is gone: its system may say so with a reset, in place of an end.
    with pytest.raises((poplib.error_proto, ConnectionError)) as caught:
        pop3.stat()
    pop3.close()
    assert mailbearer.explain(caught.value).cause == "connection_lost"


def smtp_error(*says: bytes, call: Callable[[smtplib.SMTP], Any]) -> Any:
    smtp = smtplib.SMTP(timeout=5)
    try:
        with ScriptedServer(*says) as server:
            code, text = smtp.connect("127.0.0.1", server.port)
            if code != 220:
                # As the class does it.
                raise smtplib.SMTPConnectError(code, text)
            call(smtp)
    except smtplib.SMTPException as error:
        return error
    finally:
        smtp.close()
    raise AssertionError("nothing was raised")


def test_smtp_before_and_after_the_login() -> None:
    def send(smtp: smtplib.SMTP) -> None:
        smtp.sendmail("joe@example.test", ["ann@example.test"], b"hello")

    hi, ehlo = b"220 hi\r\n", b"250-hi\r\n250 SIZE\r\n"
    busy = smtp_error(b"421 4.7.0 Too many connections, try again later\r\n", call=send)
    assert isinstance(busy, smtplib.SMTPConnectError)
    assert mailbearer.explain(busy).advice == "back_off"
    refused = smtp_error(hi, ehlo, b"530 5.7.57 Client not authenticated to send mail.\r\n", b"250 ok\r\n", call=send)
    assert isinstance(refused, smtplib.SMTPSenderRefused)
    failure = mailbearer.explain(refused)
    assert failure.code == "530 5.7.57"
    recipients = smtp_error(hi, ehlo, b"250 ok\r\n", b"550 5.1.1 no such user\r\n", b"250 ok\r\n", call=send)
    assert isinstance(recipients, smtplib.SMTPRecipientsRefused)
    failure = mailbearer.explain(recipients)
    assert failure.code == "550 5.1.1"
    assert failure.advice != "refresh_token"
    gone = smtp_error(hi, ehlo, call=send)
    assert isinstance(gone, smtplib.SMTPServerDisconnected)
    assert mailbearer.explain(gone).cause == "connection_lost"
    none = smtp_error(hi, ehlo, call=lambda smtp: smtp.login("joe", "secret"))
    assert mailbearer.explain(none).cause == "mechanism_unavailable"
    helo = smtp_error(hi, b"504 5.5.2 need fully-qualified hostname\r\n", b"504 5.5.2 no\r\n", call=send)
    assert isinstance(helo, smtplib.SMTPHeloError)
    assert mailbearer.explain(helo).code == "504 5.5.2"


def test_aiosmtplib_and_aioimaplib_without_a_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    async def smtp() -> None:
        await aiosmtplib.SMTP(hostname="127.0.0.1", port=port).connect()

    with pytest.raises(aiosmtplib.SMTPConnectError) as caught:
        asyncio.run(smtp())
    assert mailbearer.explain(caught.value).cause == "connection_refused"

    async def late(silent: int) -> None:
        await aiosmtplib.SMTP(hostname="127.0.0.1", port=silent, timeout=0.2).connect()

    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(aiosmtplib.SMTPTimeoutError) as slow:
        asyncio.run(late(listener.getsockname()[1]))
    assert mailbearer.explain(slow.value).cause == "timed_out"
    assert mailbearer.explain(aioimaplib.CommandTimeout("NOOP")).cause == "timed_out"
    assert mailbearer.explain(aioimaplib.Abort("the connection has ended")).cause != "token_rejected"


def test_sockets_and_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError) as refused:
        socket.create_connection(("127.0.0.1", port))
    assert mailbearer.explain(refused.value).cause == "connection_refused"
    with pytest.raises(socket.gaierror) as unknown:
        socket.getaddrinfo("mail.invalid", 993)
    assert mailbearer.explain(unknown.value).cause in ("host_not_found", "unreachable")
    with Server() as server:
        with pytest.raises(ssl.SSLError) as untrusted:
            imaplib.IMAP4_SSL("localhost", server.port("imap"), ssl_context=ssl.create_default_context())
        with pytest.raises(ssl.SSLError) as plain:
            imaplib.IMAP4_SSL("localhost", server.port("imap", "starttls"), ssl_context=client_context())
    failure = mailbearer.explain(untrusted.value)
    assert failure.cause == "tls_failed"
    assert "certificate" in failure.sentence
    assert mailbearer.explain(plain.value).cause == "wrong_tls_mode"


# ---- mailbearer's own, and everything else ---------------------------------------------------------------------------


def test_mailbearers_own_errors() -> None:
    with Server(refuse="rate_limited") as server, pytest.raises(mailbearer.LoginFailed) as refused:
        mailbearer.connect("imap", USER, server.issue_token(USER), **server.at("imap"))
    assert mailbearer.explain(refused.value) == refused.value.failure
    failure = mailbearer.explain(mailbearer.TokenSourceFailed("no network"))
    assert (failure.cause, "no network" in failure.sentence) == ("token_unavailable", True)
    with pytest.raises(mailbearer.ConfigError) as wrong:
        mailbearer.connect("imap", USER, "t", port=0)
    failure = mailbearer.explain(wrong.value)
    assert (failure.advice, "port" in failure.sentence) == ("fix_configuration", True)


def test_a_session_that_ended_is_explained_by_its_verdict() -> None:
    with Server(token_lifetime=0.3) as server:

        def source() -> tuple[str, float]:
            return server.issue_token(USER), 3600.0

        with mailbearer.sessions("imap", USER, source, **server.at("imap")) as sessions:
            connection = next(sessions)
            connection.client.noop()
            time.sleep(0.4)
            with pytest.raises(mailbearer.SessionEnded) as ended:
                connection.client.noop()
    assert mailbearer.explain(ended.value).cause == ended.value.cause != "no_fault"


@pytest.mark.parametrize(
    ("reply", "cause", "protocol"),
    [
        (("NO", [b"[AUTHENTICATIONFAILED] Invalid credentials (Failure)"]), "token_rejected", None),
        (
            (535, b"5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled"),
            "protocol_disabled",
            None,
        ),
        ((235, b"2.7.0 Accepted"), "no_fault", None),
        (b"-ERR [AUTH] Web login required: https://support.google.com/mail/answer/78754", "interaction_required", None),
        ("a1 NO [UNAVAILABLE] Temporary System Problem (Failure)", "unavailable", None),
        ("535 5.7.8 Username and Password not accepted", "token_rejected", "smtp"),
        (
            aioimaplib.Response("NO", [b"[ALERT] Too many simultaneous connections. (Failure)"]),
            "too_many_connections",
            None,
        ),
        ((b"-ERR [IN-USE] locked", [], 20), "mailbox_locked", None),
        ("b'-ERR [SYS/TEMP] later'", "unavailable", None),
    ],
)
def test_replies(reply: Any, cause: str, protocol: Any) -> None:
    assert mailbearer.explain(reply, protocol).cause == cause


TEXTS = [
    "",
    "OK",
    "OK LOGIN completed",
    "Invalid credentials",
    "a1 NO [AUTHENTICATIONFAILED] no",
    "BAD",
    "235 2.7.0 ok",
    "AUTHENTICATE command error: OK all is well",
]
SILENT: list[type[Exception]] = [imaplib.IMAP4.error, imaplib.IMAP4.abort, aioimaplib.Error, aioimaplib.Abort]
SILENT += [poplib.error_proto, smtplib.SMTPException, smtplib.SMTPServerDisconnected, ValueError, OSError]


@pytest.mark.parametrize("kind", SILENT)
@pytest.mark.parametrize("text", TEXTS)
def test_what_was_not_seen_is_not_claimed(kind: type[Exception], text: str) -> None:
    for error in (kind(text), kind(text.encode()), kind(f"b'{text}'")):
        failure = mailbearer.explain(error)
        assert failure.cause != "no_fault"
        assert failure.certainty != "stated"


@pytest.mark.parametrize("code", [0, -1])
def test_a_code_of_smtplib_that_is_none_is_not_seen(code: int) -> None:
    failure = mailbearer.explain(smtplib.SMTPAuthenticationError(code, b"what"))
    assert failure.certainty != "stated"


def test_what_an_error_was_raised_for_is_looked_at() -> None:
    above = RuntimeError("the sync failed")
    above.__cause__ = poplib.error_proto(b"-ERR [IN-USE] locked")
    assert mailbearer.explain(above).cause == "mailbox_locked"
    # Whatever is its own reason.
    above.__cause__ = above
    assert mailbearer.explain(above).cause == "unrecognized"
    failure = mailbearer.explain(RuntimeError("the sync failed with ya29.A0ARrdaM9xYzSecretSecret1"))
    assert failure.cause == "unrecognized"
    assert "the sync failed" in failure.sentence
    assert "Secret" not in failure.sentence


@pytest.mark.parametrize("thing", [None, 7, [], {}, object(), (1, 2, 3)])
def test_what_is_no_reply_is_a_type_error(thing: Any) -> None:
    with pytest.raises(TypeError, match="explain takes"):
        mailbearer.explain(thing)


@pytest.mark.parametrize(
    "text", ["b'[[[[", "b'\\xzz'", "[b'" + "(" * 5_000 + "']", "b'" + "x" * 100_000 + "'", "\0\x1b[31m"]
)
def test_nonsense_is_explained_as_well(text: str) -> None:
    failure = mailbearer.explain(imaplib.IMAP4.error(text))
    assert failure.sentence.isprintable()
    assert len(failure.sentence) < 1_500


def test_a_rejection_is_read_as_text_and_as_octets() -> None:
    encoded = "eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIn0="
    for challenge in (encoded, encoded.encode(), bytearray(encoded.encode())):
        assert mailbearer.read_rejection(challenge).status == "400"
    for wrong in (None, 7):
        with pytest.raises(TypeError, match="challenge"):
            mailbearer.read_rejection(wrong)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_loop_is_left() -> Iterator[None]:
    yield
    asyncio.set_event_loop(None)
