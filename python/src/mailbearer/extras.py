"""Packages that are not installed with this one: what is missing is said before anything is sent."""

from __future__ import annotations

import importlib

from .errors import ConfigError


class _Missing(ConfigError, ImportError):
    """A package is missing: whoever imports what needs it may look for an ``ImportError``."""


# As it is told.
_Missing.__name__ = _Missing.__qualname__ = "ConfigError"


def need(module: str, package: str, extra: str) -> None:
    """Refuse to go on without a package.

    Raises:
        ConfigError: it is missing; the text says what to install.

    """
    try:
        importlib.import_module(module)
    except ImportError:
        raise _Missing(f"the package {package} is missing: pip install 'mailbearer[{extra}]'") from None


# What makes a mail client needs this, by the name that `client=` has.
_OF_CLIENTS = {
    "imapclient": ("imapclient", "IMAPClient", "imapclient"),
    "imap_tools": ("imap_tools", "imap-tools", "imap-tools"),
    "aioimaplib": ("aioimaplib", "aioimaplib", "aioimaplib"),
    "aiosmtplib": ("aiosmtplib", "aiosmtplib", "aiosmtplib"),
}


def need_client(name: str) -> None:
    """Refuse a mail client whose package is missing; those of the standard library never are.

    Raises:
        ConfigError: it is missing; the text says what to install.

    """
    if name in _OF_CLIENTS:
        need(*_OF_CLIENTS[name])
