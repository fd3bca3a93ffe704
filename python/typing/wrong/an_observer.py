import mailbearer


def on_event(kind: str, text: str) -> None:
    print(kind, text)


mailbearer.sessions("imap", "joe@gmail.com", on_event=on_event)  # wrong
