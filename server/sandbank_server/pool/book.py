"""All that a pool knows, and the few changes that several of its parts make."""

from __future__ import annotations

import random
from collections import deque
from enum import Enum

from sandbank_server.pool import actions as do
from sandbank_server.pool.agenda import Agenda
from sandbank_server.pool.backoff import Backoff
from sandbank_server.pool.demand import RefillPause, Surplus
from sandbank_server.pool.events import DrainRequested
from sandbank_server.pool.health import Health
from sandbank_server.pool.ledger import Ledger
from sandbank_server.pool.retirement import Retirements
from sandbank_server.pool.settings import PoolSettings, PoolSizes
from sandbank_server.pool.state import Hold, PoolState, SandboxRecord, SandboxState
from sandbank_server.pool.waiters import Waiter, WaiterQueue

START_TIMES_KEPT = 101
"""Start times that the median is taken of."""


class Due(Enum):
    """What a deadline is for."""

    START = "start"
    LEASE = "lease"
    DESTROY = "destroy"
    WAITER = "waiter"


class Book:
    """The pool's knowledge; ``now`` is the time of the event being handled, ``actions`` what it led to."""

    def __init__(self, template: str, sizes: PoolSizes, settings: PoolSettings, rng: random.Random) -> None:
        self.template = template
        self.sizes = sizes
        self.settings = settings
        self.ledger = Ledger()
        self.waiters = WaiterQueue()
        self.offers: dict[int, tuple[Waiter, SandboxRecord]] = {}
        self.agenda: Agenda[tuple[Due, str | int]] = Agenda()
        self.health = Health(settings, rng)
        self.retirements = Retirements(
            settings.max_destroying,
            settings.destroy_deadline,
            Backoff(settings.backoff_base, settings.backoff_cap, rng),
        )
        self.pause = RefillPause(settings.quiet_time, settings.quiet_limit)
        self.surplus = Surplus(settings.surplus_after)
        self.draining: DrainRequested | None = None
        self.ceiling = sizes.max_total
        self.ever_ready = False
        self.started_count = 0
        self.failed_count = 0
        self.start_times: deque[float] = deque(maxlen=START_TIMES_KEPT)
        self.now = 0.0
        self.actions: list[do.Action] = []

    # What there is.

    def count(self, state: SandboxState) -> int:
        """Return how many sandboxes are in ``state``."""
        return self.ledger.count(state)

    @property
    def launching(self) -> int:
        """How many of ours the runtime is starting; those found at boot run already and need no engine."""
        starting = self.ledger.having(SandboxState.STARTING)
        return sum(1 for record in starting if not (record.adopted or record.launched))

    @property
    def booting(self) -> int:
        """How many of ours are being started, those included whose runner has yet to say Hello."""
        return sum(1 for record in self.ledger.having(SandboxState.STARTING) if not record.adopted)

    @property
    def start_room(self) -> int:
        """How many starts may begin now.

        ``max_starting`` bounds what the runtime does at once. A sandbox whose process runs leaves its place to the
        next, or the engine would stand still while runners boot; but no more than as many again may be booting.
        A pool that is DEGRADED tries one at a time, from the decision to the Hello.
        """
        if not self.health.may_start(self.now):
            return 0
        if self.health.budget.exhausted:
            return 1 - self.booting
        return min(self.sizes.max_starting - self.launching, 2 * self.sizes.max_starting - self.booting)

    @property
    def wanted(self) -> int:
        """How many should be READY or on the way to it.

        At least one while the pool is DEGRADED: it refuses callers, so it must find out by itself when it is
        over.
        """
        if self.draining:
            return 0
        return max(self.sizes.min_ready + len(self.waiters), 1 if self.health.problem else 0)

    @property
    def coming(self) -> int:
        """How many are READY, or will be for anybody: a claimed one that is being greeted will not."""
        starting = self.ledger.having(SandboxState.STARTING)
        return self.count(SandboxState.READY) + sum(1 for record in starting if not record.session_id)

    @property
    def state(self) -> PoolState:
        """How the pool is doing."""
        if self.draining:
            return PoolState.DRAINING
        if self.health.problem:
            return PoolState.DEGRADED
        if not self.health.opened or (self.wanted and not self.ever_ready):
            return PoolState.STARTING
        return PoolState.HEALTHY

    # Changes.

    def emit(self, action: do.Action) -> None:
        """Have something done."""
        self.actions.append(action)

    def notice(self, record: SandboxRecord | None, message: str, level: do.Level = do.Level.INFO) -> None:
        """Tell operators."""
        self.emit(do.Notice(record, message, level))

    def move(self, record: SandboxRecord, state: SandboxState, reason: str = "") -> None:
        """Change a sandbox's state now."""
        self.ledger.move(record, state, self.now, reason)

    def make_ready(self, record: SandboxRecord, message: str) -> None:
        """Put a sandbox, new or never used, among those that are handed out."""
        self.move(record, SandboxState.READY)
        record.awaiting_image = False
        record.session_id = ""
        record.hold = Hold.NONE
        record.lease_id = 0
        if record.ready_at is None:
            record.ready_at = self.now
        self.ever_ready = True
        self.agenda.cancel((Due.START, record.sandbox_id))
        self.agenda.cancel((Due.LEASE, record.sandbox_id))
        self.notice(record, message, do.Level.DEBUG)

    def retire(self, record: SandboxRecord, reason: str, level: do.Level = do.Level.INFO) -> None:
        """Begin the end of a sandbox. Whom it had been offered to waits on."""
        self.move(record, SandboxState.RETIRING, reason)
        self.agenda.cancel((Due.START, record.sandbox_id))
        self.agenda.cancel((Due.LEASE, record.sandbox_id))
        self.retirements.add(record)
        self.notice(record, f"retiring: {reason}", level)
        offer = self.offers.pop(record.lease_id, None)
        if offer is not None:
            waiter = offer[0]
            self.waiters.rejoin(waiter)
            self.agenda.set((Due.WAITER, waiter.lease_id), waiter.deadline)
            self.emit(do.Withdraw(waiter.lease_id))

    def settle_ceiling(self) -> None:
        """Let what is over ``max_total`` (found at boot, or resized) shrink but never grow again."""
        self.ceiling = max(self.sizes.max_total, min(self.ceiling, self.ledger.total))
