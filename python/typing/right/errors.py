from typing import assert_never

import mailbearer


def what_to_do(advice: mailbearer.Advice) -> str:
    match advice:
        case "refresh_token" | "reconnect" | "back_off" | "proceed":
            return "it goes on by itself"
        case "ask_user":
            return "tell the user"
        case "fix_configuration" | "give_up":
            return "tell the developer"
        case _:
            assert_never(advice)


try:
    mailbearer.imap("joe@gmail.com")
except mailbearer.LoginFailed as error:
    print(what_to_do(error.advice), error.cause == "token_rejected", error.failure.wait_ms)
except mailbearer.TokenSourceFailed as error:
    print(error.permanent)
