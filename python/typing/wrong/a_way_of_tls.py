import mailbearer

mailbearer.imap("joe@gmail.com", tls="ssl")  # wrong
