"""The authorization code grant with PKCE (RFC 6749 section 4.1, RFC 7636), and the checks of what comes back."""

from __future__ import annotations

import secrets
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import Error
from .grant import Tokens
from .hiding import Hidden, error_of
from .oauth import Authorization, Client, Refused, exchange
from .oauth_http import Https

_VERIFIER_LENGTH = 64
# Of a path split at its slashes, as in https://login.microsoftonline.com/TENANT/v2.0
_TENANT_AT = 3


class NotTheAnswer(Error):
    """An address that is none of this login: of another one, of a mistake, or of an attacker. The login goes on."""


class CodeLogin:
    """One login: the address for the browser, and what to make of the address that the browser is sent to.

    Args:
        iss_required: the server says that it names itself in each answer (RFC 9207).

    """

    def __init__(
        self,
        client: Client,
        authorization: Authorization,
        redirect_uri: str,
        scopes: Sequence[str],
        parameters: Mapping[str, str],
        *,
        iss_required: bool = False,
    ) -> None:
        from oauthlib.oauth2 import WebApplicationClient

        self.redirect_uri = redirect_uri
        self._client = client
        self._authorization = authorization
        self._iss_required = iss_required
        self._state = Hidden(secrets.token_urlsafe(32))
        web = WebApplicationClient(client.client_id)
        self._verifier = Hidden(web.create_code_verifier(_VERIFIER_LENGTH))
        challenge = web.create_code_challenge(self._verifier.reveal(), "S256")
        self.url: str = web.prepare_request_uri(
            authorization["authorization_endpoint"],
            redirect_uri=redirect_uri,
            scope=list(scopes) or None,
            state=self._state.reveal(),
            code_challenge=challenge,
            code_challenge_method="S256",
            **parameters,
        )

    def read(self, address: Hidden) -> Hidden:
        """Take the code out of the address that the browser was sent to.

        Raises:
            NotTheAnswer: it is none of this login.
            Refused: the user or the server said no, or it is the answer of another server.

        """
        from oauthlib.oauth2 import MismatchingStateError, OAuth2Error, WebApplicationClient

        query = self._query(address)
        try:
            # The loopback's address is plain HTTP, which RFC 8252 section 7.3 allows and oauthlib does not.
            found = WebApplicationClient(self._client.client_id).parse_request_uri_response(
                "https://loopback/?" + query.reveal(), state=self._state.reveal()
            )
            code = Hidden(found["code"])
            del found
        except MismatchingStateError:
            raise NotTheAnswer("that is the answer to another login") from None
        except OAuth2Error as error:
            self._check_issuer(query)
            words = error_of({"error": error.error, "error_description": error.description}) or "no reason"
            raise Refused(f"the authorization server says {words}", str(error.error)) from None
        self._check_issuer(query)
        return code

    def tokens(self, https: Https, code: Hidden) -> Tokens:
        """Exchange the code."""
        return exchange(https, self._authorization, self._client, code, self._verifier, self.redirect_uri)

    def _query(self, address: Hidden) -> Hidden:
        try:
            place, query = _parts(address.reveal().strip())
        except ValueError:
            place, query = ("", "", ""), Hidden("")
        if place != _parts(self.redirect_uri)[0]:
            raise NotTheAnswer(f"that is not the address that was asked for: it begins with {self.redirect_uri}")
        return query

    def _check_issuer(self, query: Hidden) -> None:
        """See to it that the answer is of the server that was asked (RFC 9207 section 2.4)."""
        said = urllib.parse.parse_qs(query.reveal()).get("iss")
        expected = self._authorization.get("issuer")
        if said is None and not self._iss_required:
            return
        if said is None or len(said) != 1 or (expected is not None and not is_issuer(said[0], expected)):
            raise Refused("the answer is of another authorization server than the one that was asked", "wrong_issuer")


def _parts(address: str) -> tuple[tuple[str, str, str], Hidden]:
    """Return where an address leads, and its query. Browsers add the slash of an empty path."""
    parts = urllib.parse.urlsplit(address)
    return (parts.scheme, parts.netloc, parts.path or "/"), Hidden(parts.query)


def is_issuer(said: str, expected: str) -> bool:
    """Whether an issuer is the one that was expected.

    Microsoft's common endpoint answers for each tenant, whose own name stands in its place.

    >>> is_issuer("https://login.microsoftonline.com/7f1c/v2.0", "https://login.microsoftonline.com/common/v2.0")
    True
    >>> is_issuer("https://login.microsoftonline.com/v2.0", "https://login.microsoftonline.com/common/v2.0")
    False
    >>> is_issuer("https://accounts.google.com.example.net", "https://accounts.google.com")
    False
    """
    found, parts = said.split("/"), expected.split("/")
    if len(parts) > _TENANT_AT and parts[_TENANT_AT] == "common" and len(found) == len(parts):
        parts[_TENANT_AT] = found[_TENANT_AT]
    return found == parts


def parameters_of(oauth: Mapping[str, Any] | None, user: str, scopes: Sequence[str]) -> dict[str, str]:
    """Return what the provider wants in the address besides: from its profile, else as OpenID Connect has it."""
    if oauth is not None:
        made = dict(oauth["parameters"])
        return {**made, "login_hint": user} if oauth["takes_login_hint"] else made
    # OpenID Connect Core section 11: without the prompt, offline_access may be ignored.
    return {"login_hint": user, **({"prompt": "consent"} if "offline_access" in scopes else {})}
