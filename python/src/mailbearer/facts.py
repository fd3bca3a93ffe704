"""The shapes of the dicts that are given to programs: what ``to_dict()``, ``status()`` and ``service()`` return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from ._core import Failure, Verdict
from .words import (
    Advice,
    Cause,
    Certainty,
    FactSource,
    InitialResponse,
    MailProtocol,
    Mechanism,
    Offer,
    Outcome,
    Seen,
    SessionPhase,
    Standing,
    Submission,
    Sureness,
    Tls,
)


class RejectionFacts(TypedDict):
    """What ``Rejection.to_dict()`` returns: the members of the server's error challenge (RFC 7628 section 3.2.2)."""

    status: str | None
    scope: str | None
    schemes: str | None
    openid_configuration: str | None


class FailureFacts(TypedDict):
    """What ``Failure.to_dict()`` returns, for JSON. Times are milliseconds."""

    cause: Cause
    advice: Advice
    certainty: Certainty
    server_text: str
    code: str | None
    rejection: RejectionFacts | None
    wait_ms: int | None
    url: str | None
    detail: str
    sentence: str


class VerdictFacts(TypedDict):
    """What ``Verdict.to_dict()`` returns, for JSON. Times are milliseconds."""

    cause: Cause
    advice: Advice
    certainty: Certainty
    rule: str
    wait_ms: int | None
    url: str | None


class MailboxFacts(TypedDict):
    """What ``Mailbox.to_dict()`` returns, for JSON."""

    name: str
    read_only: bool
    uid_validity: int | None
    uid_next: int | None
    highest_mod_seq: int | None


class AftermathFacts(TypedDict):
    """What ``Aftermath.to_dict()`` returns, for JSON; what is of another protocol is ``None``."""

    protocol: MailProtocol
    selected: MailboxFacts | None
    idling: bool | None
    unanswered: list[str] | None
    uncommitted_deletes: list[int] | None
    submission: Submission | None


class MachineStatus(TypedDict):
    """What ``Session.status()`` returns. Times are milliseconds of the clock that the machine is told."""

    phase: SessionPhase
    generation: int
    ticket: int | None
    online_since_ms: int | None
    ends_at_ms: int | None
    retry_at_ms: int | None
    failures: int
    learnt_session_ms: int | None
    learnt_ends_with_token: bool | None
    last_failure: Failure | None
    last_ending: Verdict | None


class SessionStatus(MachineStatus):
    """How a session stands. Times are milliseconds since the machine was started, asleep or not.

    ``session`` is ``None`` while its servers are still to be looked up.
    """

    session: int | None
    protocol: MailProtocol
    standing: Standing
    is_wanted: bool
    given: int | None


class AccountStatus(TypedDict):
    """How an account stands. Times are milliseconds since the machine was started, asleep or not."""

    sessions: list[SessionStatus]
    asks_for_token: bool
    token_failure: Failure | None
    token_retry_at_ms: int | None
    stops: list[Failure]


class Submitted(TypedDict):
    """A message that a testing server has taken over SMTP: who was logged in, its envelope, and its octets."""

    user: str
    sender: str
    recipients: list[str]
    content: bytes


class ServicePlace(TypedDict):
    """Where a service of a profile is: what a service needs."""

    host: str


class ServiceFacts(ServicePlace, total=False):
    """A service of a profile: where it is, and what is known of it. Times are milliseconds."""

    port: int
    tls: Tls
    mechanisms: Sequence[Mechanism]
    scopes: Sequence[str]
    initial_response: InitialResponse
    assumed_capabilities: Sequence[str] | None
    session_ms: int | None
    ends_with_token: bool
    idle_ms: int | None
    connections: int | None


class OAuthFacts(TypedDict):
    """The OAuth side of a profile: where its tokens come from."""

    issuer: str | None
    authorization_endpoint: str
    token_endpoint: str
    device_authorization_endpoint: str | None
    revocation_endpoint: str | None
    registration_endpoint: str | None
    needs_client_secret: bool
    parameters: Mapping[str, str]
    takes_login_hint: bool


class FoundServiceFacts(TypedDict):
    """A server that was found, in the types of JSON."""

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


class FoundOAuthFacts(TypedDict):
    """Where tokens come from, in the types of JSON."""

    issuer: str | None
    authorization_endpoint: str | None
    token_endpoint: str | None
    device_authorization_endpoint: str | None
    revocation_endpoint: str | None
    registration_endpoint: str | None
    needs_client_secret: bool | None
    scopes: list[str]
    client_id: str | None
    source: FactSource
    sureness: Sureness
    has_metadata: bool
    leads_to: list[str]


class LookFacts(TypedDict):
    """One lookup, in the types of JSON."""

    what: str
    seen: Seen
    text: str


class DiscoveredFacts(TypedDict):
    """What ``Discovered.to_dict()`` returns, for JSON."""

    address: str
    domain: str
    outcome: Outcome
    sentence: str
    hoster: str | None
    provider: str | None
    instead: str | None
    services: list[FoundServiceFacts]
    oauth: FoundOAuthFacts | None
    notes: list[str]
    looks: list[LookFacts]
