"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class ManualTimer:
    """A call of a :class:`ManualClock` that is still to come."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """See ``Clock``."""
        self.callback = None


class ManualClock:
    """Implements ``sandbank_server.clock.Clock``; :meth:`advance` calls what falls due, in order of time."""

    def __init__(self, start: float = 1000.0, wall: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._wall = wall
        self._time = start
        self._timers: list[tuple[float, int, ManualTimer]] = []
        self._count = itertools.count()

    def monotonic(self) -> float:
        """See ``Clock``."""
        return self._time

    def now(self) -> datetime:
        """See ``Clock``."""
        return self._wall + timedelta(seconds=self._time - self._start)

    def call_later(self, delay: float, callback: Callable[[], None]) -> ManualTimer:
        """See ``Clock``."""
        timer = ManualTimer(callback)
        heapq.heappush(self._timers, (self._time + max(delay, 0.0), next(self._count), timer))
        return timer

    async def sleep(self, delay: float) -> None:
        """See ``Clock``."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(delay, lambda: None if future.done() else future.set_result(None))
        try:
            await future
        finally:
            timer.cancel()

    @property
    def pending(self) -> int:
        """Timers that are neither called nor cancelled."""
        return sum(1 for _, _, timer in self._timers if timer.callback is not None)

    def advance(self, seconds: float) -> None:
        """Let time pass; callbacks run inside, woken tasks when the test awaits next (see :func:`settle`)."""
        end = self._time + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            self._time = max(self._time, when)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
        self._time = end


async def settle(turns: int = 50) -> None:
    """Let every task that can run do so: enough for fakes, whose I/O takes no more than turns of the loop."""
    for _ in range(turns):
        await asyncio.sleep(0)
