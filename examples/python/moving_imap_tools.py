"""From imap_tools: what was `MailBox("imap.gmail.com").xoauth2(user, token)` is one call; the MailBox is the same."""

import mailbearer
from my_account import USER, at, get_access_token

with mailbearer.mailbox(USER, get_access_token, **at("imap")) as mailbox:
    print(", ".join(mailbox.uids()))
