"""What operators see of pools and sandboxes: values, taken at one moment."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import datetime, timedelta

from sandbank_server.pool.book import Book
from sandbank_server.pool.state import PoolState, SandboxRecord, SandboxState


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """One pool. ``start_time_p50``: median seconds of recent starts, 0 while there was none."""

    template: str
    state: PoolState
    degraded_reason: str
    min_ready: int
    max_total: int
    starting_count: int
    ready_count: int
    assigned_count: int
    retiring_count: int
    waiting_count: int
    started_count: int
    failed_count: int
    start_time_p50: float


@dataclass(frozen=True, slots=True)
class SandboxSnapshot:
    """One sandbox. ``memory_bytes`` is 0 where nobody has measured it."""

    sandbox_id: str
    template: str
    state: SandboxState
    session_id: str
    create_time: datetime
    reason: str
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PoolChange:
    """Something that happened: to ``sandbox``, or to the pool as a whole when that is None."""

    time: datetime
    pool: PoolSnapshot
    sandbox: SandboxSnapshot | None
    message: str


def snapshot_pool(book: Book) -> PoolSnapshot:
    """Return the pool as it is now."""
    state = book.state
    return PoolSnapshot(
        template=book.template,
        state=state,
        degraded_reason=book.health.problem if state is PoolState.DEGRADED else "",
        min_ready=book.sizes.min_ready,
        max_total=book.sizes.max_total,
        starting_count=book.count(SandboxState.STARTING),
        ready_count=book.count(SandboxState.READY),
        assigned_count=book.count(SandboxState.ASSIGNED),
        retiring_count=book.count(SandboxState.RETIRING),
        waiting_count=len(book.waiters),
        started_count=book.started_count,
        failed_count=book.failed_count,
        start_time_p50=statistics.median(book.start_times) if book.start_times else 0.0,
    )


def snapshot_sandbox(record: SandboxRecord, monotonic: float, now: datetime) -> SandboxSnapshot:
    """Return the sandbox as it is at ``now``, which is ``monotonic`` on the pool's scale."""
    assert record.state is not None
    return SandboxSnapshot(
        sandbox_id=record.sandbox_id,
        template=record.template,
        state=record.state,
        session_id=record.session_id,
        create_time=now - timedelta(seconds=monotonic - record.created_at),
        reason=record.reason,
    )
