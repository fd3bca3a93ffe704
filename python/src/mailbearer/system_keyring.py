"""The system's keyring, through the package ``keyring``: the grant of an account is a password in it."""

from __future__ import annotations

import secrets
from types import ModuleType

from .errors import ConfigError
from .hiding import Hidden, words_of

SERVICE = "mailbearer"
_FILE_INSTEAD = "--store file keeps the login in a file that only you can read"


def read(user: str) -> Hidden | None:
    """Read what is kept for a user; ``None``: nothing.

    Raises:
        ConfigError: the keyring cannot be used.

    """
    keyring = _package()
    try:
        found = keyring.get_password(SERVICE, user)
    except Exception as error:
        raise _unusable(error) from None
    return None if found is None else Hidden(found)


def write(user: str, secret: Hidden) -> None:
    """Keep it, in place of what there was.

    Raises:
        ConfigError: the keyring did not take it.

    """
    keyring = _package()
    try:
        if not _replace_in_secret_service(keyring, user, secret):
            keyring.set_password(SERVICE, user, secret.reveal())
    except Exception as error:
        raise _unusable(error) from None


def _replace_in_secret_service(keyring: ModuleType, user: str, secret: Hidden) -> bool:
    """Put it into the item that is there, whoever made it; false: there is none, or it is another kind of keyring.

    ``keyring`` would leave an item that the package for Node has made, and make another beside it: which of them is
    found afterwards, nobody knows.
    """
    backend = keyring.get_keyring()
    backend = getattr(backend, "backends", [backend])[0]
    if type(backend).__module__ != "keyring.backends.SecretService":
        return False
    collection = backend.get_preferred_collection()
    first, *others = [*collection.search_items({"service": SERVICE, "username": user})] or [None]
    if first is None:
        return False
    first.set_secret(secret.reveal().encode())
    for other in others:
        other.delete()
    return True


def remove(user: str) -> None:
    """Forget it; nothing happens where there is nothing."""
    keyring = _package()
    try:
        if keyring.get_password(SERVICE, user) is not None:
            keyring.delete_password(SERVICE, user)
    except Exception as error:
        raise _unusable(error) from None


def check() -> None:
    """See whether it keeps what it is given, before a login whose grant would be lost.

    Raises:
        ConfigError: it does not; the text says what to do.

    """
    probe, value = "a probe of mailbearer", secrets.token_hex(8)
    write(probe, Hidden(value))
    kept = read(probe)
    if kept is None or kept.reveal() != value:
        raise ConfigError(f"the system's keyring keeps nothing: {_FILE_INSTEAD}")
    remove(probe)


def _package() -> ModuleType:
    try:
        import keyring
    except ImportError:
        raise ConfigError(
            f"the package keyring is missing: pip install 'mailbearer[keyring]'; or {_FILE_INSTEAD}"
        ) from None
    return keyring


def _unusable(error: Exception) -> ConfigError:
    return ConfigError(f"the system's keyring cannot be used ({words_of(error)}): unlock it; or {_FILE_INSTEAD}")
