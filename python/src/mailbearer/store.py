"""The accounts that are logged in: what is known of each in a file, its grant in the system's keyring or in the file.

The format is shared with the package for Node, and described in ``docs/login.md``.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from . import system_keyring
from ._core import Provider
from .errors import ConfigError, TokenSourceFailed
from .grant import Grant
from .hiding import Hidden, shown_name
from .private_files import data_folder, private_folder, read_private, remove_stale, sync_folder, write_private
from .words import MailProtocol

if TYPE_CHECKING:
    from .oauth import Client

VERSION = 1
Kind = Literal["keyring", "file"]
# A refresh may take half a minute, and another before it.
LOCK_SECONDS = 90.0
_LOCK_POLL_SECONDS = 0.02

# The members of an account's file that are read here. Others belong to later versions, and are kept.
_MEMBERS = ("version", "user", "provider", "store", "client_id", "authorization", "scopes", "services", "grant")


@dataclass(frozen=True)
class StoredAccount:
    """What is known of one account, but for its secrets."""

    user: str
    store: Kind
    client_id: str
    authorization: Mapping[str, Any]
    provider: str | None = None
    scopes: tuple[str, ...] = ()
    services: Mapping[str, Mapping[str, Any]] | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    def profile(self) -> Provider | None:
        """Return where its mail servers are: the provider's profile, with what the user said in its place."""
        try:
            base = None if self.provider is None else Provider.named(self.provider)
        except ValueError as error:
            raise ConfigError(
                f"what is stored for {shown_name(self.user)} names a provider that is not known here: {error}"
            ) from None
        if not self.services:
            return base
        # What was stored is checked where the profile is made of it.
        services: dict[Any, Any] = {name: base.service(name) or {} for name in get_args(MailProtocol)} if base else {}
        for name, place in self.services.items():
            services[name] = {**services.get(name, {}), **place}
        known = {name: service for name, service in services.items() if service}
        return Provider(self.provider or "stored", known, token_lifetime_ms=base.token_lifetime_ms if base else None)

    def client(self, grant: Grant) -> Client:
        """Return the client that the grant was given to."""
        from .oauth import Client

        return Client(self.client_id, grant.client_secret)

    def members(self) -> dict[str, Any]:
        """Return what its file has, but for the grant."""
        return {
            **self.other,
            "version": VERSION,
            "user": self.user,
            "provider": self.provider,
            "store": self.store,
            "client_id": self.client_id,
            "authorization": dict(self.authorization),
            "scopes": list(self.scopes),
            "services": self.services and {name: dict(place) for name, place in self.services.items()},
        }


def canonical(user: str) -> str:
    """Return a user name as it is stored: the case of a domain does not matter.

    >>> canonical("Joe@Example.COM")
    'Joe@example.com'
    """
    if not isinstance(user, str) or not user or len(user) > 254 or not user.isprintable():
        raise ConfigError("user must be a mail address or a name of at most 254 characters")
    local, at, domain = user.rpartition("@")
    return f"{local}@{domain.lower()}" if at else user


def file_name(user: str) -> str:
    """Return the name of a user's files, without its end.

    >>> file_name("Joe/1@Example.COM")
    '%4Aoe%2F1@example.com'
    """
    plain = b"abcdefghijklmnopqrstuvwxyz0123456789@._+-"
    return "".join(chr(octet) if octet in plain else f"%{octet:02X}" for octet in canonical(user).encode())


# ---- Reading -----------------------------------------------------------------------------------------------------


def find(user: str) -> StoredAccount | None:
    """Find an account; ``None``: it is not stored.

    Raises:
        ConfigError: its file cannot be used; the text says what to do.

    """
    path = _path(user)
    members = _members(path, canonical(user))
    return None if members is None else _account(members, path, canonical(user))


def need(user: str) -> StoredAccount:
    """Find an account that must be there.

    Raises:
        ConfigError: it is not; the text names the two ways to a token.

    """
    account = find(user)
    if account is None:
        name = shown_name(canonical(user))
        raise ConfigError(f"{name} is not stored on this machine: run `mailbearer login {name}`, or give a token")
    return account


def is_there(user: str) -> bool:
    """Whether an account has a file, in whatever state."""
    return _path(user).exists()


def accounts() -> list[StoredAccount | ConfigError]:
    """Return all accounts, by name; for one whose file cannot be used, why."""
    found: list[StoredAccount | ConfigError] = []
    for path in sorted((data_folder() / "accounts").glob("*.json")):
        if path.name.startswith("."):
            continue
        try:
            members = _members(path, path.stem)
            if members is not None:
                found.append(_account(members, path, path.stem))
        except ConfigError as error:
            found.append(error)
    return found


def grant_of(account: StoredAccount) -> Grant:
    """Read the grant of an account, as it is now.

    Raises:
        ConfigError: there is none; the text says what to do.

    """
    if account.store == "keyring":
        secret = system_keyring.read(account.user)
        if secret is None:
            raise ConfigError(
                f"the system's keyring has nothing for {shown_name(account.user)}: {_again(account.user)}"
            )
        members = _object(secret)
    else:
        members = (_members(_path(account.user), account.user) or {}).get("grant")
    try:
        grant = Grant.of(members) if isinstance(members, Mapping) else None
    finally:
        del members
    if grant is None:
        raise ConfigError(
            f"what is stored for {shown_name(account.user)} has no grant that can be used: {_again(account.user)}"
        )
    return grant


