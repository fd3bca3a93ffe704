"""Writes the providers' table of `docs/tokens.md` from the profiles: `--check` fails where it is not of today."""

from __future__ import annotations

import pathlib
import re
import sys

from mailbearer import Provider

PAGE = pathlib.Path(__file__).resolve().parents[1] / "tokens.md"
BLOCK = re.compile(r"(?<=<!-- providers -->\n).*?(?=<!-- end of providers -->)", re.DOTALL)


def table() -> str:
    """Return a row for each provider that gives tokens."""
    lines = ["| provider | protocol | server | scopes | mechanisms |", "|---|---|---|---|---|"]
    for name in Provider.NAMES:
        provider = Provider.named(name)
        if provider.instead is not None:
            continue
        for protocol in ("imap", "pop3", "smtp"):
            service = provider.service(protocol)
            if service is None:
                continue
            scopes = ", ".join(f"`{scope}`" for scope in service["scopes"]) or "none for other programs"
            tls = "TLS" if service["tls"] == "implicit" else "STARTTLS"
            where = f"`{service['host']}:{service['port']}` {tls}"
            title = f"`{name}`" if protocol == "imap" else ""
            lines.append(f"| {title} | {protocol} | {where} | {scopes} | {', '.join(service['mechanisms'])} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write it, or tell whether it is of today."""
    text = PAGE.read_text()
    written = BLOCK.sub(lambda _: table(), text)
    if arguments != ["--check"]:
        PAGE.write_text(written)
        return 0
    if text != written:
        print("the providers of docs/tokens.md are not of today: make pages", file=sys.stderr)
    return int(text != written)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
