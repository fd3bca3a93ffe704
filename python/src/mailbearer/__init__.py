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
    initial_response,
    read_rejection,
)
from .account import Account, sessions
from .clients import imap, imapclient, pop3, smtp
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
from .events import SessionEvent
from .explaining import explain
from .following import MailboxChange, NewMessages
from .lookups import LookupFailed, Opener, Resolver
from .policy import SessionPolicy
from .session_connection import SessionConnection
from .sessions import Sessions
from .settings import Endpoint
from .sources import client_credentials, command, token_file
from .stored import stored

__all__ = [
    "ADVICES",
    "CAUSES",
    "AccessToken",
    "Account",
    "Aftermath",
    "Authenticated",
    "ConfigError",
    "Connection",
    "Discovered",
    "Endpoint",
    "Error",
    "Failure",
    "FoundOAuth",
    "FoundService",
    "GaveUp",
    "InternalError",
    "LoginFailed",
    "Look",
    "LookupFailed",
    "Mailbox",
    "MailboxChange",
    "MailboxRefused",
    "Misuse",
    "NeedsUser",
    "Negotiation",
    "NewMessages",
    "Opener",
    "Provider",
    "Rejection",
    "Resolver",
    "Session",
    "SessionConnection",
    "SessionEnded",
    "SessionEvent",
    "SessionPolicy",
    "SessionTimedOut",
    "Sessions",
    "Step",
    "TokenSourceFailed",
    "TokenSourceMistake",
    "Verdict",
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
    "pop3",
    "read_rejection",
    "sessions",
    "smtp",
    "stored",
    "token_file",
]
