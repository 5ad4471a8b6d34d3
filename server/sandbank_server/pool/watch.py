"""Telling watchers what happens, without ever waiting for one."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator

from sandbank_server.pool.snapshots import PoolChange

KEPT_FOR_A_SLOW_WATCHER = 256
"""Changes kept for a watcher that does not read; older ones are dropped: each carries the whole pool anyway."""


class Watch(AsyncIterator[PoolChange]):
    """The changes of one pool, or of all, since this was made. Ends when the pools close."""

    def __init__(self, watchers: Watchers, template: str | None) -> None:
        self._watchers = watchers
        self._changes: deque[PoolChange] = deque(maxlen=KEPT_FOR_A_SLOW_WATCHER)
        self._wake = asyncio.Event()
        self.template = template

    def tell(self, change: PoolChange) -> None:
        """Keep a change until it is read."""
        self._changes.append(change)
        self._wake.set()

    def end(self) -> None:
        """Let the watcher come to an end once it has read what there is."""
        self._wake.set()

    async def __anext__(self) -> PoolChange:
        while not self._changes:
            if self._watchers.closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._changes.popleft()


class Watchers:
    """Everybody who watches. Nothing is made for nobody: ask :meth:`wanted` first.

    Held weakly: a stream that is cancelled drops its watch without telling anybody.
    """

    def __init__(self) -> None:
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self.closed = False

    def add(self, template: str | None) -> Watch:
        """Begin to watch, from this moment on."""
        watch = Watch(self, template)
        self._watches.add(watch)
        return watch

    def wanted(self, template: str) -> bool:
        """Whether anybody watches that pool."""
        return any(watch.template in (None, template) for watch in self._watches)

    def publish(self, change: PoolChange) -> None:
        """Tell those whom it concerns."""
        for watch in self._watches:
            if watch.template in (None, change.pool.template):
                watch.tell(change)

    def close(self) -> None:
        """End every watch."""
        self.closed = True
        for watch in self._watches:
            watch.end()
        self._watches.clear()
