import mailbearer

mailbearer.Account("joe@gmail.com", 42)  # wrong
