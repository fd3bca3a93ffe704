import mailbearer

mailbearer.imap("joe@gmail.com", "token", time_out=30.0)  # wrong
