"""What operators do: resize, drain, look."""

from __future__ import annotations

import asyncio

import pytest
from sandbank_server.errors import BadFieldError, DrainingError
from sandbank_server.pool.settings import PoolSizes
from sandbank_server.pool.snapshots import PoolChange
from sandbank_server.pool.state import PoolState, SandboxState
from sandbank_server.pool.watch import KEPT_FOR_A_SLOW_WATCHER, Watch

from tests.fakes.clock import settle
from tests.unit.pool.conftest import Rig


async def test_a_larger_pool_fills(rig: Rig) -> None:
    """Growing takes effect at once."""
    manager = await rig.start(min_ready=1, max_total=2)
    told = await manager.resize("slim", 4, 8)
    assert (told.min_ready, told.max_total) == (4, 8)
    await rig.advance(1.0)
    assert rig.pool.ready_count == 4


async def test_a_smaller_pool_shrinks_but_never_ends_a_session(rig: Rig) -> None:
    """READY ones go at once; sessions stay, even over max_total."""
    manager = await rig.start(min_ready=4, max_total=8)
    leases = [await rig.acquire(f"ses-{number}") for number in range(3)]
    for lease in leases:
        lease.confirm()
    await rig.advance(1.0)
    await manager.resize("slim", 1, 2)
    await rig.advance(1.0)
    assert (rig.pool.assigned_count, rig.pool.ready_count) == (3, 0)
    assert rig.lost == []
    await manager.resize("slim", None, None)
    await rig.advance(1.0)
    assert rig.pool.ready_count == 4


async def test_shrinking_while_sandboxes_start_ends_those_starts(rig: Rig) -> None:
    """What is no longer wanted is cancelled in the middle of its start, and leaves nothing."""
    rig.runtime.gate.clear()
    manager = await rig.start(min_ready=4, max_total=6, max_starting=4)
    assert rig.pool.starting_count == 4
    await manager.resize("slim", 1, 1)
    await settle()
    assert rig.pool.starting_count == 1
    assert rig.runtime.launching == 1
    rig.runtime.gate.set()
    await rig.advance(1.0)
    assert len(rig.runtime.sandboxes) == 1


async def test_growing_while_sandboxes_start_keeps_the_bounds(rig: Rig) -> None:
    """Never more starts at once than allowed, whatever the sizes."""
    rig.runtime.gate.clear()
    manager = await rig.start(min_ready=1, max_total=6, max_starting=2)
    await manager.resize("slim", 6, 6)
    await settle()
    assert rig.runtime.launching == 2
    rig.runtime.gate.set()
    await rig.advance(1.0)
    assert rig.runtime.most_launching == 2
    assert rig.pool.ready_count == 6


@pytest.mark.parametrize(
    ("min_ready", "max_total", "field"), [(-1, 5, "min_ready"), (3, 2, "min_ready"), (0, 0, "max_total")]
)
async def test_sizes_that_contradict_each_other_change_nothing(
    rig: Rig, min_ready: int, max_total: int, field: str
) -> None:
    """BAD_FIELD names the field."""
    manager = await rig.start()
    with pytest.raises(BadFieldError) as told:
        await manager.resize("slim", min_ready, max_total)
    assert told.value.violations[0].path == field
    assert (rig.pool.min_ready, rig.pool.max_total) == (2, 6)


@pytest.mark.parametrize("sizes", [{"max_starting": 0}, {"max_waiting": -1}])
def test_sizes_are_checked(sizes: dict[str, int]) -> None:
    """A pool that could start nothing is a mistake of the configuration."""
    with pytest.raises(BadFieldError):
        PoolSizes(1, 2, **sizes)


async def test_surplus_goes_after_a_while(rig: Rig) -> None:
    """Started for a caller that left: kept for the next for a moment, not for ever."""
    rig.runtime.gate.clear()
    await rig.start(min_ready=0)
    waiter = rig.begin()
    await settle()
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    rig.runtime.gate.set()
    await rig.advance(10.0)
    assert rig.pool.ready_count == 1
    await rig.advance(10.0)
    assert rig.pool.ready_count == 0


async def test_refilling_leaves_a_burst_alone(rig: Rig) -> None:
    """While acquisitions come thick and fast nothing is started, but not for ever."""
    await rig.start(min_ready=20, max_total=60, max_starting=4)
    launched = rig.runtime.calls["launch"]
    for number in range(8):
        (await rig.acquire(f"ses-{number}")).confirm()
        await rig.advance(0.045, step=0.045)
    assert rig.runtime.calls["launch"] == launched
    for number in range(8, 12):
        (await rig.acquire(f"ses-{number}")).confirm()
        await rig.advance(0.045, step=0.045)
    assert rig.runtime.calls["launch"] > launched
    await rig.advance(1.0)
    assert rig.pool.ready_count == 20


async def test_draining_refuses_and_keeps_sessions(rig: Rig) -> None:
    """Callers are told DRAINING, waiting ones too; what no session has is destroyed, sessions run on."""
    manager = await rig.start(min_ready=1, max_total=2)
    lease = await rig.acquire("ses-1")
    lease.confirm()
    rig.runtime.gate.clear()
    await rig.advance(1.0)
    waiters = [rig.begin(f"ses-{number}") for number in (2, 3)]
    await settle()
    await manager.drain()
    for waiter in waiters:
        if not waiter.cancelled() and waiter.exception() is not None:
            assert isinstance(waiter.exception(), DrainingError)
    with pytest.raises(DrainingError):
        await rig.acquire("ses-4")
    assert rig.pool.state is PoolState.DRAINING
    assert set(rig.runtime.sandboxes) == {lease.sandbox_id}
    manager.check_invariants()
    await manager.drain(end_sessions=True)
    assert rig.runtime.sandboxes == {}
    assert rig.lost == []
    rig.started = False


