"""Runtimes and runners that fail, hang and lie: the pool says so, does not spin, and serves again."""

from __future__ import annotations

import asyncio

import pytest
from sandbank_server.errors import PoolDegradedError
from sandbank_server.pool.state import PoolState, SandboxState
from sandbank_server.runtimes.base import SandboxExit

from tests.fakes.clock import settle
from tests.fakes.runtime_saboteur import Trouble
from tests.unit.pool.conftest import Rig


async def test_a_few_failed_starts_are_retried_in_silence(rig: Rig) -> None:
    """Within the budget the pool goes on, a little later."""
    rig.runtime.launch_trouble = Trouble(fail=2)
    await rig.start(min_ready=2)
    assert rig.pool.ready_count == 0
    await rig.advance(5.0)
    assert (rig.pool.state, rig.pool.ready_count, rig.pool.failed_count) == (PoolState.HEALTHY, 2, 2)


async def test_a_crash_loop_does_not_spin(rig: Rig) -> None:
    """An image that never starts costs a handful of tries in ten minutes, not thousands."""
    rig.runtime.launch_trouble = Trouble(fail=10_000)
    await rig.start(min_ready=4)
    await rig.advance(600.0, step=1.0)
    assert rig.pool.state is PoolState.DEGRADED
    assert rig.pool.degraded_reason == "the entrypoint is not there"
    assert rig.runtime.calls["launch"] < 60


async def test_a_sandbox_that_dies_right_after_it_was_ready_is_a_crash_loop_too(rig: Rig) -> None:
    """READY for a second, again and again: the budget is not whole before stable uptime."""
    await rig.start(min_ready=2)
    for _ in range(600):
        await rig.advance(1.0, step=0.5)
        for sandbox_id in rig.ids(SandboxState.READY):
            rig.runtime.kill(sandbox_id)
        await settle()
    assert rig.pool.state is PoolState.DEGRADED
    assert rig.runtime.calls["launch"] < 150


async def test_a_degraded_pool_fails_callers_fast_with_the_reason(rig: Rig) -> None:
    """Waiting callers are told as well as new ones, with when to try again."""
    rig.runtime.launch_trouble = Trouble(fail=1000)
    await rig.start(min_ready=0)
    waiting = rig.begin(timeout=600.0)
    await rig.advance(10.0)
    with pytest.raises(PoolDegradedError, match="the entrypoint is not there"):
        await waiting
    with pytest.raises(PoolDegradedError) as told:
        await rig.acquire("ses-2")
    assert told.value.retry_delay
    assert told.value.retry_delay > 0


async def test_a_degraded_pool_hands_out_what_is_ready(rig: Rig) -> None:
    """What runs is good: only new starts fail."""
    await rig.start(min_ready=2)
    rig.runtime.launch_trouble = Trouble(fail=1000)
    (await rig.acquire("ses-1")).confirm()
    await rig.advance(30.0)
    assert rig.pool.state is PoolState.DEGRADED
    (await rig.acquire("ses-2")).confirm()


async def test_a_degraded_pool_recovers_by_itself(rig: Rig) -> None:
    """Nobody has to ask: it tries again at growing intervals, also with min_ready 0."""
    rig.runtime.launch_trouble = Trouble(fail=5)
    await rig.start(min_ready=0)
    waiting = rig.begin()
    await asyncio.gather(rig.advance(10.0), waiting, return_exceptions=True)
    assert rig.pool.state is PoolState.DEGRADED
    await rig.advance(120.0)
    assert rig.pool.state is PoolState.HEALTHY
    (await rig.acquire("ses-2")).confirm()


async def test_sessions_that_crash_do_not_degrade_the_pool(rig: Rig) -> None:
    """User code that kills its own sandbox says nothing about the template."""
    await rig.start(min_ready=1, max_total=4)
    for number in range(20):
        lease = await rig.acquire(f"ses-{number}")
        lease.confirm()
        rig.runtime.kill(lease.sandbox_id)
        await rig.advance(0.5)
        assert rig.pool.state is PoolState.HEALTHY
    assert len(rig.lost) == 20


