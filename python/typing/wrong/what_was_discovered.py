import mailbearer

found = mailbearer.discover("joe@example.org")
if found.outcome == "not_found":  # wrong
    print(found)
print(found.service("imap").host)  # wrong
