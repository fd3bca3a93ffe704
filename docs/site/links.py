"""Follows every link within the site, and looks that no page needs the network or JavaScript: links.py SITE"""

from __future__ import annotations

import pathlib
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

# Made by the languages' own tools: a link may lead there; what is in them is their tools' to check.
REFERENCES = ("node", "rust", "kotlin")


class Page(HTMLParser):
    """What a page has, and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.words = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.anchors.update(value for name in ("id", "name") if (value := given.get(name)))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        if tag in ("img", "script") and given.get("src"):
            self.loaded.append(given["src"] or "")
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.append(given["href"] or "")

    def handle_data(self, data: str) -> None:
        self.words += len(data.split())


def problems(site: pathlib.Path) -> list[str]:
    """Return what is wrong."""
    files = [file for file in site.rglob("*.html") if file.relative_to(site).parts[0] not in (*REFERENCES, "_static")]
    pages = {file: Page(file.read_text()) for file in files}
    found = []
    for file, page in pages.items():
        name = file.relative_to(site)
        for link in page.loaded:
            if urlsplit(link).netloc:
                found.append(f"{name} loads {link}")
        if page.words < 20:
            found.append(f"{name} has nothing to read without JavaScript")
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.exists():
                found.append(f"{name}: {link} leads nowhere")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name}: {link}: there is no such place on that page")
    return found


def main(site: str) -> int:
    """Tell what is wrong."""
    found = problems(pathlib.Path(site).resolve())
    for one in found:
        print(one, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
