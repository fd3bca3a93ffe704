"""What mailbearer says to authorization servers. oauthlib makes the requests and reads the answers."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .answers import OUTAGES
from .errors import ConfigError, TokenSourceFailed
from .grant import Grant, Tokens
from .hiding import Hidden, error_of
from .oauth_http import Answer, Https, checked_address, read_json

ENDPOINTS = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "device_authorization_endpoint",
    "revocation_endpoint",
)
Authorization = Mapping[str, Any]
"""The authorization server of an account: :data:`ENDPOINTS`, as RFC 8414 names them."""


@dataclass(frozen=True)
class Client:
    """The OAuth client that the user owns. Its secret, where it has one, goes with each request (RFC 6749 2.3.1)."""

    client_id: str
    secret: Hidden | None = None

    def authentication(self) -> dict[str, Any]:
        """Return what each request of it carries."""
        return {} if self.secret is None else {"client_secret": self.secret.reveal()}


class Refused(TokenSourceFailed):
    """The authorization server refuses: ``error`` is what RFC 6749 section 5.2 calls it."""

    def __init__(self, text: str, error: str) -> None:
        super().__init__(text, permanent=error not in OUTAGES)
        self.error = error


# ---- Requests to the token endpoint ------------------------------------------------------------------------------


def refresh(https: Https, authorization: Authorization, client: Client, refresh_token: Hidden) -> Tokens:
    """Get another access token (RFC 6749 section 6).

    Raises:
        Refused: the server says why.
        TokenSourceFailed: it cannot be reached, or is out of order.

    """
    from oauthlib.oauth2 import WebApplicationClient

    form = Hidden(
        WebApplicationClient(client.client_id).prepare_refresh_body(
            refresh_token=refresh_token.reveal(), client_id=client.client_id, **client.authentication()
        )
    )
    return read_tokens(https.post(authorization["token_endpoint"], form))


def exchange(
    https: Https, authorization: Authorization, client: Client, code: Hidden, verifier: Hidden, redirect_uri: str
) -> Tokens:
    """Get the first tokens for an authorization code (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
    from oauthlib.oauth2 import WebApplicationClient

    form = Hidden(
        WebApplicationClient(client.client_id).prepare_request_body(
            code=code.reveal(),
            redirect_uri=redirect_uri,
            code_verifier=verifier.reveal(),
            **client.authentication(),
        )
    )
    return read_tokens(https.post(authorization["token_endpoint"], form))


def revoke(https: Https, authorization: Authorization, client: Client, grant: Grant) -> None:
    """Take the grant back (RFC 7009): whoever has copied it has nothing any more.

    Raises:
        TokenSourceFailed: the server did not do that.

    """
    from oauthlib.oauth2 import WebApplicationClient

    address, _, form = WebApplicationClient(client.client_id).prepare_token_revocation_request(
        authorization["revocation_endpoint"],
        grant.refresh_token.reveal(),
        "refresh_token",
        client_id=client.client_id,
        **client.authentication(),
    )
    form = Hidden(form)
    answer = https.post(address, form)
    if answer.status != 200:
        raise _failed(answer, read_json(answer) or {})


def read_tokens(answer: Answer) -> Tokens:
    """Read what a token endpoint answered (RFC 6749 sections 5.1 and 5.2)."""
    from oauthlib.oauth2 import OAuth2Error, WebApplicationClient

    # Some answer an error with status 200, and oauthlib knows them all.
    if answer.status >= 500 or answer.status in (408, 429):
        raise _failed(answer, read_json(answer) or {})
    try:
        # Without scopes oauthlib does not compare them: whether those that were granted do is seen at the login.
        members = WebApplicationClient("").parse_request_body_response(answer.text.reveal())
    except OAuth2Error as error:
        raise _failed(answer, {"error": error.error, "error_description": error.description}) from None
    except (ValueError, TypeError, AttributeError):
        raise _failed(answer, {}) from None
    try:
        return _tokens(members)
    finally:
        del members


def _tokens(members: Mapping[str, Any]) -> Tokens:
    access, refresh_token, seconds = (members.get(name) for name in ("access_token", "refresh_token", "expires_in"))
    try:
        if not isinstance(access, str) or not access:
            raise TokenSourceFailed("the authorization server's answer has no access token")
        again = Hidden(refresh_token) if isinstance(refresh_token, str) and refresh_token else None
        ends = int(time.time() + seconds) if isinstance(seconds, int | float) else None
        return Tokens(Hidden(access), again, ends)
    finally:
        del members, access, refresh_token


def _failed(answer: Answer, members: Mapping[str, Any]) -> TokenSourceFailed:
    """Say what an answer without tokens says."""
    error, words = members.get("error"), error_of(members)
    if isinstance(error, str) and words and error != "missing_token":
        refused = Refused(words, error)
        # A server that is out of order says nothing of the grant.
        refused.permanent = refused.permanent and answer.status < 500 and answer.status not in (408, 429)
        return refused
    return TokenSourceFailed(f"the authorization server answers with status {answer.status} and without a token")


# ---- The device grant --------------------------------------------------------------------------------------------

# RFC 8628 sections 3.2 and 3.5.
_INTERVAL_SECONDS = 5
_SLOWER_SECONDS = 5


@dataclass(frozen=True)
class DeviceLogin:
    """What the user is to be shown (RFC 8628 section 3.2)."""

    device_code: Hidden
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    seconds: float
    interval: float


def begin_device_login(
    https: Https, authorization: Authorization, client: Client, scopes: Sequence[str]
) -> DeviceLogin:
    """Ask for a code that the user enters in a browser anywhere (RFC 8628 section 3.1)."""
    from oauthlib.oauth2 import DeviceClient

    secret = None if client.secret is None else client.secret.reveal()
    try:
        address = authorization["device_authorization_endpoint"]
        made = DeviceClient(client.client_id, client_secret=secret).prepare_request_uri(address, list(scopes))
        form = Hidden(urllib.parse.urlsplit(made).query)
    finally:
        del secret
    del made
    answer = https.post(address, form)
    members = read_json(answer) or {}
    if answer.status != 200 or not isinstance(members.get("device_code"), str):
        raise _failed(answer, members)
    try:
        return DeviceLogin(
            Hidden(members["device_code"]),
            _shown(members.get("user_code")),
            # Google calls it verification_url.
            _shown(members.get("verification_uri") or members.get("verification_url")),
            _shown(members["verification_uri_complete"]) if members.get("verification_uri_complete") else None,
            float(members.get("expires_in") or 1800),
            float(members.get("interval") or _INTERVAL_SECONDS),
        )
    except (TypeError, ValueError):
        raise TokenSourceFailed("the authorization server's answer to the device cannot be read") from None
    finally:
        del members


def _shown(text: Any) -> str:
    """Check a text that is shown on a terminal: whatever controls one would be obeyed."""
    if not isinstance(text, str) or not text.isprintable() or not text:
        raise ValueError
    return text


def wait_for_device(
    https: Https,
    authorization: Authorization,
    client: Client,
    device: DeviceLogin,
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> Tokens:
    """Ask until the user has allowed it, as often as the server wants (RFC 8628 sections 3.4 and 3.5).

    Raises:
        Refused: the user has denied it, or was too slow.

    """
    from oauthlib.oauth2 import DeviceClient

    form = Hidden(
        DeviceClient(client.client_id).prepare_request_body(
            device.device_code.reveal(), include_client_id=True, **client.authentication()
        )
    )
    interval, deadline = device.interval, now() + device.seconds
    while now() + interval < deadline:
        sleep(interval)
        try:
            return read_tokens(https.post(authorization["token_endpoint"], form))
        except Refused as refused:
            if refused.error == "slow_down":
                interval += _SLOWER_SECONDS
            elif refused.error != "authorization_pending":
                raise
        except TokenSourceFailed:
            # RFC 8628 section 3.5: after a time-out, slower.
            interval *= 2
    raise Refused("expired_token: the code was not entered in time", "expired_token")


# ---- Registration ------------------------------------------------------------------------------------------------

# RFC 8252 section 7.3: at any port.
REDIRECT_URIS = ("http://127.0.0.1/",)


def register(https: Https, endpoint: str, scopes: Sequence[str]) -> Client:
    """Register a client of one's own, native and public (RFC 7591), where a server lets every program do so.

    Raises:
        TokenSourceFailed: the server does not.

    """
    wanted: dict[str, Any] = {
        "client_name": "mailbearer",
        "application_type": "native",
        "redirect_uris": REDIRECT_URIS,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }
    if scopes:
        wanted["scope"] = " ".join(scopes)
    answer = https.post_json(endpoint, Hidden(json.dumps(wanted)))
    members = read_json(answer) or {}
    try:
        if answer.status not in (200, 201) or not isinstance(members.get("client_id"), str):
            raise _failed(answer, members)
        secret = members.get("client_secret")
        return Client(members["client_id"], Hidden(secret) if isinstance(secret, str) else None)
    finally:
        # There is a token for managing it in it, too.
        members = secret = None  # type: ignore[assignment]


# ---- Metadata ----------------------------------------------------------------------------------------------------


def metadata(https: Https, issuer: str) -> dict[str, Any]:
    """Fetch what an issuer says of itself (RFC 8414 section 3, OpenID Connect Discovery section 4).

    Raises:
        ConfigError: it says nothing, or not what it must.
        TokenSourceFailed: it cannot be reached.

    """
    host = checked_address(issuer)
    for address in _well_known(issuer):
        answer = https.get(address)
        found = read_json(answer) if answer.status == 200 else None
        if found is not None:
            return _checked(found, issuer)
    raise ConfigError(f"{host} has no metadata of an authorization server: is the issuer right?")


def _well_known(issuer: str) -> list[str]:
    parts = urllib.parse.urlsplit(issuer)
    path = parts.path.rstrip("/")
    return [
        f"https://{parts.netloc}/.well-known/oauth-authorization-server{path}",
        f"https://{parts.netloc}{path}/.well-known/openid-configuration",
    ]


def _checked(found: dict[str, Any], issuer: str) -> dict[str, Any]:
    # RFC 8414 section 3.3: they must be identical.
    if found.get("issuer") != issuer:
        raise ConfigError("the metadata is of another issuer than the one that was asked for")
    for name in ENDPOINTS[1:]:
        if found.get(name) is not None:
            if not isinstance(found[name], str):
                raise ConfigError(f"the metadata's {name} is no address")
            checked_address(found[name])
    if not found.get("token_endpoint"):
        raise ConfigError("the metadata names no token_endpoint")
    return found
