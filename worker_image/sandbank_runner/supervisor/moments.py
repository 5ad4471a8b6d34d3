"""Moments between two operations, for who needs the live interpreter as it is while operations follow one another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager


class Moments:
    """Hands them out, one at a time. ``again`` looks at the queue once more: during a moment nothing begins."""

    def __init__(self, loop: asyncio.AbstractEventLoop, again: Callable[[], None]) -> None:
        self._loop = loop
        self._again = again
        self._waiting: list[asyncio.Future[None]] = []
        self._given: asyncio.Future[None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for one."""
        return bool(self._waiting)

    @property
    def lasts(self) -> bool:
        """Whether there is one now."""
        return self._given is not None

    def give(self) -> None:
        """Let who waits first have the moment: nothing runs, and nothing may begin until it is over."""
        self._given = self._waiting.pop(0)
        self._given.set_result(None)

    @asynccontextmanager
    async def next(self, seconds: float) -> AsyncGenerator[bool, None]:
        """Wait so long for one; whether there was one is told to the block, at whose end it is over.

        The block must be short, and wait for nothing that user code may hold up.
        """
        mine = self._loop.create_future()
        self._waiting.append(mine)
        try:
            await asyncio.wait((mine,), timeout=seconds)
            yield mine.done()
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)
            if self._given is mine:
                self._given = None
                self._again()
