"""Draws the pictures of the pages and of the README, as SVG, light and dark: `make pages`.

    python docs/site/pictures.py            # draws them into docs/pictures/
    python docs/site/pictures.py --check    # fails where one is not as it would be drawn now

The time line and the logins after a cut are what the machines did on a clock of our own (`history.py`); the login times
are those of `tests/bench/RESULTS.md`. No number in them is written by hand.
"""

from __future__ import annotations

import pathlib
import re
import sys
from collections import Counter
from html import escape

from history import History, World, story

DOCS = pathlib.Path(__file__).resolve().parents[1]
RESULTS = DOCS.parent / "tests/bench/RESULTS.md"
MINUTE = 60_000
FLEET = 500

STYLE = """<style>
svg {
  --ink: #1f2328; --faint: #59636e; --grid: #d1d9e0; --paper: #fff;
  --ours: #0b57a4; --others: #a9b4c0; --token: #b8860b; --asleep: #8250df;
}
@media (prefers-color-scheme: dark) {
  svg {
    --ink: #e6edf3; --faint: #9aa4ae; --grid: #3d444d; --paper: #0d1117;
    --ours: #6cb0f5; --others: #5f6b77; --token: #e3b341; --asleep: #a371f7;
  }
}
text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--ink); }
.faint { fill: var(--faint); } .small { font-size: 12px; } .bold { font-weight: 600; }
.grid { stroke: var(--grid); } .axis { stroke: var(--faint); }
.ours { fill: var(--ours); } .others { fill: var(--others); } .token { fill: var(--token); }
.asleep { fill: var(--asleep); opacity: 0.16; } .dead { fill: var(--ours); opacity: 0.3; }
.inside { fill: var(--paper); font-weight: 700; }
.number { fill: var(--ours); font-size: 12px; font-weight: 700; }
.ring { fill: none; stroke: var(--ours); stroke-width: 1.5; }
</style>"""


class Drawing:
    """An SVG that grows from top to bottom."""

    def __init__(self, width: int, height: int, title: str) -> None:
        box = f'viewBox="0 0 {width} {height}"'
        self._head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-label="{escape(title)}">'
        self._parts = [STYLE, f"<title>{escape(title)}</title>"]

    def text(self, x: float, y: float, said: str, kind: str = "", anchor: str = "start") -> None:
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(said)}</text>')

    def bar(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1.5):.1f}" height="{height:.1f}" rx="3" class="{kind}"/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> None:
        self._parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def path(self, points: list[tuple[float, float]], kind: str) -> None:
        self._parts.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" class="{kind}"/>')

    def number(self, x: float, y: float, number: int) -> None:
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="10" class="ring"/>')
        self.text(x, y + 4.5, str(number), "number", "middle")

    def svg(self) -> str:
        """Return all of it."""
        return "\n".join([self._head, *self._parts, "</svg>"]) + "\n"


def minutes(ms: int) -> str:
    """Return `1:52`, as of a day that begins at 0:00."""
    return f"{ms // (60 * MINUTE)}:{ms // MINUTE % 60:02}"


def seconds(ms: int) -> str:
    """Return `0.3 s`."""
    return f"{ms / 1000:.1f} s"


# ---- A session through expiry, cut and sleep ------------------------------------------------------------------------


