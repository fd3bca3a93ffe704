"""Django's e-mail over a session: with real Django, and the Gmail-like server."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.conf import settings
from django.core import mail

import mailbearer
from mailbearer.testing import Server

settings.configure(EMAIL_BACKEND="mailbearer.django.EmailBackend", DEFAULT_FROM_EMAIL="Joe <joe@gmail.com>")
django.setup()

from django.test import override_settings  # noqa: E402

import mailbearer.django  # noqa: E402

USER = "joe@gmail.com"

calls = 0


@pytest.fixture
def server() -> Iterator[Server]:
    global calls
    calls = 0
    with Server() as running:

        def token() -> tuple[str, float]:
            global calls
            calls += 1
            return running.issue_token(USER), 3600.0

        with override_settings(MAILBEARER={"user": USER, "token": token, **running.at("smtp")}):
            yield running
        for sender in mailbearer.django._SENDERS.values():
            sender.close(0.0)
        mailbearer.django._SENDERS.clear()


def logins(server: Server) -> int:
    return [event.what for event in server.events()].count("logged_in")


def test_mails_go_over_one_login(server: Server) -> None:
    for number in range(3):
        assert mail.send_mail(f"number {number}", "From here\nto there\n.", None, ["Ann <ann@example.org>"]) == 1
    assert [one["recipients"] for one in server.submitted()] == [["ann@example.org"]] * 3
    first = server.submitted()[0]
    assert (first["sender"], b"Subject: number 0\r\n" in first["content"]) == (USER, True)
    assert b"\r\n\r\nFrom here\r\nto there\r\n.\r\n" in first["content"]
    assert logins(server) == 1


def test_bcc_attachments_and_html(server: Server) -> None:
    message = mail.EmailMultiAlternatives(
        "Grüße", "text", None, ["ann@example.org"], bcc=["eve@example.org"], headers={"Message-ID": "<1@x>"}
    )
    message.attach_alternative("<b>hello</b>", "text/html")
    message.attach("a.bin", b"\0\1", "application/octet-stream")
    assert message.send() == 1
    (sent,) = server.submitted()
    assert sent["recipients"] == ["ann@example.org", "eve@example.org"]
    assert b"eve@" not in sent["content"]
    assert sent["content"].count(b"Message-ID: <1@x>") == 1


def test_many_at_once_and_a_message_for_nobody(server: Server) -> None:
    messages = [mail.EmailMessage(str(number), "x", None, ["ann@example.org"]) for number in range(5)]
    messages.append(mail.EmailMessage("for nobody", "x", None, []))
    with mail.get_connection() as connection:
        assert connection.send_messages(messages) == 5
        assert connection.send_messages([]) == 0
    assert logins(server) == 1


def test_threads_share_the_connection(server: Server) -> None:
    done: list[int] = []
    threads = [
        threading.Thread(target=lambda: done.append(mail.send_mail("x", "y", None, ["ann@example.org"])))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (done, len(server.submitted()), logins(server)) == ([1] * 8, 8, 1)


def test_a_stop_is_raised_at_once_and_costs_one_login_until_somebody_has_acted(server: Server) -> None:
    server.refuse("account_disabled")
    for _ in range(3):
        with pytest.raises(mailbearer.NeedsUser, match="disabled"):
            mail.send_mail("x", "y", None, ["ann@example.org"])
        assert mail.send_mail("x", "y", None, ["ann@example.org"], fail_silently=True) == 0
    assert [event.what for event in server.events()].count("refused") == 1
    server.refuse(None)
    mailbearer.django.retry()
    assert mail.send_mail("after", "y", None, ["ann@example.org"]) == 1
    # What was told as not sent is not sent behind the program's back.
    assert len(server.submitted()) == 1


def test_what_nobody_knows_of_is_told_with_its_message_id(server: Server) -> None:
    server.set_fault("after_dot", "drop")
    with pytest.raises(mailbearer.django.NotSent, match="may have been delivered") as caught:
        mail.send_mail("x", "y", None, ["ann@example.org"])
    outcome = caught.value.outcome
    assert (outcome.status, outcome.message_id.encode() in server.submitted()[0]["content"]) == ("unknown", True)
    assert mail.send_mail("x", "y", None, ["ann@example.org"]) == 1


def test_a_lost_connection_is_no_fault_of_the_mail(server: Server) -> None:
    assert mail.send_mail("first", "y", None, ["ann@example.org"]) == 1
    server.set_fault("command", "drop")
    assert mail.send_mail("second", "y", None, ["ann@example.org"]) == 1
    assert len(server.submitted()) == 2


def test_a_call_that_waits_too_long_takes_its_mail_back(server: Server) -> None:
    limits = {**settings.MAILBEARER, "limits": [(1, 3600)]}
    with override_settings(MAILBEARER=limits, EMAIL_TIMEOUT=0.2):
        connection = mail.get_connection()
        first, second = (mail.EmailMessage(name, "x", None, ["ann@example.org"]) for name in ("first", "second"))
        with override_settings(EMAIL_TIMEOUT=30):
            assert connection.send_messages([first]) == 1
        with pytest.raises(TimeoutError):
            connection.send_messages([second])
        assert len(connection._sender()) == 0
    assert len(server.submitted()) == 1


def test_the_user_may_be_djangos_own_and_a_token_a_dotted_path(server: Server) -> None:
    given = dict(settings.MAILBEARER)
    del given["user"]
    given["token"] = f"{__name__}.dotted"
    global dotted
    dotted = settings.MAILBEARER["token"]
    with override_settings(MAILBEARER=given, EMAIL_HOST_USER=USER):
        assert mail.send_mail("x", "y", None, ["ann@example.org"]) == 1
    with override_settings(MAILBEARER=given), pytest.raises(mailbearer.ConfigError, match="has no user"):
        mail.send_mail("x", "y", None, ["ann@example.org"])


dotted: Any = None


@pytest.mark.parametrize("token", ["EwBgA8l6", "eyJ0eXAi.eyJhdWQi.c2lnbmF0dXJl"])
def test_a_token_in_place_of_a_path_is_refused_and_not_shown(token: str) -> None:
    with (
        override_settings(MAILBEARER={"user": "joe@gmail.com", "token": token}),
        pytest.raises(mailbearer.ConfigError, match="no dotted path") as caught,
    ):
        mail.get_connection().open()
    assert token not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "MAILBEARER in Django's settings must be a dict, not NoneType"),
        ("joe@gmail.com", "MAILBEARER in Django's settings must be a dict, not str"),
        ({"user": USER, "limit": [(1, 60)]}, r"MAILBEARER has no option 'limit' \(did you mean 'limits'\?\); see help"),
        ({"user": USER, "lead": 60}, r"MAILBEARER has no option 'lead' \(give it to mailbearer\.SessionPolicy\); see"),
        ({"username": USER}, r"MAILBEARER has no option 'username' \(did you mean 'user'\?\); see"),
        ({"user": USER, "token": "mailbearer.CAUSES", "limits": 30}, "limits must be a list of pairs"),
    ],
)
def test_settings_that_are_none_are_told(given: Any, told: str) -> None:
    with override_settings(MAILBEARER=given), pytest.raises(mailbearer.ConfigError, match=told):
        mail.get_connection().open()


def test_an_option_of_a_call_is_told_too() -> None:
    with override_settings(MAILBEARER={"user": USER}), pytest.raises(mailbearer.ConfigError, match="'time_out'"):
        mail.get_connection(time_out=3).open()


def test_a_password_is_refused() -> None:
    with pytest.raises(mailbearer.ConfigError, match="leave the password out"):
        mail.send_mail("x", "y", None, ["ann@example.org"], auth_user=USER, auth_password="secret")


def test_a_line_end_in_a_header_is_refused(server: Server) -> None:
    with pytest.raises(ValueError, match="Header values"):
        mail.send_mail("x\nBcc: eve@example.org", "y", None, ["ann@example.org"])
    assert server.submitted() == []


def test_refusals_are_raised_at_once_and_partial_ones_are_logged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuse_recipient("nobody@example.org", "unknown")
    server.refuse_recipient("later@example.org", "rate_limited")
    for name, text in (("nobody@example.org", "refused: nobody@example.org: 550"), ("later@example.org", "refused: ")):
        with pytest.raises(mailbearer.django.NotSent, match=text):
            mail.send_mail("x", "y", None, [name])
    assert mail.send_mail("x", "y", None, ["ann@example.org", "nobody@example.org"]) == 1
    assert "was refused for nobody@example.org" in caplog.text
