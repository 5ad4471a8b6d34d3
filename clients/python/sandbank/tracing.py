"""Spans of OpenTelemetry round calls, where the program has set it up; nothing otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Metadata = list[tuple[str, str]]


def _tracer() -> Any:
    # A program with a tracer provider has imported opentelemetry itself: nobody else pays for the import.
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        return None
    return trace.get_tracer("sandbank")


@contextmanager
def client_span(service: str, method: str, metadata: Metadata) -> Iterator[Metadata]:
    """Open a client span and yield the metadata to send, with `traceparent` added where there is a span."""
    tracer = _tracer()
    if tracer is None:
        yield metadata
        return
    from opentelemetry import propagate, trace  # noqa: PLC0415 - only where the program uses it

    attributes = {"rpc.system": "grpc", "rpc.service": f"sandbank.v1.{service}", "rpc.method": method}
    span = tracer.start_span(
        f"sandbank.v1.{service}/{method}", kind=trace.SpanKind.CLIENT, attributes=attributes
    )
    carrier: dict[str, str] = {}
    # Never made the current span: a stream's generator is left and entered from contexts that are not its
    # own.
    propagate.inject(carrier, context=trace.set_span_in_context(span))
    try:
        yield metadata + list(carrier.items())
    except Exception as error:
        span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        span.end()
