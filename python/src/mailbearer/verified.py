"""Checks behind each handshake that the peer's certificate was in fact verified, and for this host name."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from typing import Any

from .errors import LoginFailed
from .failures import failed


def check_peer(peer: ssl.SSLSocket | ssl.SSLObject | None, host: str) -> None:
    """Refuse a peer whose certificate was not verified, whatever became of the caller's context since it was given.

    Raises:
        LoginFailed: with the cause ``tls_failed``; nothing was sent.

    """
    # A certificate that was not verified, or none as with anonymous ciphers, has no fields here.
    certificate: Mapping[str, Any] | None = None if peer is None else peer.getpeercert()
    if peer is None or not certificate or peer.context.verify_mode != ssl.CERT_REQUIRED:
        raise _refused("the server's certificate was not verified: the context does not ask for it any more")
    if not names(certificate, host):
        raise _refused(f"the certificate is not of {host}")


def _refused(words: str) -> LoginFailed:
    return failed("tls_failed", words)


def names(certificate: Mapping[str, Any], host: str) -> bool:
    """Whether a certificate names a host among its alternative names (RFC 9525): a common name alone does not count."""
    alternatives = certificate.get("subjectAltName", ())
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return any(kind == "DNS" and _is_name(value, host) for kind, value in alternatives)
    return any(kind == "IP Address" and _is_address(value, address) for kind, value in alternatives)


def _is_name(pattern: str, host: str) -> bool:
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if not pattern.startswith("*."):
        return pattern == host
    # A wildcard is the whole first label, and there are two more.
    first, _, rest = host.partition(".")
    return bool(first) and rest == pattern[2:] and "." in rest


def _is_address(value: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return ipaddress.ip_address(value.strip()) == address
    except ValueError:
        return False
