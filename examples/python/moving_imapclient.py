"""From IMAPClient: `oauth2_login` goes, and the client is the same. Stays logged in, as IMAPClient alone does not."""

import mailbearer
from my_account import USER, at, get_access_token

for connection in mailbearer.sessions("imap", USER, get_access_token, client="imapclient", **at("imap")):
    with connection:
        connection.client.select_folder("INBOX", readonly=True)
        print(connection.client.search(["ALL"]))
        break  # or connection.idle(), connection.new_messages(...)
