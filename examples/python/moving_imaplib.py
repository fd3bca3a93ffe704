"""From imaplib: what was `imaplib.IMAP4_SSL(...)` and `authenticate(...)` is one call; the client is the same."""

import mailbearer
from my_account import USER, at, get_access_token

with mailbearer.imap(USER, get_access_token, **at("imap")) as imap:
    imap.select("INBOX")
    print(imap.search(None, "ALL"))
