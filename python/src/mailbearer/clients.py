"""The clients that people already use, logged in: imaplib, poplib, smtplib, IMAPClient and imap_tools."""

from __future__ import annotations

import contextlib
import imaplib
import poplib
import smtplib
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, cast

from .connection import Connection, connect
from .errors import SessionEnded, timed
from .extras import need_client
from .front_door import front_door
from .greeted_socket import GreetedSocket
from .hiding import hidden
from .options import LoginOptions
from .tokens import STORED, TokenSource

if TYPE_CHECKING:
    from .foreign import IMAPClient, MailBox

_Client = TypeVar("_Client")


@front_door("mailbearer.imap", LoginOptions)
def imap(user: str, token: TokenSource = STORED, **options: Unpack[LoginOptions]) -> imaplib.IMAP4:
    """Return an :class:`imaplib.IMAP4` in the state ``AUTH``; its ``with`` block ends with ``LOGOUT``.

    Args:
        user: the login's user name, as a rule the mail address.
        token: what :func:`mailbearer.connect` takes.
        options: those of :func:`mailbearer.connect`; ``help(mailbearer.LoginOptions)`` tells each.

    >>> import mailbearer, mailbearer.testing
    >>> with mailbearer.testing.Server() as server:
    ...     token = server.issue_token("joe@gmail.com")
    ...     with mailbearer.imap("joe@gmail.com", token, **server.at("imap")) as imap:
    ...         imap.select("INBOX")
    ('OK', [b'3'])

    """
    token = hidden(token)
    return _logged_in(Imap, connect("imap", user, token, **options))


@front_door("mailbearer.pop3", LoginOptions)
def pop3(user: str, token: TokenSource = STORED, **options: Unpack[LoginOptions]) -> Pop3:
    """Return a :class:`poplib.POP3` in the transaction state. Where its ``with`` block ends normally, it says ``QUIT``.

    Args:
        user: the login's user name, as a rule the mail address.
        token: what :func:`mailbearer.connect` takes.
        options: those of :func:`mailbearer.connect`; ``help(mailbearer.LoginOptions)`` tells each.

    >>> import mailbearer, mailbearer.testing
    >>> with mailbearer.testing.Server() as server:
    ...     token = server.issue_token("joe@gmail.com")
    ...     with mailbearer.pop3("joe@gmail.com", token, **server.at("pop3")) as pop3:
    ...         count, octets = pop3.stat()
    >>> count
    3

    """
    token = hidden(token)
    return _logged_in(Pop3, connect("pop3", user, token, **options))


@front_door("mailbearer.smtp", LoginOptions)
def smtp(user: str, token: TokenSource = STORED, **options: Unpack[LoginOptions]) -> smtplib.SMTP:
    r"""Return a :class:`smtplib.SMTP` that knows the server's extensions and may send at once.

    Args:
        user: the login's user name, as a rule the mail address.
        token: what :func:`mailbearer.connect` takes.
        options: those of :func:`mailbearer.connect`; ``help(mailbearer.LoginOptions)`` tells each.

    >>> import mailbearer, mailbearer.testing
    >>> with mailbearer.testing.Server() as server:
    ...     token = server.issue_token("joe@gmail.com")
    ...     with mailbearer.smtp("joe@gmail.com", token, **server.at("smtp")) as smtp:
    ...         smtp.sendmail("joe@gmail.com", ["ann@example.org"], b"Subject: hello\r\n\r\n")
    {}

    """
    token = hidden(token)
    return _logged_in(Smtp, connect("smtp", user, token, **options))


@front_door("mailbearer.imapclient", LoginOptions)
def imapclient(user: str, token: TokenSource = STORED, **options: Unpack[LoginOptions]) -> IMAPClient:
    """Return an ``imapclient.IMAPClient`` that is logged in: ``pip install 'mailbearer[imapclient]'``.

    Args:
        user: the login's user name, as a rule the mail address.
        token: what :func:`mailbearer.connect` takes.
        options: those of :func:`mailbearer.connect`; ``help(mailbearer.LoginOptions)`` tells each.

    Raises:
        ConfigError: IMAPClient is missing, or a setting cannot work; no login was made.

    """
    token = hidden(token)
    need_client("imapclient")
    return _logged_in(imapclient_over, connect("imap", user, token, **options))


