"""The ladder, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

import pytest
from sandbank_runner.supervisor.ladder import Ladder
from sandbank_runner.supervisor.operations import Operation, Stop


class Clock:
    """As much of an event loop as a ladder uses."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0

    def time(self) -> float:
        """Return the time that the test has come to."""
        return self.now

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
        """Remember it."""
        timer = asyncio.TimerHandle(self.now + delay, callback, args, self)  # type: ignore[arg-type]
        self._count += 1
        heapq.heappush(self._timers, (timer.when(), self._count, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        return

    def get_debug(self) -> bool:
        """Return False."""
        return False

    def advance(self, to: float) -> None:
        """Let everything happen that is due until then."""
        while self._timers and self._timers[0][0] <= to:
            self.now, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled():
                timer._run()
        self.now = to


class Target:
    """An interpreter that takes interrupts from a given time on."""

    def __init__(self, clock: Clock, reachable_from: float = 0.0) -> None:
        self.clock = clock
        self.reachable_from = reachable_from
        self.interrupts: list[float] = []
        self.killed: list[tuple[float, str]] = []

    def interrupt(self) -> bool:
        """Note it, where it can be reached."""
        if self.clock.now >= self.reachable_from:
            self.interrupts.append(self.clock.now)
            return True
        return False

    def kill(self, why: str) -> None:
        """Note it."""
        self.killed.append((self.clock.now, why))


def running(timeout: float = 10.0) -> Operation:
    """Return an operation that runs."""
    operation = Operation("a", b"", timeout=timeout, max_output_bytes=1, create_time=1)
    operation.start(1, 0, 1, 1)
    return operation


def ladder(operation: Operation, target: Target, grace: float = 2.0) -> Ladder:
    """Return the ladder of an operation that begins now."""
    return Ladder(target.clock, operation, target, grace)  # type: ignore[arg-type]


def test_the_timeout_climbs_it():
    """Interrupt at the timeout, kill when the grace is over; each once."""
    target = Target(Clock())
    operation = running()
    ladder(operation, target)
    target.clock.advance(9.99)
    assert (target.interrupts, target.killed) == ([], [])
    target.clock.advance(11.9)
    assert target.interrupts[0] == 10.0
    assert target.killed == []
    target.clock.advance(100)
    assert target.killed == [(pytest.approx(12.0), "timeout")]
    assert operation.stop is Stop.TIMEOUT


def test_the_interrupt_is_repeated_ever_more_rarely():
    """A few times within the grace: one may have gone unnoticed."""
    target = Target(Clock())
    climbed = ladder(running(), target)
    climbed.stop(Stop.CANCEL)
    target.clock.advance(1.0)
    pauses = [b - a for a, b in zip(target.interrupts, target.interrupts[1:], strict=False)]
    assert pauses == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.32])
    target.clock.advance(5)
    assert target.killed == [(pytest.approx(2.0), "cancel")]


def test_it_waits_until_user_code_can_be_reached():
    """An interrupt sent before the code has begun would be lost."""
    target = Target(Clock(), reachable_from=0.1)
    ladder(running(), target).stop(Stop.CANCEL)
    target.clock.advance(0.5)
    assert 0.1 <= target.interrupts[0] < 0.16


def test_what_can_never_be_reached_is_killed_in_time():
    """Code may block the signal for ever."""
    target = Target(Clock(), reachable_from=1000.0)
    ladder(running(), target).stop(Stop.CANCEL)
    target.clock.advance(3)
    assert target.interrupts == []
    assert target.killed == [(pytest.approx(2.0), "cancel")]


@pytest.mark.parametrize("moment", [0.0, 5.0, 10.5, 11.9])
def test_once_released_it_does_nothing_more(moment: float):
    """At every step: what it would hit now is somebody else's."""
    target = Target(Clock())
    climbed = ladder(running(), target)
    target.clock.advance(moment)
    climbed.release()
    before = len(target.interrupts)
    climbed.stop(Stop.CANCEL)
    target.clock.advance(100)
    assert len(target.interrupts) == before
    assert target.killed == []


def test_a_second_stop_changes_nothing():
    """Neither the reason nor the time."""
    target = Target(Clock())
    climbed = ladder(running(), target)
    climbed.stop(Stop.CANCEL)
    target.clock.advance(1.5)
    climbed.stop(Stop.TIMEOUT)
    target.clock.advance(50)
    assert target.killed == [(pytest.approx(2.0), "cancel")]
