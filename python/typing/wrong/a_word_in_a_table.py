import mailbearer

RETRIES: dict[mailbearer.Cause, int] = {"rate_limited": 3, "unavailble": 5}  # wrong