# ---- Writing -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(user: str) -> Iterator[None]:
    """Keep every other program away from an account, whatever its language, while its grant changes.

    Raises:
        ConfigError: the lock cannot be made.
        TokenSourceFailed: another program does not let it go.

    """
    from filelock import FileLock, Timeout

    path = _path(user).with_suffix(".lock")
    try:
        private_folder(private_folder(data_folder()) / "accounts")
        # A new one each time: the lock is of the file, and so it holds between threads, too.
        lock = FileLock(path, timeout=LOCK_SECONDS, mode=0o600, poll_interval=_LOCK_POLL_SECONDS)
        lock.acquire()
    except Timeout:
        raise TokenSourceFailed(f"another program has held {path} for {LOCK_SECONDS:.0f} seconds") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be locked: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


def save(account: StoredAccount, grant: Grant) -> None:
    """Write an account and its grant. The caller holds the lock."""
    path, members = _path(account.user), account.members()
    if account.store == "keyring":
        # First the grant: a file without one would be of no use.
        save_grant(account, grant)
        write_private(path, _json(members))
        return
    write_private(path, _json({**members, "grant": grant.members()}))
    with contextlib.suppress(ConfigError):
        # The account may have been in the keyring before.
        system_keyring.remove(account.user)


def save_grant(account: StoredAccount, grant: Grant) -> None:
    """Put a renewed grant in place of the old one. The caller holds the lock."""
    if account.store == "file":
        write_private(_path(account.user), _json(_with_grant(account, grant)))
        return
    try:
        system_keyring.write(account.user, _json(grant.members(), text=True))
    except ConfigError:
        # Windows' keyring takes 2560 octets: it is the refresh token that must not be lost.
        without = replace(grant, access_token=Hidden(""))
        system_keyring.write(account.user, _json(without.members(), text=True))


def _with_grant(account: StoredAccount, grant: Grant) -> dict[str, Any]:
    """Return what the file has, with another grant. What others have added to it stays."""
    now = _members(_path(account.user), account.user) or account.members()
    return {**now, "grant": {**(now.get("grant") or {}), **grant.members()}}


def forget(user: str) -> None:
    """Remove an account and its grant; the lock's file stays. The caller holds the lock."""
    path = _path(user)
    account = None
    with contextlib.suppress(ConfigError):
        # A file that cannot be read is removed all the same.
        account = find(user)
    if account is None or account.store == "keyring":
        try:
            system_keyring.remove(canonical(user))
        except ConfigError:
            if account is not None:
                raise
    try:
        remove_stale(path)
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise ConfigError(f"{path} cannot be removed: {error.strerror or error}") from None


# ---- The file ----------------------------------------------------------------------------------------------------


def _path(user: str) -> Path:
    return data_folder() / "accounts" / f"{file_name(user)}.json"


def _again(user: str) -> str:
    return f"run `mailbearer login {shown_name(user)}`"


def _damaged(path: Path, user: str) -> ConfigError:
    return ConfigError(f"{path} is damaged: {_again(user)}")


def _json(members: Mapping[str, Any], *, text: bool = False) -> Hidden:
    made = json.dumps(members, indent=None if text else 2, ensure_ascii=False)
    return Hidden(made if text else made.encode() + b"\n")


def _object(octets: Hidden) -> dict[str, Any] | None:
    try:
        read = json.loads(octets.reveal())
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def _members(path: Path, user: str) -> dict[str, Any] | None:
    octets = read_private(path)
    if octets is None:
        return None
    members = _object(octets)
    version = (members or {}).get("version")
    if version == VERSION:
        return members
    # A traceback may show the locals.
    del members
    if isinstance(version, int) and version > VERSION:
        raise ConfigError(f"{path} was written by a newer mailbearer: update this one")
    raise _damaged(path, user)


def _account(members: dict[str, Any], path: Path, user: str) -> StoredAccount:
    """Check what a file says. It holds the grant, too, which must not get into an error."""
    plain = {name: value for name, value in members.items() if name != "grant"}
    del members
    authorization, scopes, services = (plain.get(name) for name in ("authorization", "scopes", "services"))
    is_whole = (
        isinstance(plain.get("user"), str)
        and plain.get("store") in ("keyring", "file")
        and isinstance(plain.get("client_id"), str)
        and isinstance(authorization, dict)
        and isinstance(authorization.get("token_endpoint"), str)
        and isinstance(plain.get("provider"), str | None)
        and isinstance(scopes or [], list)
        and isinstance(services or {}, dict)
        and all(isinstance(place, dict) for place in (services or {}).values())
    )
    if not is_whole:
        raise _damaged(path, user)
    return StoredAccount(
        user=plain["user"],
        store=plain["store"],
        client_id=plain["client_id"],
        authorization=authorization or {},
        provider=plain.get("provider"),
        scopes=tuple(str(scope) for scope in scopes or ()),
        services=services or None,
        other={name: value for name, value in plain.items() if name not in _MEMBERS},
    )
