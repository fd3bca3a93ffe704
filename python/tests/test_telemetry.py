"""OpenTelemetry's spans and metrics, with the SDK's exporters in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import mailbearer
import mailbearer.aio
import mailbearer.telemetry
from mailbearer import observing
from mailbearer.testing import Server

USER = "joe@outlook.com"


class Seen:
    def __init__(self) -> None:
        self.tracer = TracerProvider()
        self._spans = InMemorySpanExporter()
        self.tracer.add_span_processor(SimpleSpanProcessor(self._spans))
        self._reader = InMemoryMetricReader()
        self.meter = MeterProvider([self._reader])

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._spans.get_finished_spans() if span.name == f"mailbearer.{name}"]

    def points(self, name: str) -> list[Any]:
        data = self._reader.get_metrics_data()
        metrics = [one for of in data.resource_metrics for scope in of.scope_metrics for one in scope.metrics]
        return [point for one in metrics if one.name == f"mailbearer.{name}" for point in one.data.data_points]

    def counts(self, name: str, *by: str) -> Counter[tuple[Any, ...]]:
        found: Counter[tuple[Any, ...]] = Counter()
        for point in self.points(name):
            found[tuple(point.attributes.get(one) for one in by)] += int(point.value)
        return found

    def all_text(self) -> str:
        metrics = self._reader.get_metrics_data()
        return "".join(span.to_json() for span in self._spans.get_finished_spans()) + (
            metrics.to_json() if metrics else ""
        )


@pytest.fixture
def seen() -> Iterator[Seen]:
    one = Seen()
    mailbearer.telemetry.instrument(tracer_provider=one.tracer, meter_provider=one.meter)
    yield one
    mailbearer.telemetry.uninstrument()
    one.tracer.shutdown()
    one.meter.shutdown()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(flavour="outlook", token_lifetime=1.0) as running:
        yield running


def log_in(way: str, server: Server, token: str, **options: Any) -> None:
    settings = {**server.at("imap"), **options}
    if way == "blocking":
        mailbearer.connect("imap", USER, token, **settings).close()
        return

    async def main() -> None:
        await (await mailbearer.aio.connect("imap", USER, token, **settings)).close()

    asyncio.run(main())


ways = pytest.mark.parametrize("way", ["blocking", "asyncio"])


@ways
def test_one_login(way: str, seen: Seen, server: Server) -> None:
    log_in(way, server, server.issue_token(USER))
    (login,), (dial,) = seen.spans("login"), seen.spans("dial")
    assert (dial.parent.span_id, dial.context.trace_id) == (login.context.span_id, login.context.trace_id)
    expected = {
        "network.protocol.name": "imap",
        "server.address": "localhost",
        "server.port": server.port("imap"),
    }
    assert dict(login.attributes) == dict(dial.attributes) == expected
    assert seen.counts("logins", "mailbearer.outcome", "server.address") == {("ok", "localhost"): 1}
    (duration,) = seen.points("login.duration")
    assert (duration.count, 0 < duration.sum < 60) == (1, True)


@ways
def test_a_login_that_fails_is_counted_by_its_cause_and_tells_no_more(way: str, seen: Seen, server: Server) -> None:
    token = server.issue_token(USER, lifetime=0.0)
    with pytest.raises(mailbearer.LoginFailed):
        log_in(way, server, token)
    with pytest.raises(mailbearer.LoginFailed):
        log_in(way, server, token, port=1)
    first, second = seen.spans("login")
    assert [span.attributes["error.type"] for span in (first, second)] == ["token_rejected", "connection_refused"]
    assert first.status.status_code is StatusCode.ERROR
    (refused,) = [span for span in seen.spans("dial") if not span.status.is_ok]
    assert refused.attributes["error.type"] == "connection_refused"
    assert seen.counts("failures", "error.type", "mailbearer.stage") == {
        ("token_rejected", "login"): 1,
        ("connection_refused", "login"): 1,
    }
    assert seen.counts("logins", "mailbearer.outcome") == {("failed",): 2}
    told = seen.all_text()
    assert told
    assert token not in told
    assert "joe" not in told


def work(way: str, server: Server, count: int) -> None:
    token = lambda: (server.issue_token(USER), 1.0)  # noqa: E731
    if way == "blocking":
        with mailbearer.sessions("imap", USER, token, **server.at("imap")) as sessions:
            for connection in sessions:
                with connection:
                    connection.client.select("INBOX")
                    connection.wait(20)
                if connection.generation == count:
                    return

    async def main() -> None:
        async with mailbearer.aio.sessions("imap", USER, token, client=None, **server.at("imap")) as sessions:
            async for connection in sessions:
                async with connection:
                    await connection.wait(20)
                if connection.generation == count:
                    return

    asyncio.run(main())


@ways
def test_sessions_and_their_renewals(way: str, seen: Seen, server: Server) -> None:
    work(way, server, 2)
    sessions, logins, dials = seen.spans("session"), seen.spans("login"), seen.spans("dial")
    assert len(sessions) == 2
    assert len(logins) in (2, 3)
    assert {dial.parent.span_id for dial in dials} == {login.context.span_id for login in logins}
    assert [event.name for event in sessions[0].events] == ["renewing"]
    assert seen.counts("renewals", "network.protocol.name")[("imap",)] == 2
    assert seen.counts("logins", "mailbearer.outcome")[("ok",)] == 2
    assert seen.counts("sessions") == {(): 0}
    assert "joe" not in seen.all_text()


def test_an_end_that_the_server_makes_is_a_failure_of_the_session(seen: Seen) -> None:
    with Server() as server, mailbearer.sessions("imap", USER, server.issue_token(USER), **server.at("imap")) as one:
        connection = next(one)
        with connection:
            connection.client.select("INBOX")
            assert seen.counts("sessions") == {(): 1}
            server.restart()
            connection.client.noop()
            connection.client.noop()
        (session,) = seen.spans("session")
        assert session.attributes["error.type"] == connection.verdict.cause
        assert seen.counts("failures", "mailbearer.stage") == {("session",): 1}


def test_a_stop_and_a_source_that_fails(seen: Seen, server: Server) -> None:
    def none() -> str:
        raise mailbearer.TokenSourceFailed("consent is gone", permanent=True)

    with mailbearer.sessions("imap", USER, none, **server.at("imap")) as sessions, pytest.raises(mailbearer.NeedsUser):
        next(sessions)
    assert seen.counts("failures", "error.type", "mailbearer.stage") == {("token_unavailable", "token"): 1}
    assert seen.counts("stops", "error.type") == {("token_unavailable",): 1}
    assert "consent" not in seen.all_text()


def test_a_login_that_is_cancelled_leaves_no_span_open(seen: Seen, server: Server) -> None:
    async def main() -> None:
        server.set_fault("greeting", "vanish")
        sessions = mailbearer.aio.sessions("imap", USER, server.issue_token(USER), client=None, **server.at("imap"))
        waiting = asyncio.ensure_future(anext(sessions))
        while not seen.spans("dial"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await sessions.aclose()

    asyncio.run(main())
    (login,) = seen.spans("login")
    assert login.status.is_unset


def test_what_breaks_in_telemetry_ends_no_session(
    seen: Seen, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("broken")

    monkeypatch.setattr(observing.observer, "happened", broken)
    work("blocking", server, 1)
    assert "telemetry raised" in caplog.text


def test_nobody_looks_on_before_it_is_asked(server: Server) -> None:
    assert observing.observer is None
    log_in("blocking", server, server.issue_token(USER))


def test_the_package_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.trace", None)
    with pytest.raises((mailbearer.ConfigError, ImportError), match=r"mailbearer\[opentelemetry\]|opentelemetry"):
        mailbearer.telemetry.instrument()
