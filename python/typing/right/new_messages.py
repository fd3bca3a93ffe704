import mailbearer

cursor: str | None = None
for connection in mailbearer.sessions("imap", "joe@gmail.com"):
    with connection:
        for new in connection.new_messages("INBOX", since=cursor, read_only=True):
            for uid in new.uids:
                print(connection.client.uid("FETCH", str(uid), "(FLAGS)"), new.is_reset)
            cursor = new.cursor
