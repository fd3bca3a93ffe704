"""The same for asyncio.

:class:`Account`, :func:`sessions`, :func:`sender`, :func:`connect`, :func:`discover`, :func:`imap` (aioimaplib) and
:func:`smtp` (aiosmtplib).

Cancelling a login closes its socket.
"""

from ..kinds_of_source import AsyncTokenSource
from .account import Account, sessions
from .clients import imap, smtp
from .connection import Connection, connect
from .discovery import discover
from .message_sender import Receipt, Sender, sender
from .session_connection import SessionConnection
from .session_iterator import Sessions

__all__ = [
    "Account",
    "AsyncTokenSource",
    "Connection",
    "Receipt",
    "Sender",
    "SessionConnection",
    "Sessions",
    "connect",
    "discover",
    "imap",
    "sender",
    "sessions",
    "smtp",
]
