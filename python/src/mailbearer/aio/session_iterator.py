"""The connections of a session, for asyncio programs: one each time that one is due."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ..errors import ConfigError, Misuse, SessionEnded
from ..extras import need_client
from ..facts import SessionStatus
from ..haste import Haste
from ..session_iterator import CLOSED
from ..words import MailProtocol
from . import clients
from .connection import Connection
from .later import Later
from .session_connection import SessionConnection
from .tasks import TaskDriver

ClientT_co = TypeVar("ClientT_co", covariant=True)

# Stands for: the usual one of the protocol, made when it is first asked for.
DEFAULT_CLIENT = "default"

_CLIENTS: dict[str, dict[str, clients.Make]] = {
    "imap": {"aioimaplib": clients.imap_over},
    "pop3": {},
    "smtp": {"aiosmtplib": clients.smtp_over},
}


@dataclass(frozen=True)
class Clients:
    """Which mail client a session's connections have: one that was asked for is made at once, else when it is."""

    name: str | None
    make: clients.Make | None
    is_asked_for: bool

    def over(self, connection: Connection) -> Any:
        """Make one over a connection that is logged in.

        Raises:
            ConfigError: its package is missing.
            Misuse: no mail client is wanted, or there is none for the protocol.

        """
        if self.name is None or self.make is None:
            protocol = connection.endpoint.protocol
            names = " or ".join(f'client="{name}"' for name in _CLIENTS[protocol]) or "the reader and the writer"
            raise Misuse(f"no mail client was asked for: use {names}")
        need_client(self.name)
        return clients.made_now(self.make, connection)


def client_of(protocol: MailProtocol, name: str | None) -> Clients:
    """Find what makes the mail client of this name.

    Raises:
        ConfigError: there is none, or its package is missing.

    """
    names = _CLIENTS[protocol]
    if name == DEFAULT_CLIENT:
        default = next(iter(names), None)
        return Clients(default, names.get(default or ""), False)
    if name is None:
        return Clients(None, None, False)
    if name not in names:
        raise ConfigError(f"client is none of the known values for {protocol}: {', '.join(names) or 'none'}")
    need_client(name)
    return Clients(name, names[name], True)


class Sessions(Generic[ClientT_co]):
    """The connections of one session, one after the other: what :meth:`Account.sessions` and :func:`sessions` give.

    Its end, or :meth:`aclose`, ends the session, and the account where it is an account of one.
    """

    def __init__(
        self,
        driver: TaskDriver,
        session: int | None,
        account: object | None,
        protocol: MailProtocol,
        made_by: Clients,
        later: Later | None = None,
    ) -> None:
        self._driver = driver
        # None: its servers are looked up at the first iteration.
        self._session = session
        self._protocol: MailProtocol = protocol
        self._later = later
        # The account lives as long as its sessions are used.
        self._account = account
        self._clients = made_by
        self._given: SessionConnection[ClientT_co] | None = None
        self._haste = Haste()

    def __aiter__(self) -> AsyncIterator[SessionConnection[ClientT_co]]:
        """Begin a loop; one that runs when the sessions are closed just ends.

        Raises:
            Misuse: they are closed already, or their account is.

        """
        if not (self._driver.has(self._session) if self._later is None else not self._driver.is_closed):
            raise Misuse(CLOSED)
        return self

    async def __anext__(self) -> SessionConnection[ClientT_co]:
        """Let the last connection go, if it is there still, and wait for the next.

        Raises:
            NeedsUser: a person must act. Until :meth:`retry` is called, each call raises it again, at once.
            GaveUp: it cannot work as it is configured, or did not in the time that the policy gives it.
            TokenSourceMistake: the token source is wrong; what it raised is the ``__cause__``.
            Misuse: another task waits already, or the sessions belong to another event loop.
            ConfigError: the servers were looked up, and none was found to log in to.

        """
        given, self._given = self._given, None
        if given is not None:
            self._haste.back(given)
            await given.let_go()
        if (later := self._later) is not None:
            session = await later.add()
            if self._later is not later:
                # Closed meanwhile.
                if session is not None:
                    self._driver.remove(session)
                raise StopAsyncIteration
            self._session, self._later = session, None
        if self._session is None:
            raise StopAsyncIteration
        while (connection := await self._driver.next(self._session)) is not None:
            connection.clients = self._clients
            try:
                if self._clients.is_asked_for:
                    _ = connection.client
            except SessionEnded:
                connection.close()
                continue
            except BaseException:
                connection.close()
                raise
            self._given = connection
            self._haste.given()
            return connection
        raise StopAsyncIteration

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
        self._driver.say(self._driver.machine.retry)

    def network_lost(self) -> None:
        """Say that there is no network: nothing is opened for five minutes, or until :meth:`network_back`."""
        self._driver.say(self._driver.machine.network_lost)

    def network_back(self) -> None:
        """Say that there is a network again, or another one.

        Waits after failures of the network end, and connections are asked whether they still work. Waits that a server
        asked for do not end.
        """
        self._driver.say(self._driver.machine.network_back)

    async def aclose(self) -> None:
        """End the session: its connection is closed without a goodbye. Whoever waits for one sees the end."""
        taps = set() if self._session is None else self._driver.taps(self._session)
        self.close()
        await self._driver.wait_closed(taps)

    def close(self) -> None:
        """End it at once: what is closed by this is gone in the next rounds of the event loop."""
        self._later = None
        if self._account is None:
            self._driver.end_all()
        elif self._session is not None:
            self._driver.remove(self._session)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if hasattr(self, "_session"):
            self.close()

    def __repr__(self) -> str:
        return f"<aio.Sessions {self._session} of {self._driver.machine!r}>"
