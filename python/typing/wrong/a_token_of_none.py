import os

import mailbearer

mailbearer.imap("joe@gmail.com", None)  # wrong
mailbearer.imap("joe@gmail.com", os.environ.get("TOKEN"))  # wrong
