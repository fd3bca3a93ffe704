from email.message import EmailMessage

import mailbearer

message = EmailMessage()
message["From"] = message["To"] = "joe@gmail.com"
with mailbearer.smtp("joe@gmail.com", ehlo_name="client.example.org") as smtp:
    smtp.send_message(message)