def timeline(told: History) -> str:
    """Draw four hours of one session."""
    drawing = Drawing(
        960, 412, "Four hours of a session: two renewals ahead of a token's end, a cut, and a laptop that sleeps"
    )
    left, right = 120, 940
    x = lambda ms: left + (right - left) * ms / told.end_ms  # noqa: E731
    drawing.text(left, 22, "one IMAP session at Outlook.com, tokens of an hour", "bold")
    (nap,) = told.asleep
    drawing.bar(x(nap.begin_ms), 40, x(nap.end_ms or 0) - x(nap.begin_ms), 158, "asleep")
    drawing.text((x(nap.begin_ms) + x(nap.end_ms or 0)) / 2, 56, "laptop asleep", "small faint", "middle")
    for half_hour in range(0, told.end_ms + 1, 30 * MINUTE):
        drawing.line(x(half_hour), 64, x(half_hour), 198)
        drawing.text(x(half_hour), 216, minutes(half_hour), "small faint", "middle")
    drawing.text(left - 12, 92, "tokens", "", "end")
    for lane, token in enumerate(told.tokens):
        drawing.bar(
            x(token.begin_ms),
            74 + 15 * (lane % 2),
            x(min(token.end_ms or 0, told.end_ms)) - x(token.begin_ms),
            11,
            "token",
        )
    drawing.text(left - 12, 134, "connection", "", "end")
    for number, span in enumerate(told.connections, 1):
        end = told.end_ms if span.end_ms is None else span.end_ms
        alive = min(end, nap.begin_ms) if span.begin_ms < nap.begin_ms else end
        drawing.bar(x(span.begin_ms), 120, x(alive) - x(span.begin_ms) - 1.5, 20, "ours")
        if alive < end:
            drawing.bar(x(alive), 120, x(end) - x(alive) - 1.5, 20, "dead")
        drawing.text(x(span.begin_ms) + 8, 135, str(number), "small inside")
    for number, (at, _) in enumerate(captions(told), 1):
        drawing.number(x(at) + (0 if at > MINUTE else 10), 172, number)
    for number, (at, said) in enumerate(captions(told), 1):
        drawing.number(32, 236 + 34 * number - 5, number)
        drawing.text(54, 236 + 34 * number, minutes(at), "bold")
        drawing.text(100, 236 + 34 * number, said)
    return drawing.svg()


def captions(told: History) -> list[tuple[int, str]]:
    """Say what happened, in the numbers of this run."""
    first, second, third, fourth, fifth = told.connections
    gap = lambda one, other: seconds((other.begin_ms) - (one.end_ms or 0))  # noqa: E731
    ahead = ((told.tokens[0].end_ms or 0) - second.begin_ms) / MINUTE
    kept = sum(third.begin_ms >= token.begin_ms for token in told.tokens)
    nap = told.asleep[0]
    nap_ms = (nap.end_ms or 0) - nap.begin_ms
    return [
        (first.begin_ms, f"login: a token is fetched, and sent once over TLS; ready after {seconds(first.begin_ms)}"),
        (
            second.begin_ms,
            f"{ahead:.0f} minutes before the token ends a fresh one is there: "
            f"a quiet moment, and a gap of {gap(first, second)}",
        ),
        (
            third.begin_ms,
            f"the server restarts: its BYE is read, and the next login, with token {kept} still, "
            f"is done in {gap(second, third)}",
        ),
        (
            fourth.begin_ms,
            f"the second renewal ahead: again the program is asked to let go; the gap is {gap(third, fourth)}",
        ),
        (
            fifth.begin_ms,
            f"{nap_ms // MINUTE} minutes asleep: token and link are not trusted; "
            f"back {seconds(fifth.begin_ms - (nap.end_ms or 0))} after waking",
        ),
    ]


# ---- Logins after a mass cut ----------------------------------------------------------------------------------------


