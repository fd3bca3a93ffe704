import mailbearer

with mailbearer.sessions("imap", "joe@gmail.com") as sessions:
    try:
        next(sessions).client.noop()
    except mailbearer.SessionEnded as ended:
        print(ended.cause == "session_limits")  # wrong