@front_door("mailbearer.mailbox", LoginOptions)
def mailbox(user: str, token: TokenSource = STORED, **options: Unpack[LoginOptions]) -> MailBox:
    """Return an ``imap_tools.MailBox`` that is logged in: ``pip install 'mailbearer[imap-tools]'``.

    INBOX is selected, as its own ``login`` leaves it.

    Args:
        user: the login's user name, as a rule the mail address.
        token: what :func:`mailbearer.connect` takes.
        options: those of :func:`mailbearer.connect`; ``help(mailbearer.LoginOptions)`` tells each.

    Raises:
        ConfigError: imap_tools is missing, or a setting cannot work; no login was made.

    >>> import mailbearer, mailbearer.testing
    >>> with mailbearer.testing.Server() as server:
    ...     token = server.issue_token("joe@gmail.com")
    ...     with mailbearer.mailbox("joe@gmail.com", token, **server.at("imap")) as mailbox:
    ...         mailbox.uids()
    ['1', '2', '3']

    """
    token = hidden(token)
    need_client("imap_tools")
    return _logged_in(mailbox_over, connect("imap", user, token, **options))


def innermost(client: Any) -> Any:
    """Return the client of the standard library that IMAPClient and imap_tools have inside, or the client itself."""
    inside = vars(client)
    found = inside.get("_imap") or inside.get("client")
    return found if isinstance(found, imaplib.IMAP4) else client


def note_selected(client: Any) -> None:
    """Let a client know that a mailbox was selected past it."""
    innermost(client).state = "SELECTED"


def mailbox_over(connection: Connection) -> MailBox:
    """Make an ``imap_tools.MailBox`` over a connection that is logged in."""
    import imap_tools as package

    class LoggedIn(package.MailBox):
        """MailBox over a connection that is logged in."""

        def _get_mailbox_client(self) -> imaplib.IMAP4:
            return Imap(connection)

    host, port = connection.endpoint.host, connection.endpoint.port
    logged_in = LoggedIn(host, port, connection.client_timeout)
    logged_in.folder.set("INBOX")
    return cast("MailBox", logged_in)


def imapclient_over(connection: Connection) -> IMAPClient:
    """Make an ``imapclient.IMAPClient`` over a connection that is logged in."""
    import imapclient as package

    class LoggedIn(package.IMAPClient):
        """IMAPClient over a connection that is logged in."""

        def _create_IMAP4(self) -> imaplib.IMAP4:  # noqa: N802 - the name is IMAPClient's
            return Imap(connection)

    host, port = connection.endpoint.host, connection.endpoint.port
    return LoggedIn(host, port=port, ssl=True, timeout=connection.client_timeout)


def _logged_in(client: Callable[[Connection], _Client], connection: Connection) -> _Client:
    """Make a client over a connection; where that fails, nothing stays open."""
    try:
        return client(connection)
    except BaseException:
        connection.close()
        raise


class ImapSessionEnded(SessionEnded, imaplib.IMAP4.abort):
    """The session is over, as imaplib says it."""


class Pop3SessionEnded(SessionEnded, poplib.error_proto):
    """The session is over, as poplib says it."""


class SmtpSessionEnded(SessionEnded, smtplib.SMTPServerDisconnected):
    """The session is over, as smtplib says it."""


@contextlib.contextmanager
def _typed(connection: Connection, kind: type[SessionEnded], native: type[Exception]) -> Iterator[None]:
    """Where the session has ended, turn what a client raises into our exception, which is one of its own as well."""
    try:
        yield
    except (SessionEnded, native) as error:
        if isinstance(error, kind) or connection.verdict is None:
            raise
        raised = timed(kind) if connection.verdict.cause == "timed_out" else kind
        raise raised(connection.verdict) from error


