"""Where :mod:`mailbearer.telemetry` looks on: at dials, logins and sessions. Nobody does before it is asked for."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from .events import SessionEvent
    from .settings import Endpoint

_log = logging.getLogger("mailbearer")

Key: TypeAlias = tuple[int, int]
"""An account, as long as it lives, and the number of a connection attempt in it."""


class Observer(Protocol):
    """Who looks on."""

    def dialling(self, endpoint: Endpoint, key: Key | None) -> AbstractContextManager[None]:
        """Look on while a connection is opened, with TLS where it is implicit."""

    def logging_in(self, endpoint: Endpoint) -> AbstractContextManager[None]:
        """Look on while a program logs in once."""

    def happened(self, key: Key, event: SessionEvent, endpoint: Endpoint | None) -> None:
        """Take note of what happened to a session."""

    def let_go(self, key: Key) -> None:
        """Take note that a program is done with a connection."""

    def closed(self, account: int) -> None:
        """Take note that an account has ended."""


observer: Observer | None = None


def observe(one: Observer | None) -> None:
    """Let somebody look on, or nobody."""
    global observer
    observer = one


def dialling(endpoint: Endpoint, key: Key | None) -> AbstractContextManager[None]:
    """Show that a connection is opened."""
    return contextlib.nullcontext() if observer is None else observer.dialling(endpoint, key)


def logging_in(endpoint: Endpoint) -> AbstractContextManager[None]:
    """Show that a program logs in."""
    return contextlib.nullcontext() if observer is None else observer.logging_in(endpoint)


def happened(account: object, event: SessionEvent, endpoint: Endpoint | None) -> None:
    """Show what happened to a session."""
    if observer is not None:
        with _undisturbed():
            observer.happened((id(account), event.ticket or 0), event, endpoint)


def let_go(account: object, ticket: int) -> None:
    """Show that a program is done with a connection."""
    if observer is not None:
        with _undisturbed():
            observer.let_go((id(account), ticket))


def closed(account: object) -> None:
    """Show that an account has ended."""
    if observer is not None:
        with _undisturbed():
            observer.closed(id(account))


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no session end for what only looks on."""
    try:
        yield
    except Exception:
        _log.exception("telemetry raised")
