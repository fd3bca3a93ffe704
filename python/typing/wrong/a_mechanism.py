import mailbearer

mailbearer.imap("joe@gmail.com", mechanisms=["XOAUTH"])  # wrong
