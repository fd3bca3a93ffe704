"""The connections of a session, for blocking programs: one each time that one is due."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from . import clients
from .connection import Connection
from .errors import ConfigError, Misuse
from .extras import need_client
from .facts import SessionStatus
from .haste import Haste
from .session_connection import SessionConnection
from .threads import ThreadDriver
from .words import MailProtocol

ClientT_co = TypeVar("ClientT_co", covariant=True)

_CLIENTS: dict[str, dict[str, Callable[[Connection], Any]]] = {
    "imap": {"imaplib": clients.Imap, "imapclient": clients.imapclient_over, "imap_tools": clients.mailbox_over},
    "pop3": {"poplib": clients.Pop3},
    "smtp": {"smtplib": clients.Smtp},
}


def client_of(protocol: MailProtocol, name: str | None) -> Callable[[Connection], Any]:
    """Find what makes the mail client of this name: that of the standard library where none is named."""
    names = _CLIENTS[protocol]
    if name is not None and name not in names:
        raise ConfigError(f"client is none of the known values for {protocol}: {', '.join(names)}")
    if name is None:
        return next(iter(names.values()))
    need_client(name)
    return names[name]


CLOSED = "the sessions are closed, or their account is: make new ones"


class Sessions(Generic[ClientT_co]):
    """The connections of one session, one after the other: what :meth:`Account.sessions` and :func:`sessions` give.

    Its end, or :meth:`close`, ends the session, and the account where it is an account of one.
    """

    def __init__(self, driver: ThreadDriver, session: int, account: object | None, protocol: MailProtocol) -> None:
        self._driver = driver
        self._session = session
        self._protocol = protocol
        # The account lives as long as its sessions are used.
        self._account = account
        self._given: SessionConnection[ClientT_co] | None = None
        self._haste = Haste()
        self._process = os.getpid()

    def __iter__(self) -> Iterator[SessionConnection[ClientT_co]]:
        """Begin a loop; one that runs when the sessions are closed just ends.

        Raises:
            Misuse: they are closed already, or their account is.

        """
        if not self._driver.has(self._session):
            raise Misuse(CLOSED)
        return self

    def __next__(self) -> SessionConnection[ClientT_co]:
        """Let the last connection go, if it is there still, and wait for the next.

        Raises:
            NeedsUser: a person must act. Until :meth:`retry` is called, each call raises it again, at once.
            GaveUp: it cannot work as it is configured, or did not in the time that the policy gives it.
            TokenSourceMistake: the token source is wrong; what it raised is the ``__cause__``.
            Misuse: another thread waits already, or this is a child of the process that made the sessions.

        """
        if self._given is not None:
            self._haste.back(self._given)
            self._given.let_go()
        self._given = None
        self._given = self._driver.next(self._session)
        if self._given is None:
            raise StopIteration
        self._haste.given()
        return self._given

    def status(self) -> SessionStatus:
        """Tell how the session stands. Times are milliseconds since the machine was started, asleep or not.

        * ``standing``: ``unwanted``, ``waiting``, ``connecting``, ``parked`` (logged in, and nobody wants it),
          ``given``, ``renewing`` or ``stopped``; ``is_wanted``; ``given``: the number of the program's connection;
        * ``phase``: ``stopped``, ``waiting``, ``connecting``, ``logging_in``, ``online``, ``renewing``, ``needs_user``
          or ``gave_up``;
        * ``session``, ``protocol``: which; ``generation``: how many connections there were; ``ticket``: the number of
          the one that is online;
        * ``online_since_ms``, ``ends_at_ms`` (when it is expected to end), ``retry_at_ms`` (when the wait after a
          failure is over), ``failures`` (in a row);
        * ``learnt_session_ms``, ``learnt_ends_with_token``: what this server was seen to do;
        * ``last_failure``, a :class:`~mailbearer.Failure`, and ``last_ending``, a :class:`~mailbearer.Verdict`.
        """
        return self._driver.status_of(self._session, self._protocol)

    def snapshot(self) -> bytes:
        """Return what must outlive the process, of the whole account: see :meth:`Account.snapshot`."""
        return self._driver.machine.snapshot(self._driver.wall_ms())

    def retry(self) -> None:
        """Say that a person has acted: every stop of the account is lifted, and the next iteration tries again."""
        self._driver.tell(self._driver.machine.retry)

    def network_lost(self) -> None:
        """Say that there is no network: nothing is opened for five minutes, or until :meth:`network_back`."""
        self._driver.tell(self._driver.machine.network_lost)

    def network_back(self) -> None:
        """Say that there is a network again, or another one.

        Waits after failures of the network end, and connections are asked whether they still work. Waits that a server
        asked for do not end.
        """
        self._driver.tell(self._driver.machine.network_back)

    def close(self) -> None:
        """End the session: its connection is closed without a goodbye. Whoever waits for one sees the end."""
        if os.getpid() != self._process:
            # A child of a fork must not hang up on its parent's connection.
            return
        if self._account is None:
            self._driver.end_all()
        else:
            self._driver.remove(self._session)
        if self._given is not None:
            self._given.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.close()

    def __repr__(self) -> str:
        return f"<Sessions {self._session} of {self._driver.machine!r}>"
