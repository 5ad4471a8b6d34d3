"""A span around every call. In the list of steps only where traces are on."""

from __future__ import annotations

import logging

from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.chain import CallResult
from sandbank_server.observability.traces import TRACEPARENT, TRACESTATE, Traces


class CallTrace:
    """Begins the span as a child of the client's, and gives the call a `traceparent` to hand on."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    def enter(self, call: CallContext) -> None:
        """Begin the span."""
        parent, state = call.metadata.get(TRACEPARENT, ""), call.metadata.get(TRACESTATE, "")
        opened = self._traces.begin_call(call.method, str(parent), str(state))
        call.traceparent = opened.traceparent
        call.keep(self, opened)

    def leave(self, call: CallContext, result: CallResult) -> None:
        """End it."""
        failure = result.failure
        self._traces.end_call(
            call.kept(self),
            int(result.code.value[0]),
            "" if failure is None else failure.reason,
            server_fault=failure is not None and failure.level >= logging.ERROR,
            request_id=call.request_id,
            tenant=call.tenant,
        )
