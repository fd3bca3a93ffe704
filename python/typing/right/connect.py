import ssl

import mailbearer


def say(side: str, line: str) -> None:
    print(side, line)


with mailbearer.connect(
    "imap",
    "joe@example.org",
    "ya29.token",
    host="mail.example.org",
    port=993,
    tls="implicit",
    provider="gmail",
    ssl_context=ssl.create_default_context(),
    timeout=30,
    answer_timeout=None,
    data_timeout=600.0,
    authzid="shared@example.org",
    mechanisms=["OAUTHBEARER", "XOAUTH2"],
    initial_response="never",
    ehlo_name="client.example.org",
    assumed_capabilities=["SASL-IR"],
    unusual_port=False,
    discover=False,
    trace=say,
) as connection:
    version: str = connection.tls_version
    mechanism: mailbearer.Mechanism = connection.mechanism
    left: bytes = connection.leftover
    connection.sock.sendall(b"A1 NOOP\r\n")
