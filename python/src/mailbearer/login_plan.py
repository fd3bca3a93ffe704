"""What ``mailbearer login`` goes by: the authorization server, the client, the scopes, and the mail servers."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import check, oauth, store
from ._core import Provider, client_steps
from .account_settings import scopes_of
from .client_ids import client_of
from .discovery import Discovered, FoundOAuth, for_login
from .errors import ConfigError, Error, TokenSourceFailed
from .oauth import Authorization, Client
from .oauth_http import Https

_OFFLINE = "offline_access"


class Missing(Error):
    """Something of the user's is missing, or used wrongly: exit status 2."""


@dataclass(frozen=True)
class Plan:
    """What a login goes by.

    Attributes:
        oauth: the profile's OAuth side, where the authorization server is the profile's.
        iss_required: the server says that it names itself in each answer (RFC 9207).
        services: where the mail servers are, as far as the profile does not say it.
        store: where the login is kept.

    """

    user: str
    profile: Provider | None
    authorization: Authorization
    client: Client
    scopes: tuple[str, ...]
    oauth: Mapping[str, Any] | None
    iss_required: bool
    services: Mapping[str, Mapping[str, Any]]
    store: store.Kind


@dataclass(frozen=True)
class _Server:
    """An authorization server, and who says what of it."""

    authorization: Authorization
    scopes: tuple[str, ...]
    oauth: Mapping[str, Any] | None = None
    iss_required: bool = False
    public_client: str | None = None
    registration_endpoint: str | None = None


def make_plan(arguments: Namespace, user: str, https: Https) -> Plan:
    """Find out what a login goes by, before anybody is asked anything.

    Raises:
        Missing: the user must say more, or have a client id first; the text says how.
        ConfigError: what was said cannot be.
        TokenSourceFailed: the authorization server cannot be reached.

    """
    known = _known(arguments, user)
    server = _server(arguments, known, https)
    if arguments.scope:
        server = replace(server, scopes=tuple(arguments.scope))
    return Plan(
        user=user,
        profile=known.profile,
        authorization=server.authorization,
        client=_client(arguments, known, server, https),
        scopes=server.scopes,
        oauth=server.oauth,
        iss_required=server.iss_required,
        services={**known.services(), **check.places(arguments)},
        store=arguments.store or (known.before.store if known.before else "keyring"),
    )


# ---- What is known of the user -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Known:
    """What is known of a user: from the login before, by the domain, and by looking it up."""

    user: str
    before: store.StoredAccount | None
    profile: Provider | None
    found: Discovered | None

    def services(self) -> Mapping[str, Mapping[str, Any]]:
        """Say where the mail servers are, where the profile does not."""
        if self.before is not None:
            return self.before.services or {}
        return _places(self.found) if self.found is not None and self.profile is None else {}

    def scopes(self) -> tuple[str, ...]:
        """Say which scopes mail needs."""
        if self.before is not None:
            return self.before.scopes
        asked = self.found.oauth.scopes if self.found is not None and self.found.oauth is not None else ()
        return scopes_of(self.profile) or tuple(asked)


def _known(arguments: Namespace, user: str) -> _Known:
    before = _before(arguments, user)
    profile = _profile(arguments, user, before)
    found = None if profile is not None or before is not None else _discovered(arguments, user)
    if found is not None and found.provider is not None:
        profile = Provider.named(found.provider)
    return _Known(user, before, profile, found)


def _before(arguments: Namespace, user: str) -> store.StoredAccount | None:
    """Find the login that was stored before: to log in again, nothing of it need be said again."""
    if arguments.provider or arguments.issuer:
        return None
    try:
        return store.find(user)
    except ConfigError:
        # What cannot be read is replaced.
        return None


def _profile(arguments: Namespace, user: str, before: store.StoredAccount | None) -> Provider | None:
    name = arguments.provider or (before and before.provider)
    try:
        return Provider.named(name) if name else Provider.of_address(user)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _discovered(arguments: Namespace, user: str) -> Discovered | None:
    """Look up what nobody has named: the mail servers, and the authorization server."""
    if arguments.no_discover or (arguments.issuer and check.are_named(arguments)) or "@" not in user:
        return None
    context = check.trusting(arguments.ca_file) if arguments.ca_file else None
    found = for_login(user, context, arguments.proxy)
    if found.outcome == "found":
        print(f"{found.sentence}\n", flush=True)
        return found
    if arguments.issuer:
        return None
    raise Missing(f"{found.sentence} Else give --provider, or --issuer with the address of the authorization server.")


