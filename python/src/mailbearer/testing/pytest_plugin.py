"""Fixtures for pytest, which finds them by itself once mailbearer is installed.

=========================  ==========================================================================================
``mailbearer_server``      a :class:`~mailbearer.testing.Server` for one test; a marker says how it is to be
``mailbearer_account``     an account at it, a :class:`ServerAccount`
``mailbearer_accounts``    all accounts that the marker names, in their order
``mailbearer_servers``     starts more servers: call it with the arguments of :class:`~mailbearer.testing.Server`
=========================  ==========================================================================================

The marker takes the arguments of :class:`~mailbearer.testing.Server`, on a test, a class or a module (``pytestmark``);
the nearest one counts for each argument::

    @pytest.mark.mailbearer(flavour="outlook", token_lifetime=1.0, users=["joe@outlook.com", "ann@outlook.com"])
    def test_both(mailbearer_accounts):
        joe, ann = mailbearer_accounts
        with mailbearer.imap(joe.user, joe.token, **joe.at("imap")) as imap:
            ...
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ..options import LoginOptions
from ..words import MailProtocol, Tls
from . import Server

_USERS = {"gmail": "joe@gmail.com", "outlook": "joe@outlook.com", "dovecot": "joe@example.org"}


@dataclass(frozen=True)
class ServerAccount:
    """An account at a testing server.

    Attributes:
        user: its mail address.
        server: where it is.
        token_lifetime: seconds that its tokens live.

    """

    user: str
    server: Server
    token_lifetime: float

    def token(self) -> tuple[str, float]:
        """Issue a token: it is a token source, for ``mailbearer.sessions`` and the others."""
        return self.server.issue_token(self.user), self.token_lifetime

    def at(self, protocol: MailProtocol, tls: Tls = "implicit") -> LoginOptions:
        """Return the settings that lead there, as :meth:`mailbearer.testing.Server.at` does."""
        return self.server.at(protocol, tls)


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    config.addinivalue_line("markers", "mailbearer(**options): how the testing server of mailbearer is to be")


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Gather what the markers say, the nearest last."""
    found: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("mailbearer"))):
        if marker.args:
            raise pytest.UsageError(f"pytest.mark.mailbearer takes keyword arguments only: {marker.args!r}")
        found |= marker.kwargs
    return found


def _server(options: dict[str, Any]) -> Server:
    try:
        return Server(**options)
    except (TypeError, ValueError) as error:
        # Who wrote the marker has called no server.
        raise pytest.UsageError(f"pytest.mark.mailbearer: {error}") from None


@pytest.fixture
def mailbearer_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Start a testing server on loopback, as the marker ``mailbearer`` says, and stop it after the test."""
    with _server(_options(request)) as server:
        yield server


@pytest.fixture
def mailbearer_accounts(request: pytest.FixtureRequest, mailbearer_server: Server) -> list[ServerAccount]:
    """Give the accounts that the marker names, or one."""
    options = _options(request)
    lifetime = options.get("token_lifetime", 3600.0)
    users = list(options.get("users", ())) or [_USERS[options.get("flavour", "gmail")]]
    return [ServerAccount(user, mailbearer_server, lifetime) for user in users]


@pytest.fixture
def mailbearer_account(mailbearer_accounts: list[ServerAccount]) -> ServerAccount:
    """Give an account at the testing server: the first that the marker names, or one."""
    return mailbearer_accounts[0]


@pytest.fixture
def mailbearer_servers() -> Iterator[Callable[..., Server]]:
    """Start as many testing servers as are asked for, and stop them after the test."""
    with contextlib.ExitStack() as running:
        yield lambda **options: running.enter_context(Server(**options))
