"""The pool's decisions: pure and synchronous, without clock, input or output.

``handle(event, now)`` changes the records and returns what is to be done; the driver does it and comes back
with events. What one sandbox's events do is in ``lifecycle``, what there should be in ``planning``; this
module joins them to the events of callers and of time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from sandbank_server.errors import PoolQueueFullError, PoolTimeoutError
from sandbank_server.pool import actions as do
from sandbank_server.pool import events as ev
from sandbank_server.pool.book import Book, Due
from sandbank_server.pool.invariants import check_book
from sandbank_server.pool.lifecycle import apply, fail_destroy, fail_start, settle_image
from sandbank_server.pool.planning import plan, refusal, shed
from sandbank_server.pool.settings import PoolSettings, PoolSizes
from sandbank_server.pool.state import Hold, PoolState, SandboxRecord, SandboxState
from sandbank_server.pool.waiters import Waiter

BUSY_RETRY_SECONDS = 1.0
"""When to try again where only sessions that end can help, and nobody knows when they do."""


class PoolCore:
    """The state machine of one pool.

    ``new_id`` makes sandbox ids, ``rng`` the jitter of retries. Nothing here is safe to call from several
    threads, and nothing needs to be: one event is handled at a time, in no time.
    """

    def __init__(
        self,
        template: str,
        sizes: PoolSizes,
        settings: PoolSettings,
        *,
        new_id: Callable[[], str],
        rng: random.Random,
    ) -> None:
        self.book = Book(template, sizes, settings, rng)
        self._new_id = new_id
        self._wakes: list[float] = []
        self._last_state: PoolState | None = None
        self._handlers: Mapping[type[ev.Event], Callable[[Any], None]] = {
            ev.AcquireRequested: self._acquire,
            ev.WaiterGone: self._waiter_gone,
            ev.Resized: self._resize,
            ev.DrainRequested: self._drain,
            ev.Opened: self._opened,
            ev.RuntimeFailed: self._runtime_failed,
            ev.ImageReady: self._image_ready,
            ev.ImageFailed: self._image_failed,
            ev.Tick: self._tick,
        }

    def handle(self, event: ev.Event, now: float) -> list[do.Action]:
        """Let ``event`` happen at ``now``. Raises :class:`InvalidTransition`, having changed nothing."""
        book = self.book
        book.now = now
        book.health.tick(now)
        if isinstance(event, ev.SandboxEvent):
            apply(book, event)
        else:
            self._handlers[type(event)](event)
        self._wakes = plan(book, self._new_id)
        if book.state is not self._last_state:
            self._last_state = book.state
            level = do.Level.WARNING if book.state is PoolState.DEGRADED else do.Level.INFO
            problem = f": {book.health.problem}" if book.state is PoolState.DEGRADED else ""
            book.notice(None, f"pool is {book.state.name}{problem}", level)
        actions, book.actions = book.actions, []
        return actions

    @property
    def next_wake(self) -> float | None:
        """When to send a Tick, if nothing happens before."""
        times = [*self._wakes, self.book.agenda.next()]
        return min((time for time in times if time is not None), default=None)

    @property
    def settled(self) -> bool:
        """Whether nothing is being started or destroyed."""
        return not (self.book.count(SandboxState.STARTING) or self.book.count(SandboxState.RETIRING))

    def check_invariants(self) -> None:
        """Raise AssertionError if what the pool knows contradicts itself."""
        check_book(self.book)

    def find(self, sandbox_id: str) -> SandboxRecord | None:
        """Return the record of a sandbox, to be read only."""
        return self.book.ledger.get(sandbox_id)

    # Callers.

    def _acquire(self, event: ev.AcquireRequested) -> None:
        """Queue, unless that leads nowhere; the plan offers what is READY in the same instant."""
        book = self.book
        error = None
        if not book.count(SandboxState.READY) or book.draining:
            error = refusal(book)
            if error is None and len(book.waiters) >= book.sizes.max_waiting:
                error = PoolQueueFullError(
                    f"{len(book.waiters)} callers wait for a sandbox of template {book.template!r} already",
                    metadata={"template": book.template},
                    retry_delay=BUSY_RETRY_SECONDS,
                )
            elif error is None and event.deadline <= book.now:
                error = self._timeout()
        if error is not None:
            book.emit(do.Refuse(event.lease_id, error))
            return
        book.waiters.join(Waiter(event.lease_id, event.session_id, event.deadline))
        book.agenda.set((Due.WAITER, event.lease_id), event.deadline)

    def _waiter_gone(self, event: ev.WaiterGone) -> None:
        book = self.book
        lease_id = event.lease_id
        book.agenda.cancel((Due.WAITER, lease_id))
        if book.waiters.leave(lease_id):
            return
        offer = book.offers.pop(lease_id, None)
        if offer is not None:
            book.make_ready(offer[1], "given back: the caller has gone")

    def _timeout(self) -> PoolTimeoutError:
        return PoolTimeoutError(
            f"no sandbox of template {self.book.template!r} became ready in time",
            metadata={"template": self.book.template},
            retry_delay=BUSY_RETRY_SECONDS,
        )

    # Time.

    def _tick(self, _event: ev.Tick) -> None:
        for due in self.book.agenda.pop_due(self.book.now):
            self._fall_due(*due)

    def _fall_due(self, due: Due, key: str | int) -> None:
        book = self.book
        if isinstance(key, int):
            if book.waiters.leave(key):
                book.emit(do.Refuse(key, self._timeout()))
            return
        record = book.ledger.get(key)
        if record is None:
            return
        if due is Due.START and record.state is SandboxState.STARTING:
            patience = book.settings.greet_deadline if record.session_id else book.settings.start_deadline
            fail_start(book, record, f"not ready within {patience:g} s")
        elif due is Due.LEASE and record.hold is Hold.LEASED:
            book.retire(record, "handed over, but never confirmed", do.Level.WARNING)
        elif due is Due.DESTROY and record.destroying:
            fail_destroy(book, record, f"not destroyed within {book.settings.destroy_deadline:g} s")
        elif due is Due.DESTROY:
            book.retirements.add(record)

    # The pool as a whole.

    def _resize(self, event: ev.Resized) -> None:
        """Take over other sizes; what is too much goes at once, but never what a session has."""
        book = self.book
        sizes = PoolSizes(event.min_ready, event.max_total, book.sizes.max_starting, book.sizes.max_waiting)
        book.ceiling = max(book.ceiling, book.ledger.total)
        book.sizes = sizes
        shed(book, book.coming - book.wanted, "resized")
        book.notice(None, f"resized to {sizes.min_ready} ready, {sizes.max_total} in all")

    def _drain(self, event: ev.DrainRequested) -> None:
        book = self.book
        book.draining = event
        for record in list(book.ledger.having(SandboxState.STARTING)):
            if not record.session_id:
                book.retire(record, "draining")
        if event.end_assigned:
            for record in list(book.ledger.having(SandboxState.ASSIGNED)):
                book.retire(record, "draining")

    def _opened(self, _event: ev.Opened) -> None:
        self.book.health.open()

    def _runtime_failed(self, event: ev.RuntimeFailed) -> None:
        self.book.health.runtime_failed(self.book.now, event.reason, event.retry_after)

    def _image_failed(self, event: ev.ImageFailed) -> None:
        self.book.health.image_failed(self.book.now, event.reason)

    def _image_ready(self, event: ev.ImageReady) -> None:
        book = self.book
        book.health.image_ready(event.image)
        for record in list(book.ledger.having(SandboxState.STARTING)):
            if record.awaiting_image:
                settle_image(book, record)
