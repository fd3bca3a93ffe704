"""Measures the clients of one language side by side, against `bench-server`.

    python3 peers.py python --server target/release/bench-server -- .cache/bench-python/bin/python .../worker.py

It prints a line of JSON for each figure, as README.md says; what it does goes to standard error.

Each client is a process of its own (a worker; see python/worker.py for its orders). In a run every worker takes its
turn again and again, so that whatever else the machine does meets all of them; the next run has new processes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

ROUNDS = 10
# Of the CPU that all workers share in a round: a client that waits for Nagle's algorithm logs in less often.
ROUND_SECONDS = 0.03
LOGINS_MAX = 40
WARM_UP = 8
DELAY_MS = 50
LONG_TOKEN_OCTETS = 2_000
# How long the server is given to say what it saw of a connection.
REPORT_SECONDS = 10.0
# Longer than what any client waits for an answer.
ANSWER_SECONDS = 150.0
SAYS_MAX = 200


def main() -> None:
    """Measure all, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language")
    parser.add_argument("--server", required=True, help="the fast local server")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="only clients whose name has this in it, beside bare and floor")
    parser.add_argument("worker", nargs="+", help="the command that starts a worker")
    given = parser.parse_args()
    Bench(given.language, given.server, given.worker, given.runs, given.only).run()


