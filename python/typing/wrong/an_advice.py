import mailbearer


def is_for_people(failure: mailbearer.Failure) -> bool:
    return failure.advice in ("ask_user", "fix_configuration") or failure.advice == "askuser"  # wrong
