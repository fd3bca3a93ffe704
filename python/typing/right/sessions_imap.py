import mailbearer


def token() -> tuple[str, float]:
    return "ya29.token", 3600.0


for connection in mailbearer.sessions("imap", "joe@gmail.com", token):
    with connection:
        if connection.resumed is not None and connection.resumed.selected is not None:
            print(connection.resumed.selected.name)
        connection.client.select("INBOX")
        while not connection.wait(60):
            connection.client.noop()
        if connection.verdict is not None and connection.verdict.cause == "session_limit":
            print(connection.generation)
