import mailbearer

mailbearer.connect("imap4", "joe@gmail.com", "token")  # wrong
mailbearer.sessions("pop", "joe@gmail.com", "token")  # wrong
