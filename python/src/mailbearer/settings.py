"""What a login is told, gathered from arguments, a provider's profile, and the mail address."""

from __future__ import annotations

import functools
import os
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ._core import AccessToken, Account, Negotiation, Provider, tls_at_port
from .errors import ConfigError
from .options import Trace
from .policy import SessionPolicy
from .proxy import Proxy
from .route import DIRECT, Route, Sock, check_route, route_to
from .words import InitialResponse, Mechanism, ProviderName
from .words import MailProtocol as MailProtocol
from .words import Tls as Tls

if TYPE_CHECKING:
    from .discovery import Discovered

_PORTS = {
    ("imap", "implicit"): 993,
    ("imap", "starttls"): 143,
    ("pop3", "implicit"): 995,
    ("pop3", "starttls"): 110,
    ("smtp", "implicit"): 465,
    ("smtp", "starttls"): 587,
}


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens, and when TLS begins."""

    protocol: MailProtocol
    host: str
    port: int
    tls: Tls

    def __str__(self) -> str:
        return f"{self.host}:{self.port} ({'TLS' if self.tls == 'implicit' else 'STARTTLS'})"


# Not frozen, for that doubles what it costs to make one; nothing changes it.
@dataclass(slots=True)
class Settings:
    """A login, but for its token."""

    endpoint: Endpoint
    user: str
    ssl_context: ssl.SSLContext
    timeout: float
    # For each answer after the login, and for that to the end of a message.
    answer_timeout: float = 60.0
    data_timeout: float = 600.0
    authzid: str | None = None
    mechanisms: Sequence[Mechanism] | None = None
    initial_response: InitialResponse | None = None
    ehlo_name: str | None = None
    assumed_capabilities: Sequence[str] | None = None
    scopes: Sequence[str] = ()
    service: Mapping[str, Any] = field(default_factory=dict)
    token_lifetime_ms: int | None = None
    #: What was looked up, where neither host nor provider was given and the domain is not known.
    discovered: Discovered | None = None
    #: Called with each line of the login.
    trace: Trace | None = None
    #: How connections get there.
    route: Route = DIRECT

    def negotiation(self, token: AccessToken) -> Negotiation:
        """Make the machine for one login."""
        return Negotiation(
            self.endpoint.protocol,
            self.user,
            token,
            host=self.endpoint.host,
            port=self.endpoint.port,
            tls=self.endpoint.tls,
            authzid=self.authzid,
            mechanisms=self.mechanisms,
            initial_response=self.initial_response,
            ehlo_name=self.ehlo_name,
            assumed_capabilities=self.assumed_capabilities,
        )

    def add_to(self, account: Account, policy: SessionPolicy) -> int:
        """Add a session to the machine of an account: its number."""
        return account.add(
            self.endpoint.protocol,
            host=self.endpoint.host,
            port=self.endpoint.port,
            tls=self.endpoint.tls,
            authzid=self.authzid,
            mechanisms=self.mechanisms,
            initial_response=self.initial_response,
            ehlo_name=self.ehlo_name,
            assumed_capabilities=self.assumed_capabilities,
            policy=policy.of_session(self.service, self.timeout),
        )


def resolve(
    protocol: MailProtocol,
    user: str,
    *,
    host: str | None = None,
    port: int | None = None,
    tls: Tls | None = None,
    provider: ProviderName | Provider | None = None,
    ssl_context: ssl.SSLContext | None = None,
    timeout: float = 60.0,
    answer_timeout: float | None = None,
    data_timeout: float = 600.0,
    authzid: str | None = None,
    mechanisms: Sequence[Mechanism] | None = None,
    initial_response: InitialResponse | None = None,
    ehlo_name: str | None = None,
    assumed_capabilities: Sequence[str] | None = None,
    unusual_port: bool = False,
    discover: bool = True,
    trace: Trace | None = None,
    proxy: str | Proxy | None = None,
    local_address: str | None = None,
    sock: Sock | None = None,
    discovered: Discovered | None = None,
) -> Settings:
    """Gather the settings of a login and check them.

    There is no I/O in it but for :func:`is_to_discover`, and none where ``discovered`` is given.

    Raises:
        ConfigError: a setting is missing or cannot work.

    """
    if protocol not in ("imap", "pop3", "smtp"):
        raise ConfigError("protocol is none of the known values: imap, pop3, smtp")
    if discovered is None and is_to_discover(user, host, provider, discover):
        from . import discovery

        check_route(proxy, local_address, sock)
        discovered = discovery.for_login(user, ssl_context, proxy)
    if discovered is not None:
        provider, user = discovered.login(protocol)
    profile, service = _profile(protocol, user, provider, host)
    if profile and not service and host is None:
        raise ConfigError(f"the provider {profile.name} has no {protocol} service: give another protocol, or a host")
    if tls not in (None, "implicit", "starttls"):
        raise ConfigError("tls is none of the known values: implicit, starttls")
    if trace is not None and not callable(trace):
        raise TypeError(f"trace must be a function, not {type(trace).__name__}")
    answer_timeout = timeout if answer_timeout is None else answer_timeout
    check_seconds(timeout=timeout, answer_timeout=answer_timeout, data_timeout=data_timeout)
    if not isinstance(unusual_port, bool):
        raise TypeError(f"unusual_port must be a bool, not {type(unusual_port).__name__}")
    number, mode = _port_and_tls(protocol, port, tls, service, unusual_port)
    settings = Settings(
        endpoint=Endpoint(protocol, host if host is not None else str(service["host"]), number, mode),
        user=user,
        ssl_context=verifying(ssl_context),
        timeout=float(timeout),
        answer_timeout=float(answer_timeout),
        data_timeout=float(data_timeout),
        authzid=authzid,
        mechanisms=mechanisms if mechanisms is not None else service.get("mechanisms"),
        initial_response=initial_response or service.get("initial_response"),
        ehlo_name=ehlo_name,
        assumed_capabilities=assumed_capabilities
        if assumed_capabilities is not None
        else service.get("assumed_capabilities"),
        scopes=service.get("scopes", ()),
        service=service,
        token_lifetime_ms=profile.token_lifetime_ms if profile else None,
        discovered=discovered,
        trace=trace,
    )
    settings.route = route_to(settings.endpoint.host, proxy, local_address, sock)
    # The machine checks every field; a token of one letter stands in for the real one.
    settings.negotiation(STAND_IN)
    return settings


STAND_IN = AccessToken("x")


def check_seconds(**times: object) -> None:
    """Refuse what is no time to wait for.

    Raises:
        ConfigError: it is no number of seconds above zero.

    """
    for name, seconds in times.items():
        if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 < seconds < 1e9:
            raise ConfigError(f"{name} must be a number of seconds above zero")


def is_to_discover(user: Any, host: str | None, provider: ProviderName | Provider | None, discover: bool) -> bool:
    """Whether the servers of a mail address must be looked up: nobody has named them, and they are not known."""
    if not isinstance(discover, bool):
        raise TypeError(f"discover must be a bool, not {type(discover).__name__}")
    if not discover or host is not None or provider is not None or not isinstance(user, str):
        return False
    return "@" in user and Provider.of_address(user) is None


def _port_and_tls(
    protocol: MailProtocol, port: int | None, tls: Tls | None, service: Mapping[str, Any], unusual_port: bool
) -> tuple[int, Tls]:
    """Say where the server listens and how TLS begins there: as the caller says, else the profile, else the port."""
    usual: Tls | None = service.get("tls")
    if port is None:
        mode = tls or usual or "implicit"
        return service["port"] if mode == usual else _PORTS[protocol, mode], mode
    if not isinstance(port, int) or isinstance(port, bool):
        raise TypeError(f"port must be an int, not {type(port).__name__}")
    if tls is None and usual is not None and port == service.get("port"):
        return port, usual
    return port, tls_at_port(protocol, port, tls, unusual_port=unusual_port)


def check_provider(provider: object) -> None:
    """Refuse what is neither a name nor a profile."""
    if not isinstance(provider, str | Provider):
        raise TypeError(f"provider must be a name, as 'gmail', or a Provider, not {type(provider).__name__}")


def _profile(
    protocol: MailProtocol, user: str, provider: ProviderName | Provider | None, host: str | None
) -> tuple[Provider | None, Mapping[str, Any]]:
    """Find the provider's profile, and what it says of the protocol."""
    if isinstance(provider, str):
        try:
            return _built_in(provider, protocol)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    if provider is not None:
        check_provider(provider)
        return provider, provider.service(protocol) or {}
    if host is not None:
        return None, {}
    if not isinstance(user, str):
        raise TypeError(f"user must be a str, not {type(user).__name__}")
    profile = Provider.of_address(user)
    if profile is None:
        raise ConfigError("host is missing, and the mail address does not tell the provider: give host or provider")
    return _built_in(profile.name, protocol)