class Bench:
    """The measures of one language."""

    def __init__(self, language: str, server: str, worker: Sequence[str], runs: int, only: str) -> None:
        self._language = language
        self._server = server
        self._worker = list(worker)
        self._runs = runs
        self._clients = [
            client for client in self._lines() if only in client["client"] or client["role"] in ("bare", "floor")
        ]
        # For each client and measure, a number of each run.
        self._seen: dict[Key, dict[str, list[float]]] = {key_of(client): {} for client in self._clients}

    def _lines(self, *arguments: str) -> list[dict[str, Any]]:
        output = subprocess.run([*self._worker, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout
        return [json.loads(line) for line in output.splitlines()]

    def run(self) -> None:
        """Measure, and print a line for each figure."""
        for number in range(self._runs):
            self._say(f"run {number + 1} of {self._runs}")
            self._one_run()
        for client in self._clients:
            for measure, values in self._seen[key_of(client)].items():
                self._print("login", client, measure=measure, runs=values)
        clients = [client for client in self._clients if client["role"] in ("mailbearer", "peer")]
        self._behaviour("refused", "try", clients, "--refuse")
        self._behaviour("long_token", "try", clients, "--token-octets", str(LONG_TOKEN_OCTETS))
        self._behaviour("ended", "end", [client for client in clients if client["asks"]], "--end-after")
        for call in self._lines("--calls"):
            self._print("call", call)

    # ---- What is counted ---------------------------------------------------------------------------------------------

    def _one_run(self) -> None:
        with self._start() as server, self._start_workers() as workers:
            sizes = {key: self._warm_up(worker, server) for key, worker in workers.items()}
            rounds: dict[Key, list[dict[str, float]]] = {key: [] for key in workers}
            for _ in range(ROUNDS):
                for key, worker in workers.items():
                    rounds[key].append(worker.ask("logins", server, count=sizes[key]))
            for key, worker in workers.items():
                self._note(key, "cpu_us", statistics.fmean(one["cpu_us"] for one in rounds[key]))
                self._note(key, "local_ms", statistics.median(one["wall_us"] for one in rounds[key]) / 1000)
                self._note(key, "peak_kib", worker.order({"do": "memory"})["peak_kib"])
            for client in self._clients:
                if client["role"] != "bare":
                    self._note_server(key_of(client), workers[key_of(client)], server)
            with self._start("--delay-ms", str(DELAY_MS)) as slow:
                for key, worker in workers.items():
                    self._note(key, "ready_ms", worker.ask("logins", slow)["wall_us"] / 1000)

    def _warm_up(self, worker: Worker, server: Server) -> int:
        """Return how often it logs in, in a round."""
        wall = worker.ask("logins", server, count=WARM_UP)["wall_us"] / 1e6
        return max(2, min(LOGINS_MAX, int(ROUND_SECONDS / wall)))

    def _note_server(self, key: Key, worker: Worker, server: Server) -> None:
        """One login, as the server counts it."""
        server.forget()
        worker.ask("logins", server)
        (seen,) = server.reports()
        self._note(key, "round_trips", seen["flights"])
        self._note(key, "octets", seen["octets"])

    def _note(self, key: Key, measure: str, value: float) -> None:
        self._seen[key].setdefault(measure, []).append(round(value, 3))

    # ---- What is said ------------------------------------------------------------------------------------------------

    def _behaviour(self, measure: str, order: str, clients: Sequence[dict[str, Any]], *options: str) -> None:
        """Let the server do that: what a program sees, and how often the server saw the token."""
        self._say(measure)
        with self._start() as good, self._start(*options) as server:
            for client in clients:
                with Worker([*self._worker, *key_of(client)], client["protocol"]) as worker:
                    # What the first login loads is not counted.
                    worker.ask("logins", good)
                    answer = worker.ask(order, server)
                seen = server.reports()
                self._print(
                    "behaviour",
                    client,
                    measure=measure,
                    says=one_line(answer["says"], server.token),
                    auths=sum(one["auths"] for one in seen),
                    ms=round(answer["ms"], 1),
                )

    def _print(self, part: str, client: dict[str, Any], **figures: Any) -> None:
        fields = {key: value for key, value in client.items() if key != "asks"}
        print(
            json.dumps({"part": part, "language": self._language, **fields, **figures}, ensure_ascii=False), flush=True
        )

    def _say(self, what: str) -> None:
        print(f"{self._language}: {what}", file=sys.stderr, flush=True)

    # ---- Processes ---------------------------------------------------------------------------------------------------

    def _start(self, *options: str) -> contextlib.AbstractContextManager[Server]:
        return Server([self._server, *options])

    @contextlib.contextmanager
    def _start_workers(self) -> Iterator[dict[Key, Worker]]:
        with contextlib.ExitStack() as stack:
            workers = {}
            for client in self._clients:
                key = key_of(client)
                workers[key] = stack.enter_context(Worker([*self._worker, *key], client["protocol"]))
            yield workers


Key = tuple[str, str]


def key_of(client: dict[str, Any]) -> Key:
    """Tell clients apart: a name is used for several protocols."""
    return client["client"], client["protocol"]


def one_line(text: str, token: str) -> str:
    """Make it one line. A token in it is not repeated, but told."""
    line = " ".join(text.split()).replace(token, "<THE TOKEN>")
    return line if len(line) <= SAYS_MAX else line[:SAYS_MAX] + "…"


class _Process:
    """A process that speaks JSON by lines. It ends when its standard input is closed."""

    def __init__(self, command: Sequence[str], core: int) -> None:
        self._command = command
        if (os.cpu_count() or 1) > 1:
            # The children inherit it: server and client have a core each.
            os.sched_setaffinity(0, {core})
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _next(self, seconds: float) -> dict[str, Any]:
        line = self._lines.get(timeout=seconds)
        if line is None:
            raise RuntimeError(f"it ended, status {self._process.wait()}: {' '.join(self._command)}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Server(_Process):
    """`bench-server`."""

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__(command, core=0)
        self._at = self._next(REPORT_SECONDS)
        self.token: str = self._at["token"]

    def at(self, protocol: str) -> dict[str, Any]:
        """Where to log in, and as whom."""
        at = self._at
        return {"host": at["host"], "port": at[protocol], "ca": at["ca"], "user": at["user"], "token": at["token"]}

    def forget(self) -> None:
        """Drop the reports that have come."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._lines.get(timeout=0.05)

    def reports(self) -> list[dict[str, Any]]:
        """Return what the server saw since the last call: a report for each connection, at least one."""
        reports = [self._next(REPORT_SECONDS)]
        with contextlib.suppress(queue.Empty):
            while True:
                reports.append(self._next(0.1))
        return reports


class Worker(_Process):
    """A client."""

    def __init__(self, command: Sequence[str], protocol: str) -> None:
        super().__init__(command, core=1)
        self._protocol = protocol

    def ask(self, what: str, server: Server, count: int = 1) -> dict[str, Any]:
        """Let it log in."""
        return self.order({"do": what, "count": count, **server.at(self._protocol)})

    def order(self, order: dict[str, Any]) -> dict[str, Any]:
        """Give an order, and return the answer."""
        self._write(json.dumps(order))
        return self._next(ANSWER_SECONDS)


if __name__ == "__main__":
    main()
