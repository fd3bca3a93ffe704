"""A message as it is given to a sender: its envelope, its octets, and its Message-ID."""

from __future__ import annotations

import copy
import email.parser
import email.policy
import email.utils
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.generator import BytesGenerator
from email.message import Message
from typing import Any

from ._core import Submit
from .errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """What goes over the wire."""

    sender: str
    recipients: tuple[str, ...]
    octets: bytes
    message_id: str
    is_utf8: bool

    def submit(self, recipients: Sequence[str], capabilities: Sequence[str]) -> Submit:
        """Make the machine that sends it to some of its recipients."""
        return Submit(
            self.sender,
            recipients,
            capabilities,
            octets=len(self.octets),
            is_8bit=not self.octets.isascii(),
            is_utf8=self.is_utf8,
        )


def outgoing(message: Any, sender: str | None, recipients: Sequence[str] | str | None) -> Outgoing:
    """Make it ready to go: envelope and octets, with a Message-ID and a Date, and without Bcc.

    Raises:
        ConfigError: it has no sender or no recipient, or an address that cannot be said.

    """
    octets: bytes | None = None
    if isinstance(message, (bytes, bytearray)):
        octets = bytes(message)
        parsed: Message[Any, Any] = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(octets)
    elif isinstance(message, Message):
        parsed = copy.copy(message)
    else:
        raise TypeError(f"message must be an EmailMessage or bytes, not {type(message).__name__}")
    if sender is None:
        sender = _sender(parsed)
    if recipients is None:
        recipients = _recipients(parsed)
    elif isinstance(recipients, str):
        recipients = [recipients]
    if not isinstance(sender, str):
        raise TypeError(f"sender must be a str, not {type(sender).__name__}")
    recipients = [*recipients] if isinstance(recipients, Iterable) else [recipients]
    if not all(isinstance(one, str) for one in recipients):
        raise TypeError("recipients must be a str, or a list of str")
    is_utf8 = not all(address.isascii() for address in (sender, *recipients))
    if octets is None:
        _complete(parsed, sender)
        octets = _flattened(parsed, is_utf8)
    elif parsed["Message-ID"] is None:
        # Octets are sent as they are: what is missing is put before them.
        name = email.utils.make_msgid(domain=_domain(sender))
        parsed["Message-ID"] = name
        octets = f"Message-ID: {name}\r\n".encode() + octets
    head, _, _ = octets.replace(b"\r\n", b"\n").partition(b"\n\n")
    found = Outgoing(
        sender=sender,
        # Each is asked for once.
        recipients=tuple(dict.fromkeys(recipients)),
        octets=octets,
        message_id=str(parsed["Message-ID"]).strip(),
        is_utf8=is_utf8 or not head.isascii(),
    )
    # The machine checks every address.
    found.submit(found.recipients, [])
    return found


def _field(message: Message[Any, Any], name: str) -> list[str]:
    # RFC 5322 section 3.6.6: who sends a message on is named in the first block.
    prefix = "Resent-" if message["Resent-Date"] is not None else ""
    return [str(value) for value in message.get_all(prefix + name, [])]


def _sender(message: Message[Any, Any]) -> str:
    for name in ("Sender", "From"):
        addresses = email.utils.getaddresses(_field(message, name)[:1])
        if addresses and addresses[0][1]:
            return addresses[0][1]
    raise ConfigError("the message has no From: give it one, or sender=")


def _recipients(message: Message[Any, Any]) -> list[str]:
    values = [value for name in ("To", "Cc", "Bcc") for value in _field(message, name)]
    found = [address for _, address in email.utils.getaddresses(values) if address]
    if not found:
        raise ConfigError("the message has no To, Cc or Bcc: give it one, or recipients=")
    return found


def _domain(sender: str) -> str | None:
    # Else it would be the name of this machine, which is nobody's business.
    domain = sender.rpartition("@")[2]
    return domain if domain and domain.isascii() else "localhost"


def _complete(message: Message[Any, Any], sender: str) -> None:
    """Add what each message must have, and take out what the other recipients must not see."""
    del message["Bcc"], message["Resent-Bcc"]
    if message["Message-ID"] is None:
        message["Message-ID"] = email.utils.make_msgid(domain=_domain(sender))
    if message["Date"] is None:
        message["Date"] = email.utils.formatdate()


def _flattened(message: Message[Any, Any], is_utf8: bool) -> bytes:
    out = io.BytesIO()
    policy: Any = message.policy
    if is_utf8 and hasattr(policy, "utf8"):
        policy = policy.clone(utf8=True)
    # A mailbox file of Unix is not where it goes: no `>` before a line that begins with From.
    BytesGenerator(out, mangle_from_=False, policy=policy.clone(linesep="\r\n")).flatten(message)
    return out.getvalue()
