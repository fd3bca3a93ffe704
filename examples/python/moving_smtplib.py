"""From smtplib: `starttls`, `ehlo` and `auth` go; long tokens are sent in two steps, as servers want them."""

from email.message import EmailMessage

import mailbearer
from my_account import USER, at, get_access_token

message = EmailMessage()
message["From"] = message["To"] = USER
message["Subject"] = "hello"
message.set_content("...")

with mailbearer.smtp(USER, get_access_token, **at("smtp")) as smtp:
    smtp.send_message(message)
