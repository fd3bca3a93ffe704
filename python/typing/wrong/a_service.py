import mailbearer

mailbearer.Provider("mine", {"imap": {"hostname": "mail.example.org"}})  # wrong
mailbearer.Provider("mine", {"imaps": {"host": "mail.example.org"}})  # wrong
