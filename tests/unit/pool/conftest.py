"""A pool manager over a runtime that can be sabotaged, on a clock that tests move."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterator, Mapping

import pytest
import structlog
from sandbank_server.pool.lease import Lease
from sandbank_server.pool.manager import PoolManager
from sandbank_server.pool.settings import PoolSettings, PoolSizes
from sandbank_server.pool.snapshots import PoolSnapshot
from sandbank_server.pool.state import SandboxState
from sandbank_server.templates.model import TemplateSpec

from tests.fakes.clock import ManualClock, settle
from tests.fakes.ids import CountedIds
from tests.fakes.pool_links import FakeLink, Greeter
from tests.fakes.runtime_saboteur import SaboteurRuntime, Trouble

SETTINGS = PoolSettings(start_deadline=60.0, lease_deadline=30.0, destroy_deadline=20.0, surplus_after=15.0)


class Rig:
    """One manager and all that surrounds it. ``lost`` is what ``on_exit`` was told."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.runtime = SaboteurRuntime()
        self.greeter = Greeter(self.runtime)
        self.image = "image-1"
        self.image_trouble = Trouble()
        self.image_gate = asyncio.Event()
        self.image_gate.set()
        self.image_calls = 0
        self.lost: list[tuple[str, str, str]] = []
        self.manager: PoolManager[FakeLink]
        self.started = False

    def make(
        self, min_ready: int = 2, max_total: int = 6, templates: tuple[str, ...] = ("slim",), **sizes: int
    ) -> PoolManager[FakeLink]:
        """Make the manager."""
        self.manager = PoolManager(
            runtime=self.runtime,
            connect=self.greeter,
            image_of=self.image_of,
            templates={name: TemplateSpec(name=name) for name in templates},
            sizes={name: PoolSizes(min_ready, max_total, **sizes) for name in templates},
            settings=SETTINGS,
            clock=self.clock,
            ids=CountedIds(),
            rng=random.Random(7),
            on_exit=lambda session_id, sandbox_id, reason: self.lost.append((session_id, sandbox_id, reason)),
        )
        return self.manager

    async def start(
        self, min_ready: int = 2, max_total: int = 6, claims: Mapping[str, str] | None = None, **sizes: int
    ) -> PoolManager[FakeLink]:
        """Make it, start it, and let it fill as far as the gates let it."""
        manager = self.make(min_ready, max_total, **sizes)
        await manager.start(claims)
        self.started = True
        await settle()
        return manager

    async def image_of(self, template: TemplateSpec) -> str:
        """Build the image, or fail."""
        self.image_calls += 1
        await self.image_gate.wait()
        if self.image_trouble.next():
            raise ZeroDivisionError("the password is hunter2")
        return self.image

    @property
    def pool(self) -> PoolSnapshot:
        """The pool of ``slim``."""
        return self.manager.pool("slim")

    def ids(self, state: SandboxState) -> list[str]:
        """Return the sandboxes in a state."""
        return [each.sandbox_id for each in self.manager.sandboxes() if each.state is state]

    async def advance(self, seconds: float, step: float = 0.25) -> None:
        """Let time pass, and everybody do what becomes due."""
        for _ in range(max(int(seconds / step), 1)):
            self.clock.advance(min(step, seconds))
            await settle(20)

    async def until_offered(self) -> None:
        """Return in the turn of the loop in which a sandbox was offered: its waiter has not run yet."""
        for _ in range(1000):
            if self.pool.assigned_count:
                return
            await asyncio.sleep(0)
        raise AssertionError("nothing was offered")

    async def acquire(self, session_id: str = "ses-1", timeout: float = 30.0) -> Lease[FakeLink]:
        """Acquire from ``slim``."""
        return await self.manager.acquire("slim", session_id, timeout)

    def begin(self, session_id: str = "ses-1", timeout: float = 30.0) -> asyncio.Task[Lease[FakeLink]]:
        """Begin to acquire from ``slim``."""
        return asyncio.create_task(self.acquire(session_id, timeout))

    async def finish(self) -> None:
        """Mend everything: the pool must still serve, and leave nothing behind."""
        self.manager.check_invariants()
        self.runtime.repair()
        self.greeter.trouble, self.image_trouble = Trouble(), Trouble()
        self.greeter.gate.set()
        self.image_gate.set()
        for template in [pool.template for pool in self.manager.pools()]:
            for sandbox in self.manager.sandboxes(template):
                if sandbox.state is SandboxState.ASSIGNED:
                    await self.manager.retire(sandbox.sandbox_id, "end of the test")
        await self.advance(80.0)
        for pool in self.manager.pools():
            assert pool.ready_count == pool.min_ready, pool
            if pool.max_total and pool.state.name != "DRAINING":
                lease = await self.manager.acquire(pool.template, "ses-last", 10.0)
                assert lease.link.sandbox_id == lease.sandbox_id
                lease.confirm()
        self.manager.check_invariants()
        await self.manager.drain(end_sessions=True)
        assert self.runtime.sandboxes == {}
        assert all(link.closed.is_set() for link in self.greeter.links.values()), "a link was left open"
        self.manager.check_invariants()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Leave out what only debugging needs: tracebacks of thousands of made-up failures take seconds to print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.reset_defaults()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A rig whose pool must still serve when the test is over."""
    before = asyncio.all_tasks()
    rig = Rig()
    yield rig
    if rig.started:
        await rig.finish()
    await rig.manager.close()
    await settle()
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}, "tasks were left"
    assert rig.clock.pending == 0, "timers were left"
