"""``mailbearer check USER``: logs in over all three protocols, asks for the mailbox, and says what happened."""

from __future__ import annotations

import argparse
import json
import os
import ssl
import sys
from dataclasses import dataclass, field
from typing import Any

from . import store
from ._core import AccessToken, Failure, Provider, Transcript, failure_of_host
from .connection import Connection, log_in
from .dialogue import Dialogue
from .discovery import Discovered, for_login
from .errors import ConfigError, Error, LoginFailed, TokenSourceFailed
from .explaining import explain
from .hiding import looks_like_token, without_tokens
from .settings import Endpoint, MailProtocol, check_seconds, is_to_discover, resolve
from .sources import command
from .stored import stored
from .terminal import has_colours, secret_line, user_name, wrapped
from .words import Phase, counted

_PROTOCOLS: tuple[MailProtocol, ...] = ("imap", "pop3", "smtp")
_TITLES = {"imap": "IMAP", "pop3": "POP3", "smtp": "SMTP"}


@dataclass
class Result:
    """What came of one protocol."""

    protocol: str
    ok: bool
    logged_in: bool = False
    endpoint: Endpoint | None = None
    tls_version: str | None = None
    mechanism: str | None = None
    round_trips: int | None = None
    seconds: float | None = None
    failure: Failure | None = None
    problem: str | None = None
    trace: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the types of JSON."""
        endpoint = self.endpoint
        return {
            "protocol": self.protocol,
            "ok": self.ok,
            "logged_in": self.logged_in,
            "host": endpoint.host if endpoint else None,
            "port": endpoint.port if endpoint else None,
            "tls": endpoint.tls if endpoint else None,
            "tls_version": self.tls_version,
            "mechanism": self.mechanism,
            "round_trips": self.round_trips,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "failure": self.failure.to_dict() if self.failure else None,
            "problem": self.problem,
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument("user", type=user_name, metavar="USER", help="the mailbox, most often a mail address")
    add_places(parser)
    # A secret in it is not to be taken for anything, and not to be shown.
    parser.add_argument("--token", nargs="?", action=_NoToken, help=argparse.SUPPRESS)
    parser.add_argument("--token-command", metavar="COMMAND", help="a command that prints an access token")
    parser.add_argument("--trace", action="store_true", help="show the dialogue, with the token masked")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.epilog = (
        "The token comes from --token-command, from the environment variable MAILBEARER_TOKEN, from standard input, or "
        "else from the login that `mailbearer login` has stored; never from an argument, which other users of the "
        "machine could read. After each login the mailbox is asked for, with NOOP or STAT. Exit status: 0, all that "
        "was asked for worked; 1, something failed; 2, there was nothing to try, or no token."
    )


def add_places(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments that say where the mail servers are, and how they are logged in to."""
    for protocol in _PROTOCOLS:
        title = _TITLES[protocol]
        parser.add_argument(f"--{protocol}", metavar="HOST[:PORT]", help=f"where {title} is, in place of the profile's")
        parser.add_argument(f"--no-{protocol}", action="store_true", help=f"leave {title} out")
    parser.add_argument("--starttls", action="store_true", help="upgrade with STARTTLS in place of TLS from the start")
    parser.add_argument(
        "--provider", metavar="NAME", help="gmail, microsoft, yahoo, aol, fastmail, yandex, mailru, icloud"
    )
    parser.add_argument("--ca-file", metavar="FILE", help="certificate authorities to trust, in place of the system's")
    parser.add_argument("--mechanism", choices=["XOAUTH2", "OAUTHBEARER"], help="use this mechanism only")
    parser.add_argument(
        "--timeout", type=float, default=30.0, metavar="SECONDS", help="for each protocol (default: 30)"
    )
    parser.add_argument("--ehlo-name", metavar="NAME", help="what SMTP calls this machine: its full domain name")
    add_proxy(parser)
    parser.add_argument(
        "--no-discover", action="store_true", help="do not look up the servers of a domain that is not known"
    )
    parser.add_argument("--unusual-port", action="store_true", help="the server uses a port in another way than others")


