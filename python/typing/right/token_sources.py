import mailbearer

printed = mailbearer.command(["oama", "access", "joe@gmail.com"], timeout=10.0)
kept = mailbearer.token_file("/run/secrets/token")
application = mailbearer.client_credentials("microsoft", tenant="t", client_id="c", client_secret="s")
login = mailbearer.stored("joe@gmail.com")
for source in (printed, kept, application, login):
    mailbearer.sessions("imap", "joe@gmail.com", source)
