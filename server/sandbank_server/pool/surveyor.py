"""Learns from the runtime what there is: at boot, from its events, and every few seconds anyway."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Generic

import structlog

from sandbank_server.clock import Clock
from sandbank_server.pool import events as ev
from sandbank_server.pool.backoff import Backoff
from sandbank_server.pool.driver import PoolDriver
from sandbank_server.pool.labels import IMAGE, age_of
from sandbank_server.pool.lease import Lease
from sandbank_server.pool.link import LinkT
from sandbank_server.pool.reasons import describe
from sandbank_server.pool.reconcile import Boot, compare, sort_out
from sandbank_server.pool.reporting import OnExit, tell_lost
from sandbank_server.pool.settings import PoolSettings
from sandbank_server.runtimes.base import (
    LaunchedSandbox,
    ObservedSandbox,
    SandboxExit,
    SandboxRuntime,
)

_log = structlog.get_logger("sandbank.pool")


class Surveyor(Generic[LinkT]):
    """Tells the pools what the runtime sees."""

    def __init__(
        self,
        runtime: SandboxRuntime,
        clock: Clock,
        rng: random.Random,
        settings: PoolSettings,
        drivers: Mapping[str, PoolDriver[LinkT]],
        others: PoolDriver[LinkT],
        on_exit: OnExit,
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._settings = settings
        self._drivers = drivers
        self._others = others
        self._on_exit = on_exit
        self._backoff = Backoff(settings.backoff_base, settings.backoff_cap, rng)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, claims: Mapping[str, str]) -> dict[str, Lease[LinkT]]:
        """See :meth:`PoolManager.start`."""
        # Before the listing: what dies after it must not be missed.
        self._spawn(self._follow_exits(self._runtime.exits()), "pool exits")
        boot = sort_out(await self._first_listing(), claims, self._drivers.keys())
        for session_id, reason in boot.lost.items():
            tell_lost(self._on_exit, session_id, claims[session_id], reason)
        for sandbox, reason in boot.strays:
            self._others.feed(ev.StrayFound(sandbox.sandbox_id, sandbox.template, reason))
        adopting = self._adopt(boot)
        for driver in (*self._drivers.values(), self._others):
            driver.feed(ev.Opened())
        self._spawn(self._reconcile_for_ever(), "pool reconcile")
        leases = {session_id: await future for session_id, future in adopting.items()}
        return {session_id: lease for session_id, lease in leases.items() if lease is not None}

    async def close(self) -> None:
        """Stop looking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def reconcile(self) -> None:
        """Compare what there is with what the pools know."""
        listed_at = self._clock.monotonic()
        observed = await self._runtime.list_sandboxes()
        drivers = (*self._drivers.values(), self._others)
        owners = {record.sandbox_id: driver for driver in drivers for record in driver.core.book.ledger}
        records = {record.sandbox_id: record for driver in drivers for record in driver.core.book.ledger}
        for event in compare(records, observed, listed_at):
            owners.get(event.sandbox_id, self._others).feed(event)

    # At boot.

    async def _first_listing(self) -> list[ObservedSandbox]:
        attempt = 0
        while True:
            try:
                return await self._runtime.list_sandboxes()
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing can be done without the list
                attempt += 1
                delay = self._backoff.delay(attempt)
                _log.warning("the runtime does not answer", reason=describe(error), retry_seconds=delay)
                for driver in self._drivers.values():
                    driver.feed(ev.RuntimeFailed(describe(error), delay))
                await self._clock.sleep(delay)

    def _adopt(self, boot: Boot) -> dict[str, asyncio.Future[Lease[LinkT] | None]]:
        adopting: dict[str, asyncio.Future[Lease[LinkT] | None]] = {}
        now = self._clock.now()
        for sandbox, session_id in boot.asked:
            driver = self._drivers.get(sandbox.template, self._others)
            launched = LaunchedSandbox(sandbox.sandbox_id, sandbox.endpoint)
            found = ev.Found(
                sandbox.sandbox_id,
                template=sandbox.template,
                image=sandbox.labels.get(IMAGE, ""),
                age=age_of(sandbox.labels, now),
                session_id=session_id,
                lease_id=driver.new_lease_id() if session_id else 0,
            )
            if session_id:
                adopting[session_id] = driver.adopt_claimed(launched, found)
            else:
                driver.adopt(launched, found)
        return adopting

    # From then on.

    async def _reconcile_for_ever(self) -> None:
        while True:
            await self._clock.sleep(self._settings.reconcile_interval)
            try:
                await self.reconcile()
            except Exception as error:  # noqa: BLE001 - an ill runtime is asked again later
                _log.warning("the runtime does not answer", reason=describe(error))

    async def _follow_exits(self, exits: AsyncIterator[SandboxExit]) -> None:
        attempt = 0
        while True:
            try:
                async for exited in exits:
                    attempt = 0
                    self._exited(exited)
                reason = "the stream ended"
            except Exception as error:  # noqa: BLE001 - reconciling finds what is missed here
                reason = describe(error)
            attempt += 1
            _log.warning("exits are not reported for a while", reason=reason)
            await self._clock.sleep(self._backoff.delay(attempt))
            exits = self._runtime.exits()

    def _exited(self, exited: SandboxExit) -> None:
        for driver in (*self._drivers.values(), self._others):
            if driver.core.find(exited.sandbox_id) is not None:
                driver.feed(ev.Lost(exited.sandbox_id, exited.reason, exited.exit_code, exited.oom_killed))

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work, name=name))
