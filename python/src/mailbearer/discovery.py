"""From a mail address to its servers: what is looked up, and what came of it. The core decides, this looks up."""

from __future__ import annotations

import functools
import json
import queue
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import _core, log
from ._core import Provider
from .facts import DiscoveredFacts
from .front_door import front_door
from .lookups import DnsResolver, LookupFailed, NoResolver, Opener, Resolver
from .proxy import Proxy, hidden_proxy
from .settings import check_seconds, verifying
from .words import FactSource, MailProtocol, Offer, Outcome, Seen, Sureness, Tls, Trouble

_log = log.logger


@dataclass(frozen=True, kw_only=True)
class FoundService:
    """A server of a protocol.

    Attributes:
        protocol, host, port, tls: where it is.
        user: the user name to log in with; ``user_pattern``: before the address was filled in, as ``%EMAILADDRESS%``.
        offer: ``oauth``, ``password_only`` or ``unknown``.
        source: who says so; ``sureness``: how sure it is. A ``guess`` is not used unasked.
        leads_to: the host, where it is not of the address's domain: a person should see it.

    """

    protocol: MailProtocol
    host: str
    port: int
    tls: Tls
    user: str
    user_pattern: str
    offer: Offer
    source: FactSource
    sureness: Sureness
    leads_to: str | None


@dataclass(frozen=True, kw_only=True)
class FoundOAuth:
    """Where tokens come from: what is not known is ``None``.

    Attributes:
        issuer: the authorization server (RFC 8414), and its endpoints.
        registration_endpoint: where a program registers itself (RFC 7591), where one is offered.
        needs_client_secret: whether its token endpoint asks for one from everybody.
        scopes: to be asked for.
        client_id: one that everybody may use, where the provider publishes one.
        has_metadata: whether the issuer has said it itself.
        leads_to: its hosts that are not of the address's domain.

    """

    issuer: str | None
    authorization_endpoint: str | None
    token_endpoint: str | None
    device_authorization_endpoint: str | None
    revocation_endpoint: str | None
    registration_endpoint: str | None
    needs_client_secret: bool | None
    scopes: Sequence[str]
    client_id: str | None
    source: FactSource
    sureness: Sureness
    has_metadata: bool
    leads_to: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Look:
    """One lookup: ``what`` was asked, what was ``seen``, and more in words, which are of others in part."""

    what: str
    seen: Seen
    text: str


@dataclass(frozen=True, kw_only=True)
class Discovered:
    """All that was found for a mail address. ``str()`` of it is one sentence.

    Attributes:
        address: that was asked about; ``domain``: its domain as DNS has it.
        outcome: ``found``; ``to_confirm``: unsigned DNS leads to another domain, a person must say that it is right;
            ``no_oauth``: the servers take no tokens; ``nothing``; ``unreachable``: there seems to be no network.
        sentence: what was found, and what to do where that does not suffice.
        hoster: who hosts the domain, as people call it.
        provider: the name of the built-in profile, where the servers are of one.
        instead: what the users of a provider do that takes no tokens.
        services: at most one of each protocol.
        oauth: where tokens come from.
        notes: what contradicts what was chosen.
        looks: all that was looked at, also what had nothing.

    """

    address: str
    domain: str
    outcome: Outcome
    sentence: str
    hoster: str | None
    provider: str | None
    instead: str | None
    services: Sequence[FoundService]
    oauth: FoundOAuth | None
    notes: Sequence[str]
    looks: Sequence[Look]
    _found: _core.Discovered = field(repr=False, compare=False)

    @classmethod
    def of(cls, found: _core.Discovered) -> Discovered:
        """Make it of what the core found."""
        facts: dict[str, Any] = json.loads(found.to_json())
        facts["services"] = tuple(FoundService(**one) for one in facts["services"])
        facts["oauth"] = facts["oauth"] and FoundOAuth(**facts["oauth"])
        facts["looks"] = tuple(Look(**one) for one in facts["looks"])
        return cls(**facts, _found=found)

    def service(self, protocol: MailProtocol) -> FoundService | None:
        """Give what was found of a protocol."""
        return next((one for one in self.services if one.protocol == protocol), None)

    @property
    def profile(self) -> Provider:
        """The profile, for ``provider=`` of the other functions: the built-in one, or one made of what was found."""
        return self._found.provider

    def login(self, protocol: MailProtocol) -> tuple[Provider, str]:
        """Give profile and user name for a login that asks nobody.

        Raises:
            ConfigError: with a sentence, where nothing was found that a program may use unasked.

        """
        return self._found.login(protocol)

    def lines(self) -> list[str]:
        """Give all of it for a terminal."""
        return self._found.lines()

    def to_dict(self) -> DiscoveredFacts:
        """Return the types of JSON."""
        facts: DiscoveredFacts = json.loads(self._found.to_json())
        return facts

    def __str__(self) -> str:
        return self.sentence


