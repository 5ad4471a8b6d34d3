"""Asks a pool's core, does what it decides, and tells it what came of that.

The core is asked synchronously, so what the pool knows is right at any moment between two awaits; everything
slow is a job whose result comes back as an event. Actions are performed in the order of the decisions, also
when performing one leads to more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Generic

from sandbank_server.clock import Clock, Timer
from sandbank_server.errors import DrainingError, SandboxLostBeforeStartError
from sandbank_server.pool import actions as do
from sandbank_server.pool import events as ev
from sandbank_server.pool.callers import Callers
from sandbank_server.pool.core import PoolCore
from sandbank_server.pool.lease import Lease
from sandbank_server.pool.link import LinkT
from sandbank_server.pool.observer import PoolObserver
from sandbank_server.pool.reporting import OnExit, Reporter
from sandbank_server.pool.snapshots import PoolSnapshot, SandboxSnapshot, snapshot_pool, snapshot_sandbox
from sandbank_server.pool.state import Hold, InvalidTransition, SandboxState
from sandbank_server.pool.watch import Watchers
from sandbank_server.pool.work import SandboxWork
from sandbank_server.runtimes.base import LaunchedSandbox


class PoolDriver(Generic[LinkT]):
    """One pool at work."""

    def __init__(
        self,
        core: PoolCore,
        clock: Clock,
        observer: PoolObserver,
        watchers: Watchers,
        on_exit: OnExit,
        make_work: Callable[[Callable[[ev.Event], None], Callable[[str, LinkT], None]], SandboxWork[LinkT]],
    ) -> None:
        self.core = core
        self._clock = clock
        reporter = Reporter(core.book, clock, observer, watchers, on_exit)
        self._work = make_work(self.feed, self._link_closed)
        self._callers = Callers(core.book.template, clock, observer)
        self._adopting: dict[str, asyncio.Future[Lease[LinkT] | None]] = {}
        self._todo: deque[do.Action] = deque()
        self._performing = False
        self._timer: Timer | None = None
        self._timer_at: float | None = None
        self._settled = asyncio.Event()
        self._closed = False
        self._performers: Mapping[type[do.Action], Callable[[Any], None]] = {
            do.Launch: lambda action: self._work.launch(action.sandbox_id, action.image),
            do.Greet: lambda action: self._work.greet(action.sandbox_id, action.session_id),
            do.Destroy: self._destroy,
            do.ResolveImage: lambda _action: self._work.resolve_image(),
            do.Offer: lambda action: self._callers.offer(action.lease_id, action.sandbox_id),
            do.Withdraw: lambda action: self._callers.withdraw(action.lease_id),
            do.Refuse: lambda action: self._callers.refuse(action.lease_id, action.error),
            do.ReportAdopted: self._adopted,
            do.ReportLoss: reporter.report_loss,
            do.CountStart: reporter.count_start,
            do.CountFailure: reporter.count_failure,
            do.CountLoss: reporter.count_loss,
            do.Notice: reporter.notice,
        }

    # Events in, actions out.

    def feed(self, event: ev.Event) -> None:
        """Let something happen. Raises :class:`InvalidTransition` for what cannot."""
        if self._closed:
            return
        try:
            self._todo.extend(self.core.handle(event, self._clock.monotonic()))
        except InvalidTransition as error:
            self._work.jobs.faults.append(error)
            raise
        if self._performing:
            return  # performing an action led here: the loop below goes on with what this led to
        self._performing = True
        try:
            while self._todo:
                action = self._todo.popleft()
                self._performers[type(action)](action)
        finally:
            self._performing = False
        if self.core.settled:
            self._settled.set()
        else:
            self._settled.clear()
        self._set_timer()

    def _set_timer(self) -> None:
        wake = self.core.next_wake
        if wake == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, wake
        if wake is not None:
            self._timer = self._clock.call_later(wake - self._clock.monotonic(), self._tick)

    def _tick(self) -> None:
        self._timer = self._timer_at = None
        self.feed(ev.Tick())

    # Handing over.

    async def acquire(self, session_id: str, timeout: float) -> Lease[LinkT]:
        """See :meth:`PoolManager.acquire`. With a READY sandbox this never waits."""
        if self._closed:
            raise DrainingError("the server is shutting down")
        caller = self._callers.enter()
        lease_id = caller.lease_id
        try:
            self.feed(ev.AcquireRequested(lease_id, session_id, self._clock.monotonic() + timeout))
            while True:
                sandbox_id = await self._callers.answer(caller)
                link = self._work.links.get(sandbox_id)
                if link is None or link.closed.is_set():
                    # Nobody has seen it die yet. The core lets this caller wait on, at its old place.
                    self.feed(ev.Lost(sandbox_id, "its link was closed when it was handed over"))
                    continue
                self.feed(ev.OfferTaken(sandbox_id, lease_id))
                return Lease(self, sandbox_id, self.core.book.template, session_id, link, lease_id)
        except BaseException:
            # Cancelled, most likely, perhaps with an offer already in hand: it goes to the next, or is READY.
            self.feed(ev.WaiterGone(lease_id))
            raise
        finally:
            self._callers.leave(caller)

    def confirm(self, sandbox_id: str, lease_id: int) -> None:
        """See :class:`LeaseKeeper`."""
        record = self.core.find(sandbox_id)
        held = record is not None and record.state is SandboxState.ASSIGNED and record.lease_id == lease_id
        if record is None or not held:
            raise SandboxLostBeforeStartError(
                "the sandbox was lost before the session had it; nothing was run", retry_delay=0.1
            )
        if record.hold is not Hold.CONFIRMED:
            self.feed(ev.Confirmed(sandbox_id, lease_id))

    def release(self, sandbox_id: str, lease_id: int, reason: str, *, used: bool) -> None:
        """See :class:`LeaseKeeper`."""
        self.feed(ev.Released(sandbox_id, lease_id, reason, used))

    # Adoption.

    def adopt(self, launched: LaunchedSandbox, event: ev.Found) -> None:
        """Ask a runner that was found at boot, and keep it if it is what it should be."""
        self._work.found[launched.sandbox_id] = launched
        self.feed(event)

    def adopt_claimed(
        self, launched: LaunchedSandbox, event: ev.Found
    ) -> asyncio.Future[Lease[LinkT] | None]:
        """Do the same for a session's; the future gives its lease, or None when it is lost."""
        future: asyncio.Future[Lease[LinkT] | None] = asyncio.get_running_loop().create_future()
        self._adopting[launched.sandbox_id] = future
        self.adopt(launched, event)
        return future

    def new_lease_id(self) -> int:
        """Return an id for the lease of a claimed sandbox."""
        return self._callers.new_lease_id()

    # What operators see and do.

    def snapshot(self) -> PoolSnapshot:
        """Return the pool as it is now."""
        return snapshot_pool(self.core.book)

    def sandboxes(self) -> list[SandboxSnapshot]:
        """Return its sandboxes as they are now."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        return [snapshot_sandbox(record, monotonic, now) for record in self.core.book.ledger]

    async def settle(self) -> None:
        """Wait until nothing is being started or destroyed."""
        while not self.core.settled:
            await self._settled.wait()

    async def close(self) -> None:
        """Stop; sandboxes run on, callers are refused, links end."""
        if self._closed:
            return
        self.feed(ev.DrainRequested(end_ready=False, end_assigned=False))
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self._work.close()

    def check_invariants(self) -> None:
        """Raise AssertionError if core and driver contradict each other, and the first fault there was."""
        if self._work.jobs.faults:
            raise AssertionError("fault of the pool") from self._work.jobs.faults[0]
        self.core.check_invariants()
        known = {record.sandbox_id: record for record in self.core.book.ledger}
        for sandbox_id, record in known.items():
            if record.state in (SandboxState.READY, SandboxState.ASSIGNED) and not self._closed:
                assert sandbox_id in self._work.links, f"no link: {record.story()}"
        assert self._work.links.keys() <= known.keys(), "links of sandboxes that are gone"
        assert not self._todo, "decided, but not done"
        assert self._closed or self.core.next_wake == self._timer_at, (
            "the timer is not what the core asked for"
        )

    # Performing.

    def _destroy(self, action: do.Destroy) -> None:
        future = self._adopting.pop(action.sandbox_id, None)
        if future is not None and not future.done():
            future.set_result(None)
        self._work.destroy(action.sandbox_id, action.attempt)

    def _adopted(self, action: do.ReportAdopted) -> None:
        link = self._work.links[action.sandbox_id]
        record = self.core.find(action.sandbox_id)
        template = record.template if record else self.core.book.template
        future = self._adopting.pop(action.sandbox_id, None)
        if future is not None and not future.done():
            future.set_result(
                Lease(self, action.sandbox_id, template, action.session_id, link, action.lease_id)
            )

    def _link_closed(self, sandbox_id: str, link: LinkT) -> None:
        """Take a closed link for the sandbox's death, unless its session has it: that finds out by itself."""
        record = self.core.find(sandbox_id)
        if record is None or self._work.links.get(sandbox_id) is not link:
            return
        if record.state is not SandboxState.RETIRING and record.hold is not Hold.CONFIRMED:
            self.feed(ev.Lost(sandbox_id, "its runner closed the link"))
