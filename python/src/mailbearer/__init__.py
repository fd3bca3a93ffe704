"""Log in to IMAP, POP3 and SMTP with OAuth 2.0 access tokens, and get the true reason when that fails.

The front door is :func:`sessions`, which stays logged in: it yields a connection each time that one is due. For one
login, :func:`imap`, :func:`pop3` and :func:`smtp` return the clients of the standard library, logged in, and
:func:`connect` a TLS socket; :func:`discover` finds the servers of a mail address. :mod:`mailbearer.aio` has the same
for asyncio. The machines below them (:class:`Negotiation`, :class:`Watch`, :class:`Session`) and the pure functions
(:func:`classify`, :func:`initial_response`, :func:`read_rejection`) are for programs that have sockets or a mail
library of their own; :func:`explain` says what the exceptions of such a library mean.
"""

from __future__ import annotations

from ._core import (
    ADVICES,
    CAUSES,
    AccessToken,
    Aftermath,
    Authenticated,
    Failure,
    Mailbox,
    Negotiation,
    Provider,
    Rejection,
    Session,
    Step,
    Verdict,
    Watch,
    __version__,
    acknowledgement,
    classify,
    read_rejection,
)
from .account import Account, sessions
from .clients import imap, imapclient, mailbox, pop3, smtp
from .connection import Connection, connect
from .discovery import Discovered, FoundOAuth, FoundService, Look, discover
from .errors import (
    ConfigError,
    Error,
    GaveUp,
    InternalError,
    LoginFailed,
    MailboxRefused,
    Misuse,
    NeedsUser,
    SessionEnded,
    SessionTimedOut,
    TokenSourceFailed,
    TokenSourceMistake,
)
from .events import OnEvent, SessionEvent
from .explaining import explain
from .facts import (
    AccountStatus,
    AftermathFacts,
    DiscoveredFacts,
    FailureFacts,
    MachineStatus,
    MailboxFacts,
    OAuthFacts,
    RejectionFacts,
    ServiceFacts,
    SessionStatus,
    VerdictFacts,
)
from .following import MailboxChange, NewMessages
from .kinds_of_source import TokenAnswer, TokenSource
from .lookups import LookupFailed, Opener, Resolver
from .message_sender import Receipt, Sender, sender
from .options import LoginOptions, LoneOptions, MachinePolicy, SessionOptions, Trace
from .policy import SessionPolicy
from .proxy import ProxyFailed
from .route import Sock
from .sasl import initial_response
from .sending import OnOutcome, Refusal, SenderOptions, SendOutcome, SendStatus
from .session_connection import SessionConnection
from .session_iterator import Sessions
from .settings import Endpoint
from .sources import client_credentials, command, token_file
from .stored import StoredLogin, stored
from .words import (
    Advice,
    Cause,
    Certainty,
    EventKind,
    FactSource,
    InitialResponse,
    MailProtocol,
    Mechanism,
    Offer,
    Outcome,
    Phase,
    ProviderName,
    Renewal,
    Seen,
    SessionPhase,
    Side,
    Standing,
    Submission,
    Sureness,
    Tls,
    Trouble,
)

__all__ = [
    "ADVICES",
    "CAUSES",
    "AccessToken",
    "Account",
    "AccountStatus",
    "Advice",
    "Aftermath",
    "AftermathFacts",
    "Authenticated",
    "Cause",
    "Certainty",
    "ConfigError",
    "Connection",
    "Discovered",
    "DiscoveredFacts",
    "Endpoint",
    "Error",
    "EventKind",
    "FactSource",
    "Failure",
    "FailureFacts",
    "FoundOAuth",
    "FoundService",
    "GaveUp",
    "InitialResponse",
    "InternalError",
    "LoginFailed",
    "LoginOptions",
    "LoneOptions",
    "Look",
    "LookupFailed",
    "MachinePolicy",
    "MachineStatus",
    "MailProtocol",
    "Mailbox",
    "MailboxChange",
    "MailboxFacts",
    "MailboxRefused",
    "Mechanism",
    "Misuse",
    "NeedsUser",
    "Negotiation",
    "NewMessages",
    "OAuthFacts",
    "Offer",
    "OnEvent",
    "OnOutcome",
    "Opener",
    "Outcome",
    "Phase",
    "Provider",
    "ProviderName",
    "ProxyFailed",
    "Receipt",
    "Refusal",
    "Rejection",
    "RejectionFacts",
    "Renewal",
    "Resolver",
    "Seen",
    "SendOutcome",
    "SendStatus",
    "Sender",
    "SenderOptions",
    "ServiceFacts",
    "Session",
    "SessionConnection",
    "SessionEnded",
    "SessionEvent",
    "SessionOptions",
    "SessionPhase",
    "SessionPolicy",
    "SessionStatus",
    "SessionTimedOut",
    "Sessions",
    "Side",
    "Sock",
    "Standing",
    "Step",
    "StoredLogin",
    "Submission",
    "Sureness",
    "Tls",
    "TokenAnswer",
    "TokenSource",
    "TokenSourceFailed",
    "TokenSourceMistake",
    "Trace",
    "Trouble",
    "Verdict",
    "VerdictFacts",
    "Watch",
    "__version__",
    "acknowledgement",
    "classify",
    "client_credentials",
    "command",
    "connect",
    "discover",
    "explain",
    "imap",
    "imapclient",
    "initial_response",
    "mailbox",
    "pop3",
    "read_rejection",
    "sender",
    "sessions",
    "smtp",
    "stored",
    "token_file",
]
