"""Servers that are hostile: what is raised is typed, in bounded time and memory, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

import mailbearer
import mailbearer.aio

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "tests" / "servers" / "hostile.py"
USER = "joe@example.test"
TOKEN = "t" * 600

# For what nothing but the client's own time ends.
DEADLINE_SECONDS = 2.0
# For what ends by itself: it is not to be reached.
GENEROUS_SECONDS = 30.0
# The machine is shared.
SLACK_SECONDS = 10.0
# How long a flood behind the login is not read, and then is.
FLOOD_SECONDS = 0.5
READ_SECONDS = 0.8
# A phase of a login is at most 1 MiB, of which a line is kept; the rest is read and TLS buffers, and the allocator's.
GROWTH_KIB_MAX = 4096

Attack = dict[str, Any]


class Outcome(NamedTuple):
    """What a login against a hostile server came to."""

    name: str
    raised: str
    seconds: float
    growth_kib: int


@pytest.fixture(scope="module")
def hostile() -> Iterator[dict[str, Any]]:
    with subprocess.Popen([sys.executable, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def came_to_pass(hostile: dict[str, Any]) -> dict[str, dict[str, int]]:
    with socket.create_connection(("127.0.0.1", hostile["control"])) as sock:
        told: dict[str, dict[str, int]] = json.loads(sock.makefile().read())
    return told


# ---- In a process of its own, so that its memory is that of the attacks ----------------------------------------------


class Memory:
    """The greatest growth of this process, from now on."""

    def __init__(self) -> None:
        # The high-water mark begins anew (proc(5), clear_refs).
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        self._before = self._read("VmRSS")

    def growth_kib(self) -> int:
        return self._read("VmHWM") - self._before

    @staticmethod
    def _read(name: str) -> int:
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith(name)))


def settings(attack: Attack, ca_file: str, timeout: float) -> dict[str, Any]:
    context = ssl.create_default_context(cafile=ca_file)
    return {
        "host": "localhost",
        "port": attack["port"],
        "tls": attack["tls"],
        "ssl_context": context,
        "timeout": timeout,
    }


def name_of(attack: Attack) -> str:
    return f"{attack['name']} ({attack['protocol']}, {attack['tls']})"


def raised_by(error: mailbearer.Error) -> str:
    return error.cause if isinstance(error, mailbearer.LoginFailed) else repr(error)


def log_in(attack: Attack, ca_file: str, timeout: float) -> str:
    try:
        connection = mailbearer.connect(attack["protocol"], USER, TOKEN, **settings(attack, ca_file, timeout))
    except mailbearer.Error as error:
        return raised_by(error)
    time.sleep(FLOOD_SECONDS)
    connection.close()
    return "login"


async def log_in_async(attack: Attack, ca_file: str, timeout: float) -> str:
    try:
        connection = await mailbearer.aio.connect(attack["protocol"], USER, TOKEN, **settings(attack, ca_file, timeout))
    except mailbearer.Error as error:
        return raised_by(error)
    await asyncio.sleep(FLOOD_SECONDS)
    await connection.close()
    return "login"


def stay_logged_in(attack: Attack, ca_file: str, timeout: float) -> str:
    """Read what floods, as fast as it comes, until the session has seen enough."""

    def give_up(event: mailbearer.SessionEvent) -> None:
        # It saw enough before it could give the connection away.
        if event.kind == "waiting":
            sessions.close()

    options = settings(attack, ca_file, timeout)
    with mailbearer.sessions(attack["protocol"], USER, TOKEN, on_event=give_up, **options) as sessions:
        octets = 0
        for connection in sessions:
            connection.wait(FLOOD_SECONDS)
            until = time.monotonic() + READ_SECONDS
            with contextlib.suppress(mailbearer.SessionEnded):
                while time.monotonic() < until:
                    octets += len(connection.sock.recv(65_536))
            break
        return ended(sessions.status(), octets)


async def stay_logged_in_async(attack: Attack, ca_file: str, timeout: float) -> str:
    options = settings(attack, ca_file, timeout)
    async with mailbearer.aio.sessions(attack["protocol"], USER, TOKEN, **options) as sessions:
        octets = 0
        with contextlib.suppress(TimeoutError, mailbearer.SessionEnded):
            async with asyncio.timeout(SLACK_SECONDS):
                connection = await anext(sessions)
            await connection.wait(FLOOD_SECONDS)
            until = time.monotonic() + READ_SECONDS
            while time.monotonic() < until:
                octets += len(await connection.reader.read(65_536))
        return ended(sessions.status(), octets)


def wait_for_an_answer(attack: Attack, ca_file: str, timeout: float) -> str:
    """Say IDLE, or NOOP, and read until the session is over."""
    options = settings(attack, ca_file, GENEROUS_SECONDS) | {"answer_timeout": timeout}
    with mailbearer.sessions(attack["protocol"], USER, TOKEN, **options) as sessions:
        connection = next(sessions)
        with contextlib.suppress(mailbearer.SessionEnded):
            if attack["protocol"] == "imap":
                list(connection.idle(reissue=0.1))
            connection.sock.sendall(b"NOOP\r\n")
            while True:
                connection.sock.recv(65_536)
        return ended(sessions.status(), 0)


async def wait_for_an_answer_async(attack: Attack, ca_file: str, timeout: float) -> str:
    options = settings(attack, ca_file, GENEROUS_SECONDS) | {"answer_timeout": timeout}
    async with mailbearer.aio.sessions(attack["protocol"], USER, TOKEN, **options) as sessions:
        connection = await anext(sessions)
        with contextlib.suppress(mailbearer.SessionEnded):
            if attack["protocol"] == "imap":
                async for _ in connection.idle(reissue=0.1):
                    pass
            connection.writer.write(b"NOOP\r\n")
            while True:
                await connection.reader.read(65_536)
        return ended(sessions.status(), 0)


def ended(status: dict[str, Any], octets: int) -> str:
    verdict = status["last_ending"]
    return f"{verdict.cause if verdict else 'open'}, {octets >> 20} MiB read"


def measured(attack: Attack, work: Any, *arguments: Any) -> Outcome:
    memory, begun = Memory(), time.monotonic()
    raised = work(attack, *arguments)
    return Outcome(name_of(attack), raised, time.monotonic() - begun, memory.growth_kib())


def left_behind() -> tuple[int, int]:
    """Return threads, but for those that asyncio keeps for the resolver, and open files."""
    threads = [one for one in threading.enumerate() if not one.name.startswith("asyncio_")]
    return len(threads), len(os.listdir("/proc/self/fd"))


def in_turn(attacks: list[Attack], ca_file: str, door: str, first: Attack) -> list[Outcome]:
    """Attack one after the other. The first is for what is loaded for a first login, and no other."""
    work = {"blocking": log_in, "blocking sessions": stay_logged_in}.get(door)
    if work is not None:
        log_in(first, ca_file, GENEROUS_SECONDS)
        before = left_behind()
        outcomes = [measured(attack, work, ca_file, GENEROUS_SECONDS) for attack in attacks]
        assert left_behind() == before
        return outcomes

    coroutine = {"asyncio": log_in_async, "asyncio sessions": stay_logged_in_async}[door]

    async def main() -> list[Outcome]:
        before = left_behind()
        await log_in_async(first, ca_file, GENEROUS_SECONDS)
        outcomes = []
        for attack in attacks:
            memory, begun = Memory(), time.monotonic()
            raised = await coroutine(attack, ca_file, GENEROUS_SECONDS)
            outcomes.append(Outcome(name_of(attack), raised, time.monotonic() - begun, memory.growth_kib()))
        assert len(asyncio.all_tasks()) == 1
        await the_same(before)
        return outcomes

    return asyncio.run(main())


async def the_same(before: tuple[int, int]) -> None:
    """Wait until a transport that was aborted has closed its socket: in the next rounds of the event loop."""
    deadline = time.monotonic() + SLACK_SECONDS
    while left_behind() != before and time.monotonic() < deadline:  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(0.01)
    assert left_behind() == before


def at_once(attacks: list[Attack], ca_file: str, door: str, first: Attack) -> list[Outcome]:
    """Attack with all of them at the same time: one figure of memory for all, in the first outcome."""
    log_in(first, ca_file, GENEROUS_SECONDS)
    memory = Memory()
    work = {"blocking": log_in, "blocking sessions": wait_for_an_answer}.get(door)
    if work is not None:
        before = left_behind()
        with ThreadPoolExecutor(len(attacks)) as threads:
            outcomes = list(threads.map(lambda one: measured(one, work, ca_file, DEADLINE_SECONDS), attacks))
        assert left_behind() == before
    else:
        coroutine = {"asyncio": log_in_async, "asyncio sessions": wait_for_an_answer_async}[door]

        async def one(attack: Attack) -> Outcome:
            begun = time.monotonic()
            raised = await coroutine(attack, ca_file, DEADLINE_SECONDS)
            return Outcome(name_of(attack), raised, time.monotonic() - begun, 0)

        async def main() -> list[Outcome]:
            before = left_behind()
            outcomes = await asyncio.gather(*map(one, attacks))
            assert len(asyncio.all_tasks()) == 1
            await the_same(before)
            return outcomes

        outcomes = asyncio.run(main())
    return [outcome._replace(growth_kib=memory.growth_kib() // len(attacks)) for outcome in outcomes]


# ---- The tests -------------------------------------------------------------------------------------------------------


def attacked(hostile: dict[str, Any], ends: tuple[str, ...], work: Any, doors: tuple[str, ...]) -> dict[str, Any]:
    attacks = [one for one in hostile["attacks"] if one["ends"] in ends]
    first = next(one for one in hostile["attacks"] if one["name"] == "endless line")
    with ProcessPoolExecutor(len(doors), mp_context=multiprocessing.get_context("spawn")) as processes:
        futures = {door: processes.submit(work, attacks, hostile["ca_file"], door, first) for door in doors}
        found = {door: list(zip(attacks, future.result(), strict=True)) for door, future in futures.items()}
    # Each connection was ended by us.
    deadline = time.monotonic() + SLACK_SECONDS
    while any(one["open"] for one in came_to_pass(hostile).values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    told = came_to_pass(hostile)
    still_open = [name_of(one) for one in attacks if told[str(one["port"])]["open"]]
    assert not still_open
    return found


def tell(capsys: pytest.CaptureFixture[str], door: str, outcomes: list[Outcome]) -> None:
    worst = max(outcomes, key=lambda one: one.growth_kib)
    slowest = max(outcomes, key=lambda one: one.seconds)
    with capsys.disabled():
        print(
            f"\n{len(outcomes)} hostile servers, {door}: at most {worst.growth_kib} KiB more memory ({worst.name}), "
            f"{slowest.seconds:.2f} s ({slowest.name})"
        )
        if os.environ.get("MAILBEARER_VERBOSE"):
            for one in outcomes:
                print(f"    {one.growth_kib:6} KiB {one.seconds:6.2f} s  {one.name}: {one.raised}")


def test_a_server_that_sends_too_much_or_nonsense(hostile: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    found = attacked(hostile, ("limit", "server"), in_turn, ("blocking", "asyncio"))
    for door, results in found.items():
        tell(capsys, door, [outcome for _, outcome in results])
        assert len(results) > 60
        for attack, outcome in results:
            assert outcome.raised in attack["causes"], (door, outcome)
            assert outcome.seconds < SLACK_SECONDS, (door, outcome)
            assert outcome.growth_kib < GROWTH_KIB_MAX, (door, outcome)


def test_a_server_that_gives_no_end_is_left_at_the_deadline(
    hostile: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = attacked(hostile, ("deadline",), at_once, ("blocking", "asyncio"))
    for door, results in found.items():
        tell(capsys, f"{door}, at once", [outcome for _, outcome in results])
        assert len(results) > 20
        for attack, outcome in results:
            assert outcome.raised in attack["causes"], (door, outcome)
            assert DEADLINE_SECONDS - 0.1 < outcome.seconds < DEADLINE_SECONDS + SLACK_SECONDS, (door, outcome)
            assert outcome.growth_kib < GROWTH_KIB_MAX, (door, outcome)


def test_a_flood_behind_the_login_that_nobody_reads_is_held_back(
    hostile: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = attacked(hostile, ("login",), in_turn, ("blocking", "asyncio"))
    for door, results in found.items():
        tell(capsys, f"{door}, flooded", [outcome for _, outcome in results])
        for _, outcome in results:
            assert outcome.raised == "login", (door, outcome)
            assert outcome.growth_kib < GROWTH_KIB_MAX, (door, outcome)


def test_a_session_that_is_flooded_keeps_its_memory(
    hostile: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = attacked(hostile, ("login",), in_turn, ("blocking sessions", "asyncio sessions"))
    for door, results in found.items():
        tell(capsys, f"{door}, flooded", [outcome for _, outcome in results])
        for attack, outcome in results:
            # In IMAP a server may speak at any time, in POP3 and SMTP when it is asked. A line that does not end says
            # nothing.
            is_fault = attack["name"] == "flood of lines" and attack["protocol"] != "imap"
            assert outcome.raised.startswith("protocol_violation" if is_fault else "open"), outcome
            assert outcome.growth_kib < GROWTH_KIB_MAX, (door, outcome)


def test_a_server_that_gives_no_answer_is_left_when_it_is_late(
    hostile: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = attacked(hostile, ("answer",), at_once, ("blocking sessions", "asyncio sessions"))
    for door, results in found.items():
        tell(capsys, f"{door}, at once", [outcome for _, outcome in results])
        for attack, outcome in results:
            assert outcome.raised.removesuffix(", 0 MiB read") in attack["causes"], (door, outcome)
            assert outcome.seconds < DEADLINE_SECONDS + SLACK_SECONDS, (door, outcome)
            assert outcome.growth_kib < GROWTH_KIB_MAX, (door, outcome)


def test_a_flood_that_keeps_tls_busy_is_ended_from_outside(hostile: dict[str, Any]) -> None:
    # By itself: beside others it is too slow to keep a read from coming back.
    attack = next(one for one in hostile["attacks"] if one["name"] == "key updates in place of an answer")
    begun = time.monotonic()
    assert wait_for_an_answer(attack, hostile["ca_file"], DEADLINE_SECONDS).startswith("timed_out")
    assert time.monotonic() - begun < DEADLINE_SECONDS + SLACK_SECONDS


def test_a_server_without_a_certificate_is_refused_where_the_context_allows_it(hostile: dict[str, Any]) -> None:
    attack = next(one for one in hostile["attacks"] if one["name"] == "no certificate")
    context = ssl.create_default_context(cafile=hostile["ca_file"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:@SECLEVEL=0")
    at = settings(attack, hostile["ca_file"], GENEROUS_SECONDS) | {"ssl_context": context}
    seen = came_to_pass(hostile)[str(attack["port"])]["octets"]

    async def connect() -> None:
        await mailbearer.aio.connect("imap", USER, TOKEN, **at)

    for door in (lambda: mailbearer.connect("imap", USER, TOKEN, **at), lambda: asyncio.run(connect())):
        with pytest.raises(mailbearer.LoginFailed, match="not verified") as caught:
            door()
        assert caught.value.cause == "tls_failed"
    # The handshake was done each time, and the greeting said: it is the check behind it that refused.
    deadline = time.monotonic() + SLACK_SECONDS
    while came_to_pass(hostile)[str(attack["port"])]["octets"] <= seen and time.monotonic() < deadline:
        time.sleep(0.05)
    assert came_to_pass(hostile)[str(attack["port"])]["octets"] > seen


def test_the_hostile_server_serves_as_long_as_a_command_runs() -> None:
    command = "import json, os; print(len(json.loads(os.environ['MAILBEARER_HOSTILE'])['attacks']))"
    with contextlib.closing(os.popen(f'"{sys.executable}" "{PROGRAM}" "{sys.executable}" -c "{command}"')) as output:
        assert int(output.read()) > 80
