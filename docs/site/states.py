"""Draws the state diagrams of the pages, without JavaScript: Mermaid's `stateDiagram-v2`, by Graphviz."""

from __future__ import annotations

import html
import re
import subprocess
from collections import defaultdict

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

_EDGE = re.compile(r"\s*(\S+) --> (\S+?)(?:: (.*))?\s*")
_STYLE = """
    rankdir=TB bgcolor=transparent nodesep=0.35 ranksep=0.45
    node [shape=box style=rounded fontname="sans-serif" fontsize=12 height=0.35 margin="0.12,0.05"]
    node [color=INK fontcolor=INK]
    edge [fontname="sans-serif" fontsize=10 arrowsize=0.6 color=FAINT fontcolor=INK]
"""
# Graphviz knows no custom properties of CSS: these stand in for them.
_COLOURS = {"#010203": "currentColor", "#040506": "var(--color-foreground-muted)"}


def dot_of(lines: list[str]) -> str:
    """Return what Graphviz draws for a diagram of Mermaid's."""
    edges: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for line in lines:
        if line.strip() in ("stateDiagram-v2", ""):
            continue
        match = _EDGE.fullmatch(line)
        if match is None:
            raise ValueError(f"no line of a state diagram: {line}")
        edges[match[1], match[2]] += [] if match[3] is None else [match[3]]
    drawn = [
        f'"{begin}" -> "{end}" [label="{html.escape(", ".join(labels)).replace(", ", chr(92) + "n")}"];'
        for (begin, end), labels in edges.items()
    ]
    start = '"[*]" [shape=circle label="" width=0.12 height=0.12 style=filled fillcolor=INK];'
    text = f"digraph {{ {_STYLE} {start} {' '.join(drawn)} }}"
    ink, faint = _COLOURS
    return text.replace("INK", f'"{ink}"').replace("FAINT", f'"{faint}"')


def svg_of(lines: list[str]) -> str:
    """Return the diagram as SVG, in the colours of the page."""
    drawn = subprocess.run(["dot", "-Tsvg"], input=dot_of(lines), capture_output=True, text=True, check=True).stdout
    svg = drawn[drawn.index("<svg") :]
    for stand_in, colour in _COLOURS.items():
        svg = svg.replace(stand_in, colour)
    width = re.search(r'width="(\d+)pt"', svg)
    return re.sub(
        r'<svg width="\d+pt" height="\d+pt"',
        f'<svg role="img" style="width: {width[1] if width else 600}pt; max-width: 100%; height: auto"',
        svg,
        count=1,
    )


class StateDiagram(Directive):
    """A block of code in the language `mermaid`."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Draw it; what it says is there for those who do not see it."""
        said = "; ".join(match.strip() for match in self.content if "-->" in match)
        figure = f'<div class="states" aria-label="{html.escape(said)}">{svg_of(list(self.content))}</div>'
        return [nodes.raw("", figure, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx."""
    app.add_directive("mermaid", StateDiagram)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
