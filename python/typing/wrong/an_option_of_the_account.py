import mailbearer

with mailbearer.Account("joe@gmail.com") as account:
    account.sessions("imap", snapshot=b"")  # wrong
