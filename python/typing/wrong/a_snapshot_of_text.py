import mailbearer

mailbearer.sessions("imap", "joe@gmail.com", snapshot="snapshot")  # wrong
