"""Keep the mail library that you have: mailbearer makes the login's octets, and says what the errors mean."""

import imaplib
import ssl

import mailbearer
from my_account import USER, get_access_token


def select_inbox(host: str, port: int = 993, context: ssl.SSLContext | None = None) -> str:
    token = get_access_token()
    imap = imaplib.IMAP4_SSL(host, port, ssl_context=context or ssl.create_default_context())
    first = mailbearer.initial_response("XOAUTH2", USER, token, host=host, port=port)
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


if __name__ == "__main__":
    print(select_inbox("imap.gmail.com"))
