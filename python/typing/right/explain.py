import smtplib

import mailbearer

try:
    smtplib.SMTP("mail.example.org")
except (OSError, smtplib.SMTPException) as error:
    failure = mailbearer.explain(error, "smtp", phase="greeting", host="mail.example.org")
    cause: mailbearer.Cause = failure.cause
    facts: mailbearer.FailureFacts = failure.to_dict()
    print(facts["sentence"], failure.certainty == "stated")
