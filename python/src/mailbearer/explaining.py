"""Explains what mail libraries raise and return: their exceptions and replies, taken apart for the core."""

from __future__ import annotations

import ast
import errno
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, get_args

from . import _core
from ._core import Failure, failure_of_fields, failure_of_host
from .errors import ConfigError, LoginFailed, Misuse, SessionEnded, TokenSourceFailed
from .facts import FailureFacts
from .failures import connect_failure, tls_failure
from .front_door import front_door
from .hiding import words_of
from .words import Cause, Certainty, MailProtocol, Phase


@front_door("mailbearer.explain")
def explain(
    error: object, protocol: MailProtocol | None = None, *, phase: Phase | None = None, user: str = "", host: str = ""
) -> Failure:
    """Explain what a mail library raised or returned: what happened, and what to do.

    It takes exceptions of imaplib, poplib, smtplib, IMAPClient, imap_tools, aioimaplib and aiosmtplib, of
    :mod:`socket` and :mod:`ssl`, and mailbearer's own; replies as ``(typ, data)`` of imaplib, ``(code, text)`` of
    smtplib, ``Response`` of aioimaplib; and lines of a server as ``str`` or ``bytes``.

    Many libraries keep the status of a reply to themselves. What was not seen is not claimed: the ``certainty`` of such
    an answer is ``guessed``, and its cause never ``no_fault``.

    Args:
        error: the exception or the reply.
        protocol: ``imap``, ``pop3`` or ``smtp``, where the library or the reply does not tell it.
        phase: when it was said, as in :func:`mailbearer.classify`, where the library does not tell it; the login,
            ``auth_fail``, where nobody does.
        user: the login's user name and
        host: the server's name: what they mean as words is then not taken for the server's.

    Raises:
        TypeError: it is neither an exception nor a reply.
        ConfigError: ``protocol`` or ``phase`` is none.

    >>> import imaplib, mailbearer
    >>> failure = mailbearer.explain(imaplib.IMAP4.error("[AUTHENTICATIONFAILED] Invalid credentials (Failure)"))
    >>> failure.cause, failure.advice, failure.certainty
    ('token_rejected', 'refresh_token', 'guessed')
    >>> mailbearer.explain((535, b"5.7.8 Username and Password not accepted.")).certainty
    'stated'

    """
    if protocol not in (None, *get_args(MailProtocol)):
        raise ConfigError("protocol is none of the known values: imap, pop3, smtp")
    if phase not in (None, *get_args(Phase)):
        raise ConfigError(f"phase is none of the known values: {', '.join(get_args(Phase))}")
    found = _of_exception(error, protocol) if isinstance(error, BaseException) else _of_reply(error, protocol)
    if isinstance(found, Failure):
        return found
    said = replace(found, protocol=protocol or found.protocol, phase=phase or found.phase)
    failure = said.explained(user, host)
    is_refusal = isinstance(error, BaseException)
    return _unseen(failure) if said.status is None and is_refusal else failure


@dataclass(frozen=True)
class _Said:
    """A reply, as far as a library hands it on. A text without a status may be a whole line."""

    protocol: MailProtocol
    text: str
    status: str | None = None
    phase: Phase = "auth_fail"

    def explained(self, user: str, host: str) -> Failure:
        head, rest = _CODES.get(self.protocol, _BRACKETED), self.text
        code = None
        if (self.status is not None or not _is_line(self.text, self.protocol)) and (found := head.match(self.text)):
            code = found[1]
            # SMTP has the code in each line.
            rest = "\n".join(head.sub("", line) for line in self.text.splitlines())
        return _core.explain(self.protocol, self.phase, status=self.status, code=code, text=rest, user=user, host=host)


_BRACKETED = re.compile(r"\[([^\]\s][^\]]*)\] ?")
_CODES = {"imap": _BRACKETED, "pop3": _BRACKETED, "smtp": re.compile(r"([245]\.\d{1,3}\.\d{1,3})[ -]?")}
_LINES = {
    "imap": re.compile(r"(\S+ )?(OK|NO|BAD|BYE|PREAUTH)\b"),
    "pop3": re.compile(r"\+OK|-ERR"),
    "smtp": re.compile(r"[2-5]\d\d([ -]|$)"),
}

_Found: TypeAlias = "_Said | Failure"


def _is_line(text: str, protocol: str) -> bool:
    return _LINES[protocol].match(text) is not None


def _guessed(failure: Failure) -> FailureFacts:
    return {**failure.to_dict(), "certainty": "guessed"}


def _unseen(failure: Failure) -> Failure:
    """Claim nothing that was not seen: an exception is a fault, and its words alone state nothing."""
    if failure.cause == "no_fault":
        failure = failure_of_host("unrecognized", failure.server_text)
        return failure_of_fields(**_guessed(failure))
    if failure.certainty != "stated":
        return failure
    return failure_of_fields(**_guessed(failure))


# ---- Replies ---------------------------------------------------------------------------------------------------------


