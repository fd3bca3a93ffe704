import mailbearer

options: mailbearer.LoneOptions = {"timeout": 10, "policy": mailbearer.SessionPolicy(first=None)}
for connection in mailbearer.sessions("smtp", "joe@gmail.com", **options):
    with connection:
        connection.client.sendmail("joe@gmail.com", ["ann@example.org"], b"Subject: hello\r\n\r\n")
        if connection.aftermath is not None and connection.aftermath.submission == "unknown":
            print("it may have been sent")
