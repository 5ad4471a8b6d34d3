"""The pure core under anything that can happen, in any order."""

from __future__ import annotations

import itertools
import random

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sandbank_server.pool import actions as do
from sandbank_server.pool import events as ev
from sandbank_server.pool.core import PoolCore
from sandbank_server.pool.settings import PoolSettings, PoolSizes
from sandbank_server.pool.state import PoolState, SandboxState

SETTINGS = PoolSettings(
    start_deadline=60.0,
    lease_deadline=30.0,
    destroy_deadline=20.0,
    max_destroying=3,
    surplus_after=15.0,
    image_backoff_cap=30.0,
)


class PoolMachine(RuleBasedStateMachine):
    """Plays driver, runtime and callers against the core, and keeps its own account of who has what."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.leases = itertools.count(1)
        self.strangers = itertools.count(1)
        self.launching: list[str] = []
        self.destroying: list[str] = []
        self.greeting: list[str] = []
        self.resolving = False
        self.queue: list[int] = []
        self.offers: dict[int, str] = {}
        self.held: dict[int, str] = {}
        self.confirmed: dict[int, str] = {}
        self.alive: set[str] = set()
        self.finished: list[int] = []

    @initialize(
        min_ready=st.integers(0, 4),
        extra=st.integers(0, 4),
        starting=st.integers(1, 3),
        waiting=st.integers(0, 5),
    )
    def begin(self, min_ready: int, extra: int, starting: int, waiting: int) -> None:
        ids = itertools.count(1)
        sizes = PoolSizes(min_ready, max(min_ready + extra, 1), starting, waiting)
        self.core = PoolCore(
            "t", sizes, SETTINGS, new_id=lambda: f"sb-{next(ids):012d}", rng=random.Random(1)
        )
        self.send(ev.Opened())

    # The driver's part.

    def send(self, event: ev.Event) -> None:
        actions = self.core.handle(event, self.now)
        launches = [action for action in actions if isinstance(action, do.Launch)]
        if launches:
            assert self.core.book.ledger.total <= self.core.book.sizes.max_total
        for action in actions:
            self.perform(action)

    def perform(self, action: do.Action) -> None:
        self.perform_for_sandboxes(action)
        self.perform_for_callers(action)

    def perform_for_sandboxes(self, action: do.Action) -> None:
        match action:
            case do.Launch():
                assert action.sandbox_id not in self.alive, "an id used twice"
                self.alive.add(action.sandbox_id)
                self.launching.append(action.sandbox_id)
            case do.Greet():
                self.greeting.append(action.sandbox_id)
            case do.Destroy():
                if action.sandbox_id in self.launching:
                    self.launching.remove(action.sandbox_id)
                if action.sandbox_id in self.greeting:
                    self.greeting.remove(action.sandbox_id)
                if action.sandbox_id not in self.destroying:
                    self.destroying.append(action.sandbox_id)
                for hands in (self.held, self.confirmed):
                    for lease_id in [key for key, value in hands.items() if value == action.sandbox_id]:
                        del hands[lease_id]
            case do.ResolveImage():
                assert not self.resolving, "two builds of one image"
                self.resolving = True
            case _:
                pass

    def perform_for_callers(self, action: do.Action) -> None:
        match action:
            case do.Offer():
                hands = [*self.offers.values(), *self.held.values(), *self.confirmed.values()]
                assert action.sandbox_id not in hands, "one sandbox in two hands"
                assert action.lease_id == self.queue[0], "not first come, first served"
                self.queue.pop(0)
                self.offers[action.lease_id] = action.sandbox_id
            case do.Withdraw():
                del self.offers[action.lease_id]
                self.queue.append(action.lease_id)
                self.queue.sort()
            case do.ReportAdopted():
                assert action.sandbox_id not in [*self.offers.values(), *self.held.values()]
                self.confirmed[action.lease_id] = action.sandbox_id
            case do.Refuse():
                self.queue.remove(action.lease_id)
            case _:
                pass

    # Callers.

    @rule(patience=st.sampled_from([0.0, 1.0, 100.0]))
    def acquire(self, patience: float) -> None:
        lease_id = next(self.leases)
        self.queue.append(lease_id)
        self.send(ev.AcquireRequested(lease_id, f"ses-{lease_id}", self.now + patience))

    @precondition(lambda self: self.queue or self.offers)
    @rule(data=st.data())
    def caller_goes(self, data: st.DataObject) -> None:
        lease_id = data.draw(st.sampled_from([*self.queue, *self.offers]))
        self.offers.pop(lease_id, None)
        if lease_id in self.queue:
            self.queue.remove(lease_id)
        self.send(ev.WaiterGone(lease_id))

    @precondition(lambda self: self.offers)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        lease_id = data.draw(st.sampled_from(list(self.offers)))
        self.held[lease_id] = self.offers.pop(lease_id)
        self.send(ev.OfferTaken(self.held[lease_id], lease_id))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        lease_id = data.draw(st.sampled_from(list(self.held)))
        sandbox_id = self.held.pop(lease_id)
        record = self.core.find(sandbox_id)
        if record is None or record.state is not SandboxState.ASSIGNED:
            return  # it died, or took too long: the driver tells the caller so
        self.confirmed[lease_id] = sandbox_id
        self.send(ev.Confirmed(sandbox_id, lease_id))

    @precondition(lambda self: self.held or self.confirmed)
    @rule(data=st.data(), used=st.booleans())
    def release(self, data: st.DataObject, used: bool) -> None:
        lease_id = data.draw(st.sampled_from([*self.held, *self.confirmed]))
        sandbox_id = self.held.pop(lease_id, None) or self.confirmed.pop(lease_id)
        self.send(ev.Released(sandbox_id, lease_id, "done", used))
        self.send(ev.Released(sandbox_id, lease_id, "done twice", used))

    # The runtime.

    @precondition(lambda self: self.launching or self.greeting)
    @rule(data=st.data(), works=st.booleans())
    def start_ends(self, data: st.DataObject, works: bool) -> None:
        sandbox_id = data.draw(st.sampled_from([*self.launching, *self.greeting]))
        for jobs in (self.launching, self.greeting):
            if sandbox_id in jobs:
                jobs.remove(sandbox_id)
        self.send(ev.StartSucceeded(sandbox_id) if works else ev.StartFailed(sandbox_id, "no luck"))

    @precondition(lambda self: self.launching)
    @rule(data=st.data())
    def launched(self, data: st.DataObject) -> None:
        self.send(ev.Launched(data.draw(st.sampled_from(self.launching))))

    @precondition(lambda self: self.destroying)
    @rule(data=st.data(), works=st.booleans())
    def destroy_ends(self, data: st.DataObject, works: bool) -> None:
        sandbox_id = data.draw(st.sampled_from(self.destroying))
        self.destroying.remove(sandbox_id)
        if works:
            self.alive.discard(sandbox_id)
        self.send(ev.Destroyed(sandbox_id) if works else ev.DestroyFailed(sandbox_id, "busy"))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def dies(self, data: st.DataObject) -> None:
        sandbox_id = data.draw(st.sampled_from(sorted(self.alive)))
        lost = ev.Lost(sandbox_id, "killed", 137)
        self.send(lost)
        self.send(lost)

    @rule()
    def stranger_dies(self) -> None:
        self.send(ev.Lost("sb-unknown00000", "killed", 137))

    @rule(found=st.sampled_from(["idle", "old", "claimed", "stray"]))
    def found(self, found: str) -> None:
        number = next(self.strangers)
        sandbox_id = f"sb-found{number:07d}"
        self.alive.add(sandbox_id)
        if found == "stray":
            self.send(ev.StrayFound(sandbox_id, "t", "nobody's"))
        elif found == "claimed":
            lease_id = next(self.leases)
            self.send(ev.Found(sandbox_id, "t", "image", 5.0, f"ses-{lease_id}", lease_id))
        else:
            self.send(ev.Found(sandbox_id, "t", "image" if found == "idle" else "old image", 5.0))

    @precondition(lambda self: self.resolving)
    @rule(works=st.booleans())
    def image_resolved(self, works: bool) -> None:
        self.resolving = False
        self.send(ev.ImageReady("image") if works else ev.ImageFailed("no such base"))

    # Operators and time.

    @rule(min_ready=st.integers(0, 5), extra=st.integers(0, 5))
    def resize(self, min_ready: int, extra: int) -> None:
        self.send(ev.Resized(min_ready, max(min_ready + extra, 1)))

    @rule(sandbox=st.integers(0, 50))
    def retire(self, sandbox: int) -> None:
        if self.alive:
            ordered = sorted(self.alive)
            self.send(ev.RetireRequested(ordered[sandbox % len(ordered)], "asked"))

    @rule(seconds=st.sampled_from([0.05, 1.0, 7.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(500):
            wake = self.core.next_wake
            if wake is None or wake > end:
                break
            assert wake >= self.now or self.core.book.agenda.next() == wake
            self.now = max(self.now, wake)
            self.send(ev.Tick())
        else:
            raise AssertionError("the core wakes itself without end")
        self.now = end
        self.send(ev.Tick())

    @invariant()
    def knowledge_is_consistent(self) -> None:
        if hasattr(self, "core"):
            self.core.check_invariants()
            waiting = [waiter.lease_id for waiter in self.core.book.waiters]
            assert waiting == self.queue

    def teardown(self) -> None:
        """Let everything work from here on: the pool must come to what was asked for, and still serve."""
        if not hasattr(self, "core"):
            return
        for _ in range(120):
            self.work_once()
            self.time_passes(1.0)
        book = self.core.book
        assert self.core.book.state is PoolState.HEALTHY, book.health.problem
        assert book.count(SandboxState.READY) == book.sizes.min_ready
        assert not book.count(SandboxState.RETIRING)
        assert not self.queue
        self.finished.clear()
        self.acquire(100.0)
        for _ in range(30):
            self.work_once()
        assert self.finished or not book.sizes.max_waiting, "the pool does not serve"
        self.core.check_invariants()

    def work_once(self) -> None:
        if self.resolving:
            self.resolving = False
            self.send(ev.ImageReady("image"))
        for sandbox_id in [*self.launching, *self.greeting]:
            self.launching = [other for other in self.launching if other != sandbox_id]
            self.greeting = [other for other in self.greeting if other != sandbox_id]
            self.send(ev.StartSucceeded(sandbox_id))
        for sandbox_id in list(self.destroying):
            self.destroying.remove(sandbox_id)
            self.alive.discard(sandbox_id)
            self.send(ev.Destroyed(sandbox_id))
        for lease_id in list(self.offers):
            sandbox_id = self.offers.pop(lease_id)
            self.send(ev.OfferTaken(sandbox_id, lease_id))
            self.send(ev.Released(sandbox_id, lease_id, "end", used=True))
            self.finished.append(lease_id)
        for lease_id in [*self.held, *self.confirmed]:
            sandbox_id = self.held.pop(lease_id, None) or self.confirmed.pop(lease_id)
            self.send(ev.Released(sandbox_id, lease_id, "end", used=True))


PoolMachine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
TestThePoolWhateverHappens = PoolMachine.TestCase
