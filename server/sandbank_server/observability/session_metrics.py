"""What is counted of sessions, operations and interpreters."""

from __future__ import annotations

import re
from collections.abc import Callable

from prometheus_client import Counter, Histogram
from sandbank.v1 import execution_pb2

from sandbank_server.observability.metrics import Metrics

_SIGNAL = re.compile(r"SIG[A-Z0-9]{2,10}")
_CAUSES = ("out of memory", "exited", "timeout", "cancel")

SpanMaker = Callable[[execution_pb2.Operation, str], None]


class SessionMetrics:
    """Implements ``sessions.ports.SessionObserver``."""

    def __init__(self, metrics: Metrics, make_span: SpanMaker | None = None) -> None:
        self._metrics = metrics
        self._make_span = make_span
        self._finished: dict[tuple[str, int, int], tuple[Counter, Histogram]] = {}

    def operation_finished(self, tenant: str, operation: execution_pb2.Operation, traceparent: str) -> None:
        """Count an operation that ended, and make its span when traces are on."""
        key = (tenant, operation.state, operation.outcome)
        found = self._finished.get(key)
        if found is None:
            found = self._finished[key] = self._children(tenant, operation)
        count, seconds = found
        count.inc()
        wall = operation.usage.wall_time
        seconds.observe(max(0.0, wall.seconds + wall.nanos / 1e9))
        if operation.dropped_output_bytes > 0:
            self._metrics.dropped_output_bytes.inc(operation.dropped_output_bytes)
        if self._make_span is not None:
            self._make_span(operation, traceparent)

    def _children(self, tenant: str, operation: execution_pb2.Operation) -> tuple[Counter, Histogram]:
        """Return counter and histogram of a state and outcome; looking them up costs more than counting."""
        names = execution_pb2.Operation
        state = names.State.Name(operation.state).removeprefix("STATE_").lower()
        outcome = names.Outcome.Name(operation.outcome).removeprefix("OUTCOME_").lower()
        metrics = self._metrics
        return metrics.operations.labels(tenant, state, outcome), metrics.operation_seconds.labels(
            tenant, state
        )

    def interpreter_crashed(self, tenant: str, reason: str) -> None:
        """Count an interpreter that was replaced, by a cause of a bounded set: the text came from a sandbox."""
        self._metrics.interpreter_crashes.labels(tenant, cause_of(reason)).inc()

    def link_lost(self, tenant: str, *, found_again: bool) -> None:
        """Count a link that broke and was mended, or not."""
        if found_again:
            self._metrics.link_reconnects.inc()
        else:
            self._metrics.link_faults.labels("lost").inc()


def cause_of(reason: str) -> str:
    """Return the cause that a reason names: a signal, one of a few words, or ``other``."""
    for cause in _CAUSES:
        if cause in reason:
            return cause
    named = _SIGNAL.search(reason)
    return named.group() if named else "other"
