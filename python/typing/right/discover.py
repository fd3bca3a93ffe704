import mailbearer

found = mailbearer.discover("joe@example.org", timeout=5)
if found.outcome == "found":
    service = found.service("imap")
    if service is not None and service.offer == "oauth" and service.sureness != "guess":
        mailbearer.imap(service.user, provider=found.profile)
print([look["seen"] for look in found.to_dict()["looks"]])
