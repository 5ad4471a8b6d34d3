"""The tasks that wait in ``acquire``, and how each is told what became of its wish."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass

from sandbank_server.clock import Clock
from sandbank_server.errors import DomainError
from sandbank_server.pool.observer import PoolObserver


@dataclass(slots=True)
class Caller:
    """One task. What it finds when it runs again is what holds then, not what it was woken for."""

    lease_id: int
    since: float
    offer: str | None = None
    error: DomainError | None = None
    wake: asyncio.Future[None] | None = None
    outcome: str = "cancelled"


class Callers:
    """Those who wait at one pool."""

    def __init__(self, template: str, clock: Clock, observer: PoolObserver) -> None:
        self._template = template
        self._clock = clock
        self._observer = observer
        self._callers: dict[int, Caller] = {}
        self._lease_ids = itertools.count(1)

    def __len__(self) -> int:
        return len(self._callers)

    def new_lease_id(self) -> int:
        """Return the next lease id."""
        return next(self._lease_ids)

    def enter(self) -> Caller:
        """Begin to wait."""
        caller = Caller(self.new_lease_id(), self._clock.monotonic())
        self._callers[caller.lease_id] = caller
        return caller

    def leave(self, caller: Caller) -> None:
        """End waiting, however it went."""
        del self._callers[caller.lease_id]
        self._observer.waited(self._template, self._clock.monotonic() - caller.since, caller.outcome)

    async def answer(self, caller: Caller) -> str:
        """Return the sandbox offered, or raise why there is none. Returns at once when it is known."""
        while True:
            if caller.error is not None:
                caller.outcome = caller.error.reason.lower()
                raise caller.error
            if caller.offer is not None:
                caller.outcome = "granted"
                return caller.offer
            caller.outcome = "cancelled"
            caller.wake = asyncio.get_running_loop().create_future()
            await caller.wake

    def offer(self, lease_id: int, sandbox_id: str) -> None:
        """A sandbox is kept for this caller."""
        self._callers[lease_id].offer = sandbox_id
        self._wake(lease_id)

    def withdraw(self, lease_id: int) -> None:
        """The sandbox is no more; another will be offered, or an error told."""
        self._callers[lease_id].offer = None

    def refuse(self, lease_id: int, error: DomainError) -> None:
        """There is none for this caller."""
        self._callers[lease_id].error = error
        self._wake(lease_id)

    def _wake(self, lease_id: int) -> None:
        wake = self._callers[lease_id].wake
        if wake is not None and not wake.done():
            wake.set_result(None)
