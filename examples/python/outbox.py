"""Send what lies in a folder, each message once, whatever happens on the way.

`queued/` is what is to be sent (one .eml each), `sent/` what was accepted, `refused/` what the server does not
want, `unknown/` what it may have taken without our hearing of it: a person decides, by the Message-ID.
"""

import email
import email.policy
import pathlib
import smtplib
import sys

import mailbearer
from my_account import USER, at, get_access_token


def send_all(folder: pathlib.Path, poll: float = 5.0) -> None:
    for name in ("queued", "sending", "sent", "unknown", "refused"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    # A process that died in the middle: nobody knows what became of what it was sending.
    for left in (folder / "sending").iterdir():
        left.rename(folder / "unknown" / left.name)
    for connection in mailbearer.sessions("smtp", USER, get_access_token, **at("smtp")):
        if connection.resumed is not None:
            settle(folder, connection.resumed)
        with connection:
            while not connection.is_due:
                for queued in sorted((folder / "queued").iterdir()):
                    send(connection.client, queued, folder)
                    if connection.is_due:
                        break  # between two messages the session is renewed
                else:
                    connection.wait(poll)


def settle(folder: pathlib.Path, resumed: mailbearer.Aftermath) -> None:
    """Decide what becomes of the message that was under way when the session ended."""
    back = "unknown" if resumed.submission == "unknown" else "queued"
    for left in (folder / "sending").iterdir():
        left.rename(folder / back / left.name)


def send(smtp: smtplib.SMTP, queued: pathlib.Path, folder: pathlib.Path) -> None:
    message = email.message_from_bytes(queued.read_bytes(), policy=email.policy.SMTP)
    sending = queued.rename(folder / "sending" / queued.name)
    try:
        smtp.send_message(message)
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        print(queued.name, mailbearer.explain(error).sentence, flush=True)
        sending.rename(folder / "refused" / queued.name)
    else:
        sending.rename(folder / "sent" / queued.name)


if __name__ == "__main__":
    try:
        send_all(pathlib.Path(sys.argv[1]))
    except mailbearer.NeedsUser as error:
        sys.exit(str(error))
