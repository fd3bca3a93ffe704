"""A server on loopback that says what a test wants."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import ssl
import threading

from mailbearer.testing import ca_file


class ScriptedServer:
    """It says the first line to greet, and one more for each line that it gets, to any number of clients.

    ``%TAG%`` is the first word of that line. After the last it hangs up. With ``tls`` it has the testing server's
    certificate.
    """

    def __init__(self, *says: bytes, tls: bool = False) -> None:
        self._says = says
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._context.load_cert_chain(pathlib.Path(ca_file()).with_name("localhost.pem"))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with contextlib.suppress(OSError), client:
                    client.settimeout(5)
                    self._talk(client if self._context is None else self._context.wrap_socket(client, server_side=True))

    def _talk(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as lines:
            client.sendall(self._says[0])
            for said in self._says[1:]:
                line = lines.readline()
                if not line:
                    return
                client.sendall(said.replace(b"%TAG%", line.split(b" ")[0].strip() or b"x"))

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            # It wakes the thread that accepts.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
