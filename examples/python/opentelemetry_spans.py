"""OpenTelemetry: spans of dials, logins and sessions, and metrics. Here they are printed; use exporters of your own."""

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

import mailbearer
import mailbearer.telemetry
from my_account import USER, at, get_access_token


def main(connections: int = 2) -> None:
    tracer, meter = TracerProvider(), MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())])
    tracer.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    mailbearer.telemetry.instrument(tracer_provider=tracer, meter_provider=meter)
    try:
        for connection in mailbearer.sessions("imap", USER, get_access_token, **at("imap")):
            with connection:
                connection.client.select("INBOX")
                connection.wait()
            if connection.generation == connections:
                break
    finally:
        mailbearer.telemetry.uninstrument()
        tracer.shutdown()
        meter.shutdown()


if __name__ == "__main__":
    main()
