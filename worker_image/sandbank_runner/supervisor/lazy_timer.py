"""A timer that may be put off for nothing: operations put it off all the time, and it hardly ever comes to act."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class LazyTimer:
    """Acts once nobody has touched it for ``seconds``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, action: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._action = action
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def touch(self, seconds: float | None = None) -> None:
        """Count anew, this time with ``seconds`` where given."""
        self._due = self._loop.time() + (self._seconds if seconds is None else seconds)
        if self._timer is not None and self._timer.when() > self._due:
            self.cancel()
        if self._timer is None:
            self._timer = self._loop.call_at(self._due, self._ring)

    def cancel(self) -> None:
        """Act no more until touched again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._ring)
        else:
            self._timer = None
            self._action()
