"""Handing a sandbox over: nothing may be lost, whoever goes away at whichever moment."""

from __future__ import annotations

import asyncio

import pytest
from sandbank_server.errors import (
    PoolQueueFullError,
    PoolTimeoutError,
    SandboxLostBeforeStartError,
    TemplateNotFoundError,
)
from sandbank_server.pool.state import SandboxState

from tests.fakes.clock import settle
from tests.unit.pool.conftest import Rig


async def test_a_ready_sandbox_is_handed_over_without_waiting(rig: Rig) -> None:
    """With something READY, acquiring runs through without giving the loop a turn."""
    await rig.start(min_ready=2)
    acquiring = rig.acquire()
    with pytest.raises(StopIteration) as done:
        acquiring.send(None)
    lease = done.value.value
    assert lease.sandbox_id == lease.link.sandbox_id
    assert (rig.pool.assigned_count, rig.pool.ready_count) == (1, 1)


async def test_the_pool_refills_what_was_taken(rig: Rig) -> None:
    """READY comes back to min_ready, with another sandbox."""
    await rig.start(min_ready=2)
    lease = await rig.acquire()
    lease.confirm()
    await rig.advance(1.0)
    assert rig.pool.ready_count == 2
    assert lease.sandbox_id not in rig.ids(SandboxState.READY)


async def test_first_come_first_served(rig: Rig) -> None:
    """Callers get their sandboxes in the order of their calls."""
    rig.runtime.gate.clear()
    await rig.start(min_ready=0, max_starting=1)
    order: list[int] = []

    async def one(number: int) -> None:
        lease = await rig.acquire(f"ses-{number}")
        lease.confirm()
        order.append(number)

    tasks = []
    for number in range(5):
        tasks.append(asyncio.create_task(one(number)))
        await settle(2)
    rig.runtime.gate.set()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_a_cancelled_waiter_leaves_the_queue(rig: Rig) -> None:
    """Cancelled while nothing is READY: the next in line gets what comes."""
    rig.runtime.gate.clear()
    await rig.start(min_ready=0)
    first, second = rig.begin("ses-1"), rig.begin("ses-2")
    await settle()
    first.cancel()
    await settle()
    assert rig.pool.waiting_count == 1
    rig.runtime.gate.set()
    assert (await second).session_id == "ses-2"
    assert first.cancelled()


async def test_a_waiter_cancelled_with_the_offer_in_hand_loses_no_sandbox(rig: Rig) -> None:
    """Woken, but cancelled before its task ran again: the sandbox goes to the next in line."""
    rig.runtime.gate.clear()
    await rig.start(min_ready=0, max_starting=1)
    first, second = rig.begin("ses-1"), rig.begin("ses-2")
    await settle()
    rig.runtime.gate.set()
    await rig.until_offered()
    offered = rig.ids(SandboxState.ASSIGNED)
    first.cancel()
    lease = await second
    assert first.cancelled()
    assert [lease.sandbox_id] == offered
    assert rig.runtime.calls["launch"] <= 2


async def test_an_only_waiter_cancelled_with_the_offer_in_hand_leaves_it_ready(rig: Rig) -> None:
    """Nobody else waits: the sandbox is READY again, not destroyed."""
    rig.runtime.gate.clear()
    await rig.start(min_ready=0)
    waiter = rig.begin()
    await settle()
    rig.runtime.gate.set()
    await rig.until_offered()
    waiter.cancel()
    await settle()
    assert (rig.pool.ready_count, rig.pool.assigned_count, rig.pool.retiring_count) == (1, 0, 0)


@pytest.mark.parametrize("turns", range(12))
async def test_a_waiter_cancelled_at_any_turn_of_the_loop_loses_nothing(rig: Rig, turns: int) -> None:
    """Whatever await the cancellation hits, every sandbox is READY or in a hand afterwards."""
    rig.runtime.gate.clear()
    await rig.start(min_ready=1, max_total=1)
    waiter = rig.begin()
    await settle()
    rig.runtime.gate.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    waiter.cancel()
    results = await asyncio.gather(waiter, return_exceptions=True)
    await settle()
    rig.manager.check_invariants()
    if isinstance(results[0], asyncio.CancelledError):
        assert rig.pool.ready_count == 1
    else:
        await results[0].release("the test has it")
        assert rig.pool.ready_count == 1


