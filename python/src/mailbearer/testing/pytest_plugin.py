"""The pytest fixture ``mailbearer_server``: a :class:`mailbearer.testing.Server` for one test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import Server


@pytest.fixture
def mailbearer_server() -> Iterator[Server]:
    """Start a Gmail-like server on loopback, and stop it after the test."""
    with Server() as server:
        yield server
