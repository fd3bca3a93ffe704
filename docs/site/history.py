"""A session through four hours, in a second: mailbearer's machines and its testing server's, on a clock of our own."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from mailbearer import _core

USER = "joe@outlook.com"
# One way over the network, and what a token endpoint takes.
HOP_MS, SOURCE_MS = 40, 300
TOKEN_MS = 3_600_000
# What a program needs to finish what it does when it is told that a connection is due.
LETS_GO_MS = 2_000


@dataclass
class Span:
    """Something that lasted."""

    begin_ms: int
    end_ms: int | None = None


@dataclass
class History:
    """What happened."""

    tokens: list[Span] = field(default_factory=list)
    connections: list[Span] = field(default_factory=list)
    asleep: list[Span] = field(default_factory=list)
    # When, and what: the kinds of `SessionEvent`, with a cause where there is one.
    events: list[tuple[int, str, str]] = field(default_factory=list)
    end_ms: int = 0


class World:
    """One account, one mailbox, a program that always wants a connection, and a server; no socket, no sleep."""

    def __init__(self, *, end_ms: int, seed: int = 7) -> None:
        self.history = History(end_ms=end_ms)
        self._now = 0
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._server = _core.Server(seed)
        for name, value in (("flavour", "outlook"), ("token_lifetime_ms", TOKEN_MS), ("cut", "words"), ("messages", 3)):
            self._server.set(name, value)
        self._account = _core.Account(USER, seed=seed, now_ms=0, wall_ms=0)
        service = _core.Provider.named("microsoft").service("imap") or {}
        self._session = self._account.add(
            "imap",
            host="outlook.office365.com",
            mechanisms=service["mechanisms"],
            policy={"ends_with_token": True, "session_ms": None, "renewal": "ahead"},
        )
        # The server's number of a connection, by ticket; and the tickets of those that are given.
        self._peers: dict[int, int] = {}
        self._given: dict[int, Span] = {}
        self._awake_at: int | None = None

    # ---- What a story does -----------------------------------------------------------------------------------

    def at(self, minute: float, do: Callable[[], None]) -> None:
        """Let something happen."""
        self._after(round(minute * 60_000) - self._now, do)

    def restart_server(self) -> None:
        """End all connections, with the server's words for it."""
        for peer, data, then in self._server.restart(self._now):
            self._heard(peer, data, then)

    def sleep(self, minutes: float) -> None:
        """Close the lid: nothing is heard, and no timer rings."""
        begin, end = self._now, self._now + round(minutes * 60_000)
        self.history.asleep.append(Span(begin, end))
        self._awake_at = end
        self._after(end - begin, lambda: self._wake(end - begin))

    def run(self) -> History:
        """Run to the end."""
        self._tell(self._account.want(0, self._session))
        while self._later and self._later[0][0] <= self.history.end_ms:
            at, _, do = heapq.heappop(self._later)
            self._now = at
            do()
        return self.history

    # ---- Time ------------------------------------------------------------------------------------------------

    def _after(self, ms: int, do: Callable[[], None]) -> None:
        heapq.heappush(self._later, (self._now + max(0, ms), next(self._numbers), do))

    def _wake(self, slept_ms: int) -> None:
        self._awake_at = None
        self._tell(self._account.slept(self._now, slept_ms))

    def _awake(self, do: Callable[[], None]) -> None:
        """Do it now, or when the lid is opened."""
        if self._awake_at is None:
            do()
        else:
            self._after(self._awake_at - self._now, lambda: self._awake(do))

    # ---- The account's host ----------------------------------------------------------------------------------

    def _tell(self, plan: _core.AccountPlan) -> None:
        for order in plan.orders:
            getattr(self, f"_{order.kind}")(order)
        for one in plan.deliveries:
            getattr(self, f"_on_{one.kind}")(one)
        if plan.wake_at_ms is not None:
            self._after(plan.wake_at_ms - self._now, lambda: self._awake(self._tick))

    def _tick(self) -> None:
        self._tell(self._account.tick(self._now))

    def _fetch_token(self, order: _core.Order) -> None:
        def come() -> None:
            token = self._server.issue_token(self._now, USER)
            self.history.tokens.append(Span(self._now, self._now + TOKEN_MS))
            self._tell(self._account.token(self._now, order.request or 0, token, TOKEN_MS))

        self._after(SOURCE_MS, lambda: self._awake(come))

    def _open(self, order: _core.Order) -> None:
        ticket = order.ticket or 0

        def opened() -> None:
            peer, greeting, then = self._server.open(self._now, "imap", "implicit")
            self._peers[ticket] = peer
            self._tell(self._account.opened(self._now, ticket))
            self._heard(peer, greeting, then)

        self._after(3 * HOP_MS, lambda: self._awake(opened))

    def _send(self, order: _core.Order) -> None:
        ticket, data = order.ticket or 0, order.data or b""

        def arrive() -> None:
            if ticket in self._peers:
                self._heard(*self._server.receive(self._now, self._peers[ticket], data))

        self._after(HOP_MS, arrive)

    def _heard(self, peer: int, data: bytes, then: str) -> None:
        """Show to the account what the server says, one way later."""
        ticket = next((ticket for ticket, its in self._peers.items() if its == peer), None)

        def show() -> None:
            if ticket in self._peers and ticket is not None:
                if data:
                    self._tell(self._account.receive(self._now, ticket, data))
                if then == "close" and self._peers.pop(ticket, None) is not None:
                    self._tell(self._account.ended(self._now, ticket))

        self._after(HOP_MS, lambda: self._awake(show))
        wake_ms = self._server.next_wake_ms()
        if wake_ms is not None:
            self._after(wake_ms - self._now, self._server_tick)

    def _server_tick(self) -> None:
        for peer, data, then in self._server.tick(self._now):
            self._heard(peer, data, then)

    def _keep_alive(self, order: _core.Order) -> None:
        ticket = order.ticket or 0
        if ticket in self._peers:
            self._account.sent(ticket, b"n NOOP\r\n")
            self._send_data(ticket, b"n NOOP\r\n")

    _probe = _keep_alive

    def _send_data(self, ticket: int, data: bytes) -> None:
        self._after(
            HOP_MS,
            lambda: (
                self._heard(*self._server.receive(self._now, self._peers[ticket], data))
                if ticket in self._peers
                else None
            ),
        )

    def _pause(self, order: _core.Order) -> None:
        pass

    def _close(self, order: _core.Order) -> None:
        self._hang_up(order.ticket or 0)

    def _hang_up(self, ticket: int) -> None:
        peer = self._peers.pop(ticket, None)
        if peer is not None:
            self._server.closed(self._now, peer)

    # ---- The program -----------------------------------------------------------------------------------------

    def _on_give(self, one: _core.Delivery) -> None:
        span = Span(self._now)
        self._given[one.ticket or 0] = span
        self.history.connections.append(span)

    def _on_renew(self, one: _core.Delivery) -> None:
        ticket = one.ticket or 0

        def let_go() -> None:
            if (span := self._given.pop(ticket, None)) is not None:
                span.end_ms = self._now
                self._hang_up(ticket)
                self._tell(self._account.let_go(self._now, ticket))
                self._tell(self._account.want(self._now, self._session))

        self._after(LETS_GO_MS, lambda: self._awake(let_go))

    def _on_over(self, one: _core.Delivery) -> None:
        if (span := self._given.pop(one.ticket or 0, None)) is not None:
            span.end_ms = self._now
            self._hang_up(one.ticket or 0)
            self._after(0, lambda: self._tell(self._account.want(self._now, self._session)))

    def _on_event(self, one: _core.Delivery) -> None:
        self.history.events.append((self._now, str(one.why), one.cause or ""))

    def _on_raise(self, one: _core.Delivery) -> None:
        raise AssertionError(f"the story has no stop in it: {one.failure}")

    def _on_end(self, one: _core.Delivery) -> None:
        pass


def story() -> History:
    """Two renewals, a server that is restarted, and a laptop that is closed for 50 minutes."""
    world = World(end_ms=240 * 60_000)
    world.at(78, world.restart_server)
    world.at(140, lambda: world.sleep(50))
    return world.run()


if __name__ == "__main__":
    told = story()
    for at, kind, cause in told.events:
        print(f"{at / 60_000:8.3f} min  {kind} {cause}")
    for name in ("tokens", "connections", "asleep"):
        print(name, [(span.begin_ms / 60_000, (span.end_ms or told.end_ms) / 60_000) for span in getattr(told, name)])
