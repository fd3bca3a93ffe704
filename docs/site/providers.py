"""Writes the tables of providers from the profiles: `--check` fails where one is not of today."""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Callable

from mailbearer import Provider

DOCS = pathlib.Path(__file__).resolve().parents[1]
PROTOCOLS = ("imap", "pop3", "smtp")


def known() -> list[Provider]:
    """Return each provider that gives tokens."""
    return [one for one in map(Provider.named, Provider.NAMES) if one.instead is None]


def servers() -> str:
    """Return a row for each service."""
    lines = ["| provider | protocol | server | scopes | mechanisms |", "|---|---|---|---|---|"]
    for provider in known():
        for protocol in PROTOCOLS:
            service = provider.service(protocol)
            if service is None:
                continue
            scopes = ", ".join(f"`{scope}`" for scope in service["scopes"]) or "none for other programs"
            tls = "TLS" if service["tls"] == "implicit" else "STARTTLS"
            where = f"`{service['host']}:{service['port']}` {tls}"
            title = f"`{provider.name}`" if protocol == "imap" else ""
            lines.append(f"| {title} | {protocol} | {where} | {scopes} | {', '.join(service['mechanisms'])} |")
    return "\n".join(lines) + "\n"


def limits() -> str:
    """Return a row for each provider: how long tokens and sessions live, and how many connections there may be."""
    lines = [
        "| provider | token lives | session lives | ends with its token | may be idle | connections of a user |",
        "|---|---|---|---|---|---|",
    ]
    for provider in known():
        services = {one: provider.service(one) for one in PROTOCOLS}
        there = {name: service for name, service in services.items() if service is not None}

        def told(member: str, say: Callable[[int], str], there: dict[str, dict[str, int | None]] = there) -> str:
            words = {name: "not known" if (it := one[member]) is None else say(it) for name, one in there.items()}
            if len(set(words.values())) == 1:
                return next(iter(words.values()))
            return ", ".join(f"{name} {word}" for name, word in words.items() if word != "not known")

        life = provider.token_lifetime_ms
        cells = [
            f"`{provider.name}`",
            "not known" if life is None else _time(life),
            told("session_ms", _time),
            told("ends_with_token", lambda ends: "yes" if ends else "no"),
            told("idle_ms", _time),
            told("connections", str),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _time(ms: int) -> str:
    hours, minutes = ms / 3_600_000, ms / 60_000
    return f"{hours:g} h" if hours >= 1 else f"{minutes:g} min"


TABLES = {("tokens.md", "providers"): servers, ("reference/settings.md", "limits"): limits}


def main(arguments: list[str]) -> int:
    """Write them, or tell whether they are of today."""
    status = 0
    for (name, block), table in TABLES.items():
        page = DOCS / name
        text = page.read_text()
        pattern = re.compile(rf"(?<=<!-- {block} -->\n).*?(?=<!-- end of {block} -->)", re.DOTALL)
        told = table()
        written = pattern.sub(lambda _, told=told: told, text)
        if arguments != ["--check"]:
            page.write_text(written)
        elif text != written or not pattern.search(text):
            print(f"the table {block} of docs/{name} is not of today: make pages", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
