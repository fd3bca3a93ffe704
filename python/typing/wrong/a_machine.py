import mailbearer

negotiation = mailbearer.Negotiation("imap", "joe@gmail.com", "token", host="h", tls="ssl")  # wrong
print(negotiation.receive("* OK hello\r\n"))  # wrong
mailbearer.initial_response("XOAUTH3", "joe@gmail.com", "token")  # wrong
