import mailbearer

mailbearer.smtp("joe@gmail.com", "token", port="587")  # wrong
mailbearer.pop3("joe@gmail.com", "token", timeout="30")  # wrong
mailbearer.imapclient("joe@gmail.com", "token", trace="stderr")  # wrong
