"""A server's TLS that sends handshake messages behind the handshake: Python's own ``ssl`` has no word for that.

The system's OpenSSL, which that module is linked with, is called directly.
"""

from __future__ import annotations

import _ssl
import ctypes
import os
import pathlib
import socket
from typing import Any

TLS_1_2, TLS_1_3 = 0x0303, 0x0304

# From OpenSSL's ssl.h and bio.h.
_FILETYPE_PEM = 1
_CTRL_MIN_VERSION, _CTRL_MAX_VERSION = 123, 124
_KEY_UPDATE_REQUESTED = 1


def _library() -> Any:
    library = ctypes.CDLL(_ssl.__file__)
    pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    for name, result, arguments in (
        ("TLS_server_method", pointer, ()),
        ("SSL_CTX_new", pointer, (pointer,)),
        ("SSL_CTX_free", None, (pointer,)),
        ("SSL_CTX_ctrl", ctypes.c_long, (pointer, number, ctypes.c_long, pointer)),
        ("SSL_CTX_use_certificate_chain_file", number, (pointer, text)),
        ("SSL_CTX_use_PrivateKey_file", number, (pointer, text, number)),
        ("SSL_new", pointer, (pointer,)),
        ("SSL_free", None, (pointer,)),
        ("SSL_set_fd", number, (pointer, number)),
        ("SSL_accept", number, (pointer,)),
        ("SSL_do_handshake", number, (pointer,)),
        ("SSL_read", number, (pointer, pointer, number)),
        ("SSL_write", number, (pointer, text, number)),
        ("SSL_key_update", number, (pointer, number)),
        ("SSL_renegotiate", number, (pointer,)),
        ("ERR_clear_error", None, ()),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class TlsServer:
    """The server's end of TLS over a socket that blocks. What fails is an ``OSError``: the peer has gone."""

    def __init__(self, sock: socket.socket, certificate: pathlib.Path, version: int) -> None:
        self._openssl = _library()
        self.version = version
        sock.setblocking(True)
        context = self._openssl.SSL_CTX_new(self._openssl.TLS_server_method())
        for limit in (_CTRL_MIN_VERSION, _CTRL_MAX_VERSION):
            self._check(self._openssl.SSL_CTX_ctrl(context, limit, version, None))
        file = os.fsencode(certificate)
        self._check(self._openssl.SSL_CTX_use_certificate_chain_file(context, file))
        self._check(self._openssl.SSL_CTX_use_PrivateKey_file(context, file, _FILETYPE_PEM))
        self._ssl = self._openssl.SSL_new(context)
        self._openssl.SSL_CTX_free(context)
        self._check(self._openssl.SSL_set_fd(self._ssl, sock.fileno()))
        self._check(self._openssl.SSL_accept(self._ssl))

    def recv(self, octets: int) -> bytes:
        """Read; nothing at the end."""
        buffer = ctypes.create_string_buffer(octets)
        self._openssl.ERR_clear_error()
        count = self._openssl.SSL_read(self._ssl, buffer, octets)
        return buffer.raw[: max(count, 0)]

    def sendall(self, data: bytes) -> None:
        """Write."""
        self._check(self._openssl.SSL_write(self._ssl, data, len(data)))

    def ask_for_keys(self) -> None:
        """Send KeyUpdate, which asks for one of the client's (RFC 8446 section 4.6.3)."""
        self._check(self._openssl.SSL_key_update(self._ssl, _KEY_UPDATE_REQUESTED))
        self._check(self._openssl.SSL_do_handshake(self._ssl))

    def ask_for_handshake(self) -> None:
        """Send HelloRequest, and do not wait for what comes of it (RFC 5246 section 7.4.1.1)."""
        self._check(self._openssl.SSL_renegotiate(self._ssl))
        self._check(self._openssl.SSL_do_handshake(self._ssl))

    def close(self) -> None:
        """Forget it; the socket is its owner's."""
        self._openssl.SSL_free(self._ssl)

    def _check(self, result: int) -> None:
        if result <= 0:
            raise ConnectionResetError("TLS is over")
        self._openssl.ERR_clear_error()