class Imap(imaplib.IMAP4):
    """imaplib over a connection that is logged in: to it, the server has greeted with PREAUTH."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known = " ".join(connection.capabilities)
        super().__init__(connection.endpoint.host, connection.endpoint.port)

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        """Take the connection in place of a new one."""
        self.host, self.port = host, port
        sock: Any = self._connection.greeted(b"* PREAUTH logged in\r\n")
        self.sock = sock
        self._reader = sock.makefile("rb")
        # From Python 3.14 on the reader is private, and `file` a view of it.
        setattr(self, "_file" if sys.version_info >= (3, 14) else "file", self._reader)

    def capability(self) -> tuple[str, list[Any]]:
        """Answer the first question from what the server said with the login, where it said it."""
        if "IMAP4" in self._known.upper():
            known, self._known = self._known, ""
            return "OK", [known.encode("ascii", "replace")]
        return super().capability()

    def _command(self, name: str, *arguments: Any) -> Any:
        with _typed(self._connection, ImapSessionEnded, imaplib.IMAP4.abort):
            return super()._command(name, *arguments)  # type: ignore[misc]

    def _command_complete(self, name: str, tag: Any) -> Any:
        with _typed(self._connection, ImapSessionEnded, imaplib.IMAP4.abort):
            return super()._command_complete(name, tag)  # type: ignore[misc]

    def _get_response(self, *arguments: Any) -> Any:
        with _typed(self._connection, ImapSessionEnded, imaplib.IMAP4.abort):
            response = super()._get_response(*arguments)  # type: ignore[misc]
            if self._connection.said_goodbye:
                # Where nothing is behind it, this was the goodbye, and reading raises the end.
                self._reader.peek(1)
        return response


class Pop3(poplib.POP3):
    """poplib over a connection that is logged in, with ``with``: its normal end says ``QUIT``, which deletes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        super().__init__(connection.endpoint.host, connection.endpoint.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None and self.sock is not None:
                self.quit()
        finally:
            self.close()

    def _create_socket(self, timeout: float | None) -> GreetedSocket:
        return self._connection.greeted(b"+OK logged in\r\n")

    def _shortcmd(self, line: str) -> Any:
        with _typed(self._connection, Pop3SessionEnded, poplib.error_proto):
            return super()._shortcmd(line)  # type: ignore[misc]

    def _longcmd(self, line: str) -> Any:
        with _typed(self._connection, Pop3SessionEnded, poplib.error_proto):
            return super()._longcmd(line)  # type: ignore[misc]


class Smtp(smtplib.SMTP):
    """smtplib over a connection that is logged in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Replies that are due to DATA; the second is the one to the message.
        self._due_to_data = 0
        endpoint = connection.endpoint
        super().__init__(endpoint.host, endpoint.port, timeout=connection.sock.gettimeout() or 60.0)
        # RFC 4954 section 4: what EHLO said before the login stays true, and need not be asked again.
        self.does_esmtp = True
        self.ehlo_resp = "\n".join([endpoint.host, *connection.capabilities]).encode("ascii", "replace")
        for line in connection.capabilities:
            keyword, _, parameters = line.partition(" ")
            self.esmtp_features[keyword.lower()] = parameters

    def _get_socket(self, host: str, port: int, timeout: float) -> GreetedSocket:
        return self._connection.greeted(b"220 logged in\r\n")

    def send(self, s: Any) -> None:
        """Send, as smtplib does."""
        with _typed(self._connection, SmtpSessionEnded, smtplib.SMTPServerDisconnected):
            super().send(s)

    def data(self, msg: Any) -> tuple[int, bytes]:
        """Send a message; its end may take ten minutes (RFC 5321 section 4.5.3.2.6)."""
        self._due_to_data = 2
        try:
            return super().data(msg)
        finally:
            self._due_to_data = 0

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply; the one with which the server ends the session is raised."""
        self._due_to_data -= 1
        patient = self._connection.patience(self._connection.data_timeout if self._due_to_data == 0 else 0.0)
        with _typed(self._connection, SmtpSessionEnded, smtplib.SMTPServerDisconnected), patient:
            reply = super().getreply()
            if self._connection.said_goodbye and self.file is not None:
                # Nothing is behind it: the reply itself is the end. Else this is one that came before it.
                self.file.peek(1)
        return reply
