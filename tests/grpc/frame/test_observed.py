"""What metrics and traces see of calls."""

from __future__ import annotations

import subprocess
import sys

import grpc
import grpc.aio
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sandbank.v1 import execution_pb2, session_pb2
from sandbank_server.errors import SessionNotFoundError
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.metrics_step import CallMetrics
from sandbank_server.grpc_api.trace_step import CallTrace
from sandbank_server.observability.metrics import Metrics
from sandbank_server.observability.traces import Traces, open_traces

from tests.grpc.frame.conftest import Serve

SESSIONS = session_pb2.DESCRIPTOR.services_by_name["SessionService"]
GET = "/sandbank.v1.SessionService/GetSession"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Sessions:
    """Knows one session."""

    async def GetSession(
        self, request: session_pb2.GetSessionRequest, call: CallContext
    ) -> session_pb2.GetSessionResponse:
        self.traceparent = call.traceparent
        if request.session_id == "bug":
            raise RuntimeError
        if request.session_id:
            raise SessionNotFoundError("no")
        return session_pb2.GetSessionResponse()


def get(session_id: str) -> bytes:
    """Return a request."""
    return session_pb2.GetSessionRequest(session_id=session_id).SerializeToString()


async def test_calls_are_counted_by_method_code_and_reason(serve: Serve) -> None:
    """A method that does not exist makes no label of its own."""
    metrics = Metrics()
    served = await serve({SESSIONS: Sessions()}, steps=[CallMetrics(metrics)])
    await served.unary(GET)(b"")
    for method, request in ((GET, get("x")), (GET, b"\xff"), ("/made.up/Method", b"")):
        with pytest.raises(grpc.aio.AioRpcError):
            await served.unary(method)(request)
    text = metrics.text().decode()
    assert f'sandbank_rpc_seconds_count{{code="OK",method="{GET}"}} 1.0' in text
    assert f'sandbank_rpc_seconds_count{{code="NOT_FOUND",method="{GET}"}} 1.0' in text
    assert f'sandbank_rpc_seconds_count{{code="INVALID_ARGUMENT",method="{GET}"}} 1.0' in text
    assert 'sandbank_errors_total{reason="SESSION_NOT_FOUND"} 1.0' in text
    assert 'sandbank_errors_total{reason="NOT_SUPPORTED"} 1.0' in text
    assert "sandbank_rpc_open 0.0" in text
    assert "made.up" not in text


async def test_a_call_is_a_span_below_the_clients(serve: Serve) -> None:
    """With the method, the status and the ids; an error only where it is the server's fault."""
    exporter = InMemorySpanExporter()
    traces = Traces(exporter)
    sessions = Sessions()
    served = await serve({SESSIONS: sessions}, steps=[CallTrace(traces)])
    await served.unary(GET)(b"", metadata=[("traceparent", PARENT)])
    assert sessions.traceparent.split("-")[1] == PARENT.split("-")[1]
    for session_id in ("x", "bug"):
        with pytest.raises(grpc.aio.AioRpcError):
            await served.unary(GET)(get(session_id), metadata=[("traceparent", "not one")])
    await traces.close()
    fine, missing, bug = exporter.get_finished_spans()
    assert fine.name == "sandbank.v1.SessionService/GetSession"
    assert fine.parent is not None
    assert f"{fine.parent.span_id:016x}" == PARENT.split("-")[2]
    assert fine.attributes is not None
    assert fine.attributes["rpc.grpc.status_code"] == 0
    assert fine.attributes["sandbank.tenant"] == "default"
    assert missing.parent is None
    assert missing.attributes is not None
    assert missing.attributes["sandbank.reason"] == "SESSION_NOT_FOUND"
    assert missing.status.is_ok or missing.status.is_unset
    assert not bug.status.is_ok
    assert bug.status.description == "BUG"


async def test_an_operation_is_a_span_with_the_runners_times() -> None:
    """A child of the call that asked for it; times that make no sense make no span."""
    exporter = InMemorySpanExporter()
    traces = Traces(exporter)
    operation = execution_pb2.Operation(
        session_id="ses-1", operation_id="op-1", state=execution_pb2.Operation.STATE_FAILED
    )
    traces.operation_span(operation, PARENT)
    operation.start_time.FromJsonString("2026-05-04T12:00:00.5Z")
    operation.end_time.FromJsonString("2026-05-04T12:00:00.25Z")
    traces.operation_span(operation, PARENT)
    operation.end_time.seconds = 2**62
    traces.operation_span(operation, PARENT)
    operation.end_time.FromJsonString("2026-05-04T12:00:01.75Z")
    traces.operation_span(operation, PARENT)
    await traces.close()
    [span] = exporter.get_finished_spans()
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time - span.start_time == 1_250_000_000
    assert span.attributes is not None
    assert span.attributes["sandbank.operation_id"] == "op-1"
    assert not span.status.is_ok
    assert span.parent is not None


def test_traces_that_are_off_cost_nothing() -> None:
    """No endpoint, no object; and nothing of OpenTelemetry is imported for the frame."""
    assert open_traces("", version="1") is None
    program = (
        "import sys, sandbank_server.grpc_api.standard_steps\n"
        "from sandbank_server.observability.traces import open_traces\n"
        "assert open_traces('', version='1') is None\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    path = f"import sys; sys.path[:] = {sys.path!r}\n"
    subprocess.run([sys.executable, "-c", path + program], check=True)
