import mailbearer

client = mailbearer.imapclient("joe@gmail.com", "ya29.token", mechanisms=("XOAUTH2",))
print(client)
