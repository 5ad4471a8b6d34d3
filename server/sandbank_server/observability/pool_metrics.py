"""What is counted of pools, and the gauges that are read from them when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from sandbank.v1 import session_pb2

from sandbank_server.observability.metrics import Metrics
from sandbank_server.pool.snapshots import PoolSnapshot
from sandbank_server.pool.state import PoolState, SandboxState

_CAUSES = ("out of memory", "protocol", "killed", "exit")


class PoolMetrics:
    """Implements ``pool.observer.PoolObserver``."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def sandbox_started(self, template: str, seconds: float) -> None:
        """Observe how long a start took."""
        self._metrics.sandbox_start_seconds.labels(template).observe(seconds)

    def start_failed(self, template: str) -> None:
        """Count a failed start."""
        self._metrics.sandbox_start_failures.labels(template).inc()

    def sandbox_lost(self, template: str, state: SandboxState, reason: str) -> None:
        """Count a death, by a cause of a bounded set."""
        cause = next((cause for cause in _CAUSES if cause in reason), "other")
        self._metrics.sandbox_exits.labels(template, cause).inc()

    def waited(self, template: str, seconds: float, outcome: str) -> None:
        """Observe how long a caller waited."""
        self._metrics.pool_wait_seconds.labels(template, outcome).observe(seconds)


def refresh_gauges(metrics: Metrics, pools: Sequence[PoolSnapshot], session_states: Sequence[int]) -> None:
    """Set the gauges to what is now; called before each scrape."""
    for pool in pools:
        counts = {
            "starting": pool.starting_count,
            "ready": pool.ready_count,
            "assigned": pool.assigned_count,
            "retiring": pool.retiring_count,
        }
        metrics.set_states(metrics.pool_sandboxes, counts, template=pool.template)
        metrics.pool_waiting.labels(pool.template).set(pool.waiting_count)
        states = {state.name.lower(): float(state is pool.state) for state in PoolState}
        metrics.set_states(metrics.pool_state, states, template=pool.template)
    kinds, names = session_pb2.Session, session_pb2.Session.State
    live = (kinds.STATE_ACTIVE, kinds.STATE_IDLE, kinds.STATE_CRASHED, kinds.STATE_HIBERNATED)
    by_name = {
        names.Name(state).removeprefix("STATE_").lower(): float(session_states.count(state)) for state in live
    }
    metrics.set_states(metrics.sessions, by_name)