async def test_unexpected_exceptions_are_failed_starts_whose_text_nobody_sees(rig: Rig) -> None:
    """What a callback raises may hold anything: callers see its kind at most."""
    rig.runtime.launch_trouble = Trouble(crash=1000)
    await rig.start(min_ready=1)
    await rig.advance(20.0)
    with pytest.raises(PoolDegradedError) as told:
        await rig.acquire()
    assert "hunter2" not in str(told.value)
    assert "ZeroDivisionError" in str(told.value)


async def test_a_launch_that_hangs_is_given_up_at_the_deadline(rig: Rig) -> None:
    """It is cancelled, destroyed and replaced."""
    rig.runtime.launch_trouble = Trouble(hang=2)
    await rig.start(min_ready=2, max_starting=2)
    assert rig.pool.starting_count == 2
    await rig.advance(65.0)
    assert (rig.pool.ready_count, rig.pool.failed_count) == (2, 2)
    assert rig.runtime.launching == 0


async def test_a_launch_that_ignores_cancellation_cannot_hold_the_pool_up(rig: Rig) -> None:
    """Its sandbox is destroyed all the same, and once more if it comes to life after all."""
    rig.runtime.launch_trouble = Trouble(hang_on=1)
    await rig.start(min_ready=1, max_total=2)
    (hanging,) = rig.ids(SandboxState.STARTING)
    await rig.advance(100.0)
    assert rig.pool.ready_count == 1
    assert hanging not in rig.ids(SandboxState.RETIRING)
    rig.runtime.let_go()
    await rig.advance(1.0)
    assert hanging not in rig.runtime.sandboxes


async def test_a_runner_that_never_says_hello_is_given_up_at_the_deadline(rig: Rig) -> None:
    """The start deadline covers connecting."""
    rig.greeter.trouble = Trouble(hang=1)
    await rig.start(min_ready=1)
    (silent,) = rig.ids(SandboxState.STARTING)
    await rig.advance(65.0)
    assert rig.pool.ready_count == 1
    assert silent not in rig.runtime.sandboxes


async def test_a_runner_that_refuses_is_a_failed_start(rig: Rig) -> None:
    """Launched, but nobody answers: destroyed and replaced."""
    rig.greeter.trouble = Trouble(fail=1, crash=1)
    await rig.start(min_ready=1)
    await rig.advance(5.0)
    assert (rig.pool.ready_count, rig.pool.failed_count) == (1, 2)


async def test_a_runtime_that_answers_for_another_sandbox_is_not_believed(rig: Rig) -> None:
    """The one asked for counts as failed; the other is a stray, and removed."""
    rig.runtime.launch_trouble = Trouble(lie=1)
    await rig.start(min_ready=1)
    assert "sb-somebodyelse" in rig.runtime.sandboxes
    await rig.advance(15.0)
    assert "sb-somebodyelse" not in rig.runtime.sandboxes
    assert rig.pool.ready_count == 1


async def test_a_sandbox_that_dies_while_it_starts_is_replaced_at_once(rig: Rig) -> None:
    """The exit event is faster than any deadline, and says why."""
    rig.greeter.gate.clear()
    await rig.start(min_ready=1)
    (dying,) = rig.ids(SandboxState.STARTING)
    rig.runtime.kill(dying)
    await settle()
    rig.greeter.gate.set()
    await rig.advance(2.0)
    assert rig.pool.ready_count == 1
    assert dying not in rig.runtime.sandboxes


async def test_destroying_is_tried_until_it_succeeds(rig: Rig) -> None:
    """Failed, hanging, crashing: the sandbox counts until it is really gone."""
    await rig.start(min_ready=1, max_total=2)
    lease = await rig.acquire()
    lease.confirm()
    rig.runtime.destroy_trouble = Trouble(fail=2, crash=1, hang=1, hang_on=1)
    await rig.manager.retire(lease.sandbox_id, "the session ended")
    await settle()
    assert rig.pool.retiring_count == 1
    await rig.advance(70.0)
    assert rig.pool.retiring_count == 0
    assert lease.sandbox_id not in rig.runtime.sandboxes


