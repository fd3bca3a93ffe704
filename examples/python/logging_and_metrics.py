"""Logs and metrics: `on_event` is called with each thing that happens, and its texts never carry a token."""

import logging
from collections import Counter

import mailbearer
from my_account import USER, get_access_token

log = logging.getLogger("mail")

LEVELS = {
    "online": logging.INFO,
    "renewing": logging.INFO,
    "ended": logging.INFO,
    "token_failed": logging.WARNING,
    "login_failed": logging.WARNING,
    "limited": logging.WARNING,
    "needs_user": logging.ERROR,
    "gave_up": logging.ERROR,
    "mistake": logging.ERROR,
}

# With prometheus_client: Counter("mail_events_total", "…", ["kind", "protocol", "cause"]), and .labels(…).inc() below.
events: Counter[tuple[str, str | None, str | None]] = Counter()


def on_event(event: mailbearer.SessionEvent) -> None:
    """It may come in any thread, and must not block: the sessions wait for it."""
    events[event.kind, event.protocol, event.cause] += 1
    log.log(
        LEVELS.get(event.kind, logging.DEBUG),
        "%s %s %s%s",
        event.user,
        event.protocol or "account",
        event.kind,
        "".join(f" {word}" for word in (event.cause, event.text) if word),
        # What the token source or the system raised has words of others: it is for people who may see them.
        exc_info=event.error if log.isEnabledFor(logging.DEBUG) else None,
    )


def main(connections: int = 3) -> None:
    for connection in mailbearer.sessions("imap", USER, get_access_token, on_event=on_event):
        with connection:
            connection.client.select("INBOX")
            connection.wait()
        if connection.generation == connections:
            break
    for (kind, protocol, cause), count in sorted(events.items(), key=str):
        print(f'mail_events_total{{kind="{kind}",protocol="{protocol}",cause="{cause or ""}"}} {count}')


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    main()
