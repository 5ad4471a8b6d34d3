"""OpenTelemetry spans: one for each call, one for each operation. Off unless an endpoint is configured.

Off means that nothing of OpenTelemetry is imported and no step runs. The span of an operation is made
here once the operation has finished, from the times that its record gives: so nothing inside a sandbox
needs a way out.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from sandbank.v1 import execution_pb2

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
_FLUSH_SECONDS = 5.0
_DAY_NS = 24 * 3600 * 10**9
_NANOSECONDS_END = 2**63 - 1


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """A span that has begun, and what to hand on so that others become its children."""

    span: Any
    traceparent: str


class Traces:
    """Makes spans and sends them in the background. Make it only where traces are on."""

    def __init__(self, exporter: SpanExporter, *, version: str = "") -> None:
        from opentelemetry import trace  # noqa: PLC0415 - slow to import, and off for most
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        resource = Resource.create({"service.name": "sandbank", "service.version": version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("sandbank")
        self._propagator = TraceContextTextMapPropagator()
        self._trace = trace

    def begin_call(self, method: str, traceparent: str, tracestate: str = "") -> OpenSpan:
        """Begin the span of a call; ``method`` is the full one. A parent that is none is ignored."""
        service, _, name = method.removeprefix("/").rpartition("/")
        span = self._tracer.start_span(
            f"{service}/{name}",
            context=self._parent(traceparent, tracestate),
            kind=self._trace.SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
        )
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, context=self._trace.set_span_in_context(span))
        return OpenSpan(span, carrier.get(TRACEPARENT, ""))

    def end_call(self, opened: OpenSpan, code: int, reason: str, *, server_fault: bool, **ids: str) -> None:
        """End the span of a call with its gRPC status and, where it failed, the reason."""
        span = opened.span
        span.set_attribute("rpc.grpc.status_code", code)
        span.set_attributes({f"sandbank.{name}": value for name, value in ids.items() if value})
        if reason:
            span.set_attribute("sandbank.reason", reason)
        if server_fault:
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, reason))
        span.end()

    def operation_span(self, operation: execution_pb2.Operation, traceparent: str) -> None:
        """Make the span of an operation that has finished, a child of the call that asked for it."""
        start = _nanoseconds(operation.start_time) or _nanoseconds(operation.create_time)
        end = _nanoseconds(operation.end_time)
        if not start or not start <= end <= start + _DAY_NS:
            return  # the times came from the sandbox, and make no sense
        state = execution_pb2.Operation.State.Name(operation.state)
        span = self._tracer.start_span(
            "sandbank.operation",
            context=self._parent(traceparent, ""),
            start_time=start,
            attributes={
                "sandbank.session_id": operation.session_id,
                "sandbank.operation_id": operation.operation_id,
                "sandbank.state": state,
                "sandbank.outcome": execution_pb2.Operation.Outcome.Name(operation.outcome),
                "sandbank.peak_memory_bytes": operation.usage.peak_memory_bytes,
                "sandbank.output_bytes": operation.output_bytes,
            },
        )
        if operation.state != execution_pb2.Operation.STATE_SUCCEEDED:
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, state))
        span.end(end_time=end)

    async def close(self) -> None:
        """Send what is left, for a few seconds at most. Idempotent."""
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                await asyncio.to_thread(self._provider.shutdown)
        except TimeoutError:
            pass

    def _parent(self, traceparent: str, tracestate: str) -> Any:
        if not traceparent:
            return None
        return self._propagator.extract({TRACEPARENT: traceparent, TRACESTATE: tracestate})


def open_traces(endpoint: str, *, version: str) -> Traces | None:
    """Return what sends spans as OTLP over gRPC to ``http://HOST:PORT`` (``https://``: TLS); None when off."""
    if not endpoint:
        return None
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    return Traces(
        OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https://")), version=version
    )


def _nanoseconds(time: Timestamp) -> int:
    value = time.seconds * 10**9 + time.nanos
    return value if 0 < value <= _NANOSECONDS_END else 0
