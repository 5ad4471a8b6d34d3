"""The pools of all templates: their public face."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic

import structlog

from sandbank_server.clock import Clock
from sandbank_server.errors import TemplateNotFoundError
from sandbank_server.ids import IdFactory
from sandbank_server.pool import events as ev
from sandbank_server.pool.core import PoolCore
from sandbank_server.pool.driver import PoolDriver
from sandbank_server.pool.lease import Lease
from sandbank_server.pool.link import LinkT
from sandbank_server.pool.observer import NoObserver, PoolObserver
from sandbank_server.pool.reporting import OnExit
from sandbank_server.pool.settings import PoolSettings, PoolSizes
from sandbank_server.pool.snapshots import PoolSnapshot, SandboxSnapshot
from sandbank_server.pool.surveyor import Surveyor
from sandbank_server.pool.watch import Watch, Watchers
from sandbank_server.pool.work import SandboxWork
from sandbank_server.runtimes.base import LaunchedSandbox, SandboxRuntime
from sandbank_server.templates.model import TemplateSpec

_log = structlog.get_logger("sandbank.pool")


class PoolManager(Generic[LinkT]):
    """All pools of one control plane.

    ``connect`` greets the runner of a sandbox that was started; ``image_of`` finds or builds a template's
    image, which may take minutes: until then its pool is STARTING and callers wait. Both may raise anything
    and are given time by the pool's own deadlines. ``on_exit`` is told (session id, sandbox id, reason) when
    a sandbox died that a session had; it must not wait. ``runtime`` must have been started.
    """

    def __init__(
        self,
        runtime: SandboxRuntime,
        connect: Callable[[LaunchedSandbox], Awaitable[LinkT]],
        image_of: Callable[[TemplateSpec], Awaitable[str]],
        templates: Mapping[str, TemplateSpec],
        sizes: Mapping[str, PoolSizes],
        clock: Clock,
        ids: IdFactory,
        rng: random.Random,
        on_exit: OnExit,
        settings: PoolSettings | None = None,
        observer: PoolObserver | None = None,
    ) -> None:
        self._runtime = runtime
        self._connect = connect
        self._image_of = image_of
        self._clock = clock
        self._ids = ids
        self._rng = rng
        self._on_exit = on_exit
        self._settings = settings or PoolSettings()
        self._observer = observer or NoObserver()
        self._watchers = Watchers()
        self._configured = dict(sizes)
        self._drivers = {name: self._make(name, spec, sizes[name]) for name, spec in templates.items()}
        # What belongs to no configured template: strays, and sessions whose template was removed.
        self._others = self._make("", None, PoolSizes(0, 1))
        self._surveyor = Surveyor(runtime, clock, rng, self._settings, self._drivers, self._others, on_exit)

    def _make(self, name: str, spec: TemplateSpec | None, sizes: PoolSizes) -> PoolDriver[LinkT]:
        core = PoolCore(name, sizes, self._settings, new_id=self._ids.sandbox_id, rng=self._rng)

        def make_work(
            feed: Callable[[ev.Event], None], on_closed: Callable[[str, LinkT], None]
        ) -> SandboxWork[LinkT]:
            return SandboxWork(
                self._runtime, self._connect, self._image_of, spec, self._clock, feed, on_closed
            )

        return PoolDriver(core, self._clock, self._observer, self._watchers, self._on_exit, make_work)

    # Life.

    async def start(self, claims: Mapping[str, str] | None = None) -> dict[str, Lease[LinkT]]:
        """Take over what an earlier control plane left, and begin to fill the pools.

        ``claims`` maps the id of each session that should have a sandbox to that sandbox's id. Returns the
        confirmed leases, by session id, of those that are still there and whose runner serves that session;
        the others have been reported to ``on_exit``. Unclaimed runners of a template's present image become
        READY; everything else is destroyed. Waits as long as the runtime does not say what there is (the
        pools are DEGRADED then), but not for the pools to fill, and callers may acquire meanwhile.
        """
        for driver in self._drivers.values():
            driver.feed(ev.Tick())
        return await self._surveyor.start(dict(claims or {}))

    async def drain(self, *, end_sessions: bool = False) -> bool:
        """Hand out and start nothing more, destroy what no session has; with ``end_sessions`` the rest too.

        Returns True when nothing is being started or destroyed any more, False when that took longer than
        ``drain_timeout``: the runtime is ill, and the next start will remove what is left. May be called again,
        to end the sessions after all.
        """
        event = ev.DrainRequested(end_ready=True, end_assigned=end_sessions)
        drivers = [*self._drivers.values(), self._others]
        for driver in drivers:
            driver.feed(event)
        settling = asyncio.gather(*(driver.settle() for driver in drivers))
        limit = asyncio.ensure_future(self._clock.sleep(self._settings.drain_timeout))
        try:
            await asyncio.wait((settling, limit), return_when=asyncio.FIRST_COMPLETED)
            if not settling.done():
                _log.warning("draining takes too long: what is left is for the next start")
            return settling.done()
        finally:
            settling.cancel()
            limit.cancel()
            await asyncio.gather(settling, limit, return_exceptions=True)

    async def close(self) -> None:
        """Let go of every task and link. Sandboxes that :meth:`drain` did not end run on. Idempotent."""
        await self._surveyor.close()
        for driver in (*self._drivers.values(), self._others):
            await driver.close()
        self._watchers.close()

    # Sessions.

    async def acquire(self, template: str, session_id: str, timeout: float | None = None) -> Lease[LinkT]:
        """Hand a sandbox over to ``session_id``, waiting up to ``timeout`` seconds (None: as configured) for one.

        With a READY sandbox this never waits. Cancelling it loses no sandbox. Raises
        :class:`TemplateNotFoundError`, :class:`PoolQueueFullError`, :class:`PoolTimeoutError`,
        :class:`PoolDegradedError` or :class:`DrainingError`; with any of them nothing was recorded.
        """
        wait = self._settings.acquire_timeout if timeout is None else timeout
        return await self._driver(template).acquire(session_id, wait)

    async def retire(self, sandbox_id: str, reason: str) -> None:
        """Destroy a sandbox, whoever has it; returns once that is decided. Idempotent."""
        if (driver := self._driver_of(sandbox_id)) is not None:
            driver.feed(ev.RetireRequested(sandbox_id, reason))

    def report_lost(self, sandbox_id: str, reason: str) -> None:
        """Say that a sandbox died or cannot be reached: it is destroyed and replaced. Idempotent."""
        if (driver := self._driver_of(sandbox_id)) is not None:
            driver.feed(ev.Lost(sandbox_id, reason))

    # Operators.

    def pools(self) -> list[PoolSnapshot]:
        """Return all pools as they are now."""
        return [driver.snapshot() for driver in self._drivers.values()]

    def pool(self, template: str) -> PoolSnapshot:
        """Return one pool as it is now. Raises :class:`TemplateNotFoundError`."""
        return self._driver(template).snapshot()

    def sandboxes(self, template: str | None = None) -> list[SandboxSnapshot]:
        """Return the sandboxes of one pool, or of all, those included whose template is no longer configured."""
        if template is not None:
            return self._driver(template).sandboxes()
        return [one for driver in (*self._drivers.values(), self._others) for one in driver.sandboxes()]

    async def resize(self, template: str, min_ready: int | None, max_total: int | None) -> PoolSnapshot:
        """Change a pool's sizes until the next start; None: as configured. Sessions are never ended for it.

        Raises :class:`TemplateNotFoundError`, and :class:`BadFieldError` for sizes that contradict each
        other.
        """
        driver = self._driver(template)
        configured = self._configured[template]
        driver.feed(
            ev.Resized(
                configured.min_ready if min_ready is None else min_ready,
                configured.max_total if max_total is None else max_total,
            )
        )
        return driver.snapshot()

    def watch(self, template: str | None = None) -> Watch:
        """Return the changes of one pool, or of all, from this moment on.

        A slow reader misses the oldest ones. Ends when the pools close. Raises
        :class:`TemplateNotFoundError`.
        """
        if template is not None:
            self._driver(template)
        return self._watchers.add(template)

    async def reconcile(self) -> None:
        """Compare with the runtime now; done by itself every few seconds. Raises what the runtime raises."""
        await self._surveyor.reconcile()

    def check_invariants(self) -> None:
        """Raise AssertionError if anything the pools know contradicts itself."""
        for driver in (*self._drivers.values(), self._others):
            driver.check_invariants()

    # Inside.

    def _driver(self, template: str) -> PoolDriver[LinkT]:
        driver = self._drivers.get(template)
        if driver is None:
            raise TemplateNotFoundError("there is no such template", resource=template)
        return driver

    def _driver_of(self, sandbox_id: str) -> PoolDriver[LinkT] | None:
        drivers = (*self._drivers.values(), self._others)
        return next((driver for driver in drivers if driver.core.find(sandbox_id) is not None), None)