@pytest.mark.parametrize("turns", range(6))
async def test_a_waiter_that_times_out_from_outside_loses_nothing(rig: Rig, turns: int) -> None:
    """`asyncio.timeout` and `wait_for` cancel as well: the lease deadline takes back what they drop."""
    await rig.start(min_ready=1, max_total=1)
    held = await rig.acquire("ses-0")

    async def outer() -> None:
        await asyncio.wait_for(rig.acquire("ses-1"), timeout=None)

    waiter = asyncio.create_task(outer())
    await settle()
    await held.release("not needed")
    for _ in range(turns):
        await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    await rig.advance(40.0)
    assert rig.pool.ready_count == 1


async def test_a_sandbox_that_dies_while_it_is_offered_is_replaced_for_its_waiter(rig: Rig) -> None:
    """The waiter keeps its place and gets the next sandbox; it never hears of the dead one."""
    rig.runtime.gate.clear()
    await rig.start(min_ready=0, max_starting=1)
    first, second = rig.begin("ses-1"), rig.begin("ses-2")
    await settle()
    rig.runtime.gate.set()
    await rig.until_offered()
    (dead,) = rig.ids(SandboxState.ASSIGNED)
    rig.runtime.gate.clear()
    rig.runtime.kill(dead)
    rig.manager.report_lost(dead, "killed")
    await settle()
    assert not first.done()
    await rig.advance(1.0)
    rig.runtime.gate.set()
    lease_1, lease_2 = await asyncio.gather(first, second)
    assert lease_1.sandbox_id < lease_2.sandbox_id
    assert dead not in (lease_1.sandbox_id, lease_2.sandbox_id)
    assert rig.lost == []


async def test_a_link_found_closed_at_the_hand_over_is_not_handed_over(rig: Rig) -> None:
    """The runner died a moment ago and nobody was told: the caller gets the other one."""
    await rig.start(min_ready=2)
    first = rig.ids(SandboxState.READY)[0]
    rig.greeter.links[first].break_silently()
    lease = await rig.acquire()
    assert lease.sandbox_id != first
    assert first not in rig.ids(SandboxState.READY)


async def test_a_sandbox_that_dies_before_it_is_confirmed_is_told_by_confirm(rig: Rig) -> None:
    """The session is told in time to acquire another; nothing was recorded."""
    await rig.start(min_ready=2)
    lease = await rig.acquire()
    rig.greeter.links[lease.sandbox_id].break_off()
    with pytest.raises(SandboxLostBeforeStartError):
        lease.confirm()
    await lease.release("it died")
    assert rig.lost == []


async def test_a_confirmed_sandbox_that_dies_is_reported_once(rig: Rig) -> None:
    """However many notice: the session hears it once, with the first reason."""
    await rig.start(min_ready=2)
    lease = await rig.acquire("ses-7")
    lease.confirm()
    rig.runtime.kill(lease.sandbox_id, tell=3)
    rig.manager.report_lost(lease.sandbox_id, "its link broke")
    await settle()
    rig.manager.report_lost(lease.sandbox_id, "its link broke")
    assert rig.lost == [("ses-7", lease.sandbox_id, "its link broke")]


async def test_a_broken_link_of_a_confirmed_sandbox_is_the_sessions_business(rig: Rig) -> None:
    """The session may find the runner again: only it, or the runtime, says that the sandbox is dead."""
    await rig.start(min_ready=1)
    lease = await rig.acquire()
    lease.confirm()
    rig.greeter.links[lease.sandbox_id].break_off()
    await settle()
    assert rig.ids(SandboxState.ASSIGNED) == [lease.sandbox_id]
    assert rig.lost == []


async def test_a_lease_never_touched_goes_back_to_the_pool(rig: Rig) -> None:
    """Nothing was sent to the runner: the next session may have it."""
    await rig.start(min_ready=1, max_total=1)
    lease = await rig.acquire()
    await lease.release("changed my mind")
    assert rig.ids(SandboxState.READY) == [lease.sandbox_id]


