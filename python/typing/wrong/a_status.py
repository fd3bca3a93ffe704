import mailbearer

with mailbearer.Account("joe@gmail.com") as account:
    print(account.status()["session"])  # wrong
    print([session["standing"] == "renewed" for session in account.status()["sessions"]])  # wrong
