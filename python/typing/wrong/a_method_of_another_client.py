import mailbearer

for connection in mailbearer.sessions("smtp", "joe@gmail.com"):
    connection.client.select("INBOX")  # wrong
