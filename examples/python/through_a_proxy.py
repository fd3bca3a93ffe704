"""Log in through a proxy: `MAIL_PROXY=socks5://user:password@proxy.example:1080 python through_a_proxy.py`."""

import os
import sys

import mailbearer
from my_account import USER, get_access_token


def main(proxy: str) -> None:
    try:
        with mailbearer.imap(USER, get_access_token, proxy=proxy) as imap:
            print(imap.select("INBOX"))
    except mailbearer.LoginFailed as error:
        if isinstance(error.__cause__, mailbearer.ProxyFailed):
            # unreachable, authentication, forbidden, refused, no_way or protocol
            print("the proxy:", error.__cause__.reason)
        sys.exit(str(error))


if __name__ == "__main__":
    main(os.environ["MAIL_PROXY"])
