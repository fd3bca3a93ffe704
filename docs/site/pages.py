"""Lets the same pages be read in the repository and on the site.

* A link to a file of the repository leads to that file there; it must exist.
* A line that ends in `<!-- if PAGE -->` is left out while there is no such page in `docs/`.
* The page on Swift gets the declarations of its sources.
"""

from __future__ import annotations

import pathlib
import re

import swift
from sphinx.application import Sphinx
from sphinx.util import logging

DOCS = pathlib.Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
REPOSITORY = "https://github.com/mailbearer/mailbearer"

_log = logging.getLogger(__name__)
_LINK = re.compile(r"(?<=\]\()((?!\w+:|#)[^)#\s]+)(#[^)\s]*)?(?=\))")
_CONDITION = re.compile(r"^(.*?) *<!-- if (\S+) -->\n", re.MULTILINE)


def on_the_site(text: str, folder: pathlib.Path) -> tuple[str, list[str]]:
    """Return the text of a page of this folder as the site has it, and the links that lead nowhere."""
    missing = []

    def led(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        # What Sphinx makes is not there yet.
        if target.endswith(".html"):
            return match[0]
        path = (folder / target).resolve()
        if not path.exists():
            missing.append(target)
        if not path.is_relative_to(ROOT) or path.is_relative_to(DOCS):
            return match[0]
        kind = "tree" if path.is_dir() else "blob"
        return f"{REPOSITORY}/{kind}/main/{path.relative_to(ROOT)}{anchor}"

    text = _CONDITION.sub(lambda match: f"{match[1]}\n" if (DOCS / match[2]).exists() else "", text)
    return _LINK.sub(led, text), missing


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    page = DOCS / f"{name}.md"
    source[0], missing = on_the_site(source[0], page.parent)
    if name == "reference/swift":
        source[0] = source[0].replace("<!-- declarations of Swift -->", swift.page())
    for target in missing:
        _log.warning("the link leads nowhere: %s", target, location=name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