def add_proxy(parser: argparse.ArgumentParser) -> None:
    """Describe the argument that names a proxy."""
    text = "go through a proxy: socks5://host:1080, http://host:3128, or `environment` for what ALL_PROXY says"
    parser.add_argument("--proxy", metavar="URL", action=_WithoutPassword, help=text)


class _WithoutPassword(argparse.Action):
    """Refuses a password in an argument, and does not repeat it."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, value: Any, option: str | None = None
    ) -> None:
        if "@" in value:
            parser.error(
                "--proxy takes no password: others on this machine can read arguments. "
                "Use --proxy environment, and put the URL into ALL_PROXY"
            )
        setattr(namespace, self.dest, value)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    try:
        refuse_mistakes(arguments)
        token = _token(arguments)
    except (TokenSourceFailed, ConfigError, ArgumentError) as error:
        print(f"mailbearer: {error}", file=sys.stderr)
        return 2
    if not _asked(arguments):
        print("mailbearer: nothing to check: all protocols are left out", file=sys.stderr)
        return 2
    if not arguments.json:
        print(f"Checking {arguments.user}\n")
    discovered = discovered_for(arguments)
    if discovered is not None and discovered.outcome == "found" and not arguments.json:
        print(f"{discovered.sentence}\n")
    results = check_all(arguments, token, discovered, trace=arguments.trace, silent=arguments.json)
    if arguments.json:
        said = {"user": arguments.user, "results": [result.to_dict() for result in results]}
        print(json.dumps(said if discovered is None else said | {"discovered": discovered.to_dict()}, indent=2))
    else:
        worked = sum(result.ok for result in results)
        print(f"{worked} of {len(results)} worked.")
    return 0 if all(result.ok for result in results) else 1


def refuse_mistakes(arguments: argparse.Namespace) -> None:
    """Refuse what can work with no protocol and no token, before one is looked for.

    Raises:
        ArgumentError: an argument cannot be read.
        ConfigError: a setting cannot work.

    """
    check_seconds(timeout=arguments.timeout)
    for option in ("provider", "ehlo_name"):
        if looks_like_token(getattr(arguments, option)):
            raise ArgumentError(f"--{option.replace('_', '-')} looks like an access token, which is no argument")
    if arguments.provider is not None:
        try:
            Provider.named(arguments.provider)
        except ValueError as error:
            raise ConfigError(f"--provider: {error}") from None
    if arguments.ca_file:
        trusting(arguments.ca_file)
    places(arguments)


def check_all(
    arguments: argparse.Namespace,
    token: AccessToken,
    discovered: Discovered | None = None,
    *,
    trace: bool = False,
    silent: bool = False,
) -> list[Result]:
    """Log in over each protocol that was not left out, and say what came of it."""
    paint = _Paint(has_colours(sys.stdout))
    results = []
    for protocol in _asked(arguments):
        result = check(protocol, arguments, token, discovered)
        results.append(result)
        if not silent:
            _show(result, paint, trace)
        elif trace:
            # The JSON stands alone on standard output.
            for line in result.trace:
                print(f"{_TITLES[protocol]} {line}", file=sys.stderr)
    return results


def _asked(arguments: argparse.Namespace) -> list[MailProtocol]:
    return [protocol for protocol in _PROTOCOLS if not getattr(arguments, f"no_{protocol}")]


def are_named(arguments: argparse.Namespace) -> bool:
    """Whether the arguments say where all mail servers are that are asked for."""
    return all(getattr(arguments, protocol) for protocol in _asked(arguments))


def places(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return where the mail servers are that the arguments name, by protocol."""
    named: dict[str, dict[str, Any]] = {}
    for protocol in _asked(arguments):
        if getattr(arguments, protocol):
            endpoint = resolve(protocol, arguments.user, **_settings(protocol, arguments)).endpoint
            named[protocol] = {"host": endpoint.host, "port": endpoint.port, "tls": endpoint.tls}
    return named


