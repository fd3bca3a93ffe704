"""What the tests share: the real servers, started once."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "servers"))

import mailservers  # noqa: E402


@pytest.fixture(scope="session")
def servers() -> Iterator[mailservers.RealServers]:
    with mailservers.RealServers() as running:
        yield running
