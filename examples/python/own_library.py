"""Keep the mail library that you have: mailbearer makes the login's octets, and says what the errors mean."""

import imaplib
import smtplib
import ssl
import sys

import mailbearer
from my_account import USER, get_access_token


def select_inbox(host: str, port: int = 993, context: ssl.SSLContext | None = None) -> str:
    # It takes whatever a token source returns.
    first = mailbearer.initial_response("XOAUTH2", USER, get_access_token(), host=host, port=port)
    imap = imaplib.IMAP4_SSL(host, port, ssl_context=context or ssl.create_default_context())
    asked = []

    def answer(challenge: bytes) -> bytes:
        """The token once (imaplib encodes it); then the empty line with which XOAUTH2 answers an error challenge."""
        asked.append(challenge)
        return first if len(asked) == 1 else b""

    try:
        imap.authenticate("XOAUTH2", answer)
        return imap.select("INBOX")[0]
    except imaplib.IMAP4.error as error:
        failure = mailbearer.explain(error, user=USER, host=host)
        return f"{failure.cause}: {failure.advice}"
    finally:
        imap.logout()


def send(recipient: str, message: bytes, host: str, port: int = 465, context: ssl.SSLContext | None = None) -> str:
    # smtplib takes text, and encodes it.
    first = mailbearer.initial_response("XOAUTH2", USER, get_access_token(), host=host, port=port).decode()
    with smtplib.SMTP_SSL(host, port, context=context or ssl.create_default_context()) as smtp:
        try:
            smtp.ehlo()
            smtp.auth("XOAUTH2", lambda challenge=None: "" if challenge else first)
            smtp.sendmail(USER, [recipient], message)
        except smtplib.SMTPException as error:
            failure = mailbearer.explain(error, user=USER, host=host)
            return f"{failure.cause}: {failure.advice}"
    return "sent"


if __name__ == "__main__":
    print(select_inbox("imap.gmail.com"))
    print(send(sys.argv[1], b"Subject: hello\r\n\r\n...", "smtp.gmail.com"))
