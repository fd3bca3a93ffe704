"""Logs and metrics: the logger tells what happens, and `on_event` counts it. No token is in either."""

import logging
from collections import Counter

import mailbearer
from my_account import USER, at, get_access_token

# With prometheus_client: Counter("mail_events_total", "…", ["kind", "protocol", "cause"]), and .labels(…).inc() below.
events: Counter[tuple[mailbearer.EventKind, mailbearer.MailProtocol | None, mailbearer.Cause | None]] = Counter()


def on_event(event: mailbearer.SessionEvent) -> None:
    """It may come in any thread, and must not block: the sessions wait for it."""
    events[event.kind, event.protocol, event.cause] += 1
    if event.kind == "needs_user":
        print(f"tell somebody: {event}")


def main(connections: int = 3) -> None:
    for connection in mailbearer.sessions("imap", USER, get_access_token, on_event=on_event, **at("imap")):
        with connection:
            connection.client.select("INBOX")
            connection.wait()
        if connection.generation == connections:
            break
    for (kind, protocol, cause), count in sorted(events.items(), key=str):
        print(f'mail_events_total{{kind="{kind}",protocol="{protocol}",cause="{cause or ""}"}} {count}')


if __name__ == "__main__":
    # INFO: what becomes of a session; WARNING: what failed; DEBUG, for one logger alone: the dialogue of each login.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    main()
