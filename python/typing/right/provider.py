import mailbearer

mine = mailbearer.Provider(
    "mine",
    {
        "imap": {"host": "mail.example.org", "port": 993, "mechanisms": ["OAUTHBEARER"], "session_ms": 3_600_000},
        "smtp": {"host": "mail.example.org", "tls": "starttls"},
    },
    domains=["example.org"],
)
name = input("provider: ")
known = mailbearer.Provider.named(name)
mailbearer.imap("joe@example.org", provider=mine)
mailbearer.imap("joe@example.org", provider=known)
service = known.service("imap")
if service is not None:
    print(service["host"], service.get("port"))
