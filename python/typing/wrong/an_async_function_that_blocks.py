import mailbearer


async def token() -> str:
    return "ya29.token"


mailbearer.imap("joe@gmail.com", token)  # wrong
mailbearer.Account("joe@gmail.com", token)  # wrong
