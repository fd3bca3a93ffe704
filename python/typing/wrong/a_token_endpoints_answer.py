import mailbearer

mailbearer.sessions("imap", "joe@gmail.com", {"access_token": "ya29.token"})  # wrong
