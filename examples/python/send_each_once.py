"""Send many messages, each once: queue them, and go on. `python send_each_once.py ann@example.org bob@example.org`."""

import sys
from email.message import EmailMessage

import mailbearer
from my_account import USER, at, get_access_token


def newsletter(recipient: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = USER, recipient, "News"
    message.set_content("hello\n")
    return message


def send_all(recipients: list[str]) -> list[mailbearer.SendOutcome]:
    # What the provider allows: here at most 30 messages in a minute and 2,000 in a day, over two connections.
    limits = [(30, 60), (2000, 86400)]
    with mailbearer.sender(USER, get_access_token, connections=2, limits=limits, **at("smtp")) as sender:
        receipts = [sender.send(newsletter(recipient)) for recipient in recipients]
        outcomes = [receipt.result() for receipt in receipts]
    for outcome in outcomes:
        print(outcome.message_id, outcome.status)
        for recipient, refusal in outcome.refused.items():
            print(f"  {recipient}: {refusal}")
        for recipient in outcome.unknown:
            print(f"  {recipient} may have it: look for the Message-ID before you send it again")
    return outcomes


if __name__ == "__main__":
    try:
        send_all(sys.argv[1:])
    except mailbearer.NeedsUser as error:
        sys.exit(str(error))
