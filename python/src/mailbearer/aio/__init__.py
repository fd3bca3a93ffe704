"""The same for asyncio: :func:`sessions`, :func:`connect`, :func:`imap` (aioimaplib) and :func:`smtp` (aiosmtplib).

Cancelling a login closes its socket.
"""

from .clients import imap, smtp
from .connection import Connection, connect
from .sessions import SessionConnection, Sessions, sessions

__all__ = ["Connection", "SessionConnection", "Sessions", "connect", "imap", "sessions", "smtp"]
