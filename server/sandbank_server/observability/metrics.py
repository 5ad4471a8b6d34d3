"""Every metric, in one place: names, labels, buckets.

Names and labels are an interface to dashboards and alerts: change them as carefully as an API. Labels
come from small closed sets (states, reasons, templates, RPC names), never from a client, or one client
could fill the memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_CALLS: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 60)
_STARTS: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60)
_WAITS: Final = (0.0005, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60)
_OPERATIONS: Final = (0.0005, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 60, 300, 3600)


class Metrics:
    """The metrics of one control plane, in a registry of their own. Thread-safe."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._define_calls()
        self._define_pool()
        self._define_sessions()
        self._rpc_cache: dict[tuple[str, str], Histogram] = {}

    def _define_calls(self) -> None:
        registry = self.registry
        self.rpc_seconds = Histogram(
            "sandbank_rpc_seconds",
            "Time from a call's arrival to its end, streams included.",
            ["method", "code"],
            buckets=_CALLS,
            registry=registry,
        )
        self.rpc_open = Gauge("sandbank_rpc_open", "Calls that are open.", registry=registry)
        self.errors = Counter(
            "sandbank_errors", "Calls that failed, by reason of the API.", ["reason"], registry=registry
        )

    def _define_pool(self) -> None:
        registry = self.registry
        self.pool_sandboxes = Gauge(
            "sandbank_pool_sandboxes", "Sandboxes now.", ["template", "state"], registry=registry
        )
        self.pool_waiting = Gauge(
            "sandbank_pool_waiting", "Callers that wait for a sandbox.", ["template"], registry=registry
        )
        self.pool_state = Gauge(
            "sandbank_pool_state",
            "1 for the state that the pool is in.",
            ["template", "state"],
            registry=registry,
        )
        self.pool_wait_seconds = Histogram(
            "sandbank_pool_wait_seconds",
            "Time that a caller waited for a sandbox, by what came of it.",
            ["template", "outcome"],
            buckets=_WAITS,
            registry=registry,
        )
        self.sandbox_start_seconds = Histogram(
            "sandbank_sandbox_start_seconds",
            "Time from the decision to start a sandbox until it was ready.",
            ["template"],
            buckets=_STARTS,
            registry=registry,
        )
        self.sandbox_start_failures = Counter(
            "sandbank_sandbox_start_failures",
            "Sandboxes that did not become ready.",
            ["template"],
            registry=registry,
        )
        self.sandbox_exits = Counter(
            "sandbank_sandbox_exits",
            "Sandboxes that died by themselves.",
            ["template", "cause"],
            registry=registry,
        )

    def _define_sessions(self) -> None:
        registry = self.registry
        self.sessions = Gauge("sandbank_sessions", "Sessions, by state.", ["state"], registry=registry)
        self.operations = Counter(
            "sandbank_operations",
            "Operations that finished.",
            ["tenant", "state", "outcome"],
            registry=registry,
        )
        self.operation_outcomes = Counter(
            "sandbank_operation_outcomes",
            "What became of the effects of operations when they finished, by their policy.",
            ["tenant", "policy", "outcome"],
            registry=registry,
        )
        self.transactions = Counter(
            "sandbank_transactions",
            "Explicit transactions that ended, by how.",
            ["tenant", "end"],
            registry=registry,
        )
        self.transactions_open = Gauge(
            "sandbank_transactions_open", "Explicit transactions that are open.", registry=registry
        )
        self.rollbacks = Counter(
            "sandbank_rollbacks",
            "Returns of a session to an earlier state that were asked for: by an operation's policy, with a "
            "transaction, by a rewind.",
            ["tenant", "cause"],
            registry=registry,
        )
        self.operation_seconds = Histogram(
            "sandbank_operation_seconds",
            "Wall time of operations in the interpreter.",
            ["tenant", "state"],
            buckets=_OPERATIONS,
            registry=registry,
        )
        self.interpreter_crashes = Counter(
            "sandbank_interpreter_crashes",
            "Interpreters that died, by cause.",
            ["tenant", "cause"],
            registry=registry,
        )
        self._define_states()
        self.link_reconnects = Counter(
            "sandbank_link_reconnects", "Connections to supervisors made again.", registry=registry
        )
        self.link_faults = Counter(
            "sandbank_link_faults",
            "What came from a sandbox and was refused, by kind.",
            ["kind"],
            registry=registry,
        )
        self.dropped_output_bytes = Counter(
            "sandbank_dropped_output_bytes", "Output beyond what is kept for an operation.", registry=registry
        )

    def _define_states(self) -> None:
        registry = self.registry
        self.checkpoints = Counter(
            "sandbank_checkpoints",
            "Checkpoints that were durable, or could not be made and why, by who asked for them.",
            ["tenant", "cause", "end"],
            registry=registry,
        )
        self.checkpoint_seconds = Histogram(
            "sandbank_checkpoint_seconds",
            "Time from the beginning of a checkpoint until it was durable.",
            ["tenant"],
            buckets=_OPERATIONS,
            registry=registry,
        )
        self.checkpoint_new_bytes = Counter(
            "sandbank_checkpoint_new_bytes", "Content that the store lacked.", ["tenant"], registry=registry
        )
        self.session_changes = Counter(
            "sandbank_session_changes",
            "Sessions that were recovered, woken or hibernated, or could not be, or crashed.",
            ["tenant", "change"],
            registry=registry,
        )

    def observe_rpc(self, method: str, code: str, seconds: float) -> None:
        """Count one call. ``method`` must be one that is bound: it becomes a label."""
        key = (method, code)
        child = self._rpc_cache.get(key)
        if child is None:
            child = self._rpc_cache[key] = self.rpc_seconds.labels(*key)
        child.observe(seconds)

    def set_states(self, gauge: Gauge, counts: Mapping[str, float], **labels: str) -> None:
        """Set a gauge with a label ``state`` for each of the states given."""
        for state, count in counts.items():
            gauge.labels(**labels, state=state).set(count)

    def text(self) -> bytes:
        """Return all metrics as Prometheus reads them."""
        return bytes(generate_latest(self.registry))
