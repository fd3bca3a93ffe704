import mailbearer

negotiation = mailbearer.Negotiation("imap", "joe@gmail.com", "ya29.token", host="imap.gmail.com")
step = negotiation.receive(b"* OK hello\r\n")
while step.next == "read":
    print(step.send if not step.sensitive else b"<token>")
    step = negotiation.closed()
watch = mailbearer.Watch("imap")
ended, skipped = watch.received(b"* BYE over\r\n")
print(watch.aftermath().selected, ended is None or ended.cause, skipped)
