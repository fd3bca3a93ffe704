import mailbearer


def trace(line: str) -> None:
    print(line)


mailbearer.connect("imap", "joe@gmail.com", trace=trace)  # wrong
mailbearer.sessions("imap", "joe@gmail.com", trace=trace)  # wrong
