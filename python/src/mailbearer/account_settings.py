"""What an account and its sessions are told, gathered from arguments and profiles, but for their tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, get_args

from ._core import Provider
from .errors import ConfigError
from .events import OnEvent
from .options import LoneOptions, SessionOptions
from .policy import SessionPolicy
from .proxy import Proxy
from .route import refuse_ready_socket
from .settings import Settings, check_provider, is_to_discover, resolve
from .words import MailProtocol, ProviderName

if TYPE_CHECKING:
    from .discovery import Discovered


@dataclass(frozen=True, kw_only=True)
class AccountSettings:
    """What an account is told."""

    user: str
    policy: SessionPolicy
    snapshot: bytes | None
    on_event: OnEvent | None
    provider: Provider | None
    scopes: Sequence[str]
    token_lifetime_ms: int | None
    #: Of sessions that are given no way of their own.
    proxy: Proxy | str | None = None

    @classmethod
    def of(
        cls,
        user: str,
        provider: ProviderName | Provider | None,
        policy: SessionPolicy | None,
        snapshot: bytes | None,
        on_event: OnEvent | None,
        proxy: Proxy | str | None = None,
    ) -> AccountSettings:
        """Check all of them, before any I/O."""
        if not isinstance(user, str):
            raise TypeError(f"user must be a str, not {type(user).__name__}")
        profile = _profile(user, provider)
        _check(snapshot, on_event)
        return cls(
            user=user,
            policy=_policy(policy) or SessionPolicy(),
            snapshot=snapshot,
            on_event=on_event,
            provider=profile,
            scopes=scopes_of(profile),
            token_lifetime_ms=profile.token_lifetime_ms if profile else None,
            proxy=proxy,
        )

    @classmethod
    def of_one(cls, protocol: MailProtocol, user: str, options: LoneOptions) -> tuple[AccountSettings, Settings]:
        """Check what an account of one session is told, and its session."""
        login: dict[str, Any] = dict(options)
        policy = _policy(login.pop("policy", None)) or SessionPolicy()
        snapshot, on_event = login.pop("snapshot", None), login.pop("on_event", None)
        settings = _resolve(protocol, user, login)
        _check(snapshot, on_event)
        account = cls(
            # What was looked up may have another one.
            user=settings.user,
            policy=policy,
            snapshot=snapshot,
            on_event=on_event,
            provider=None,
            scopes=settings.scopes,
            token_lifetime_ms=settings.token_lifetime_ms,
        )
        return account, settings

    @classmethod
    def to_discover(cls, user: str, options: LoneOptions) -> tuple[AccountSettings, SessionOptions]:
        """Check what an account of one session is told whose servers are looked up later, and what its session is."""
        session: dict[str, Any] = dict(options)
        policy, snapshot = session.pop("policy", None), session.pop("snapshot", None)
        on_event = session.pop("on_event", None)
        return cls.of(user, None, policy, snapshot, on_event), cast("SessionOptions", session)

    def session(
        self, protocol: MailProtocol, options: SessionOptions, discovered: Discovered | None = None
    ) -> tuple[Settings, SessionPolicy]:
        """Check what one of its sessions is told."""
        login: dict[str, Any] = dict(options)
        policy = _policy(login.pop("policy", None))
        if policy is not None:
            policy.check_of_session()
        if login.get("provider") is None and login.get("host") is None:
            login["provider"] = self.provider
        settings = _resolve(protocol, self.user, login, discovered)
        if settings.user != self.user:
            raise ConfigError(
                f"the user name at {settings.endpoint.host} is not the mail address: make the account with user= and "
                "provider= as mailbearer.discover() gives them"
            )
        return settings, policy or self.policy

    def route(self, options: SessionOptions) -> None:
        """Let a session go through the account's proxy that is given no way of its own."""
        if self.proxy is not None and options.get("sock") is None:
            options.setdefault("proxy", self.proxy)

    def before_discovery(self) -> AccountSettings:
        """Return the same for a token source that is not asked before the scopes are looked up."""
        if not is_to_discover(self.user, None, self.provider, True):
            return self
        return dataclasses.replace(self, scopes=("not known yet",))

    def knowing(self, discovered: Discovered | None) -> AccountSettings:
        """Return the same with the scopes of what was looked up, if something was."""
        return self if discovered is None else dataclasses.replace(self, scopes=scopes_of(discovered.profile))

    def is_to_discover(self, options: SessionOptions) -> bool:
        """Whether the servers of a session must be looked up first."""
        provider = options.get("provider") or self.provider
        return is_to_discover(self.user, options.get("host"), provider, options.get("discover", True))


def _resolve(
    protocol: MailProtocol, user: str, login: dict[str, Any], discovered: Discovered | None = None
) -> Settings:
    refuse_ready_socket(login.get("sock"))
    return resolve(protocol, user, **login, discovered=discovered)


def _policy(policy: Any) -> SessionPolicy | None:
    if policy is not None and not isinstance(policy, SessionPolicy):
        raise TypeError(f"policy must be a SessionPolicy, not {type(policy).__name__}")
    return policy


def _check(snapshot: Any, on_event: Any) -> None:
    if snapshot is not None and not isinstance(snapshot, bytes):
        raise TypeError(f"snapshot must be bytes, not {type(snapshot).__name__}")
    if on_event is not None and not callable(on_event):
        raise TypeError(f"on_event must be a function, not {type(on_event).__name__}")


def _profile(user: str, provider: ProviderName | Provider | None) -> Provider | None:
    if provider is None:
        return Provider.of_address(user)
    check_provider(provider)
    if isinstance(provider, Provider):
        return provider
    try:
        return Provider.named(provider)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def scopes_of(provider: Provider | None) -> tuple[str, ...]:
    """One token serves all protocols: it needs the scopes of each."""
    services = [provider.service(protocol) for protocol in get_args(MailProtocol)] if provider else []
    return tuple(dict.fromkeys(scope for service in services if service for scope in service.get("scopes", ())))
