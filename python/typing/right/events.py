import logging

import mailbearer

LEVELS: dict[mailbearer.EventKind, int] = {"online": logging.INFO, "login_failed": logging.WARNING}


def on_event(event: mailbearer.SessionEvent) -> None:
    logging.log(LEVELS.get(event.kind, logging.DEBUG), "%s", event, exc_info=event.error)
    if event.kind == "waiting" and event.seconds is not None:
        print(event.time + event.seconds, event.message)


mailbearer.sessions("imap", "joe@gmail.com", on_event=on_event)
