"""From imaplib: what was `imaplib.IMAP4_SSL(...)` and `authenticate(...)` is one call; the client is the same."""

import mailbearer
from my_account import USER, get_access_token

with mailbearer.imap(USER, get_access_token) as imap:
    imap.select("INBOX")
    print(imap.search(None, "ALL"))
