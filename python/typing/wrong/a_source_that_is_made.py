import mailbearer

mailbearer.client_credentials("google", key_file="key.json", subject="joe@example.org")  # wrong
mailbearer.stored("joe@gmail.com", provider="gmail")  # wrong
mailbearer.command(42)  # wrong
