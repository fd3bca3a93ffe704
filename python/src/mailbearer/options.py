"""The keyword arguments of every front door, as types: a checker finds one that is misspelt, or of another type.

Who takes them says so with ``**options: Unpack[...]``. What they mean is told by :func:`mailbearer.connect` and by
``docs/reference/settings.md``.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, TypedDict

from ._core import Provider
from .events import OnEvent
from .policy import SessionPolicy
from .proxy import Proxy
from .route import Sock
from .words import InitialResponse, Mechanism, ProviderName, Renewal, Side, Tls

Trace: TypeAlias = Callable[[Side, str], object]
"""Called with ``"C"`` or ``"S"`` and a line of the dialogue, when it is whole. The token is masked."""


class LoginOptions(TypedDict, total=False):
    """What every way to log in is told: times are seconds, ``None`` is what the profile or the port says.

    Attributes:
        host: where the server is; with it the mail address does not choose a provider.
        port: the port; else the profile's, or the usual one of ``tls``.
        tls: how TLS begins; else as the port says.
        provider: the profile, by its name or as a :class:`~mailbearer.Provider`; else that of the mail address.
        ssl_context: whom to trust; it must verify certificate and host name.
        timeout: for connection, TLS, greeting and login together; 60.
        answer_timeout: for each answer after the login; as ``timeout``.
        data_timeout: for the answer to the end of a message; 600.
        authzid: the mailbox to act for, where it is not the user's own.
        mechanisms: in the order in which they are liked.
        initial_response: whether the token goes with the ``AUTH`` line; ``auto``.
        ehlo_name: what SMTP calls this machine; the domain of the user's address.
        assumed_capabilities: what the server can do, not to be asked first.
        unusual_port: this server uses a registered port in another way than others; ``False``.
        discover: whether servers that are not known may be looked up; ``True``.
        trace: called with each line of the dialogue of a login.
        proxy: the proxy to go through, as ``socks5://user:password@host:1080``, ``socks4a://`` or ``http://`` (by
            CONNECT); ``environment``: what ``ALL_PROXY`` says, but for the hosts of ``NO_PROXY``; ``None``: none,
            whatever the environment says. The proxy looks the server's name up. It needs ``mailbearer[proxy]``.
        local_address: the IP address of this machine that connections come from; with a proxy, those to the proxy.
        sock: a function that opens the TCP connection, called as :func:`socket.create_connection`; for one login also a
            socket that is connected. TLS is done over it.

    """

    host: str | None
    port: int | None
    tls: Tls | None
    provider: ProviderName | Provider | None
    ssl_context: ssl.SSLContext | None
    timeout: float
    answer_timeout: float | None
    data_timeout: float
    authzid: str | None
    mechanisms: Sequence[Mechanism] | None
    initial_response: InitialResponse | None
    ehlo_name: str | None
    assumed_capabilities: Sequence[str] | None
    unusual_port: bool
    discover: bool
    trace: Trace | None
    proxy: str | Proxy | None
    local_address: str | None
    sock: Sock | None


class MachinePolicy(TypedDict, total=False):
    """What a :class:`mailbearer.Session` is told, in milliseconds, as :class:`mailbearer.SessionPolicy` has it.

    Attributes:
        login: who speaks in the login: ``session``, the machine; or ``host``, the program.
        session_ms: how long the server lets a session live.
        idle_ms: how long the server lets it be quiet.
        login_timeout_ms: how long a login may take.
        renewal, ends_with_token, connections: as in :class:`mailbearer.SessionPolicy`.
        token_lifetime_ms, token_life_least_ms, token_timeout_ms: as there, in milliseconds.
        lead_ms, backoff_base_ms, backoff_max_ms, stable_after_ms, login_interval_ms: the same.

    """

    login: Literal["session", "host"]
    renewal: Renewal
    session_ms: int | None
    ends_with_token: bool
    idle_ms: int | None
    connections: int | None
    token_lifetime_ms: int | None
    lead_ms: int
    token_life_least_ms: int
    token_timeout_ms: int
    login_timeout_ms: int
    backoff_base_ms: int
    backoff_max_ms: int
    stable_after_ms: int
    login_interval_ms: int


class SessionOptions(LoginOptions, total=False):
    """What :meth:`mailbearer.Account.sessions` is told: all of :class:`LoginOptions`, and more.

    Attributes:
        policy: limits and times of this session, in place of the account's.

    """

    policy: SessionPolicy | None


class LoneOptions(SessionOptions, total=False):
    """What :func:`mailbearer.sessions` is told: those of a session, and more.

    Attributes:
        snapshot: what ``snapshot()`` gave: go on where another process was.
        on_event: called with a :class:`~mailbearer.SessionEvent` for each thing that happens, in any thread.

    """

    snapshot: bytes | None
    on_event: OnEvent | None
