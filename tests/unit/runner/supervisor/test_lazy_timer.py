"""A timer that is put off all the time."""

from __future__ import annotations

from sandbank_runner.supervisor.lazy_timer import LazyTimer

from tests.unit.runner.supervisor.test_ladder import Clock


class LoopClock(Clock):
    """As much of an event loop as such a timer uses."""

    def call_at(self, when, callback, *args):  # type: ignore[no-untyped-def]
        """Remember it."""
        return self.call_later(when - self.now, callback, *args)


def test_it_acts_once_nobody_has_touched_it_for_so_long():
    """Each touch begins the time anew; after it has acted it rests."""
    clock, acted = LoopClock(), []
    timer = LazyTimer(clock, 1.0, lambda: acted.append(clock.now))  # type: ignore[arg-type]
    for moment in (0.0, 0.5, 1.2, 1.9):
        clock.advance(moment)
        timer.touch()
    clock.advance(2.8)
    assert acted == []
    clock.advance(50)
    assert acted == [2.9]
    timer.touch()
    clock.advance(60)
    assert acted == [2.9, 51.0]


def test_it_may_be_brought_forward():
    """A shorter time counts at once, a longer one puts it off."""
    clock, acted = LoopClock(), []
    timer = LazyTimer(clock, 10.0, lambda: acted.append(clock.now))  # type: ignore[arg-type]
    timer.touch()
    timer.touch(1.0)
    clock.advance(5)
    assert acted == [1.0]
    timer.touch(1.0)
    timer.touch(3.0)
    clock.advance(20)
    assert acted == [1.0, 8.0]


def test_cancelled_it_rests():
    """Until it is touched again."""
    clock, acted = LoopClock(), []
    timer = LazyTimer(clock, 1.0, lambda: acted.append(clock.now))  # type: ignore[arg-type]
    timer.touch()
    timer.cancel()
    clock.advance(5)
    assert acted == []
    timer.touch()
    clock.advance(10)
    assert acted == [6.0]
