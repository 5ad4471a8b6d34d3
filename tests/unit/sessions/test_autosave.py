"""Checkpoints in the background: coalescing, within a budget, tried again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

from sandbank.v1 import session_pb2
from sandbank_server.errors import StoreUnavailableError
from sandbank_server.sessions.life.autosave import Autosave

from tests.fakes.clock import ManualClock


@asynccontextmanager
async def running(policy: int, save: Callable[[], Awaitable[object]], clock: ManualClock):
    """Run one with a tenth of a core."""
    autosave = Autosave(policy, save, clock, 0.1, dict)
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

    async with running(session_pb2.CHECKPOINT_POLICY_AFTER_CHANGE, save, clock) as autosave:
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

    async with running(session_pb2.CHECKPOINT_POLICY_AFTER_CHANGE, save, clock) as autosave:
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
