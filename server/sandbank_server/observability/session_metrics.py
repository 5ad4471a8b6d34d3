"""What is counted of sessions, operations and interpreters."""

from __future__ import annotations

import re
from collections.abc import Callable

from prometheus_client import Counter, Histogram
from sandbank.v1 import execution_pb2, transaction_pb2

from sandbank_server.observability.metrics import Metrics

_SIGNAL = re.compile(r"SIG[A-Z0-9]{2,10}")
_CAUSES = ("out of memory", "exited", "timeout", "cancel")

_CAUSES_OF_CHECKPOINTS = ("asked", "policy")

_ENDS = (
    ("session ended", "session ended"),
    ("sandbox was lost", "sandbox lost"),
    ("interpreter died", "interpreter died"),
    ("idle", "idle"),
    ("reset", "reset"),
    ("rewind", "rewind"),
    ("rollback", "rolled back"),
)
"""Words of a reason, which may come from a sandbox, and the few labels that stand for them."""

_ROLLED_BACK = execution_pb2.Operation.OUTCOME_ROLLED_BACK
_OWN_ROLLBACK = (
    transaction_pb2.TX_POLICY_COMMIT_ON_SUCCESS,
    transaction_pb2.TX_POLICY_ROLLBACK_ON_FAILURE,
)

SpanMaker = Callable[[execution_pb2.Operation, str], None]


class SessionMetrics:
    """Implements ``sessions.ports.SessionObserver``."""

    def __init__(self, metrics: Metrics, make_span: SpanMaker | None = None) -> None:
        self._metrics = metrics
        self._make_span = make_span
        self._finished: dict[tuple[str, int, int, int], tuple[Counter, Counter, Histogram]] = {}

    def operation_finished(self, tenant: str, operation: execution_pb2.Operation, traceparent: str) -> None:
        """Count an operation that ended, and make its span when traces are on."""
        key = (tenant, operation.state, operation.outcome, operation.tx_policy)
        found = self._finished.get(key)
        if found is None:
            found = self._finished[key] = self._children(tenant, operation)
        count, outcomes, seconds = found
        count.inc()
        outcomes.inc()
        wall = operation.usage.wall_time
        seconds.observe(max(0.0, wall.seconds + wall.nanos / 1e9))
        if operation.outcome == _ROLLED_BACK and operation.tx_policy in _OWN_ROLLBACK:
            self.rolled_back(tenant, "operation")
        if operation.dropped_output_bytes > 0:
            self._metrics.dropped_output_bytes.inc(operation.dropped_output_bytes)
        if self._make_span is not None:
            self._make_span(operation, traceparent)

    def _children(
        self, tenant: str, operation: execution_pb2.Operation
    ) -> tuple[Counter, Counter, Histogram]:
        """Return the metrics of a state, outcome and policy; looking them up costs more than counting."""
        names = execution_pb2.Operation
        state = names.State.Name(operation.state).removeprefix("STATE_").lower()
        outcome = names.Outcome.Name(operation.outcome).removeprefix("OUTCOME_").lower()
        chosen = operation.tx_policy or transaction_pb2.TX_POLICY_NONE
        policy = transaction_pb2.TxPolicy.Name(chosen).removeprefix("TX_POLICY_").lower()
        metrics = self._metrics
        return (
            metrics.operations.labels(tenant, state, outcome),
            metrics.operation_outcomes.labels(tenant, policy, outcome),
            metrics.operation_seconds.labels(tenant, state),
        )

    def transaction_ended(self, tenant: str, *, committed: bool, reason: str) -> None:
        """Count a transaction by how it ended."""
        how = "committed" if committed else next((name for word, name in _ENDS if word in reason), "other")
        self._metrics.transactions.labels(tenant, how).inc()
        if not committed:
            self.rolled_back(tenant, "transaction")

    def rolled_back(self, tenant: str, cause: str) -> None:
        """Count a return to an earlier state."""
        self._metrics.rollbacks.labels(tenant, cause).inc()

    def interpreter_crashed(self, tenant: str, reason: str) -> None:
        """Count an interpreter that was replaced, by a cause of a bounded set: the text came from a sandbox."""
        self._metrics.interpreter_crashes.labels(tenant, cause_of(reason)).inc()

    def link_lost(self, tenant: str, *, found_again: bool) -> None:
        """Count a link that broke and was mended, or not."""
        if found_again:
            self._metrics.link_reconnects.inc()
        else:
            self._metrics.link_faults.labels("lost").inc()

    def checkpoint_made(self, tenant: str, *, automatic: bool, seconds: float, new_bytes: int) -> None:
        """Count a checkpoint that is durable."""
        self._metrics.checkpoints.labels(tenant, _CAUSES_OF_CHECKPOINTS[automatic], "durable").inc()
        self._metrics.checkpoint_seconds.labels(tenant).observe(max(0.0, seconds))
        self._metrics.checkpoint_new_bytes.labels(tenant).inc(max(0, new_bytes))

    def checkpoint_failed(self, tenant: str, *, automatic: bool, reason: str) -> None:
        """Count one that could not be made, by the API's reason."""
        self._metrics.checkpoints.labels(tenant, _CAUSES_OF_CHECKPOINTS[automatic], reason).inc()

    def came_to(self, tenant: str, what: str) -> None:
        """Count what became of a session."""
        self._metrics.session_changes.labels(tenant, what).inc()


def cause_of(reason: str) -> str:
    """Return the cause that a reason names: a signal, one of a few words, or ``other``."""
    for cause in _CAUSES:
        if cause in reason:
            return cause
    named = _SIGNAL.search(reason)
    return named.group() if named else "other"
