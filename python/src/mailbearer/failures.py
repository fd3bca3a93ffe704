"""What the host itself finds out about a connection, as failures: the system's error, and why TLS failed."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

from ._core import failure_of_certificate, failure_of_connect, failure_of_host, failure_of_tls
from .errors import LoginFailed
from .words import Cause

if TYPE_CHECKING:
    from ._core import Failure
    from .settings import Endpoint, Settings
    from .tcp import Placed

# With STARTTLS a server speaks first. One that says nothing for so long is asked whether it waits for TLS.
GREETING_SECONDS = 5.0

# For the connection that asks: with the wait above, a wrong port is told within six seconds.
PROBE_SECONDS = 0.9


def failed(cause: Cause, detail: str) -> LoginFailed:
    """Make the exception for what the host itself has found."""
    return LoginFailed(failure_of_host(cause, detail))


def not_connected(error: OSError, endpoint: Placed) -> LoginFailed:
    """Make the exception for a connection that could not be opened: ``error`` becomes its ``__cause__``."""
    problem = LoginFailed(connect_failure(error, f"{endpoint.host}:{endpoint.port}"))
    problem.__cause__ = error
    return problem


def connect_failure(error: OSError, place: str | None) -> Failure:
    """Say what the system says of a connection that could not be opened."""
    if isinstance(error, TimeoutError) and error.errno is None:
        # Our own deadline, and not the system's.
        return failure_of_host("timed_out", f"{place} did not accept the connection")
    words = _system_words(error)
    return failure_of_connect(_system_name(error), f"{place}: {words}" if place else words)


def more_telling(problem: LoginFailed | None, other: LoginFailed) -> LoginFailed:
    """Of two addresses that do not answer: one that the network does not lead to says the least."""
    return other if problem is None or problem.cause == "unreachable" else problem


def _system_name(error: OSError) -> str:
    """Return what the system calls an error, ``ECONNREFUSED`` or ``EAI_NONAME``; nothing where that is not known."""
    if isinstance(error, socket.gaierror):
        names = [name for name in dir(socket) if name.startswith("EAI_") and getattr(socket, name) == error.errno]
        return names[0] if names else ""
    return errno.errorcode.get(error.errno or 0, "")


def _system_words(error: OSError) -> str:
    """Return what the system says, as in ``Connection refused``. asyncio puts words of its own in their place."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def tls_failed(error: OSError, certificate: bytes | None) -> LoginFailed:
    """Make the exception for a handshake that failed: ``error`` becomes its ``__cause__``.

    ``certificate`` is the DER of the server's certificate, where it was not accepted and is known.
    """
    problem = LoginFailed(tls_failure(error, certificate))
    problem.__cause__ = error
    return problem


def tls_failure(error: OSError, certificate: bytes | None) -> Failure:
    """Say why a handshake failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return failure_of_certificate(error.verify_message, certificate or b"")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return failure_of_tls(error.reason or "", _reason(error))
    return failure_of_host("connection_lost", f"in the TLS handshake: {_end(error)}")


def _end(error: OSError) -> str:
    return "the server closed it" if isinstance(error, ssl.SSLError) or not error.errno else _system_words(error)


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's reason in words, as in ``wrong version number``."""
    return (error.reason or "the handshake failed").lower().replace("_", " ")


def refused_certificate(sock: ssl.SSLSocket | None) -> bytes | None:
    """Return the certificate of a handshake that was refused for it, as DER, where OpenSSL has it (from 3.0 on)."""
    if sock is None:
        return None
    if sys.version_info >= (3, 13):
        chain = sock.get_unverified_chain()
        return chain[0] if chain else None
    # What became SSLSocket.get_unverified_chain(); until then pip, too, takes it from here.
    inner: Any = getattr(sock, "_sslobj", None)
    chain = inner.get_unverified_chain() if inner is not None else None
    # 1 is ENCODING_PEM, 2 is ENCODING_DER.
    return chain[0].public_bytes(2) if chain else None


def waits_for_tls(endpoint: Endpoint) -> LoginFailed:
    """Make the exception for a port where TLS begins with the first octet, and STARTTLS was meant."""
    return failed("wrong_tls_mode", f"{endpoint.host}:{endpoint.port} waits for TLS, and STARTTLS was asked for")


def client_hello(settings: Settings) -> bytes:
    """Return what begins a handshake: all that is sent to ask whether a port speaks TLS."""
    outgoing = ssl.MemoryBIO()
    handshake = settings.ssl_context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=settings.endpoint.host)
    with contextlib.suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    return outgoing.read()


def is_tls(answer: bytes) -> bool:
    """Whether a server's first octet is that of a TLS record: an alert or a handshake (RFC 8446 section 5.1)."""
    return answer[:1] in (b"\x15", b"\x16")
