import mailbearer

mailbearer.explain("a1 NO no", "imap", phase="login")  # wrong
mailbearer.classify("imap", "authfail", ["a1 NO no"])  # wrong
