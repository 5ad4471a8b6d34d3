"""The pool's small parts, each by itself."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbank_server.errors import DrainingError
from sandbank_server.pool import events as ev
from sandbank_server.pool.agenda import Agenda
from sandbank_server.pool.backoff import Backoff, StartBudget
from sandbank_server.pool.core import PoolCore
from sandbank_server.pool.demand import RefillPause, Surplus
from sandbank_server.pool.lifecycle import TABLE
from sandbank_server.pool.reasons import REASON_LENGTH, describe
from sandbank_server.pool.settings import PoolSettings, PoolSizes
from sandbank_server.pool.state import HISTORY_LENGTH, MOVES, InvalidTransition, SandboxState
from sandbank_server.pool.waiters import Waiter, WaiterQueue
from sandbank_server.runtimes.base import LaunchFailed
from sandbank_server.templates.errors import TemplateBuildError


@given(attempt=st.integers(1, 10_000), seed=st.integers())
def test_backoff_grows_to_its_cap_with_jitter(attempt: int, seed: int) -> None:
    """Half to all of base · 2^(attempt - 1), never over the cap, whatever the attempt."""
    whole = min(30.0, 0.5 * 2.0 ** min(attempt - 1, 60))
    assert whole / 2 <= Backoff(0.5, 30.0, random.Random(seed)).delay(attempt) <= whole


def budget(rounds: int = 3) -> StartBudget:
    """Return a budget that is whole again after 10 s."""
    return StartBudget(rounds, 10.0, Backoff(1.0, 8.0, random.Random(3)))


def test_failures_of_one_round_count_once() -> None:
    """Four starts of one moment failed of one cause."""
    starts = budget()
    for at in (1.0, 1.1, 1.2, 1.3):
        starts.failed(at, decided_at=0.0, reason="no")
    assert starts.failures == 1
    starts.failed(3.0, decided_at=2.5, reason="no")
    assert starts.failures == 2
    assert not starts.exhausted
    starts.failed(9.0, decided_at=8.0, reason="no")
    assert starts.exhausted


def test_the_budget_is_whole_only_after_stable_uptime() -> None:
    """A success alone proves nothing: what follows must live."""
    starts = budget(rounds=1)
    starts.failed(1.0, decided_at=0.0, reason="no")
    starts.succeeded(1.5, decided_at=0.5)
    assert starts.whole_at is None, "decided before the failure: it says nothing about what comes"
    starts.succeeded(3.0, decided_at=2.0)
    starts.tick(12.9)
    assert starts.exhausted
    starts.failed(12.95, decided_at=5.0, reason="again")
    starts.tick(13.0)
    assert starts.exhausted
    starts.succeeded(20.0, decided_at=19.0)
    starts.tick(30.0)
    assert (starts.failures, starts.reason, starts.not_before) == (0, "", 0.0)


@given(st.lists(st.tuples(st.sampled_from(["set", "cancel", "pop"]), st.integers(0, 5), st.integers(0, 20))))
def test_an_agenda_gives_what_is_due_in_order_once(steps: list[tuple[str, int, int]]) -> None:
    """Against a plain dict."""
    agenda: Agenda[int] = Agenda()
    model: dict[int, float] = {}
    for what, key, when in steps:
        if what == "set":
            agenda.set(key, when)
            model[key] = when
        elif what == "cancel":
            agenda.cancel(key)
            model.pop(key, None)
        else:
            due = agenda.pop_due(when)
            assert sorted(due) == sorted(key for key, at in model.items() if at <= when)
            assert [model[key] for key in due] == sorted(model[key] for key in due)
            for each in due:
                del model[each]
        assert agenda.next() == min(model.values(), default=None)
        assert len(agenda) == len(model)


def test_an_agenda_does_not_grow_with_what_was_cancelled() -> None:
    """Every acquisition sets a deadline and cancels it."""
    agenda: Agenda[int] = Agenda()
    for number in range(10_000):
        agenda.set(number, 1e9)
        agenda.cancel(number)
    assert len(agenda._heap) < 200


def test_a_waiter_rejoins_at_its_old_place() -> None:
    """Also when several come back in the wrong order."""
    queue = WaiterQueue()
    waiters = [Waiter(number, f"ses-{number}", 9.0) for number in range(1, 5)]
    for waiter in waiters:
        queue.join(waiter)
    first, second = queue.first(), queue.first()
    queue.rejoin(first)
    queue.rejoin(second)
    assert [waiter.lease_id for waiter in queue] == [1, 2, 3, 4]
    assert queue.leave(3)
    assert not queue.leave(3)


def test_the_pause_of_refilling_ends() -> None:
    """A pause between acquisitions ends it, and the limit does if there is none."""
    pause = RefillPause(quiet_time=0.1, quiet_limit=0.4)
    pause.acquired(1.0)
    assert pause.until == pytest.approx(1.1)
    for number in range(1, 8):
        pause.acquired(1.0 + number * 0.05)
    assert pause.until == pytest.approx(1.4)


def test_surplus_is_shed_only_after_patience() -> None:
    """A surplus that comes and goes starts anew."""
    surplus = Surplus(10.0)
    assert surplus.due_at(1, 5.0) == 15.0
    assert surplus.due_at(0, 8.0) is None
    assert surplus.due_at(2, 9.0) == 19.0
    assert surplus.due_at(1, 12.0) == 19.0


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LaunchFailed("the entrypoint is not there\nsecret second line"), "the entrypoint is not there"),
        (TemplateBuildError("pip failed", ["a line of the log"]), "pip failed"),
        (DrainingError("the server is shutting down"), "the server is shutting down"),
        (TimeoutError("x"), "no answer in time"),
        (OSError(2, "No such file", "/secret/path"), "unexpected FileNotFoundError"),
    ],
)
def test_reasons_show_our_own_words_and_nobody_elses(error: Exception, text: str) -> None:
    """They reach clients in POOL_DEGRADED."""
    assert describe(error) == text


def test_reasons_are_bounded() -> None:
    """However long an error goes on."""
    assert len(describe(LaunchFailed("x" * 10_000))) == REASON_LENGTH


def core() -> PoolCore:
    """Return a core with one READY sandbox, ``sb-1``."""
    numbers = iter(range(1, 1000))
    made = PoolCore(
        "t", PoolSizes(1, 2), PoolSettings(), new_id=lambda: f"sb-{next(numbers)}", rng=random.Random(1)
    )
    for event in (ev.Opened(), ev.ImageReady("image"), ev.StartSucceeded("sb-1")):
        made.handle(event, 1.0)
    return made


@pytest.mark.parametrize(
    "event",
    [
        ev.StartSucceeded("sb-1"),
        ev.StartFailed("sb-1", "no"),
        ev.Destroyed("sb-1"),
        ev.OfferTaken("sb-1", 7),
        ev.Confirmed("sb-1", 7),
        ev.Found("sb-1", "t", "image", 0.0),
        ev.Confirmed("sb-unknown", 7),
    ],
)
def test_what_cannot_happen_raises_with_the_history_and_changes_nothing(event: ev.SandboxEvent) -> None:
    """A fault of the pool's own is loud, and leaves the pool as it was."""
    pool = core()
    with pytest.raises(InvalidTransition) as fault:
        pool.handle(event, 2.0)
    if event.sandbox_id == "sb-1":
        assert [entry.what for entry in fault.value.history] == ["STARTING", "READY"]
    pool.check_invariants()
    assert pool.book.count(SandboxState.READY) == 1
    assert not pool.book.actions


def test_every_event_of_a_sandbox_says_what_it_does_in_every_state_it_allows() -> None:
    """The table is complete: no event is missing, and nothing is allowed in GONE."""
    events = {each.__name__ for each in ev.SandboxEvent.__subclasses__()}
    assert {each.__name__ for each in TABLE} == events
    assert all(SandboxState.GONE not in row for row in TABLE.values())
    assert set(MOVES) == {None, *SandboxState}
    assert MOVES[SandboxState.GONE] == frozenset()


def test_the_history_of_a_sandbox_is_bounded() -> None:
    """Whatever happens to it how often."""
    pool = core()
    for number in range(1, 200):
        pool.handle(ev.AcquireRequested(number, "ses-1", 99.0), 2.0)
        pool.handle(ev.WaiterGone(number), 2.0)
    record = pool.find("sb-1")
    assert record is not None
    assert len(record.history) == HISTORY_LENGTH
