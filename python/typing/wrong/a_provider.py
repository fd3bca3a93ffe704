import mailbearer

mailbearer.imap("joe@example.org", provider="outlook")  # wrong
