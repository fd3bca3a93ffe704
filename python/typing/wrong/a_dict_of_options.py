import mailbearer

options: mailbearer.LoginOptions = {"host": "mail.example.org", "prot": 993}  # wrong
mailbearer.imap("joe@example.org", **options)
