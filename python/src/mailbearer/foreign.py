"""The mail clients of other packages, as types: each is one of the package's own, and ours to name where it is missing.

A checker does not know what is not installed, and strict ones complain of each use of something half known. A class
that is ours is known, whatever it is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import aioimaplib
    import aiosmtplib
    import imap_tools
    import imapclient

    class IMAPClient(imapclient.IMAPClient):
        """IMAPClient, logged in."""

    class MailBox(imap_tools.MailBox):
        """imap_tools' MailBox, logged in."""

    class AioImap(aioimaplib.IMAP4):
        """aioimaplib, logged in; its ``async with`` block ends with ``LOGOUT``."""

        async def __aenter__(self) -> Self: ...
        async def __aexit__(
            self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
        ) -> None: ...

    class AioSmtp(aiosmtplib.SMTP):
        """aiosmtplib, logged in."""
