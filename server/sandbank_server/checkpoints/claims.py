"""Who counts on which blobs, and which are being written or removed just now: so that nothing is taken from anybody.

All of it is in memory: one process at a time uses a store, and what it was writing when it died is in no checkpoint.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")


class Claims:
    """Claims are synchronous: whoever claims a blob and then looks for it sees it stay, or sees that it has gone."""

    def __init__(self) -> None:
        self._claimed: dict[str, float] = {}
        """When somebody last counted on a blob."""
        self._busy: Counter[str] = Counter()
        self._freed = asyncio.Event()
        self._under_way: set[asyncio.Future[Any]] = set()

    def claim(self, keys: Iterable[str]) -> float:
        """Somebody reads them, or is about to refer to them: they are not removed for being unused for a while.

        Returns what :meth:`withdraw` knows this claim by.
        """
        now = time.monotonic()
        self._claimed.update(dict.fromkeys(keys, now))
        return now

    def withdraw(self, keys: Iterable[str], claim: float) -> None:
        """Nobody counts on them by this claim any more; those that were claimed anew since stay so."""
        for key in keys:
            if self._claimed.get(key) is claim:  # the very same: two may be made at the same time
                del self._claimed[key]

    def unclaimed(self, keys: Iterable[str], seconds: float) -> list[str]:
        """Return those that nobody has claimed for so long."""
        since = time.monotonic() - seconds
        self._claimed = {key: when for key, when in self._claimed.items() if when > since}
        return [key for key in keys if key not in self._claimed]

    async def settled(self, keys: Iterable[str]) -> None:
        """Return once none of them is being written or removed: what is seen of them then is durable."""
        wanted = frozenset(keys)
        while not self._busy.keys().isdisjoint(wanted):
            await self._freed.wait()

    async def alone(self, keys: Iterable[str], work: Callable[[], Awaitable[_T]]) -> _T:
        """Do work that writes or removes blobs once nobody else does that with one of them."""
        wanted = frozenset(keys)

        async def in_turn() -> _T:
            await self.settled(wanted)
            return await self.at_once(wanted, work)

        return await self._through(in_turn())

    async def at_once(self, keys: Iterable[str], work: Callable[[], Awaitable[_T]]) -> _T:
        """Do the same in the same breath as it is called, whoever else is at work.

        Once begun it goes through, and keeps others off, also when the caller is cancelled: a thread or a store that
        was told to do something does so all the same.
        """
        busy = Counter(frozenset(keys))
        self._busy += busy

        async def doing() -> _T:
            try:
                return await work()
            finally:
                self._busy -= busy
                freed, self._freed = self._freed, asyncio.Event()
                freed.set()

        return await self._through(doing())

    async def _through(self, work: Awaitable[_T]) -> _T:
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # who asked for it may have gone