def _of_reply(reply: object, protocol: MailProtocol | None) -> _Said:
    match reply:
        case str() | bytes() | bytearray():
            text = _text(reply)
            return _Said(protocol or _protocol_of(text), text)
        case (int() as code, (str() | bytes()) as text, *_):
            return _Said("smtp", _text(text), status=str(code))
        case ((bytes() | str()) as line, [*_], int()):
            return _Said("pop3", _text(line))
        case (str() as status, (list() | tuple()) as lines, *_):
            return _Said("imap", _last(lines), status=status)
        case _:
            raise TypeError(f"explain takes an exception or a reply, not {type(reply).__name__}")


def _protocol_of(text: str) -> MailProtocol:
    """Tell the protocol from the form of a line; IMAP where that says nothing."""
    others: tuple[MailProtocol, ...] = ("pop3", "smtp")
    return next((name for name in others if _is_line(text, name)), "imap")


def _text(value: object) -> str:
    """Text of octets, also where somebody made a ``repr`` of them: ``b'[ALERT] ...'``."""
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "replace").strip()
    text = str(value).strip()
    if re.fullmatch(r"\[?b(['\"]).*\1\]?", text, re.DOTALL):
        try:
            literal = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return text
        return _last(literal if isinstance(literal, list) else [literal])
    return text


def _last(lines: Iterable[object]) -> str:
    """Return what the tagged line says: imaplib and aioimaplib put it last."""
    texts = [_text(line) for line in lines if line is not None]
    return texts[-1] if texts else ""


# ---- Exceptions ------------------------------------------------------------------------------------------------------


def _of_exception(error: BaseException, protocol: MailProtocol | None) -> _Found:
    """Ask who knows its class, or the nearest one above it; then what it was raised for."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        for kind in type(cause).__mro__:
            reader = _READERS.get(f"{kind.__module__.partition('.')[0]}.{kind.__name__}")
            if reader is not None:
                return reader(cause)
        if isinstance(cause, OSError):
            network = _of_system(cause)
            if network is not None:
                return network
        cause = cause.__cause__
    return _not_of_a_server(error)


def _of_system(error: OSError) -> Failure | None:
    """Explain an error of the network; others are none of ours."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return failure_of_host("connection_lost", error.strerror or "")
    if isinstance(error, ssl.SSLError):
        return tls_failure(error, None)
    if isinstance(error, socket.gaierror | ConnectionRefusedError) or error.errno in _UNREACHABLE:
        return connect_failure(error, None)
    if isinstance(error, TimeoutError):
        return failure_of_host("timed_out", str(error))
    if isinstance(error, ConnectionError):
        return failure_of_host("connection_lost", str(error))
    return None


_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}


def _imap_error(error: Any) -> _Found:
    """Read ``imaplib.IMAP4.error``, which is that of IMAPClient as well.

    What a login is refused with is the text alone; every other refusal has the command before it.
    """
    text = _text(error.args[0] if error.args else "")
    if _OWN_COMPLAINT.search(text):
        return _not_of_a_server(error)
    if found := _IMAPLIB_BAD.match(text):
        return _Said("imap", _text(found["data"]), status=found["status"], phase=_phase_of(found["command"]))
    if found := _IMAPCLIENT_NO.match(text):
        return _Said("imap", _text(found["data"]), phase=_phase_of(found["command"]))
    return _Said("imap", text)


# The program's own fault, and nothing that a server said.
_OWN_COMPLAINT = re.compile(r"illegal in state|^Unknown IMAP4 command|^unknown command")
# The text may be the server's own: it cannot say so that all is well.
_IMAPLIB_BAD = re.compile(r"(?P<command>\w+) command error: (?P<status>NO|BAD) (?P<data>.*)", re.DOTALL)
_IMAPCLIENT_NO = re.compile(r"(?P<command>[A-Za-z]+) failed: (?P<data>.*)", re.DOTALL)


def _phase_of(command: str) -> Phase:
    if command.upper() in ("AUTHENTICATE", "LOGIN"):
        return "auth_fail"
    return "capability" if command.upper() in ("CAPABILITY", "STARTTLS") else "mid_session"


def _imap_abort(error: Any) -> _Found:
    """Read the end of an IMAP connection: what ``BYE`` said, or what happened to the socket."""
    text = _text(_IMAPLIB_COMMAND.sub("", _text(error.args[0] if error.args else "")))
    if _SOCKET_ERROR.match(text):
        network = _of_system(error.__context__) if isinstance(error.__context__, OSError) else None
        return network or failure_of_host("connection_lost", "")
    return _Said("imap", text, phase="disconnect")


# Which command it was that had no answer.
_IMAPLIB_COMMAND = re.compile(r"command: \S+ => ")
_SOCKET_ERROR = re.compile(r"socket error|the connection has ended|$")


def _imap_tools_error(error: Any) -> _Found:
    status, data = error.command_result[:2]
    login = type(error).__name__ == "MailboxLoginError"
    return _Said("imap", _last(data or []), status=str(status), phase="auth_fail" if login else "mid_session")


