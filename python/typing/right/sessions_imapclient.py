import mailbearer

for connection in mailbearer.sessions("imap", "joe@gmail.com", client="imapclient", trace=None):
    with connection:
        print(connection.client, connection.is_due, connection.renew_by)