@front_door("mailbearer.discover")
def discover(
    user: str,
    *,
    timeout: float = 15.0,
    ssl_context: ssl.SSLContext | None = None,
    resolver: Resolver | None = None,
    opener: Opener | None = None,
    proxy: str | Proxy | None = None,
) -> Discovered:
    """Find the servers of a mail address, and where their tokens come from.

    A domain that is built in is known at once. Else DNS is asked (MX and SRV), then the domain over https, and only
    where it says nothing itself, Thunderbird's database, which hears the domain and nothing else. The local part of the
    address is told to nobody. ``docs/discovery.md`` says in which order, and what is believed how far.

    Args:
        user: the mail address.
        timeout: seconds for all of it; what has no answer then counts as not answered.
        ssl_context: whom to trust over https, in place of the system's authorities.
        resolver: what looks up DNS, in place of the system's resolver by dnspython: a :class:`~mailbearer.Resolver`.
        opener: what does a GET, in place of urllib: an :class:`Opener`.
        proxy: the proxy for what is asked over https, as in :func:`mailbearer.connect`. This machine then asks no name
            server, unless a ``resolver`` is given: MX and SRV records are not looked at.

    Raises:
        ConfigError: it is no mail address, or its domain has no name that DNS can be asked for. That nothing was found
            is no error: see :attr:`Discovered.outcome`.

    >>> import mailbearer
    >>> found = mailbearer.discover("joe@gmail.com")
    >>> found.provider, found.service("imap").host
    ('gmail', 'imap.gmail.com')

    """
    return Search(user, timeout, ssl_context, resolver, opener, hidden_proxy(proxy)).run()


class Search:
    """One discovery: each lookup in a thread of its own, all answers in this one."""

    def __init__(
        self,
        user: str,
        timeout: float,
        context: ssl.SSLContext | None,
        resolver: Resolver | None,
        opener: Opener | None,
        proxy: str | Proxy | None = None,
    ) -> None:
        check_seconds(timeout=timeout)
        if context is not None:
            verifying(context)
        self._machine = _core.Discovery(user)
        self._until = time.monotonic() + timeout
        self._resolver = resolver or (NoResolver() if proxy is not None else DnsResolver())
        self._proxy = proxy
        self._context = context
        self._given_opener = opener
        self._answers: queue.SimpleQueue[tuple[int, str, tuple[Any, ...]] | None] = queue.SimpleQueue()
        # Until when each lookup has time.
        self._open: dict[int, float] = {}

    @functools.cached_property
    def _opener(self) -> Opener:
        if self._given_opener is not None:
            return self._given_opener
        # Most programs ask for no file.
        from .https import HttpsOpener

        return HttpsOpener(verifying(self._context), self._proxy)

    def run(self) -> Discovered:
        """Do it, in this thread."""
        self._begin(self._machine.start())
        while (found := self._machine.found) is None:
            due = min([self._until, *self._open.values()])
            try:
                answer = self._answers.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                self._late()
                continue
            if answer is None:
                self._machine.end()
            else:
                self._tell(*answer)
        return Discovered.of(found)

    def stop(self) -> None:
        """End it, from any thread."""
        self._answers.put(None)

    def _begin(self, lookups: list[_core.Lookup]) -> None:
        for lookup in lookups:
            self._open[lookup.id] = time.monotonic() + lookup.within_ms / 1000
            # A daemon: the system's resolver may hang for longer than the program lives.
            threading.Thread(target=self._look_up, args=(lookup,), name="mailbearer-lookup", daemon=True).start()

    def _look_up(self, lookup: _core.Lookup) -> None:
        try:
            self._answers.put((lookup.id, *self._answer(lookup)))
        except LookupFailed as failed:
            self._answers.put((lookup.id, "answer_failed", (failed.trouble,)))
        except Exception:
            _log.warning("a lookup failed in another way than lookups do", exc_info=True)
            self._answers.put((lookup.id, "answer_failed", ("malformed",)))

    def _answer(self, lookup: _core.Lookup) -> tuple[str, tuple[Any, ...]]:
        seconds = max(0.001, min(lookup.within_ms / 1000, self._until - time.monotonic()))
        if lookup.kind == "get":
            got = self._opener(
                lookup.name,
                seconds=seconds,
                octets_max=lookup.octets_max or 0,
                public_only=bool(lookup.public_only),
            )
            return "answer_http", got
        look_up = self._resolver.mx if lookup.kind == "mx" else self._resolver.srv
        records = list(look_up(lookup.name, seconds))
        return (f"answer_{lookup.kind}", (records,)) if records else ("answer_no_record", ())

    def _tell(self, lookup: int, method: str, answer: tuple[Any, ...]) -> None:
        self._open.pop(lookup, None)
        self._begin(getattr(self._machine, method)(lookup, *answer))

    def _late(self) -> None:
        now = time.monotonic()
        if now >= self._until:
            self._machine.end()
            return
        late: Trouble = "timed_out"
        for lookup in [one for one, due in self._open.items() if due <= now]:
            self._tell(lookup, "answer_failed", (late,))


# What was found is true for a while; a program that connects again does not ask again.
_REMEMBERED_SECONDS = 3600


@functools.lru_cache(maxsize=64)
def _remembered(user: str, hour: int) -> Discovered:
    found = discover(user)
    if found.outcome != "found":
        # Not remembered: the next one may find more.
        raise _NotFound(found)
    return found


class _NotFound(Exception):
    def __init__(self, found: Discovered) -> None:
        super().__init__()
        self.found = found


def for_login(user: str, context: ssl.SSLContext | None = None, proxy: str | Proxy | None = None) -> Discovered:
    """Find the servers for a login that was told neither host nor provider, and say so in the log."""
    if context is not None or proxy is not None:
        found = discover(user, ssl_context=context, proxy=proxy)
    else:
        try:
            found = _remembered(user, int(time.monotonic() // _REMEMBERED_SECONDS))
        except _NotFound as without:
            found = without.found
    _log.info("%s", found.sentence)
    return found
