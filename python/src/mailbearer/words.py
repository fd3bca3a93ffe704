"""The words of the core, as types: a checker finds one that is misspelt. A test holds them to the core's own lists."""

from __future__ import annotations

from typing import Literal, TypeAlias

Cause: TypeAlias = Literal[
    "no_fault",
    "token_rejected",
    "token_expired",
    "token_unavailable",
    "insufficient_scope",
    "mechanism_unavailable",
    "initial_response_refused",
    "tls_refused",
    "tls_failed",
    "wrong_service",
    "wrong_tls_mode",
    "plaintext_injected",
    "preauthenticated",
    "protocol_disabled",
    "account_disabled",
    "policy_blocked",
    "app_password_required",
    "interaction_required",
    "user_name_refused",
    "client_name_refused",
    "too_many_connections",
    "rate_limited",
    "unavailable",
    "mailbox_locked",
    "not_connected",
    "line_too_long",
    "session_limit",
    "idle_timeout",
    "session_ended",
    "shutdown",
    "connection_lost",
    "host_not_found",
    "connection_refused",
    "unreachable",
    "proxy_failed",
    "timed_out",
    "limit_exceeded",
    "protocol_violation",
    "cancelled",
    "unrecognized",
]
"""What happened: one of :data:`mailbearer.CAUSES`."""

Advice: TypeAlias = Literal[
    "refresh_token", "reconnect", "back_off", "ask_user", "fix_configuration", "give_up", "proceed"
]
"""What to do: one of :data:`mailbearer.ADVICES`."""

Certainty: TypeAlias = Literal["stated", "inferred", "guessed"]
"""How sure a cause is: the server said so; a code, the order of events or the clock implies it; or it is a guess."""

Phase: TypeAlias = Literal[
    "greeting", "capability", "auth_challenge", "auth_ok", "auth_fail", "mid_session", "disconnect"
]
"""When a reply was said."""

MailProtocol: TypeAlias = Literal["imap", "pop3", "smtp"]
"""What is spoken with the server."""

Tls: TypeAlias = Literal["implicit", "starttls"]
"""How TLS begins: with the first octet, or when STARTTLS (STLS) was answered."""

Mechanism: TypeAlias = Literal["XOAUTH2", "OAUTHBEARER"]
"""How the token is told: Google's and Microsoft's own way, or RFC 7628."""

InitialResponse: TypeAlias = Literal["auto", "never", "always"]
"""Whether the token goes with the ``AUTH`` line: where that is allowed and fits, never, or always."""

ProviderName: TypeAlias = Literal[
    "gmail",
    "microsoft",
    "microsoft-us",
    "microsoft-china",
    "yahoo",
    "aol",
    "fastmail",
    "yandex",
    "mailru",
    "icloud",
    "comcast",
    "gmx",
    "webde",
    "netease",
    "qq",
    "proton",
]
"""The profiles that are built in. A name that is only known at run time: ``Provider.named(name)``."""

EventKind: TypeAlias = Literal[
    "discovered",
    "fetching_token",
    "token_failed",
    "connecting",
    "login_failed",
    "online",
    "renewing",
    "ended",
    "waiting",
    "limited",
    "needs_user",
    "gave_up",
    "mistake",
]
"""What a :class:`~mailbearer.SessionEvent` tells. ``discovered`` is Python's own, the others are of the core."""

Standing: TypeAlias = Literal["unwanted", "waiting", "connecting", "parked", "given", "renewing", "stopped"]
"""How a session stands, as the program sees it."""

SessionPhase: TypeAlias = Literal[
    "stopped",
    "waiting",
    "fetching_token",
    "connecting",
    "logging_in",
    "online",
    "renewing",
    "needs_user",
    "gave_up",
]
"""What the machine of a session does."""

Renewal: TypeAlias = Literal["ahead", "at_end", "overlap"]
"""When a session is renewed: see :class:`~mailbearer.SessionPolicy`."""

FactSource: TypeAlias = Literal["built_in", "mx", "autoconfig", "srv", "ispdb", "hoster_autoconfig", "hoster_ispdb"]
"""Who says something of a mail address."""

Sureness: TypeAlias = Literal["certain", "likely", "guess"]
"""How sure something is that was looked up."""

Offer: TypeAlias = Literal["oauth", "password_only", "unknown"]
"""Whether a server takes tokens."""

Outcome: TypeAlias = Literal["found", "to_confirm", "no_oauth", "nothing", "unreachable"]
"""What came of a discovery."""

Seen: TypeAlias = Literal["found", "nothing", "failed", "ignored"]
"""What came of one lookup."""

Trouble: TypeAlias = Literal[
    "timed_out", "no_host", "unreachable", "refused", "tls", "too_large", "not_public", "malformed"
]
"""Why a lookup has no answer."""

Submission: TypeAlias = Literal["idle", "not_accepted", "unknown"]
"""How far a message had come when an SMTP session ended."""

Side: TypeAlias = Literal["C", "S"]
"""Who says a line of a dialogue: the client or the server."""


def counted(number: int, unit: str) -> str:
    """Say a number with its unit, as in ``1 second`` and ``2 seconds``."""
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