async def test_a_lease_whose_link_was_touched_is_destroyed(rig: Rig) -> None:
    """Something may have been sent: no other session ever sees it."""
    await rig.start(min_ready=1, max_total=3)
    lease = await rig.acquire()
    assert lease.link is rig.greeter.links[lease.sandbox_id]
    await lease.release("could not be assigned")
    await rig.advance(1.0)
    assert lease.sandbox_id not in rig.runtime.sandboxes


async def test_a_session_that_ends_ends_its_sandbox(rig: Rig) -> None:
    """A container serves one session, however short."""
    await rig.start(min_ready=1)
    lease = await rig.acquire()
    lease.confirm()
    await rig.manager.retire(lease.sandbox_id, "the session ended")
    await rig.manager.retire(lease.sandbox_id, "the session ended")
    await lease.release("twice")
    await rig.advance(1.0)
    assert lease.sandbox_id not in rig.runtime.sandboxes
    assert rig.lost == []


async def test_an_old_lease_cannot_touch_who_has_the_sandbox_now(rig: Rig) -> None:
    """Released twice, the second time after it was handed to somebody else."""
    await rig.start(min_ready=1, max_total=1)
    old = await rig.acquire("ses-1")
    await old.release("changed my mind")
    new = await rig.acquire("ses-2")
    assert new.sandbox_id == old.sandbox_id
    await old.release("changed my mind")
    with pytest.raises(SandboxLostBeforeStartError):
        old.confirm()
    new.confirm()
    new.confirm()
    assert rig.ids(SandboxState.ASSIGNED) == [new.sandbox_id]


async def test_a_lease_never_confirmed_is_taken_back(rig: Rig) -> None:
    """A holder that vanished without a word costs one sandbox for a while, not for ever."""
    await rig.start(min_ready=1, max_total=1)
    lease = await rig.acquire()
    await rig.advance(31.0)
    assert rig.pool.ready_count == 1
    with pytest.raises(SandboxLostBeforeStartError):
        lease.confirm()


async def test_who_waits_too_long_is_told_so(rig: Rig) -> None:
    """POOL_TIMEOUT after the caller's own patience, with advice to retry."""
    await rig.start(min_ready=1, max_total=1)
    (await rig.acquire("ses-0")).confirm()
    waiter = rig.begin("ses-1", timeout=5.0)
    await rig.advance(4.5)
    assert not waiter.done()
    await rig.advance(1.0)
    with pytest.raises(PoolTimeoutError) as told:
        await waiter
    assert told.value.retry_delay


async def test_a_full_queue_refuses_at_once(rig: Rig) -> None:
    """POOL_QUEUE_FULL is another error than waiting in vain."""
    await rig.start(min_ready=1, max_total=1, max_waiting=2)
    (await rig.acquire("ses-0")).confirm()
    waiters = [rig.begin(f"ses-{number}") for number in (1, 2)]
    await settle()
    with pytest.raises(PoolQueueFullError):
        await rig.acquire("ses-3")
    for waiter in waiters:
        waiter.cancel()
    await asyncio.gather(*waiters, return_exceptions=True)


async def test_an_unknown_template_is_named(rig: Rig) -> None:
    """TEMPLATE_NOT_FOUND, whatever is asked of it."""
    manager = await rig.start()
    with pytest.raises(TemplateNotFoundError):
        await manager.acquire("nonesuch", "ses-1")
    with pytest.raises(TemplateNotFoundError):
        manager.watch("nonesuch")
    with pytest.raises(TemplateNotFoundError):
        await manager.resize("nonesuch", 1, 1)


async def test_a_burst_over_what_is_ready_is_served_as_they_start(rig: Rig) -> None:
    """More callers than READY: all are served, never more than max_total at a time."""
    await rig.start(min_ready=2, max_total=8, max_starting=3)
    leases = await asyncio.gather(*(rig.acquire(f"ses-{number}") for number in range(8)))
    assert len({lease.sandbox_id for lease in leases}) == 8
    assert rig.runtime.most_launching == 3
