"""Django's e-mail through a session that stays logged in: ``EMAIL_BACKEND = "mailbearer.django.EmailBackend"``.

The settings::

    EMAIL_BACKEND = "mailbearer.django.EmailBackend"
    MAILBEARER = {
        "user": "joe@gmail.com",
        "token": "my_project.mail.get_access_token",
    }

``user`` is the login's user name; without it, ``EMAIL_HOST_USER``. ``token`` is a token source, or as a text the dotted
path of one; without it, the login that ``mailbearer login`` has stored. All else are options of
:func:`mailbearer.sender`, as ``host``, ``provider``, ``limits`` or ``proxy``. ``EMAIL_TIMEOUT`` is how long a call
waits (60 seconds without it).
``EMAIL_HOST``, ``EMAIL_PORT``, ``EMAIL_HOST_PASSWORD`` and the others of Django's own SMTP are not looked at.
"""

from __future__ import annotations

import email.utils
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from ._core import redact_source
from .errors import ConfigError, Error
from .extras import need
from .front_door import hint, takes
from .hiding import looks_like_token, without_tokens
from .message_sender import Receipt, Sender, sender
from .sending import SenderOptions, SendOutcome

need("django", "Django", "django")

from django import conf  # noqa: E402
from django.core.mail.backends.base import BaseEmailBackend  # noqa: E402
from django.utils.module_loading import import_string  # noqa: E402

_log = logging.getLogger("mailbearer")

# As long as Django's own backend waits for nothing is too long in a request.
_WAIT_SECONDS = 60.0

_SETTING = "Django's MAILBEARER"
_OPTIONS = takes(_SETTING, ["user", "token", *SenderOptions.__annotations__])

# One for each configuration and process: a request does not log in anew. A child of a fork makes its own.
_SENDERS: dict[tuple[int, str], Sender] = {}
_MAKING = threading.Lock()


class NotSent(Error):
    """A message that was not accepted for anybody, or of which that is not known.

    Attributes:
        outcome: the :class:`~mailbearer.SendOutcome`. Where its ``status`` is ``unknown``, the message may have been
            delivered: look for its ``message_id`` before it is sent again.

    """

    def __init__(self, outcome: SendOutcome) -> None:
        reasons = [f"{name}: {refusal}" for name, refusal in outcome.refused.items()]
        if outcome.unknown:
            reasons.append("the connection was lost before the answer: it may have been delivered")
        if outcome.not_sent:
            reasons.append("it was not sent in time")
        super().__init__(f"{outcome.message_id} {outcome.status}: {'; '.join(reasons)}")
        self.outcome = outcome


