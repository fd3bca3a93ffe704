import mailbearer


def settings_of(domain: str) -> mailbearer.LoginOptions:
    return {"host": f"imap.{domain}", "tls": "implicit", "timeout": 15}


def read(protocol: mailbearer.MailProtocol, user: str, token: mailbearer.TokenSource) -> int:
    with mailbearer.connect(protocol, user, token, **settings_of("example.org")) as connection:
        return connection.round_trips


print(read("imap", "joe@example.org", "ya29.token"))