def discovered_for(arguments: argparse.Namespace) -> Discovered | None:
    """Look the servers up, once for all protocols, where one of them is known by nothing else."""
    try:
        for protocol in _asked(arguments):
            given = _settings(protocol, arguments)
            if is_to_discover(arguments.user, given.get("host"), given["provider"], given["discover"]):
                return for_login(arguments.user, given.get("ssl_context"), arguments.proxy)
    except (Error, OSError):
        # The protocol's own result tells it.
        return None
    return None


def check(
    protocol: MailProtocol, arguments: argparse.Namespace, token: AccessToken, discovered: Discovered | None = None
) -> Result:
    """Log in over one protocol, and ask for the mailbox."""
    result = Result(protocol, ok=False)

    def show(side: str, line: str) -> None:
        result.trace.append(f"{side}: {line}")

    try:
        given = _settings(protocol, arguments)
        found = discovered if given.get("host") is None else None
        settings = resolve(protocol, arguments.user, **given, discovered=found)
        result.endpoint = settings.endpoint
        with log_in(settings, show, token) as connection:
            result.logged_in = True
            result.tls_version = connection.tls_version
            result.mechanism = connection.mechanism
            result.round_trips = connection.round_trips
            result.seconds = connection.seconds
            dialogue = Dialogue(show)
            dialogue.begin(token)
            result.failure = ask(connection, dialogue, settings.user, token)
            result.ok = result.failure is None
    except LoginFailed as error:
        result.failure = error.failure
    except (Error, OSError) as error:
        result.problem = str(error)
    return result


# What changes nothing, and needs a mailbox: CAPABILITY and CAPA are answered without one.
_QUESTIONS = {"imap": b"M1 NOOP\r\n", "pop3": b"STAT\r\n", "smtp": b"NOOP\r\n"}
_GOOD = {"imap": b"M1 OK", "pop3": b"+OK", "smtp": b"2"}
# Of the lines of IMAP, those that have a status.
_STATUS = (b"M1 ", b"* NO", b"* BAD", b"* BYE")
# A server may tell news before it answers.
_ANSWER_LINES_MAX = 200
_ANSWER_OCTETS_MAX = 4096
_THEN = "after the login, when it was asked for the mailbox"


def ask(connection: Connection, dialogue: Dialogue, user: str, token: AccessToken) -> Failure | None:
    """Send one harmless command: a login may work whose mailbox does not. Return why, or nothing where it does."""
    protocol = connection.endpoint.protocol
    said: list[bytes] = []
    try:
        dialogue.sent(_QUESTIONS[protocol])
        connection.sock.sendall(_QUESTIONS[protocol])
        with connection.greeted(b"").makefile("rb") as lines:
            while len(said) < _ANSWER_LINES_MAX and not (said and _is_answer(protocol, said[-1])):
                said.append(lines.readline(_ANSWER_OCTETS_MAX))
                dialogue.received(said[-1])
    except TimeoutError:
        return failure_of_host("timed_out", _THEN)
    except OSError:
        said.append(b"")
    finally:
        dialogue.pause()
    if said[-1].upper().startswith(_GOOD[protocol]):
        return None
    words = [line for line in said if protocol != "imap" or line.upper().startswith(_STATUS)]
    if not any(words):
        return failure_of_host("connection_lost", _THEN)
    is_over = not said[-1] or said[-1].upper().startswith(b"* BYE")
    phase: Phase = "disconnect" if is_over else "mid_session"
    # What comes late may still be an answer to the login, and repeat it.
    masked = Transcript(token)
    text = "\n".join(line for _, line in [*masked.received(b"".join(words)), *masked.flush()])
    return explain(text, protocol, phase=phase, user=user, host=connection.endpoint.host)


def _is_answer(protocol: str, line: bytes) -> bool:
    """Whether no other line follows. Of SMTP's lines it is the last that has no hyphen behind its code."""
    if not line or protocol == "pop3":
        return True
    return line[3:4] != b"-" if protocol == "smtp" else line.upper().startswith((b"M1 ", b"* BYE"))


