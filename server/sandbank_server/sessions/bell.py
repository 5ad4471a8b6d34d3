"""Waking everybody who waits for something to change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Bell:
    """Rings for all who wait at that moment. Whoever comes after a ring waits for the next one.

    ``listeners`` are called at every ring, at once: they must neither raise nor ring.
    """

    __slots__ = ("_waiters", "listeners")

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []
        self.listeners: list[Callable[[], None]] = []

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiters)

    def ring(self) -> None:
        """Let everybody who waits look again."""
        for listener in tuple(self.listeners):
            listener()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        """Wait for the next :meth:`ring`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            # Who went away must not be kept by something that never changes again.
            if waiter in self._waiters:
                self._waiters.remove(waiter)
