import mailbearer

policy = mailbearer.SessionPolicy(renewal="overlap", connections=3, keep_alive=False)
with mailbearer.Account("joe@gmail.com", policy=policy, on_event=print) as account:
    inbox, outbox = account.sessions("imap"), account.sessions("smtp", timeout=20.0)
    next(inbox).client.select("INBOX")
    next(outbox).client.noop()
    status = account.status()
    for stop in status["stops"]:
        print(stop.sentence)
    standings: list[mailbearer.Standing] = [session["standing"] for session in status["sessions"]]
    account.retry()
