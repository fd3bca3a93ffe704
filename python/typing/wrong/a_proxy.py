import mailbearer

mailbearer.imap("joe@gmail.com", proxies="socks5://localhost:1080")  # wrong
mailbearer.imap("joe@gmail.com", proxy=("localhost", 1080))  # wrong