def _places(found: Discovered) -> Mapping[str, Mapping[str, Any]]:
    """Say where the mail servers are. Where the user name is another one, they are looked up again at each login."""
    if any(service.user != found.address for service in found.services):
        return {}
    return {one.protocol: {"host": one.host, "port": one.port, "tls": one.tls} for one in found.services}


# ---- The authorization server ------------------------------------------------------------------------------------


def _server(arguments: Namespace, known: _Known, https: Https) -> _Server:
    before, profile, found = known.before, known.profile, known.found
    if arguments.issuer is not None:
        return _of_issuer(https, str(arguments.issuer), known.scopes())
    if before is not None and (profile is None or profile.oauth is None or not _is_of(before, profile.oauth)):
        if before.authorization.get("issuer"):
            return _of_issuer(https, before.authorization["issuer"], before.scopes)
        return _Server(before.authorization, before.scopes)
    if profile is not None and profile.instead is not None:
        raise Missing(f"{profile.name} cannot be logged in to with OAuth. {profile.instead}.")
    if profile is not None and profile.oauth is not None:
        authorization = {name: value for name, value in profile.oauth.items() if name in oauth.ENDPOINTS}
        # The providers that are built in say that they register clients by hand, whatever endpoint one may have.
        return _Server(authorization, known.scopes(), profile.oauth)
    if found is not None and found.oauth is not None:
        return _of_discovery(https, found.oauth)
    if profile is not None:
        raise Missing(
            f"{profile.name} is not known to give tokens to other programs: give --issuer, if you know better."
        )
    raise Missing(
        f"Which provider {known.user} is at is not known: give --provider, or --issuer with the address of the "
        "authorization server."
    )


def _is_of(account: store.StoredAccount, oauth_side: Mapping[str, Any]) -> bool:
    return bool(account.authorization["token_endpoint"] == oauth_side["token_endpoint"])


def _of_issuer(https: Https, issuer: str, scopes: tuple[str, ...], public_client: str | None = None) -> _Server:
    metadata = oauth.metadata(https, issuer)
    supported = metadata.get("scopes_supported")
    if isinstance(supported, list) and _OFFLINE in supported and _OFFLINE not in scopes:
        # OpenID Connect Core section 11: it is what a refresh token is given for.
        scopes = (*scopes, _OFFLINE)
    return _Server(
        authorization={name: metadata.get(name) for name in oauth.ENDPOINTS},
        scopes=scopes,
        iss_required=metadata.get("authorization_response_iss_parameter_supported") is True,
        public_client=public_client,
        registration_endpoint=metadata.get("registration_endpoint"),
    )


def _of_discovery(https: Https, found: FoundOAuth) -> _Server:
    """Take what was discovered; an issuer that says anything says the rest itself."""
    if found.issuer is not None and (found.has_metadata or found.token_endpoint is None):
        return _of_issuer(https, found.issuer, tuple(found.scopes), found.client_id)
    if found.token_endpoint is None:
        raise Missing("Where the tokens of this provider come from was not found: give --issuer.")
    authorization = {name: getattr(found, name) for name in oauth.ENDPOINTS}
    return _Server(
        authorization,
        tuple(found.scopes),
        public_client=found.client_id,
        registration_endpoint=found.registration_endpoint,
    )


# ---- The client --------------------------------------------------------------------------------------------------


def _client(arguments: Namespace, known: _Known, server: _Server, https: Https) -> Client:
    """Find the client: the user's own, the one that was used before, the provider's for everybody, or a new one."""
    name = known.profile.name if known.profile is not None else None
    issuer = server.authorization.get("issuer")
    client = client_of(arguments, [one for one in (name, issuer) if one])
    if client is not None:
        return client
    if known.before is not None:
        return _client_of(known.before)
    if server.public_client is not None:
        return Client(server.public_client)
    refusal = ""
    if server.registration_endpoint is not None:
        try:
            return oauth.register(https, server.registration_endpoint, server.scopes)
        except TokenSourceFailed as error:
            refusal = f"The server registers no program that asks by itself: {error}.\n"
    told = client_steps(known.user, name if server.oauth is not None else None, issuer)
    raise Missing(f"{refusal}A client id is missing: --client-id. To have one for {known.user}:\n\n{told}")


def _client_of(account: store.StoredAccount) -> Client:
    try:
        return account.client(store.grant_of(account))
    except ConfigError:
        # Its grant is lost, and a secret with it; a public client has none.
        return Client(account.client_id)
