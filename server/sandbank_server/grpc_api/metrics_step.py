"""Counts calls and measures how long they take."""

from __future__ import annotations

from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.chain import CallResult
from sandbank_server.observability.metrics import Metrics


class CallMetrics:
    """Latency by method and code, open calls, failures by reason."""

    def __init__(self, metrics: Metrics) -> None:
        self._observe = metrics.observe_rpc
        self._open = metrics.rpc_open
        self._errors = metrics.errors

    def enter(self, call: CallContext) -> None:
        """Count the call as open."""
        self._open.inc()

    def leave(self, call: CallContext, result: CallResult) -> None:
        """Observe it."""
        self._open.dec()
        self._observe(call.method, result.code.name, call.clock() - call.started)
        if result.failure is not None:
            self._errors.labels(result.failure.reason).inc()
