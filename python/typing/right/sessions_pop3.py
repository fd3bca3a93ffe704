import mailbearer

with mailbearer.sessions("pop3", "joe@gmail.com", "ya29.token", client="poplib") as sessions:
    connection = next(sessions)
    count: int = connection.client.stat()[0]
