"""Metrics: what is counted, and the port that shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2
from sandbank_server.listen import ListenError
from sandbank_server.observability.metrics import Metrics
from sandbank_server.observability.metrics_server import MetricsServer
from sandbank_server.observability.pool_metrics import PoolMetrics, refresh_gauges
from sandbank_server.observability.session_metrics import SessionMetrics
from sandbank_server.pool.snapshots import PoolSnapshot
from sandbank_server.pool.state import PoolState, SandboxState


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A running metrics port."""
    server = MetricsServer(Metrics())
    yield await server.start("127.0.0.1:0")
    await server.close()


async def ask(port: int, raw: bytes) -> bytes:
    """Send bytes, return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    answer = await reader.read()
    writer.close()
    return answer


async def test_prometheus_can_scrape(port: int) -> None:
    """The usual GET gets the metrics, with their type and length."""
    head, _, body = (await ask(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"# TYPE sandbank_rpc_seconds histogram" in body
    assert b"process_resident_memory_bytes" in body


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /healthz HTTP/1.1", b"200"),
        (b"HEAD /metrics HTTP/1.1", b"200"),
        (b"GET /metrics?name=x HTTP/1.0", b"200"),
        (b"GET /secrets HTTP/1.1", b"404"),
        (b"POST /metrics HTTP/1.1", b"405"),
        (b"nonsense", b"405"),
    ],
)
async def test_only_what_is_there_is_answered(port: int, request_line: bytes, status: bytes) -> None:
    """Anything else gets a status, never a traceback."""
    answer = await ask(port, request_line + b"\r\n\r\n")
    assert answer.split(b" ")[1] == status
    if request_line.startswith(b"HEAD"):
        assert answer.endswith(b"\r\n\r\n")


async def test_a_flood_without_an_end_is_cut_off(port: int) -> None:
    """A request has 16 KiB; nothing piles up."""
    try:
        answer = await ask(port, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000)
    except ConnectionError:
        answer = b""
    assert answer == b""


async def test_a_taken_port_is_a_clear_error(port: int) -> None:
    """It names the address."""
    with pytest.raises(ListenError, match=f"cannot serve metrics on 127.0.0.1:{port}"):
        await MetricsServer(Metrics()).start(f"127.0.0.1:{port}")


async def test_closing_ends_open_connections() -> None:
    """Also those that never say anything."""
    server = MetricsServer(Metrics())
    port = await server.start("127.0.0.1:0")
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET")
    await writer.drain()
    await asyncio.wait_for(server.close(), 5)
    writer.close()


def test_gauges_are_read_when_asked_for() -> None:
    """Sizes by state, waiting callers, sessions, and a 1 for the state that the pool is in."""
    metrics = Metrics()
    pool = PoolSnapshot(
        template="slim",
        state=PoolState.DEGRADED,
        degraded_reason="",
        min_ready=1,
        max_total=9,
        starting_count=1,
        ready_count=2,
        assigned_count=3,
        retiring_count=4,
        waiting_count=5,
        started_count=6,
        failed_count=7,
        start_time_p50=0.2,
    )
    states = [
        session_pb2.Session.STATE_ACTIVE,
        session_pb2.Session.STATE_ACTIVE,
        session_pb2.Session.STATE_CRASHED,
    ]
    refresh_gauges(metrics, [pool], states)
    text = metrics.text().decode()
    assert 'sandbank_pool_sandboxes{state="ready",template="slim"} 2.0' in text
    assert 'sandbank_pool_sandboxes{state="retiring",template="slim"} 4.0' in text
    assert 'sandbank_pool_waiting{template="slim"} 5.0' in text
    assert 'sandbank_pool_state{state="degraded",template="slim"} 1.0' in text
    assert 'sandbank_pool_state{state="healthy",template="slim"} 0.0' in text
    assert 'sandbank_sessions{state="active"} 2.0' in text
    assert 'sandbank_sessions{state="idle"} 0.0' in text


def test_what_pools_report_is_counted() -> None:
    """Causes come from a bounded set, whatever a sandbox says of its death."""
    metrics = Metrics()
    counted = PoolMetrics(metrics)
    counted.sandbox_started("slim", 0.3)
    counted.start_failed("slim")
    counted.sandbox_lost("slim", SandboxState.READY, "out of memory")
    counted.sandbox_lost("slim", SandboxState.READY, '"} forged 1\n')
    counted.waited("slim", 0.001, "granted")
    text = metrics.text().decode()
    assert 'sandbank_sandbox_start_seconds_count{template="slim"} 1.0' in text
    assert 'sandbank_sandbox_start_failures_total{template="slim"} 1.0' in text
    assert 'sandbank_sandbox_exits_total{cause="out of memory",template="slim"} 1.0' in text
    assert 'sandbank_sandbox_exits_total{cause="other",template="slim"} 1.0' in text
    assert 'sandbank_pool_wait_seconds_count{outcome="granted",template="slim"} 1.0' in text
    assert "forged" not in text


def operation(outcome: int, policy: int = 0) -> execution_pb2.Operation:
    """Return an operation that ended."""
    return execution_pb2.Operation(
        state=execution_pb2.Operation.STATE_FAILED, outcome=outcome, tx_policy=policy
    )


def test_outcomes_are_counted_by_policy_and_transactions_by_their_end() -> None:
    """Of an end only words that are known become a label, whatever a sandbox says; a rollback is counted once."""
    metrics = Metrics()
    counted = SessionMetrics(metrics)
    counted.operation_finished("default", operation(execution_pb2.Operation.OUTCOME_PARTIAL), "")
    savepoint = transaction_pb2.TX_POLICY_ROLLBACK_ON_FAILURE
    counted.operation_finished(
        "default", operation(execution_pb2.Operation.OUTCOME_ROLLED_BACK, savepoint), ""
    )
    counted.transaction_ended("default", committed=True, reason="commit")
    reasons = ("rollback", "idle for too long", "the interpreter died (x)", '"} forged 1\n')
    ours = ("the sandbox was lost: the sandbox died", "the session ended: it was idle for too long")
    for reason in (*reasons, *ours):
        counted.transaction_ended("default", committed=False, reason=reason)
    counted.rolled_back("default", "rewind")
    text = metrics.text().decode()
    outcomes = "sandbank_operation_outcomes_total"
    assert f'{outcomes}{{outcome="partial",policy="none",tenant="default"}} 1.0' in text
    assert f'{outcomes}{{outcome="rolled_back",policy="rollback_on_failure",tenant="default"}} 1.0' in text
    ends = ("committed", "rolled back", "idle", "interpreter died", "other", "sandbox lost", "session ended")
    for end in ends:
        assert f'sandbank_transactions_total{{end="{end}",tenant="default"}} 1.0' in text
    for cause, count in (("operation", 1), ("transaction", 6), ("rewind", 1)):
        assert f'sandbank_rollbacks_total{{cause="{cause}",tenant="default"}} {count}.0' in text


def test_checkpoints_are_counted_by_who_asked_and_what_came_of_it() -> None:
    """With their time and what they cost; what became of sessions is counted beside."""
    metrics = Metrics()
    counted = SessionMetrics(metrics)
    counted.checkpoint_made("default", automatic=True, seconds=0.02, new_bytes=500)
    counted.checkpoint_made("default", automatic=False, seconds=0.03, new_bytes=0)
    counted.checkpoint_failed("default", automatic=True, reason="STORE_UNAVAILABLE")
    counted.came_to("default", "recovered")
    text = metrics.text().decode()
    for cause, end in (("policy", "durable"), ("asked", "durable"), ("policy", "STORE_UNAVAILABLE")):
        assert f'sandbank_checkpoints_total{{cause="{cause}",end="{end}",tenant="default"}} 1.0' in text
    assert 'sandbank_checkpoint_seconds_count{tenant="default"} 2.0' in text
    assert 'sandbank_checkpoint_new_bytes_total{tenant="default"} 500.0' in text
    assert 'sandbank_session_changes_total{change="recovered",tenant="default"} 1.0' in text
