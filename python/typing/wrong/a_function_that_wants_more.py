import mailbearer


def token(user: str) -> str:
    return f"token of {user}"


mailbearer.imap("joe@gmail.com", token)  # wrong
