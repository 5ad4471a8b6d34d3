"""Sandboxes on their way out: destroyed a few at a time, and again until it succeeds."""

from __future__ import annotations

from collections import deque

from sandbank_server.pool.backoff import Backoff
from sandbank_server.pool.state import SandboxRecord


class Retirements:
    """Whose destruction is under way or queued; those that wait for another try are on the agenda."""

    def __init__(self, max_destroying: int, deadline: float, backoff: Backoff) -> None:
        self._max_destroying = max_destroying
        self._deadline = deadline
        self._backoff = backoff
        self._queue: deque[SandboxRecord] = deque()
        self._under_way = 0

    @property
    def under_way(self) -> int:
        """How many are being destroyed now."""
        return self._under_way

    @property
    def queued(self) -> int:
        """How many would be destroyed now if the bound let them."""
        return len(self._queue)

    def is_queued(self, record: SandboxRecord) -> bool:
        """Whether its turn is still to come."""
        return record in self._queue

    def add(self, record: SandboxRecord) -> None:
        """Destroy it when its turn comes."""
        self._queue.append(record)

    def begin(self, now: float) -> list[tuple[SandboxRecord, float]]:
        """Return those whose turn it is, each with the time after which that try counts as failed."""
        begun: list[tuple[SandboxRecord, float]] = []
        while self._queue and self._under_way < self._max_destroying:
            record = self._queue.popleft()
            record.destroying = True
            record.destroy_attempts += 1
            self._under_way += 1
            begun.append((record, now + self._deadline))
        return begun

    def failed(self, record: SandboxRecord, now: float) -> float | None:
        """End a try; return when to queue the next one, None when no try was under way."""
        if not record.destroying:
            return None
        record.destroying = False
        self._under_way -= 1
        return now + self._backoff.delay(record.destroy_attempts)

    def done(self, record: SandboxRecord) -> None:
        """Forget it: it is gone, by this try or by an earlier one that had been given up."""
        if record.destroying:
            record.destroying = False
            self._under_way -= 1
        elif record in self._queue:
            self._queue.remove(record)