async def test_an_engine_that_destroys_nothing_is_not_hammered(rig: Rig) -> None:
    """Retries of destroying back off as well."""
    await rig.start(min_ready=3, max_total=6)
    rig.runtime.destroy_trouble = Trouble(fail=10_000)
    await rig.manager.resize("slim", 0, 1)
    await rig.advance(600.0, step=1.0)
    assert rig.runtime.calls["destroy"] < 3 * 45
    assert rig.pool.retiring_count == 3


async def test_starting_and_destroying_do_not_wait_for_each_other(rig: Rig) -> None:
    """Each has a bound of its own."""
    await rig.start(min_ready=6, max_total=12, max_starting=3)
    leases = [await rig.acquire(f"ses-{number}") for number in range(6)]
    for lease in leases:
        lease.confirm()
    await rig.advance(1.0)
    rig.runtime.destroy_gate.clear()
    for lease in leases:
        await rig.manager.retire(lease.sandbox_id, "the session ended")
    await settle()
    assert rig.pool.retiring_count == 6
    assert rig.pool.ready_count == 6
    assert rig.runtime.most_launching == 3


async def test_the_engine_is_kept_busy_while_runners_boot(rig: Rig) -> None:
    """A launched sandbox leaves its place to the next, up to as many booting as may be launching."""
    rig.greeter.gate.clear()
    await rig.start(min_ready=10, max_total=10, max_starting=3)
    assert rig.runtime.most_launching == 3
    assert rig.runtime.calls["launch"] == 6
    rig.greeter.gate.set()
    await rig.advance(1.0)
    assert rig.pool.ready_count == 10
    assert rig.runtime.most_launching == 3


async def test_destroying_is_bounded(rig: Rig) -> None:
    """At most ``max_destroying`` at a time, the rest in line."""
    await rig.start(min_ready=20, max_total=20, max_starting=20)
    rig.runtime.destroy_gate.clear()
    await rig.manager.resize("slim", 1, 20)
    await settle()
    assert rig.runtime.destroying == 8
    rig.runtime.destroy_gate.set()
    await rig.advance(1.0)
    assert rig.runtime.most_destroying == 8
    assert rig.pool.retiring_count == 0


async def test_exits_of_unknown_sandboxes_and_repeated_exits_change_nothing(rig: Rig) -> None:
    """Events are only hints."""
    await rig.start(min_ready=2)
    rig.runtime.report(SandboxExit("sb-unknown00000", "killed by SIGKILL", 137))
    victim = rig.ids(SandboxState.READY)[0]
    rig.runtime.kill(victim, tell=5)
    await rig.advance(2.0)
    assert rig.pool.ready_count == 2
    rig.runtime.report(SandboxExit(victim, "killed by SIGKILL", 137))
    await rig.advance(1.0)
    assert rig.pool.ready_count == 2
    assert rig.runtime.calls["launch"] == 3


async def test_a_broken_stream_of_exits_is_taken_up_again(rig: Rig) -> None:
    """It breaks, is followed again a little later, and deaths are noticed as before."""
    await rig.start(min_ready=1)
    rig.runtime.report(ConnectionResetError("the engine went away"))
    await rig.advance(2.0)
    victim = rig.ids(SandboxState.READY)[0]
    rig.runtime.kill(victim)
    await rig.advance(2.0)
    assert victim not in rig.runtime.sandboxes
    assert rig.pool.ready_count == 1


async def test_a_death_that_nobody_reports_is_found_by_reconciling(rig: Rig) -> None:
    """Events may be lost: READY and ASSIGNED alike are compared with what the runtime lists."""
    await rig.start(min_ready=2)
    lease = await rig.acquire("ses-1")
    lease.confirm()
    victim = rig.ids(SandboxState.READY)[0]
    rig.runtime.kill(victim, tell=0)
    rig.runtime.kill(lease.sandbox_id, tell=0)
    await rig.advance(12.0)
    assert rig.lost == [("ses-1", lease.sandbox_id, "ended with code 137")]
    assert victim not in rig.runtime.sandboxes
    assert rig.pool.ready_count == 2


