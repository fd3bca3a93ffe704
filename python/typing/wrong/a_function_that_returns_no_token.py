import mailbearer


def nothing() -> None:
    print("where is it?")


mailbearer.imap("joe@gmail.com", nothing)  # wrong
mailbearer.imap("joe@gmail.com", lambda: 42)  # wrong
