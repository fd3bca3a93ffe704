import datetime
from dataclasses import dataclass

import mailbearer


@dataclass
class Answer:
    access_token: str
    expires_at: float


class Broker:
    def token(self, force_refresh: bool = False) -> tuple[str, int]:
        return "new" if force_refresh else "old", 3600


def refused(*, refused: mailbearer.AccessToken | None) -> str:
    return "another" if refused else "first"


def both(*, force_refresh: bool, refused: mailbearer.AccessToken | None = None) -> Answer:
    return Answer("ya29.token", 0.0)


def until() -> dict[str, object]:
    return {"access_token": "ya29.token", "expires_at": datetime.datetime.now(datetime.UTC)}


sources: list[mailbearer.TokenSource] = [
    "ya29.token",
    mailbearer.AccessToken("x"),
    Broker().token,
    refused,
    both,
    until,
]
for source in sources:
    mailbearer.connect("imap", "joe@gmail.com", source)
