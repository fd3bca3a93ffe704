import mailbearer

mailbearer.connect("imap", "joe@gmail.com", "token", hots="mail.example.org")  # wrong
