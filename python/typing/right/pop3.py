import mailbearer

pop3 = mailbearer.pop3("joe@gmail.com", lambda: "ya29.token", tls="starttls", port=110)
count, octets = pop3.stat()
print(count + octets)
pop3.quit()
