"""Make the manual pages of the commands from `docs/man`, for the wheel and for the npm package.

python docs/site/manual.py            # writes them
python docs/site/manual.py --check    # fails where one is of another day's text
"""

from __future__ import annotations

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = (ROOT / "python/mailbearer.data/data/share/man/man1", ROOT / "node/man")


def roff(text: str) -> str:
    """Return a manual page (man(7)) of a text in Markdown: headings, paragraphs, definitions, strong and emphasis."""
    lines: list[str] = []
    name = ""
    for block in re.split(r"\n{2,}", text.strip()):
        if block.startswith("# "):
            name = block[2:]
            lines.append(f'.TH {name.upper()} 1 "" "mailbearer" ""')
            lines.append('.SH "NAME"')
        elif block.startswith("## "):
            lines.append(f'.SH "{block[3:]}"')
        elif "\n: " in block:
            term, about = block.split("\n: ", 1)
            lines += [".TP", _inline(term), _inline(about)]
        elif lines[-1] == '.SH "NAME"':
            lines.append(f"{_escaped(name)} \\- {_inline(block)}")
        else:
            lines += [".PP", _inline(block)]
    return "\n".join(lines) + "\n"


def _inline(text: str) -> str:
    """Escape a text, and set what is strong or emphasised."""
    joined = _escaped(" ".join(text.split()))
    joined = re.sub(r"\*\*(.+?)\*\*", r"\\fB\1\\fR", joined)
    joined = re.sub(r"\*(.+?)\*", r"\\fI\1\\fR", joined)
    return f"\\&{joined}" if joined.startswith((".", "'")) else joined


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha")


def main() -> int:
    """Write or check the pages."""
    stale = []
    for source in sorted((ROOT / "docs/man").glob("*.md")):
        page = roff(source.read_text())
        for folder in FOLDERS:
            target = folder / f"{source.stem}.1"
            if "--check" in sys.argv[1:]:
                if not target.exists() or target.read_text() != page:
                    stale.append(str(target.relative_to(ROOT)))
            else:
                folder.mkdir(parents=True, exist_ok=True)
                target.write_text(page)
    for name in stale:
        print(f"{name} is not of today's docs/man: python docs/site/manual.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
