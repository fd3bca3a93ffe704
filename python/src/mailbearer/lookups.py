"""Lookups, as a discovery orders them, and those of DNS. They decide nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from .errors import Error
from .words import Trouble


class LookupFailed(Error):
    """A lookup has no answer, and why: for resolvers and openers of a program's own."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble


class Resolver(Protocol):
    """What looks up records. No such name or record is an empty answer; no answer is :class:`LookupFailed`."""

    def mx(self, domain: str, seconds: float) -> Sequence[tuple[int, str]]:
        """Give preference and host of each record."""

    def srv(self, name: str, seconds: float) -> Sequence[tuple[int, int, int, str]]:
        """Give priority, weight, port and target of each record."""


class Opener(Protocol):
    """What does one GET over https, without following a redirect."""

    def __call__(
        self, url: str, *, seconds: float, octets_max: int, public_only: bool
    ) -> tuple[int, str | None, bytes]:
        """Give status, ``Location`` and body; no answer is :class:`LookupFailed`."""


class DnsResolver:
    """The system's resolver, by dnspython, or a ``dns.resolver.Resolver`` that is given."""

    def __init__(self, resolver: Any = None) -> None:
        self._resolver = resolver

    def mx(self, domain: str, seconds: float) -> Sequence[tuple[int, str]]:
        """Give preference and host of each record."""
        return [(one.preference, one.exchange.to_text()) for one in self._records(domain, "MX", seconds)]

    def srv(self, name: str, seconds: float) -> Sequence[tuple[int, int, int, str]]:
        """Give priority, weight, port and target of each record."""
        records = self._records(name, "SRV", seconds)
        return [(one.priority, one.weight, one.port, one.target.to_text()) for one in records]

    def _records(self, name: str, kind: str, seconds: float) -> Sequence[Any]:
        # Most programs look nothing up.
        import dns.exception
        import dns.resolver

        try:
            resolver = self._resolver or dns.resolver.Resolver()
            answer = resolver.resolve(f"{name}.", kind, lifetime=seconds, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return []
        except dns.resolver.NoNameservers:
            raise LookupFailed("refused") from None
        except dns.exception.Timeout:
            raise LookupFailed("timed_out") from None
        except (dns.resolver.NoResolverConfiguration, OSError):
            raise LookupFailed("unreachable") from None
        except dns.exception.DNSException:
            raise LookupFailed("refused") from None
        return list(answer.rrset or [])


class NoResolver:
    """Asks nobody: behind a proxy, who is looked up is not to be seen from here."""

    def mx(self, domain: str, seconds: float) -> Sequence[tuple[int, str]]:
        """Say that nobody was asked."""
        raise LookupFailed("unreachable")

    def srv(self, name: str, seconds: float) -> Sequence[tuple[int, int, int, str]]:
        """Say that nobody was asked."""
        raise LookupFailed("unreachable")
