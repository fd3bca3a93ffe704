"""Sessions on a real Dovecot that is stopped, that cuts, that vanishes, and under a process that is suspended."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import mailservers
import pytest
from test_sessions import Log, check_waits

import mailbearer
import mailbearer.aio
from mailbearer import SessionPolicy

USER = "joe@example.com"
PROTOCOLS = ("imap", "pop3", "smtp")
QUICK = SessionPolicy(backoff_base=0.2, backoff_max=1.0, login_interval=0.001)
NOOP = {"imap": b"T1 NOOP\r\n", "pop3": b"NOOP\r\n", "smtp": b"NOOP\r\n"}

Disturb = Callable[[], None]


def settings(servers: mailservers.RealServers, protocol: str, **more: Any) -> dict[str, Any]:
    trusted = ssl.create_default_context(cafile=servers.ca_file)
    at = {"host": "localhost", "port": servers.ports[f"{protocol}-implicit"], "ssl_context": trusted}
    return at | {"timeout": 2.0, "policy": QUICK} | more


def token() -> tuple[str, float]:
    return mailservers.token(USER, expires_in=600), 600.0


def survive(blocking: bool, protocol: Any, disturb: Disturb, **options: Any) -> Log:
    """Work, be disturbed in the middle of it, and work again in the next session; what happened."""
    log = Log()
    work = _survive if blocking else _survive_async
    generations = work(protocol, disturb, on_event=log, **options)
    assert generations == [1, 2]
    return log


def _survive(protocol: Any, disturb: Disturb, **options: Any) -> list[int]:
    generations = []
    for connection in mailbearer.sessions(protocol, USER, token, **options):
        with connection:
            connection.client.noop()
            generations.append(connection.generation)
            if connection.generation == 2:
                break
            disturb()
            while True:
                connection.client.noop()
                time.sleep(0.02)
    return generations


def _survive_async(protocol: Any, disturb: Disturb, **options: Any) -> list[int]:
    async def main() -> list[int]:
        generations = []
        async with mailbearer.aio.sessions(protocol, USER, token, **options) as sessions:
            async for connection in sessions:
                async with connection:
                    connection.writer.write(NOOP[protocol])
                    await connection.reader.readline()
                    generations.append(connection.generation)
                    if connection.generation == 2:
                        break
                    disturb()
                    while True:
                        connection.writer.write(NOOP[protocol])
                        await connection.reader.readline()
                        await asyncio.sleep(0.02)
        return generations

    return asyncio.run(main())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("blocking", [True, False])
def test_a_server_that_is_stopped_and_started(servers: mailservers.RealServers, blocking: bool, protocol: str) -> None:
    def stop_and_start() -> None:
        servers.stop_dovecot()
        # It is away for long enough to be missed.
        threading.Timer(1.0, servers.start_dovecot).start()

    log = survive(blocking, protocol, stop_and_start, **settings(servers, protocol))
    check_waits(log)
    assert {event.cause for event in log.of("login_failed")} <= {"connection_refused", "connection_lost", "timed_out"}


@pytest.mark.parametrize("blocking", [True, False])
def test_a_connection_that_an_administrator_kills(servers: mailservers.RealServers, blocking: bool) -> None:
    log = survive(blocking, "imap", lambda: servers.kick(USER), **settings(servers, "imap"))
    assert log.of("ended")[0].cause in ("shutdown", "session_ended", "connection_lost")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("blocking", [True, False])
def test_a_connection_that_is_swallowed(servers: mailservers.RealServers, blocking: bool, protocol: str) -> None:
    relay = mailservers.Relay(servers.ports[f"{protocol}-implicit"])
    begun = time.monotonic()
    log = survive(blocking, protocol, relay.swallow, **settings(servers, protocol, port=relay.port))
    relay.close()
    assert log.of("ended")[0].cause == "timed_out"
    # The answer was waited for as long as the settings say, and a new session followed within the back-off.
    assert time.monotonic() - begun < 2.0 + QUICK.backoff_base + 5.0


SUSPENDED = """
import ssl, sys, time
sys.path.insert(0, sys.argv[1])
import mailservers, mailbearer
def token():
    return mailservers.token("joe@example.com", expires_in=4), 4.0
policy = mailbearer.SessionPolicy(ends_with_token=True, backoff_base=0.2, login_interval=0.001)
context = ssl.create_default_context(cafile=sys.argv[2])
def show(event):
    print(event.kind, event.cause, flush=True)
for connection in mailbearer.sessions("imap", "joe@example.com", token, host="localhost", port=int(sys.argv[3]),
                                      ssl_context=context, policy=policy, on_event=show):
    with connection:
        while not connection.wait(0.05):
            connection.client.noop()
            print("works", connection.generation, flush=True)
"""


def test_a_process_that_is_suspended_past_the_life_of_its_token(servers: mailservers.RealServers) -> None:
    arguments = [str(mailservers.HERE), servers.ca_file, str(servers.ports["imap-implicit"])]
    command = [sys.executable, "-c", SUSPENDED, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        read_until(program.stdout, lambda line: line == "works 1")
        os.kill(program.pid, signal.SIGSTOP)
        time.sleep(6.0)
        os.kill(program.pid, signal.SIGCONT)
        awake = time.monotonic()
        seen = read_until(program.stdout, lambda line: line.startswith("works") and line != "works 1")
        assert time.monotonic() - awake < 5.0
        # Dovecot refuses a token whose time is over: none was sent.
        assert not [line for line in seen if line.startswith("login_failed")]
        program.kill()


def read_until(lines: Any, wanted: Callable[[str], bool]) -> list[str]:
    seen = []
    for line in lines:
        seen.append(line.strip())
        if wanted(seen[-1]):
            return seen
    raise AssertionError(f"the program ended: {seen}")
