from email.message import EmailMessage

import mailbearer

message = EmailMessage()
message["From"] = message["To"] = "joe@gmail.com"


def told(outcome: mailbearer.SendOutcome) -> None:
    print(outcome.message_id, outcome.status)


with mailbearer.sender("joe@gmail.com", limits=[(30, 60)], connections=2, on_outcome=told) as sender:
    receipt = sender.send(message, recipients=["ann@example.org"])
    status: mailbearer.SendStatus = receipt.result().status
