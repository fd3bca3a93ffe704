import mailbearer

mailbearer.SessionPolicy(renewal="early")  # wrong
mailbearer.SessionPolicy(renew_ahead=30.0)  # wrong
mailbearer.Account("joe@gmail.com", policy={"lead": 30.0})  # wrong
