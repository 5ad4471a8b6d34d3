"""The one ordered list of steps around every call."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sandbank_server.grpc_api.chain import Step
from sandbank_server.grpc_api.metrics_step import CallMetrics
from sandbank_server.grpc_api.steps import Authentication, CallLog, CallsInFlight, DrainGate, RequestId
from sandbank_server.grpc_api.trace_step import CallTrace
from sandbank_server.observability.metrics import Metrics
from sandbank_server.observability.traces import Traces
from sandbank_server.tenants.resolver import TenantResolver


def standard_steps(
    *,
    new_id: Callable[[], str],
    metrics: Metrics,
    traces: Traces | None,
    log_level: str,
    tenants: TenantResolver,
    open_calls: int,
    gate: DrainGate,
) -> list[Step]:
    """Return the steps, outermost first: what observes before what refuses, so that refusals are seen."""
    level = logging.getLevelNamesMapping()[log_level.upper()]
    return [
        RequestId(new_id),
        *([CallTrace(traces)] if traces is not None else []),
        CallMetrics(metrics),
        CallLog(level),
        Authentication(tenants),
        CallsInFlight(open_calls),
        gate,
    ]