def fleet() -> str:
    """Draw the logins of a thousand sessions that were all cut in the same minute."""
    end = 180 * MINUTE
    each: Counter[int] = Counter()
    for seed in range(1, FLEET + 1):
        world = World(end_ms=end, seed=seed)
        world.at(20, world.restart_server)
        each.update(at // MINUTE for at, kind, _ in world.run().events if kind == "online")
    drawing = Drawing(960, 330, "Logins in each minute of a fleet that was cut at once")
    left, right, bottom, top = 70, 940, 270, 60
    x = lambda minute: left + (right - left) * minute / 180  # noqa: E731
    y = lambda logins: bottom - (bottom - top) * logins / FLEET  # noqa: E731
    drawing.text(left, 22, f"{FLEET:,} sessions, all cut by a server's restart at 0:20: logins in each minute", "bold")
    for logins in range(0, FLEET + 1, FLEET // 5):
        drawing.line(left, y(logins), right, y(logins))
        drawing.text(left - 10, y(logins) + 4, f"{logins:,}", "small faint", "end")
    for minute in range(0, 181, 20):
        drawing.text(x(minute), bottom + 20, minutes(minute * MINUTE), "small faint", "middle")
    width = (right - left) / 180 - 1
    for minute, logins in each.items():
        drawing.bar(x(minute), y(logins), width, bottom - y(logins), "ours")
    later = {minute: logins for minute, logins in each.items() if minute > 40}
    peak = max(later, key=lambda minute: later[minute])
    drawing.line(x(peak), y(later[peak]) - 6, x(peak), y(FLEET * 0.45), "axis")
    drawing.text(
        x(peak) + 6,
        y(FLEET * 0.45) + 4,
        f"an hour later: at most {later[peak]} in a minute, for each renews at a time of its own",
        "",
    )
    drawing.text(x(20) + 12, y(FLEET) + 14, "the cut: every session is back in the same minute", "")
    drawing.text(
        left,
        bottom + 46,
        f"in the two hours after it: {sum(later.values()):,} logins in {len(later)} different minutes",
        "faint",
    )
    return drawing.svg()


# ---- How long a login takes -----------------------------------------------------------------------------------------

# What is beside each other: a language, its clients as the results name them.
CLIENTS = {
    "Python": ("mailbearer.imap (imaplib)", "imaplib", "IMAPClient"),
    "asyncio": ("mailbearer.aio.imap (aioimaplib)", "aioimaplib"),
    "Node": ("mailbearer/imapflow connect", "ImapFlow"),
    "Rust": ("mailbearer", "imap", "async-imap"),
}
SECTIONS = {"Python": "Python, blocking", "asyncio": "Python, asyncio", "Node": "Node, promise", "Rust": "Rust"}


def rows(section: str) -> dict[str, tuple[int, int]]:
    """Return the IMAP clients of a section of the results: round trips, and milliseconds where one takes 50."""
    text = RESULTS.read_text().split(f"### {section}\n", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) > 5 and cells[1] == "imap" and cells[2]:
            name = re.sub(r" \d\S*$", "", cells[0].replace("**", ""))
            found[name] = (int(cells[2]), int(cells[4]))
    return found


def logins() -> str:
    """Draw the time until a client has logged in over IMAP, where a round trip takes 50 ms."""
    count = sum(len(names) for names in CLIENTS.values())
    drawing = Drawing(960, 80 + 26 * count + 16 * len(CLIENTS), "Time of an IMAP login where a round trip takes 50 ms")
    left, right, greatest = 360, 820, 400
    x = lambda ms: left + (right - left) * ms / greatest  # noqa: E731
    drawing.text(20, 22, "IMAP login over TLS where a round trip takes 50 ms", "bold")
    bottom = 50 + 26 * count + 16 * len(CLIENTS)
    for ms in range(0, greatest + 1, 100):
        drawing.line(x(ms), 40, x(ms), bottom - 10)
        drawing.text(x(ms), bottom + 8, f"{ms} ms", "small faint", "middle")
    at = 44
    for language, names in CLIENTS.items():
        figures = rows(SECTIONS[language])
        drawing.text(20, at + 15, language, "faint")
        for name in names:
            trips, ms = figures[name]
            ours = name.startswith("mailbearer")
            drawing.text(left - 10, at + 15, name, "bold" if ours else "", "end")
            drawing.bar(left, at + 3, x(ms) - left, 17, "ours" if ours else "others")
            drawing.text(x(ms) + 8, at + 16, f"{ms} ms, {trips} round trip{'s' * (trips > 1)}", "small")
            at += 26
        at += 16
    return drawing.svg()


PICTURES = {"timeline": lambda: timeline(story()), "fleet": fleet, "logins": logins}


def main(arguments: list[str]) -> int:
    """Draw all, or tell which is not as it would be drawn."""
    folder = DOCS / "pictures"
    stale = []
    for name, draw in PICTURES.items():
        file, drawn = folder / f"{name}.svg", draw()
        if arguments == ["--check"]:
            stale += [] if file.exists() and file.read_text() == drawn else [file.name]
        else:
            folder.mkdir(exist_ok=True)
            file.write_text(drawn)
    if stale:
        print(f"not as they would be drawn now: {', '.join(stale)}. make pages draws them", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
