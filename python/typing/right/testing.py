import mailbearer
from mailbearer.testing import Server

with Server(flavour="outlook", token_lifetime=5.0, cut="words") as server:
    token = server.issue_token("joe@outlook.com", lifetime=2.0)
    with mailbearer.imap("joe@outlook.com", token, **server.at("imap")) as imap:
        imap.noop()
    for connection in mailbearer.sessions("smtp", "joe@outlook.com", token, **server.at("smtp", "starttls")):
        connection.close()
    server.revoke_token(token)