def _pop3_error(error: Any) -> _Found:
    text = _text(error.args[0] if error.args else "")
    if text == "-ERR EOF":
        # poplib's own words.
        return failure_of_host("connection_lost", "")
    if found := re.match(r"-ERR ?(.*)", text, re.DOTALL):
        return _Said("pop3", found[1], status="-ERR")
    return _Said("pop3", text)


def _smtp_reply(phase: Phase) -> Callable[[Any], _Found]:
    def read(error: Any) -> _Found:
        code = getattr(error, "smtp_code", None) or getattr(error, "code", None)
        text = _text(getattr(error, "smtp_error", None) or getattr(error, "message", ""))
        # smtplib has -1 where what came was no reply.
        return _Said("smtp", text, status=str(code) if code and code > 0 else None, phase=phase)

    return read


def _smtp_recipients(error: Any) -> _Found:
    """Read the first refusal of many: smtplib has (code, text) for each, aiosmtplib an exception."""
    refusals = error.recipients.values() if isinstance(error.recipients, dict) else error.recipients
    first = next(iter(refusals), None)
    if isinstance(first, BaseException):
        return _smtp_reply("mid_session")(first)
    return (
        failure_of_host("unrecognized", "") if first is None else replace(_of_reply(first, None), phase="mid_session")
    )


def _smtp_exception(error: Any) -> _Found:
    """Read what smtplib says in words of its own."""
    if "authentication method" in str(error):
        return failure_of_host("mechanism_unavailable", str(error))
    network = _of_system(error.__cause__ or error) if isinstance(error.__cause__ or error, OSError) else None
    return network or _not_of_a_server(error)


def _host(cause: Cause) -> Callable[[Any], _Found]:
    """Make a reader for what tells nothing of the server."""

    def read(error: Any) -> _Found:
        system = error.__cause__ if isinstance(error.__cause__, OSError) else None
        return (_of_system(system) if system else None) or failure_of_host(cause, str(error))

    return read


def _setting(error: Any) -> Failure:
    return _of_the_program(f"mailbearer was not asked in the right way: {error}.", "inferred")


def _not_of_a_server(error: BaseException) -> Failure:
    return _of_the_program(f"Neither a mail server nor the network is known to say this: {words_of(error)}.", "guessed")


def _of_the_program(sentence: str, certainty: Certainty) -> Failure:
    """Say that no server has said it: it is for whoever wrote the program."""
    return failure_of_fields(
        cause="unrecognized",
        advice="fix_configuration",
        certainty=certainty,
        server_text="",
        code=None,
        rejection=None,
        wait_ms=None,
        url=None,
        sentence=sentence,
    )


_SMTP_LIBRARIES: Sequence[str] = ("smtplib", "aiosmtplib")
_SMTP: dict[str, Callable[[Any], _Found]] = {
    "SMTPAuthenticationError": _smtp_reply("auth_fail"),
    "SMTPConnectError": _smtp_reply("greeting"),
    "SMTPHeloError": _smtp_reply("capability"),
    "SMTPSenderRefused": _smtp_reply("mid_session"),
    "SMTPDataError": _smtp_reply("mid_session"),
    "SMTPResponseException": _smtp_reply("auth_fail"),
    "SMTPRecipientsRefused": _smtp_recipients,
    "SMTPServerDisconnected": _host("connection_lost"),
    "SMTPNotSupportedError": _host("mechanism_unavailable"),
    "SMTPException": _smtp_exception,
}

# By the names of the classes: what is not installed need not be.
_READERS: dict[str, Callable[[Any], _Found]] = {
    f"{LoginFailed.__module__.partition('.')[0]}.{kind.__name__}": read
    for kind, read in (
        (LoginFailed, lambda error: error.failure),
        (SessionEnded, lambda error: failure_of_host(error.cause, "")),
        (TokenSourceFailed, lambda error: failure_of_host("token_unavailable", str(error))),
        (ConfigError, _setting),
        (Misuse, _setting),
    )
}
_READERS |= {f"{library}.{name}": read for library in _SMTP_LIBRARIES for name, read in _SMTP.items()}
_READERS |= {
    "imaplib.error": _imap_error,
    "imaplib.abort": _imap_abort,
    "imap_tools.UnexpectedCommandStatusError": _imap_tools_error,
    "aioimaplib.Error": _imap_error,
    "aioimaplib.Abort": _imap_abort,
    "aioimaplib.CommandTimeout": _host("timed_out"),
    "poplib.error_proto": _pop3_error,
    "aiosmtplib.SMTPConnectError": _host("connection_lost"),
    "aiosmtplib.SMTPConnectResponseError": _smtp_reply("greeting"),
    "aiosmtplib.SMTPRecipientRefused": _smtp_reply("mid_session"),
    "aiosmtplib.SMTPTimeoutError": _host("timed_out"),
    "aiosmtplib.SMTPNotSupported": _host("mechanism_unavailable"),
}
