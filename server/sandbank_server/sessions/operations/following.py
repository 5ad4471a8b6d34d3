"""The events of many operations as one stream: in the order in which they came, as fast as somebody takes them.

Nothing is kept here but the places of readers. What is finished and not yet taken holds on to its window; where these
grow too large, their rest is read from the journal instead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from sandbank_server.sessions.bell import Bell
from sandbank_server.sessions.operations.cursor import Cursor

HELD_BYTES = 2 * 1024 * 1024
"""What windows of finished operations may hold."""


class Followed:
    """One operation. ``index``: which request it came of. ``cancel``: it is to end when its reader goes away."""

    __slots__ = ("_bell", "_news", "cancel", "cursor", "held_bytes", "index", "queued")

    def __init__(self, cursor: Cursor, index: int, news: Callable[[Followed], None], *, cancel: bool) -> None:
        self.cursor = cursor
        self.index = index
        self.cancel = cancel
        self.queued = False
        self.held_bytes = 0
        self._news = news
        self._bell: Bell | None = None
        if cursor.live is not None and not cursor.live.finished:
            self._bell = cursor.live.bell
            self._bell.listeners.append(self._ring)

    def stop_listening(self) -> None:
        """There will be no more news."""
        if self._bell is not None:
            self._bell.listeners.remove(self._ring)
            self._bell = None

    def _ring(self) -> None:
        self._news(self)


class Following:
    """Operations that one reader follows. Those that have something new wait in a queue, each once."""

    def __init__(self) -> None:
        self._all: dict[Followed, None] = {}
        self._queue: deque[Followed] = deque()
        self._held = 0
        self._waiter: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Followed]:
        return iter(tuple(self._all))

    def add(self, cursor: Cursor, index: int, *, cancel: bool) -> None:
        """Follow an operation from here on."""
        followed = Followed(cursor, index, self._has_news, cancel=cancel)
        self._all[followed] = None
        if cursor.live is None or cursor.live.last > cursor.position:
            self._has_news(followed)

    def next(self) -> Followed | None:
        """Return the one that has had something new for longest; it comes again when there is more."""
        if not self._queue:
            return None
        followed = self._queue.popleft()
        followed.queued = False
        return followed

    def drop(self, followed: Followed) -> None:
        """Follow it no more."""
        followed.stop_listening()
        self._all.pop(followed, None)
        self._held -= followed.held_bytes
        followed.held_bytes = 0
        if followed.queued:
            followed.queued = False
            self._queue.remove(followed)

    def close(self) -> None:
        """Follow nothing any more."""
        for followed in self:
            self.drop(followed)

    def wake(self) -> None:
        """Let the reader look at things again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Wait for news or :meth:`wake`. For the reader, who has looked at everything just now."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _has_news(self, followed: Followed) -> None:
        live = followed.cursor.live
        if live is not None and live.finished:
            self._hold(followed, live.kept_bytes)
        if not followed.queued:
            followed.queued = True
            self._queue.append(followed)
            self.wake()

    def _hold(self, followed: Followed, size: int) -> None:
        """Keep the window of an operation that has finished, unless there is too much of that."""
        followed.stop_listening()
        if self._held + size > HELD_BYTES:
            followed.cursor.let_go()
        else:
            followed.held_bytes = size
            self._held += size
