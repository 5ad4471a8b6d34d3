"""Checkpoints in the background: coalescing, within a budget, tried again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sandbank.v1 import session_pb2
from sandbank_server.errors import SessionBusyError, SessionCrashedError, StoreUnavailableError
from sandbank_server.sessions.life.autosave import LONGEST_WAIT_SECONDS, STILL_SECONDS, Autosave, Saved

from tests.fakes.clock import ManualClock

AFTER_CHANGE = session_pb2.CHECKPOINT_POLICY_AFTER_CHANGE


class Used:
    """A session that is used as a test says: ``use`` is None while an operation runs or waits."""

    def __init__(self) -> None:
        self.use: int | None = 0


@asynccontextmanager
async def running(
    policy: int, save: Callable[[], Awaitable[object]], clock: ManualClock, used: Used | None = None
) -> AsyncIterator[Autosave]:
    """Run one with a tenth of a core. What is saved has all the changes that there were when it began."""
    session = used or Used()

    async def saving() -> None:
        changes = autosave.changes
        await save()
        autosave.saved(changes)

    autosave = Autosave(policy, Saved(saving, lambda: session.use, dict), clock, 0.1)
    task = asyncio.create_task(autosave.run())
    yield autosave
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def settled(clock: ManualClock, seconds: float) -> None:
    """Let time pass, and whatever that wakes run."""
    clock.advance(seconds)
    for _ in range(10):
        await asyncio.sleep(0)


async def test_changes_coalesce_within_the_budget() -> None:
    """A save of a second is followed by nine without one, however much changes; then that is saved."""
    clock, saves = ManualClock(), []

    async def save() -> None:
        saves.append(clock.monotonic())
        clock.advance(1.0)

    async with running(AFTER_CHANGE, save, clock) as autosave:
        began = clock.monotonic()
        for _ in range(100):
            autosave.changed()
            await settled(clock, 0.3)
        assert 3 <= len(saves) <= 1 + (clock.monotonic() - began) / 10
        assert all(later - sooner >= 10.0 for sooner, later in itertools.pairwise(saves))
        await settled(clock, 10.0)
        count = len(saves)
        await settled(clock, 1000.0)
        assert len(saves) == count  # nothing has changed


async def test_a_store_that_fails_is_tried_again_less_and_less_often() -> None:
    """And the change is saved once it works again, without another change."""
    clock, tries = ManualClock(), []

    async def save() -> None:
        tries.append(clock.monotonic())
        if len(tries) < 8:
            raise StoreUnavailableError("gone")

    async with running(AFTER_CHANGE, save, clock) as autosave:
        autosave.changed()
        for _ in range(2000):
            await settled(clock, 0.5)
        pauses = [later - sooner for sooner, later in itertools.pairwise(tries)]
        assert len(tries) == 8
        assert pauses == sorted(pauses)


async def test_when_idle_is_only_then() -> None:
    """ON_IDLE: not after a change, and not where nothing has changed."""
    clock, saves = ManualClock(), []

    async def save() -> None:
        saves.append(clock.monotonic())

    async with running(session_pb2.CHECKPOINT_POLICY_ON_IDLE, save, clock) as autosave:
        autosave.changed()
        await settled(clock, 10.0)
        assert saves == []
        for _ in range(2):
            autosave.idle()
            await settled(clock, 10.0)
        assert len(saves) == 1


async def test_a_burst_is_saved_when_it_is_over() -> None:
    """No writer is forked while an operation waits or runs, nor right after one: the next would wait for it."""
    clock, saves, used = ManualClock(), [], Used()

    async def save() -> None:
        saves.append(clock.monotonic())

    async with running(AFTER_CHANGE, save, clock, used) as autosave:
        for number in range(1, 10):
            used.use = None
            await settled(clock, 0.02)
            used.use = number
            autosave.changed()
            await settled(clock, 0.02)
        ended = clock.monotonic()
        assert saves == []
        for _ in range(20):
            await settled(clock, 0.02)
        assert len(saves) == 1
        assert STILL_SECONDS - 0.025 <= saves[0] - ended <= 2 * STILL_SECONDS


async def test_a_session_that_is_never_still_is_saved_in_time() -> None:
    """At the latest so long after the first change; the next ones coalesce, and have their turn as well."""
    clock, saves, used = ManualClock(), [], Used()

    async def save() -> None:
        saves.append(clock.monotonic())
        clock.advance(0.02)

    async with running(AFTER_CHANGE, save, clock, used) as autosave:
        used.use = None
        first = clock.monotonic()
        for _ in range(500):
            autosave.changed()
            await settled(clock, 0.01)
        assert saves[0] - first <= LONGEST_WAIT_SECONDS + 0.03
        gaps = [later - sooner for sooner, later in itertools.pairwise(saves)]
        assert len(saves) >= 4
        assert max(gaps) <= LONGEST_WAIT_SECONDS + 0.1 + 10 * 0.02 + 0.05


async def test_what_another_checkpoint_has_is_not_saved_again() -> None:
    """A client's own, for instance."""
    clock, saves = ManualClock(), []

    async def save() -> None:
        saves.append(clock.monotonic())

    async with running(AFTER_CHANGE, save, clock) as autosave:
        autosave.changed()
        autosave.saved(autosave.changes)
        await settled(clock, 10.0)
        assert saves == []
        autosave.changed()
        await settled(clock, 10.0)
        assert len(saves) == 1


async def test_what_could_not_be_saved_while_something_ran_is_saved_after_that() -> None:
    """A checkpoint of an older copy does not have the change: the next end of an operation is the next chance."""
    clock, tries = ManualClock(), []

    async def write_an_old_copy() -> None:
        tries.append(clock.monotonic())

    autosave = Autosave(AFTER_CHANGE, Saved(write_an_old_copy, lambda: 0, dict), clock, 0.1)
    task = asyncio.create_task(autosave.run())
    autosave.changed()
    for _ in range(5):
        await settled(clock, 1.0)
    assert len(tries) == 1
    autosave.settled()
    for _ in range(5):
        await settled(clock, 1.0)
    assert len(tries) == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_session_that_is_busy_is_tried_again_soon() -> None:
    """Not as a store that fails, less and less often: an operation that keeps the state from being copied will end."""
    clock, tries = ManualClock(), []

    async def save() -> None:
        tries.append(clock.monotonic())
        raise SessionBusyError("an operation is running", retry_delay=0.5)

    async with running(AFTER_CHANGE, save, clock) as autosave:
        autosave.changed()
        for _ in range(400):
            await settled(clock, 0.5)
        assert max(later - sooner for sooner, later in itertools.pairwise(tries)) <= 10.5


async def test_faults_do_not_end_the_saving() -> None:
    """Whatever fails is tried again; but for a session that has nothing left to be saved, until it changes again."""
    clock, tries = ManualClock(), []
    errors: list[Exception] = [ValueError("a fault of ours"), SessionCrashedError("gone", resource="s")]

    async def save() -> None:
        tries.append(clock.monotonic())
        if errors:
            raise errors.pop(0)

    async with running(AFTER_CHANGE, save, clock) as autosave:
        autosave.changed()
        for _ in range(20):
            await settled(clock, 1.0)
        assert len(tries) == 2
        autosave.changed()
        for _ in range(20):
            await settled(clock, 1.0)
        assert len(tries) == 3