async def test_a_sandbox_that_vanished_is_found_by_reconciling(rig: Rig) -> None:
    """Removed behind the pool's back."""
    await rig.start(min_ready=1)
    del rig.runtime.sandboxes[rig.ids(SandboxState.READY)[0]]
    await rig.advance(12.0)
    assert rig.pool.ready_count == 1
    assert set(rig.ids(SandboxState.READY)) <= rig.runtime.sandboxes.keys()


async def test_a_listing_that_was_overtaken_kills_nobody(rig: Rig) -> None:
    """A sandbox that became READY while the runtime was listing is not in the list, and is well."""
    await rig.start(min_ready=0)
    rig.runtime.list_gate.clear()
    reconciling = asyncio.create_task(rig.manager.reconcile())
    await settle()
    rig.clock.advance(1.0)
    lease = await rig.acquire()
    lease.confirm()
    rig.runtime.list_gate.set()
    await reconciling
    await settle()
    assert rig.ids(SandboxState.ASSIGNED) == [lease.sandbox_id]
    assert rig.lost == []


async def test_a_listing_that_fails_changes_nothing(rig: Rig) -> None:
    """An engine that does not answer says nothing about the sandboxes."""
    await rig.start(min_ready=2)
    rig.runtime.list_trouble = Trouble(fail=3, crash=2)
    ready = rig.ids(SandboxState.READY)
    await rig.advance(60.0)
    assert rig.ids(SandboxState.READY) == ready


async def test_strays_are_removed_while_running(rig: Rig) -> None:
    """What a killed control plane made after our listing, or nobody knows why: dead or alive, it goes."""
    await rig.start(min_ready=1)
    rig.runtime.put("sb-stray0000001")
    rig.runtime.put("sb-stray0000002", "removed-template", running=False, exit_code=1)
    await rig.advance(12.0)
    assert set(rig.runtime.sandboxes) == set(rig.ids(SandboxState.READY))
    assert rig.pool.ready_count == 1


async def test_the_image_may_be_built_while_callers_wait(rig: Rig) -> None:
    """The pool is STARTING, callers queue, and are served once there is an image."""
    rig.image_gate.clear()
    await rig.start(min_ready=1)
    waiter = rig.begin(timeout=600.0)
    await rig.advance(100.0)
    assert rig.pool.state is PoolState.STARTING
    assert not waiter.done()
    rig.image_gate.set()
    (await waiter).confirm()
    assert rig.image_calls == 1


async def test_an_image_that_cannot_be_built_degrades_the_pool_and_is_tried_again(rig: Rig) -> None:
    """The reason is shown without the exception's text; tries back off; success heals."""
    rig.image_trouble = Trouble(crash=3)
    await rig.start(min_ready=1)
    assert rig.pool.state is PoolState.DEGRADED
    assert rig.pool.degraded_reason == "unexpected ZeroDivisionError"
    with pytest.raises(PoolDegradedError):
        await rig.acquire()
    await rig.advance(120.0)
    assert rig.pool.state is PoolState.HEALTHY
    assert rig.image_calls == 4


async def test_nothing_is_built_for_a_pool_that_nobody_needs(rig: Rig) -> None:
    """With min_ready 0 the image is resolved for the first caller."""
    await rig.start(min_ready=0)
    assert rig.image_calls == 0
    (await rig.acquire()).confirm()
    assert rig.image_calls == 1


async def test_a_listener_that_raises_does_not_stop_the_pool(rig: Rig) -> None:
    """What died is replaced whatever the session's side does about it."""
    rig.lost = None  # type: ignore[assignment]
    await rig.start(min_ready=1)
    lease = await rig.acquire()
    lease.confirm()
    rig.runtime.kill(lease.sandbox_id)
    await rig.advance(1.0)
    assert lease.sandbox_id not in rig.runtime.sandboxes
    rig.lost = []
