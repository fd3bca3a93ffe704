"""Token sources that programs need not write: another program, a file, and a client that acts for itself."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from ._core import AccessToken, redact_source
from .errors import ConfigError, TokenSourceFailed
from .extras import need
from .front_door import front_door
from .hiding import Hidden, error_of, hidden, without_tokens
from .kinds_of_source import GoogleCredentials, TokenSource
from .settings import check_seconds

_TOKEN_OCTETS_MAX = 65536


@front_door("mailbearer.command")
def command(words: str | Sequence[str], *, timeout: float = 60.0) -> Callable[[], AccessToken]:
    """Return a source that runs a command, which prints a token: ``command("oama access joe@gmail.com")``.

    No shell reads it. What it writes to standard error is in the error when it fails, without what looks like a secret.
    An outage is taken for what a command says with a status other than zero: it is run again later.

    Args:
        words: the program and its arguments, or one text that is split as a shell would.
        timeout: seconds that it may run.

    Raises:
        ConfigError: there is no program in it.

    >>> import mailbearer, mailbearer.testing
    >>> with mailbearer.testing.Server() as server:
    ...     token = mailbearer.command(["echo", server.issue_token("joe@gmail.com")])
    ...     with mailbearer.connect("imap", "joe@gmail.com", token, **server.at("imap")) as connection:
    ...         connection.mechanism
    'XOAUTH2'

    """
    check_seconds(timeout=timeout)
    return _Command(_split(words), timeout)


def _split(words: str | Sequence[str]) -> list[str]:
    try:
        made = shlex.split(words) if isinstance(words, str) else [*words]
    except TypeError:
        made = []
    except ValueError as error:
        raise ConfigError(f"command cannot be split into words: {error}") from None
    if not made or not all(isinstance(word, str) for word in made):
        raise ConfigError("command must name a program and its arguments, each a str")
    return made


class _Command:
    def __init__(self, words: list[str], timeout: float) -> None:
        self._words = words
        self._timeout = timeout

    def __call__(self) -> AccessToken:
        name = without_tokens(self._words[0])
        try:
            done = subprocess.run(
                self._words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=self._timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TokenSourceFailed(f"{name} did not end within {self._timeout:g} seconds") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise TokenSourceFailed(f"{name} could not be run: {reason}", permanent=True) from None
        try:
            if done.returncode != 0:
                said = _without(done.stdout.split(), done.stderr) or "it said nothing"
                raise TokenSourceFailed(f"{name} failed with status {done.returncode}: {said}")
            if len(done.stdout.split()) != 1:
                raise TokenSourceFailed(f"{name} must print one token, and nothing else")
            return AccessToken(done.stdout.strip())
        finally:
            # A traceback may show the locals.
            del done

    def __repr__(self) -> str:
        return f"<the command {without_tokens(Path(self._words[0]).name)}>"


def _without(words: list[str], text: str) -> str:
    """Take out of a command's complaint what it printed as well, and what may be a secret."""
    for word in words:
        if len(word) >= 8:
            text = text.replace(word, "<secret>")
    return redact_source(text)


@front_door("mailbearer.token_file")
def token_file(path: str | os.PathLike[str]) -> Callable[[], AccessToken]:
    """Return a source that reads a token from a file, each time that one is asked for.

    Another program renews the file. Others may not be able to read it: its mode is checked where there are modes.

    >>> import mailbearer, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "token"
    >>> path.touch(mode=0o600)
    >>> _ = path.write_text("a-token")
    >>> mailbearer.token_file(path)()
    <AccessToken(7 octets)>

    """
    return _TokenFile(Path(path))


class _TokenFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        # A token may stand in its place.
        self._name = without_tokens(str(path))

    def __call__(self) -> AccessToken:
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = Hidden(file.read(_TOKEN_OCTETS_MAX))
        except OSError as error:
            raise TokenSourceFailed(f"{self._name} cannot be read: {error.strerror or type(error).__name__}") from None
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            problem = f"{self._name} may be read by others: run chmod 600 {self._name}"
            raise TokenSourceFailed(problem, permanent=True)
        if len(text.reveal().split()) != 1:
            raise TokenSourceFailed(f"{self._name} must hold one token, and nothing else")
        return AccessToken(text.reveal().strip())

    def __repr__(self) -> str:
        return f"<the file {self._name}>"


