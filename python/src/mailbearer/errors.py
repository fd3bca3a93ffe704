"""The exceptions of mailbearer: all of them are :class:`Error`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .words import Advice, Cause

if TYPE_CHECKING:
    from ._core import Failure, Verdict
    from .facts import FailureFacts


class Error(Exception):
    """Root of all exceptions of mailbearer."""


class ConfigError(Error, ValueError):
    """A setting cannot work. The text names the field and the place, never the value.

    >>> import mailbearer
    >>> mailbearer.AccessToken("two words")
    Traceback (most recent call last):
    mailbearer.errors.ConfigError: token has an octet that is not allowed at offset 3: remove it
    """


class Misuse(Error, RuntimeError):
    """The calling code is wrong: a call that does not fit the state of a machine."""


class InternalError(Error, RuntimeError):
    """A bug of mailbearer. Please report it."""


class TokenSourceFailed(Error):
    """The token source raised, or gave something that is no token. Its own exception is the ``__cause__``.

    A source raises it by itself, with ``permanent=True``, where asking again is in vain until the user acts.
    """

    def __init__(self, text: str, *, permanent: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent


class TokenSourceMistake(TokenSourceFailed, Misuse):
    """The token source is wrong, as the program's own code: a ``NameError`` in it, or something that is no token.

    It is raised at once and not tried again; what the source raised is the ``__cause__``.
    """


class LoginFailed(Error):
    """The login did not work. ``str()`` of it is a sentence that a person can act on.

    Attributes:
        failure: the :class:`~mailbearer.Failure` with ``cause``, ``advice``, ``certainty``, ``server_text``, ``code``,
            ``rejection``, ``wait_ms`` and ``url``.

    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.sentence)
        self.failure = failure

    def __reduce__(self) -> tuple[object, ...]:
        return _login_failed, (type(self), self.failure.to_dict())

    @property
    def cause(self) -> Cause:
        """What happened, as in ``token_rejected``: one of :data:`mailbearer.CAUSES`."""
        return self.failure.cause

    @property
    def advice(self) -> Advice:
        """What to do, as in ``refresh_token``: one of :data:`mailbearer.ADVICES`."""
        return self.failure.advice


def of_fixed_token(refused: LoginFailed) -> LoginFailed:
    """Say of a refused token that it is always the same: what would help is a source that gives another."""
    return _told(refused, " The token is a fixed text, which ends with its hour: give a function that gets a new one.")


def of_same_token(refused: LoginFailed) -> LoginFailed:
    """Say that the source, asked for another token, gave the refused one again."""
    return _told(
        refused, " The token source gave it back when it was asked for another: give a function that gets a new one."
    )


def of_second_token(refused: LoginFailed, user: str) -> LoginFailed:
    """Say of a refusal that a fresh token did not help: another one will not, either."""
    # This module is the first that the core imports.
    from .hiding import shown_name

    user = shown_name(user)
    told = f"it may be of another user, or {user} is a shared mailbox without rights for it"
    told = f" It is the second one in a row for {user}: {told}."
    return _told(refused, told, advice="ask_user")


def _told(refused: LoginFailed, told: str, advice: Advice | None = None) -> LoginFailed:
    # The core imports this module: it is there once somebody logs in.
    from ._core import failure_of_fields

    fields = refused.failure.to_dict()
    fields["sentence"] += told
    fields["advice"] = advice or fields["advice"]
    error = type(refused)(failure_of_fields(**fields))
    error.__cause__ = refused.__cause__
    return error


class NeedsUser(LoginFailed):
    """A person must act before it makes sense to go on: ``failure`` says why, and what to do."""


class GaveUp(LoginFailed):
    """The program's own settings cannot work, or nothing helps: ``failure`` says why."""


class MailboxRefused(Error):
    """A mailbox cannot be followed: the server does not select or search it.

    Attributes:
        code: RFC 5530 code such as ``NONEXISTENT``, where the server gave one.
        server_text: what the server said: untrusted, without control characters.
        mailbox: its name, as the program gave it; ``None``: it is the one that was selected before.

    """

    def __init__(self, server_text: str, code: str | None = None, mailbox: str | None = None) -> None:
        named = "The mailbox" if mailbox is None else repr(mailbox)
        told = "" if mailbox is None else " Check the name: the client's list() shows those that there are."
        said = f"the server said: {server_text.rstrip('.')}" if server_text else "the server did not say why"
        super().__init__(f"{named} cannot be followed; {said}.{told}")
        self.code = code
        self.server_text = server_text
        self.mailbox = mailbox

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.server_text, self.code, self.mailbox)


# No fault of the session: the program goes on with what it has given back.
_LET_GO = "This connection was let go, at the end of its with block or by close(): take the next one from the loop."


class SessionEnded(Error):
    """The session is over, in the middle of what the program did with it. The next one follows.

    Through the clients of the standard library and through aiosmtplib it is their own exception as well
    (``imaplib.IMAP4.abort``, ``poplib.error_proto``, ``SMTPServerDisconnected``), so that code that handles those goes
    on to work.

    Attributes:
        verdict: the :class:`~mailbearer.Verdict` with ``cause``, ``advice``, ``certainty``.

    """

    def __init__(self, verdict: Verdict) -> None:
        from ._core import failure_of_host

        super().__init__(_LET_GO if verdict.cause == "no_fault" else failure_of_host(verdict.cause, "").sentence)
        self.verdict = verdict

    def __reduce__(self) -> tuple[object, ...]:
        return _session_ended, (type(self), self.verdict.cause)

    @property
    def cause(self) -> Cause:
        """What happened, as in ``session_limit``: one of :data:`mailbearer.CAUSES`."""
        return self.verdict.cause

    @property
    def advice(self) -> Advice:
        """What to do, as in ``reconnect``: one of :data:`mailbearer.ADVICES`."""
        return self.verdict.advice


class SessionTimedOut(SessionEnded, TimeoutError):
    """The session is over because an answer did not come in time: in the account's, or in the program's own."""


def timed(kind: Any) -> Any:
    """Make an end of a session a ``TimeoutError`` as well."""
    if kind not in _TIMED:
        _TIMED[kind] = type(
            kind.__name__, (kind, TimeoutError), {"__doc__": kind.__doc__, "__module__": kind.__module__}
        )
    return _TIMED[kind]


_TIMED: dict[Any, Any] = {}


def _login_failed(kind: type[LoginFailed], fields: FailureFacts) -> LoginFailed:
    """Make the exception again in another process."""
    # The core imports this module: it is there once somebody unpickles.
    from ._core import failure_of_fields

    return kind(failure_of_fields(**fields))


def _session_ended(kind: type[SessionEnded], cause: Cause) -> SessionEnded:
    """Make the exception again in another process."""
    from ._core import verdict_of_host

    return kind(verdict_of_host(cause))
