"""The OAuth client of the user: its id, and its secret where it has one. mailbearer brings none of its own."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import ConfigError
from .hiding import Hidden
from .oauth import Client
from .private_files import data_folder, read_private

CONFIG_FILE = "clients.json"


def client_of(arguments: Namespace, names: Sequence[str]) -> Client | None:
    """Find the client: in the arguments, else in the config file under one of the names; ``None``: there is none.

    Raises:
        ConfigError: a file cannot be read, or holds no client.

    """
    secret = None if arguments.client_secret_file is None else _secret(Path(arguments.client_secret_file))
    if arguments.client_file is not None:
        if arguments.client_id is not None:
            raise ConfigError("--client-file has a client id: leave --client-id out")
        found = _client(_read(Path(arguments.client_file)), arguments.client_file)
        return Client(found.client_id, secret or found.secret)
    if arguments.client_id is not None:
        return Client(arguments.client_id, secret)
    configured = _configured(names)
    if configured is not None:
        return Client(configured.client_id, secret or configured.secret)
    if secret is not None:
        raise ConfigError("--client-secret-file needs --client-id")
    return None


def _configured(names: Sequence[str]) -> Client | None:
    path = data_folder() / CONFIG_FILE
    octets = read_private(path)
    if octets is None:
        return None
    clients = _object(octets, str(path))
    for name in names:
        if name in clients.reveal():
            return _client(Hidden(clients.reveal()[name]), str(path))
    return None


def _secret(path: Path) -> Hidden:
    secret = _read(path)
    text = Hidden(secret.reveal().decode("utf-8", "replace").strip())
    if len(text.reveal().split()) != 1:
        raise ConfigError(f"{path} must hold one client secret, and nothing else")
    return text


def _read(path: Path) -> Hidden:
    # The file is the user's own, and was downloaded: its mode is the user's matter.
    try:
        return Hidden(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None


def _object(octets: Hidden, path: str) -> Hidden:
    try:
        read = Hidden(json.loads(octets.reveal()))
    except ValueError:
        raise ConfigError(f"{path} is no JSON") from None
    if not isinstance(read.reveal(), dict):
        raise ConfigError(f"{path} is no object of JSON")
    return read


def _client(found: Hidden, path: str) -> Client:
    """Read a client: plainly, or as Google's console gives it, in ``installed`` or ``web``."""
    read = found if isinstance(found.reveal(), dict) else _object(found, path)
    members: Any = read.reveal()
    members = Hidden(members.get("installed") or members.get("web") or members)
    is_client = isinstance(members.reveal(), dict) and isinstance(members.reveal().get("client_id"), str)
    if not is_client or not isinstance(members.reveal().get("client_secret"), str | None):
        raise ConfigError(f"{path} has no client_id where one was looked for")
    secret = members.reveal().get("client_secret")
    return Client(members.reveal()["client_id"], Hidden(secret) if secret else None)