@front_door("mailbearer.client_credentials")
def client_credentials(
    provider: Literal["microsoft", "gmail"],
    *,
    tenant: str | None = None,
    client_id: str | None = None,
    client_secret: str | None = None,
    certificate: dict[str, str] | None = None,
    key_file: str | os.PathLike[str] | None = None,
    subject: str | None = None,
    scopes: Sequence[str] | None = None,
    authority: str | None = None,
) -> TokenSource:
    """Return a source for programs of an administrator, which log in to mailboxes without their users.

    * ``"microsoft"``: app-only access to Exchange Online, through MSAL (``pip install 'mailbearer[msal]'``), with
      ``tenant``, ``client_id``, and ``client_secret`` or ``certificate``, as MSAL's ``client_credential`` takes it.
      The application needs ``IMAP.AccessAsApp`` or its siblings, and a service principal in Exchange. ``authority`` is
      another one than that of the public cloud.
    * ``"gmail"``: a service account with domain-wide delegation, through google-auth
      (``pip install 'mailbearer[google]'``), with ``key_file``, the JSON of its key, and ``subject``, the mailbox.

    Args:
        provider: ``microsoft`` or ``gmail``; the other arguments are of one of them, as said above.
        tenant: Microsoft's directory, by its id or a domain of it.
        client_id: the application's id.
        client_secret: its secret; or
        certificate: its certificate.
        key_file: the JSON of a service account's key.
        subject: the mailbox that is logged in to.
        scopes: other ones than for mail.
        authority: another login server than that of the public cloud.

    Raises:
        ConfigError: an argument is missing, or the package is.

    >>> import mailbearer
    >>> mailbearer.client_credentials("gmail", key_file="key.json")
    Traceback (most recent call last):
    mailbearer.errors.ConfigError: gmail needs key_file and subject, the mailbox that is logged in to

    """
    credential = hidden(client_secret or certificate)
    client_secret = certificate = None
    if provider == "microsoft":
        if not (client_id and (tenant or authority) and credential):
            raise ConfigError("microsoft needs tenant, client_id, and client_secret or certificate")
        place = authority or f"https://login.microsoftonline.com/{tenant}"
        return _MicrosoftApplication(place, client_id, credential, scopes)
    if provider == "gmail":
        if not (key_file and subject):
            raise ConfigError("gmail needs key_file and subject, the mailbox that is logged in to")
        return _service_account(key_file, subject, scopes)
    raise ConfigError("provider is none of the known values: microsoft, gmail")


class _MicrosoftApplication:
    """Tokens of an application for itself: MSAL keeps them, and is told when one is not to be believed."""

    def __init__(self, authority: str, client_id: str, credential: Hidden, scopes: Sequence[str] | None) -> None:
        need("msal", "msal", "msal")
        import msal

        place = {"authority": authority} if "microsoftonline" in authority else {"oidc_authority": authority}
        self._scopes = list(scopes or ("https://outlook.office365.com/.default",))
        try:
            self._application = msal.ConfidentialClientApplication(
                client_id, client_credential=credential.reveal(), **place
            )
        except ValueError as error:
            raise ConfigError(f"MSAL does not take this: {redact_source(str(error))}") from None

    def __call__(self, *, force_refresh: bool = False) -> tuple[str, float | None]:
        if force_refresh:
            self._application.remove_tokens_for_client()
        answer = self._application.acquire_token_for_client(scopes=self._scopes)
        try:
            if "access_token" in answer:
                return answer["access_token"], answer.get("expires_in")
            raise _refused(answer)
        finally:
            del answer


def _refused(answer: dict[str, Any]) -> TokenSourceFailed:
    from .answers import OUTAGES

    words = error_of(answer) or "it does not say why"
    return TokenSourceFailed(f"MSAL has no token: {words}", permanent=answer.get("error") not in OUTAGES)


def _service_account(key_file: str | os.PathLike[str], subject: str, scopes: Sequence[str] | None) -> GoogleCredentials:
    # What refreshes them.
    need("google.auth.transport.requests", "google-auth, or requests,", "google")
    from google.oauth2.service_account import Credentials

    try:
        credentials: GoogleCredentials = Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
            os.fspath(key_file), scopes=list(scopes or ("https://mail.google.com/",)), subject=subject
        )
    except OSError as error:
        raise ConfigError(
            f"{without_tokens(str(key_file))} cannot be read: {error.strerror or type(error).__name__}"
        ) from None
    except ValueError as error:
        raise ConfigError(
            f"{without_tokens(str(key_file))} is no key of a service account: {redact_source(str(error))}"
        ) from None
    return credentials