class EmailBackend(BaseEmailBackend):
    """Sends over one session for each process, which all threads share.

    A message is tried once more where the connection was lost before its end, and never where nobody knows whether it
    was taken. What was refused is raised as :class:`NotSent`, at once; where some of the recipients were refused, that
    is logged, as Django's own backend lets it pass.

    Args:
        username: whom to log in as, in place of the settings'. A password is refused.
        fail_silently: raise nothing that went wrong on the way.
        options: of :func:`mailbearer.sender`, in place of the settings'.

    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        fail_silently: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(fail_silently=fail_silently)
        if password:
            raise ConfigError("mailbearer logs in with tokens: leave the password out, and give MAILBEARER a token")
        own = {"host": host, "port": port, "user": username}
        self._options = {**options, **{name: value for name, value in own.items() if value}}

    def open(self) -> bool:
        """Make the sender ready. It connects with the first message."""
        try:
            self._sender()
        except Error:
            if not self.fail_silently:
                raise
        return False

    def close(self) -> None:
        """Leave the connection to the next who sends; it is let go when nobody does for a minute."""

    def send_messages(self, email_messages: Sequence[Any]) -> int:
        """Send them; returns how many were accepted.

        Raises:
            NotSent: for the first that was not, once all have been tried.
            NeedsUser: a person must act before anything can be sent; it is raised at once, and without a login, until
                :func:`retry` is called or the process is started anew.
            TimeoutError: a message was still being sent when the time was over: it may be delivered.
            Error: there is no token, or a setting cannot work.

        """
        receipts: list[Receipt] = []
        problems: list[Exception] = []
        try:
            sender = self._sender()
            for message in email_messages or []:
                recipients = [email.utils.parseaddr(name)[1] for name in message.recipients() if name]
                if recipients:
                    receipts.append(self._queue(sender, message, recipients))
        except (Error, ValueError) as problem:
            problems.append(problem)
        sent = sum(self._is_sent(receipt, problems) for receipt in receipts)
        if problems and not self.fail_silently:
            raise problems[0]
        return sent

    @staticmethod
    def _queue(sender: Sender, message: Any, recipients: list[str]) -> Receipt:
        envelope = email.utils.parseaddr(message.from_email)[1]
        # With Django's own guards against line ends in header fields.
        return sender.send(message.message().as_bytes(linesep="\r\n"), sender=envelope, recipients=recipients)

    @staticmethod
    def _is_sent(receipt: Receipt, problems: list[Exception]) -> bool:
        try:
            outcome = receipt.result(getattr(conf.settings, "EMAIL_TIMEOUT", None) or _WAIT_SECONDS)
        except (Error, TimeoutError) as problem:
            # Who is told that it was not sent may send it again.
            if receipt.cancel() or not receipt.done():
                problems.append(problem)
                return False
            outcome = receipt.result()
        if not outcome.accepted or outcome.unknown:
            problems.append(NotSent(outcome))
            return False
        for name, refusal in outcome.refused.items():
            _log.warning("%s was refused for %s: %s", outcome.message_id, name, refusal)
        return True

    def _sender(self) -> Sender:
        settings = getattr(conf.settings, "MAILBEARER", {})
        if not isinstance(settings, Mapping):
            raise ConfigError(f"MAILBEARER in Django's settings must be a dict, not {type(settings).__name__}")
        given = {**settings, **self._options}
        for name in given:
            if name not in _OPTIONS:
                known = "see help(mailbearer.SenderOptions), help(mailbearer.LoginOptions)"
                raise ConfigError(
                    f"MAILBEARER has no option {without_tokens(repr(name))}{hint(_SETTING, name)}; {known}"
                )
        user = given.pop("user", None) or getattr(conf.settings, "EMAIL_HOST_USER", None)
        if not user:
            raise ConfigError("MAILBEARER has no user: give it one in Django's settings")
        token = given.pop("token", None)
        source = _at(token) if isinstance(token, str) else token
        # A refusal for now is told to who asks, and not waited out in a request.
        options: dict[str, Any] = {"give_up_after": 0.0, **given}
        with _MAKING:
            key = os.getpid(), repr((user, token, sorted(options.items(), key=str)))
            if key not in _SENDERS:
                _SENDERS[key] = sender(user, **options) if source is None else sender(user, source, **options)
            found = _SENDERS[key]
        return found


def _at(path: str) -> Any:
    """Import what stands at a dotted path. The text may be a token that was put there, and is in no error."""
    try:
        return import_string(path)
    except ImportError as error:
        # What has the parts of a path, and not the look of a token.
        is_path = all(part.isidentifier() for part in path.split(".")) and "." in path
        is_path = is_path and not looks_like_token(path) and redact_source(path) == path
        said = f"{path!r} cannot be imported: {redact_source(str(error))}" if is_path else "is no dotted path"
        do = "give it the dotted path of a function, or the function; a token itself is not taken here"
        raise ConfigError(f"MAILBEARER: `token` {said}; {do}") from None


def retry() -> None:
    """Say that a person has acted: mails of this process are sent again. Others learn of it at their start."""
    with _MAKING:
        senders = list(_SENDERS.values())
    for one in senders:
        one.retry()
