"""OpenTelemetry: spans and metrics of dials, logins and sessions. It needs the extra ``mailbearer[opentelemetry]``.

Call :func:`instrument` once, when the program starts.

======================================  =========================================================================
span                                    what
======================================  =========================================================================
``mailbearer.dial``                     a connection is opened: names, TCP, proxy, TLS where it is implicit
``mailbearer.login``                    a login, from the dial to the server's answer
``mailbearer.session``                  a session, from online to its end; ``renewing`` is an event in it
======================================  =========================================================================

======================================  ===============  =========================================================
metric                                  kind, unit       what
======================================  ===============  =========================================================
``mailbearer.logins``                   counter          logins, by ``mailbearer.outcome``: ``ok`` or ``failed``
``mailbearer.login.duration``           histogram, s     how long they took
``mailbearer.failures``                 counter          by ``error.type``, a cause, and ``mailbearer.stage``:
                                                         ``token``, ``login`` or ``session``
``mailbearer.renewals``                 counter          sessions that are renewed ahead of their end
``mailbearer.stops``                    counter          that a person must mend, by ``error.type``
``mailbearer.sessions``                 up-down counter  sessions that are online
======================================  ===============  =========================================================

Each has ``network.protocol.name`` (``imap``, ``pop3``, ``smtp``), ``server.address`` and ``server.port``, as far as
they are known. Nothing else is told: no token, no mail address, no word of a server, no name of a mailbox.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from . import observing
from ._core import __version__
from .errors import LoginFailed
from .events import SessionEvent
from .extras import need
from .front_door import front_door
from .observing import Key
from .settings import Endpoint

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

__all__ = ["instrument", "uninstrument"]


@front_door("mailbearer.telemetry.instrument")
def instrument(*, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None) -> None:
    """Make spans and metrics from now on, of all that this process does with mailbearer.

    Args:
        tracer_provider: where spans go, in place of OpenTelemetry's global one.
        meter_provider: where metrics go, in place of the global one.

    Raises:
        ConfigError: ``opentelemetry-api`` is missing.

    >>> import mailbearer, mailbearer.telemetry, mailbearer.testing
    >>> from opentelemetry.sdk.trace import TracerProvider
    >>> from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    >>> from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    >>> provider, seen = TracerProvider(), InMemorySpanExporter()
    >>> provider.add_span_processor(SimpleSpanProcessor(seen))
    >>> mailbearer.telemetry.instrument(tracer_provider=provider)
    >>> with mailbearer.testing.Server() as server:
    ...     token = server.issue_token("joe@gmail.com")
    ...     mailbearer.connect("imap", "joe@gmail.com", token, **server.at("imap")).close()
    >>> mailbearer.telemetry.uninstrument()
    >>> [span.name for span in seen.get_finished_spans()]
    ['mailbearer.dial', 'mailbearer.login']

    """
    need("opentelemetry.trace", "opentelemetry-api", "opentelemetry")
    observing.observe(_Telemetry(tracer_provider, meter_provider))


def uninstrument() -> None:
    """Make no more of them. Spans that are open are left as they are."""
    observing.observe(None)


class _Telemetry:
    """An :class:`~mailbearer.observing.Observer`."""

    def __init__(self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None) -> None:
        from opentelemetry import metrics, trace

        self._trace = trace
        self._tracer = trace.get_tracer("mailbearer", __version__, tracer_provider)
        meter = metrics.get_meter("mailbearer", __version__, meter_provider)
        self._logins = meter.create_counter("mailbearer.logins", "{login}", "Logins.")
        self._duration = meter.create_histogram("mailbearer.login.duration", "s", "How long logins take.")
        self._failures = meter.create_counter("mailbearer.failures", "{failure}", "What failed, by cause.")
        self._renewals = meter.create_counter("mailbearer.renewals", "{renewal}", "Sessions that are renewed.")
        self._stops = meter.create_counter("mailbearer.stops", "{stop}", "Stops that a person must mend.")
        self._online = meter.create_up_down_counter("mailbearer.sessions", "{session}", "Sessions that are online.")
        # What is under way, by account and connection attempt: begun in one thread, and ended in another.
        self._turn = threading.Lock()
        self._attempts: dict[Key, tuple[Span, float, dict[str, Any]]] = {}
        self._sessions: dict[Key, tuple[Span, dict[str, Any]]] = {}

    # ---- What is looked at -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def dialling(self, endpoint: Endpoint, key: Key | None) -> Iterator[None]:
        """Make a span of it, below that of its login."""
        context = None if key is None else self._trace.set_span_in_context(self._begun(key, endpoint))
        span = self._tracer.start_span("mailbearer.dial", context, self._trace.SpanKind.CLIENT, _attributes(endpoint))
        try:
            yield
        except LoginFailed as error:
            self._mark(span, error.cause)
            raise
        finally:
            span.end()

    @contextlib.contextmanager
    def logging_in(self, endpoint: Endpoint) -> Iterator[None]:
        """Make a span of it, and count it."""
        attributes, began = _attributes(endpoint), time.monotonic()
        span = self._tracer.start_span("mailbearer.login", kind=self._trace.SpanKind.CLIENT, attributes=attributes)
        try:
            with self._trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield
        except LoginFailed as error:
            self._login_over(span, began, attributes, error.cause)
            raise
        except BaseException:
            # Cancelled: it is no failure of anybody.
            span.end()
            raise
        self._login_over(span, began, attributes, None)

    def happened(self, key: Key, event: SessionEvent, endpoint: Endpoint | None) -> None:
        """Begin and end spans, and count."""
        do: Callable[[Key, SessionEvent, Endpoint], None] | None = getattr(self, f"_at_{event.kind}", None)
        if endpoint is not None and do is not None:
            do(key, event, endpoint)
        elif event.kind == "token_failed":
            self._failures.add(1, {"error.type": event.cause or "token_unavailable", "mailbearer.stage": "token"})
        elif event.kind in ("needs_user", "gave_up", "mistake"):
            self._stops.add(1, {**_attributes(endpoint), "error.type": event.cause or event.kind})

    def let_go(self, key: Key) -> None:
        """End the span of a session that the program is done with."""
        self._session_over(key, None)

    def closed(self, account: int) -> None:
        """End all that an account had under way."""
        with self._turn:
            attempts = [key for key in self._attempts if key[0] == account]
            sessions = [key for key in self._sessions if key[0] == account]
            spans = [self._attempts.pop(key)[0] for key in attempts]
        for span in spans:
            span.end()
        for key in sessions:
            self._session_over(key, None)

    # ---- What is made of it ----------------------------------------------------------------------------------------

    def _begun(self, key: Key, endpoint: Endpoint) -> Span:
        """Return the span of a login, begun if it is not yet."""
        with self._turn:
            if key not in self._attempts:
                attributes, kind = _attributes(endpoint), self._trace.SpanKind.CLIENT
                span = self._tracer.start_span("mailbearer.login", kind=kind, attributes=attributes)
                self._attempts[key] = span, time.monotonic(), attributes
            return self._attempts[key][0]

    def _at_connecting(self, key: Key, event: SessionEvent, endpoint: Endpoint) -> None:
        self._begun(key, endpoint)

    def _at_login_failed(self, key: Key, event: SessionEvent, endpoint: Endpoint) -> None:
        self._attempt_over(key, event.cause or "unrecognized")

    def _at_online(self, key: Key, event: SessionEvent, endpoint: Endpoint) -> None:
        self._attempt_over(key, None)
        attributes = _attributes(endpoint)
        span = self._tracer.start_span("mailbearer.session", kind=self._trace.SpanKind.CLIENT, attributes=attributes)
        with self._turn:
            self._sessions[key] = span, attributes
        self._online.add(1, attributes)

    def _at_renewing(self, key: Key, event: SessionEvent, endpoint: Endpoint) -> None:
        self._renewals.add(1, _attributes(endpoint))
        with self._turn:
            found = self._sessions.get(key)
        if found is not None:
            found[0].add_event("renewing")

    def _at_ended(self, key: Key, event: SessionEvent, endpoint: Endpoint) -> None:
        self._session_over(key, event.cause)

    def _attempt_over(self, key: Key, cause: str | None) -> None:
        with self._turn:
            found = self._attempts.pop(key, None)
        if found is not None:
            self._login_over(*found, cause)

    def _login_over(self, span: Span, began: float, attributes: dict[str, Any], cause: str | None) -> None:
        outcome = {**attributes, "mailbearer.outcome": "ok" if cause is None else "failed"}
        self._logins.add(1, outcome)
        self._duration.record(time.monotonic() - began, outcome)
        if cause is not None:
            self._mark(span, cause)
            self._failures.add(1, {**attributes, "error.type": cause, "mailbearer.stage": "login"})
        span.end()

    def _session_over(self, key: Key, cause: str | None) -> None:
        with self._turn:
            found = self._sessions.pop(key, None)
        if found is None:
            return
        span, attributes = found
        self._online.add(-1, attributes)
        if cause not in (None, "no_fault"):
            span.set_attribute("error.type", cause or "")
            self._failures.add(1, {**attributes, "error.type": cause or "", "mailbearer.stage": "session"})
        span.end()

    def _mark(self, span: Span, cause: str) -> None:
        span.set_attribute("error.type", cause)
        span.set_status(self._trace.StatusCode.ERROR, cause)


def _attributes(endpoint: Endpoint | None) -> dict[str, Any]:
    if endpoint is None:
        return {}
    return {
        "network.protocol.name": endpoint.protocol,
        "server.address": endpoint.host,
        "server.port": endpoint.port,
    }
