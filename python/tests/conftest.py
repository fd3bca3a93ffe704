"""What the tests share: the real servers, started once."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "servers"))

import authserver  # noqa: E402
import mailservers  # noqa: E402
from login_world import World  # noqa: E402


@pytest.fixture(scope="session")
def servers() -> Iterator[mailservers.RealServers]:
    with mailservers.RealServers() as running:
        yield running


@pytest.fixture(scope="session")
def started_authorization() -> Iterator[authserver.AuthorizationServer]:
    with authserver.AuthorizationServer() as running:
        yield running


@pytest.fixture
def authorization(started_authorization: authserver.AuthorizationServer) -> authserver.AuthorizationServer:
    """The authorization server, as it is at first."""
    started_authorization.reset()
    return started_authorization


@pytest.fixture(scope="session")
def introspecting(started_authorization: authserver.AuthorizationServer) -> Iterator[mailservers.RealServers]:
    """Mail servers that ask the authorization server about each token."""
    with mailservers.RealServers(introspection=started_authorization.description) as running:
        yield running


@pytest.fixture
def world(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, authorization: authserver.AuthorizationServer
) -> World:
    """A machine for logins that are not tried at mail servers. This process, too, is on it."""
    return here(World(tmp_path, authorization, None), monkeypatch)


@pytest.fixture
def mail_world(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    authorization: authserver.AuthorizationServer,
    introspecting: mailservers.RealServers,
) -> World:
    """A machine for logins that are tried at Dovecot."""
    return here(World(tmp_path, authorization, introspecting), monkeypatch)


def here(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    for name in ("MAILBEARER_HOME", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, world.environment[name])
    return world
