import mailbearer

try:
    mailbearer.imap("joe@gmail.com")
except mailbearer.LoginFailed as error:
    if error.cause == "token_rejcted":  # wrong
        print(error)
