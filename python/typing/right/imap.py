import mailbearer

with mailbearer.imap("joe@gmail.com", "ya29.token", timeout=10.0) as imap:
    status, found = imap.select("INBOX", readonly=True)
    assert status == "OK"