async def test_draining_while_sandboxes_start_leaves_nothing_of_them(rig: Rig) -> None:
    """Starts are cancelled and destroyed; drain returns when that is done."""
    rig.runtime.gate.clear()
    manager = await rig.start(min_ready=3)
    assert rig.pool.starting_count == 3
    await manager.drain()
    assert (rig.pool.starting_count, rig.pool.retiring_count) == (0, 0)
    assert rig.runtime.sandboxes == {}
    assert rig.runtime.launching == 0
    manager.check_invariants()
    rig.started = False


async def test_draining_does_not_wait_for_an_ill_runtime_for_ever(rig: Rig) -> None:
    """It gives up and says so: the next start removes what is left."""
    manager = await rig.start(min_ready=2)
    rig.runtime.destroy_gate.clear()
    draining = asyncio.create_task(manager.drain())
    await rig.advance(29.0)
    assert not draining.done()
    await rig.advance(2.0)
    assert await draining is False
    rig.runtime.destroy_gate.set()
    await rig.advance(30.0)
    assert await manager.drain() is True
    assert rig.runtime.sandboxes == {}
    manager.check_invariants()
    rig.started = False


async def test_closing_without_draining_lets_sandboxes_run_on(rig: Rig) -> None:
    """The next control plane finds them; callers that wait are refused, links end."""
    manager = await rig.start(min_ready=1, max_total=1)
    lease = await rig.acquire("ses-1")
    lease.confirm()
    waiter = rig.begin("ses-2")
    await settle()
    await manager.close()
    await manager.close()
    with pytest.raises(DrainingError):
        await waiter
    with pytest.raises(DrainingError):
        await rig.acquire("ses-3")
    assert set(rig.runtime.sandboxes) == {lease.sandbox_id}
    assert lease.link.closed.is_set()
    assert rig.lost == []
    manager.check_invariants()
    rig.started = False


async def test_closing_ends_starts_that_ignore_it_no_sooner_than_its_patience(rig: Rig) -> None:
    """A launch that was cancelled by closing leaves nothing, as the runtime promises."""
    rig.runtime.gate.clear()
    manager = await rig.start(min_ready=2)
    await manager.close()
    assert rig.runtime.launching == 0
    assert rig.runtime.sandboxes == {}
    rig.started = False


async def test_snapshots_tell_what_there_is(rig: Rig) -> None:
    """The fields of Pool and Sandbox."""
    manager = await rig.start(min_ready=2)
    lease = await rig.acquire("ses-1")
    lease.confirm()
    rig.runtime.gate.clear()
    await rig.advance(1.0)
    pool = manager.pool("slim")
    assert (pool.template, pool.ready_count, pool.assigned_count) == ("slim", 1, 1)
    assert (pool.starting_count, pool.started_count, pool.failed_count) == (1, 2, 0)
    assert pool.start_time_p50 == 0.0
    (taken,) = [each for each in manager.sandboxes("slim") if each.state is SandboxState.ASSIGNED]
    assert (taken.sandbox_id, taken.session_id) == (lease.sandbox_id, "ses-1")
    assert (rig.clock.now() - taken.create_time).total_seconds() == pytest.approx(1.0)


async def test_start_time_p50_is_the_median_of_recent_starts(rig: Rig) -> None:
    """From the decision to the runner's Hello."""
    rig.runtime.gate.clear()
    await rig.start(min_ready=1)
    rig.clock.advance(3.0)
    rig.runtime.gate.set()
    await settle()
    assert rig.pool.start_time_p50 == pytest.approx(3.0)


async def take(watch: Watch, count: int) -> list[PoolChange]:
    """Return the next changes."""
    return [await anext(watch) for _ in range(count)]


async def test_watchers_see_what_happens_from_the_call_on(rig: Rig) -> None:
    """A sandbox's life in order; ends when the pools close."""
    manager = rig.make(min_ready=1, max_total=1)
    watch = manager.watch("slim")
    await manager.start()
    await settle()
    changes = await take(watch, 4)
    assert [(change.sandbox.state if change.sandbox else None) for change in changes] == [
        None,
        SandboxState.STARTING,
        SandboxState.READY,
        None,
    ]
    assert changes[-1].pool.state is PoolState.HEALTHY
    await manager.drain()
    await manager.close()
    rest = [change async for change in watch]
    assert rest[-1].sandbox is None or rest[-1].sandbox.state is SandboxState.GONE


async def test_a_watcher_that_does_not_read_costs_little_and_misses_the_oldest(rig: Rig) -> None:
    """The queue is bounded, and nobody waits for it."""
    manager = await rig.start(min_ready=1, max_total=4)
    watch = manager.watch()
    for number in range(200):
        lease = await rig.acquire(f"ses-{number}")
        await lease.release("changed my mind")
    assert len(watch._changes) == KEPT_FOR_A_SLOW_WATCHER
    newest = watch._changes[-1]
    changes = await take(watch, KEPT_FOR_A_SLOW_WATCHER)
    assert changes[-1] is newest


async def test_a_watch_that_nobody_holds_is_forgotten(rig: Rig) -> None:
    """Cancelled streams drop their watch without a word."""
    manager = await rig.start(min_ready=1)
    watch = manager.watch("slim")
    assert manager._watchers.wanted("slim")
    del watch
    assert not manager._watchers.wanted("slim")
