import mailbearer


def on_event(event: mailbearer.SessionEvent) -> None:
    if event.kind == "on_line":  # wrong
        print(event)
    print(event.text.upper())  # wrong