# Sixteen names and three protocols; names in other cases come and go.
@functools.lru_cache(maxsize=64)
def _built_in(name: str, protocol: MailProtocol) -> tuple[Provider, Mapping[str, Any]]:
    profile = Provider.named(name)
    if profile.instead is not None:
        raise ConfigError(f"{profile.name} cannot be logged in to with OAuth. {profile.instead}")
    return profile, MappingProxyType(profile.service(protocol) or {})


# Reading the system's authorities costs as much as some twenty logins. They change with updates of the system.
_SYSTEM_CONTEXT_SECONDS = 3600


@functools.lru_cache(maxsize=1)
def _system_context(sources: tuple[str | None, ...], hour: int) -> ssl.SSLContext:
    """Trust whom the system trusts: one context for the logins of an hour."""
    return ssl.create_default_context()


def verifying(context: ssl.SSLContext | None) -> ssl.SSLContext:
    """TLS that verifies certificate and host name; there is no way to switch that off."""
    if context is None:
        # What OpenSSL and Python read from the environment.
        sources = tuple(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"))
        context = _system_context(sources, int(time.monotonic() // _SYSTEM_CONTEXT_SECONDS))
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"ssl_context must be an ssl.SSLContext, not {type(context).__name__}")
    if context.verify_mode != ssl.CERT_REQUIRED or not context.check_hostname:
        raise ConfigError("ssl_context does not verify certificate and host name: load your own CA into one that does")
    return context