def _settings(protocol: str, arguments: argparse.Namespace) -> dict[str, Any]:
    settings: dict[str, Any] = {"timeout": arguments.timeout, "provider": arguments.provider}
    if arguments.provider is None:
        settings["provider"] = getattr(arguments, "profile", None)
    place = getattr(arguments, protocol)
    if place:
        host, port = _place(place)
        settings |= {"host": host, "port": port}
    if arguments.starttls:
        settings["tls"] = "starttls"
    settings["discover"] = not arguments.no_discover
    settings["unusual_port"] = arguments.unusual_port
    settings["ehlo_name"] = arguments.ehlo_name
    settings["proxy"] = arguments.proxy
    if arguments.mechanism:
        settings["mechanisms"] = [arguments.mechanism]
    if arguments.ca_file:
        settings["ssl_context"] = trusting(arguments.ca_file)
    return settings


def trusting(ca_file: str) -> ssl.SSLContext:
    """Trust the authorities of a file."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ArgumentError(f"--ca-file {without_tokens(ca_file)} cannot be read: {error.strerror or error}") from None


def _place(text: str) -> tuple[str, int | None]:
    """Read ``host``, ``host:port`` or ``[v6]:port``."""
    if looks_like_token(text):
        raise ArgumentError("HOST looks like an access token, which is no argument")
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    try:
        return host, int(port) if port else None
    except ValueError:
        raise ArgumentError(f"{without_tokens(text)} is not HOST or HOST:PORT") from None


class ArgumentError(Error, ValueError):
    """An argument that cannot be read."""


class _NoToken(argparse.Action):
    """Refuses ``--token``, with or without a secret, and does not repeat it."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        parser.error(
            "there is no --token: others on this machine can read arguments. "
            "Use --token-command, MAILBEARER_TOKEN or standard input"
        )


def _token(arguments: argparse.Namespace) -> AccessToken:
    if arguments.token_command:
        return command(arguments.token_command)()
    token = os.environ.get("MAILBEARER_TOKEN")
    try:
        if token is None:
            account = store.find(arguments.user)
            token = "" if account and sys.stdin.isatty() else _pasted()
            if account and not token.strip():
                return _of_store(arguments, account)
        if not token.strip():
            ways = "log in once (mailbearer login), or use --token-command, MAILBEARER_TOKEN or standard input"
            raise TokenSourceFailed(f"there is no token: {ways}")
        return AccessToken(token.strip())
    finally:
        # A traceback may show the locals.
        del token


def _pasted() -> str:
    return secret_line("Paste the access token, which is not shown, then press Enter: ")


def _of_store(arguments: argparse.Namespace, account: store.StoredAccount) -> AccessToken:
    arguments.profile = account.profile()
    found: AccessToken = stored(account.user, proxy=arguments.proxy)()[0]
    return found


class _Paint:
    """Colour, where the terminal takes it."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._on else text


def _show(result: Result, paint: _Paint, trace: bool) -> None:
    mark = paint("32", "ok  ") if result.ok else paint("31", "FAIL")
    where = f"  {result.endpoint}" if result.endpoint else ""
    print(f"{mark} {paint('1', _TITLES[result.protocol])}{where}")
    for line in _lines(result):
        is_labelled = line[:9].strip() in _LABELS
        print(wrapped(line, "       ", " " * (16 if is_labelled else 7)))
    if trace:
        for line in result.trace:
            print(f"       {paint('2', line)}")
    print()


_LABELS = ("", "problem", "cause", "server", "advice", "address")


def _lines(result: Result) -> list[str]:
    if result.ok:
        trips = counted(result.round_trips or 0, "round trip")
        return [f"{result.tls_version}, {result.mechanism}, {trips}, {(result.seconds or 0) * 1000:.0f} ms"]
    if result.failure is None:
        return [f"problem  {result.problem}"]
    failure = result.failure
    lines = ["The login works, but the mailbox cannot be used."] if result.logged_in else []
    lines += [f"cause    {failure.cause} ({failure.certainty})"]
    if failure.server_text:
        code = f"[{failure.code}] " if failure.code else ""
        lines.append(f"server   {code}{failure.server_text}")
    lines.append(f"advice   {failure.advice}")
    lines.append(f"         {failure.sentence}")
    if failure.url:
        lines.append(f"address  {failure.url}")
    return lines
