"""Background tasks with an end: named, cancelled together, their faults never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context

import structlog

_log = structlog.get_logger("sandbank.pool")

FAULTS_KEPT = 16
"""Faults remembered for whoever checks."""


class Jobs:
    """The tasks of one owner, at most one for each key (a sandbox and what is done with it)."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._replaced: set[asyncio.Task[None]] = set()
        self.faults: list[BaseException] = []

    def start(self, kind: str, sandbox_id: str, work: Coroutine[None, None, None]) -> None:
        """Begin ``work``; a job of the same key that still runs is cancelled, and minded until it has ended."""
        key = (kind, sandbox_id)
        old = self._tasks.get(key)
        if old is not None:
            self._replaced.add(old)
            old.cancel()
        # A job belongs to the pool, not to the call that happened to set it off: its log lines carry no request id.
        loop = asyncio.get_running_loop()
        task = loop.create_task(work, name=f"pool {kind} {sandbox_id}", context=Context())
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))

    def cancel(self, kind: str, sandbox_id: str) -> asyncio.Task[None] | None:
        """Cancel a job and return it if it still runs."""
        task = self._tasks.get((kind, sandbox_id))
        if task is not None:
            task.cancel()
        return task

    def __len__(self) -> int:
        return len(self._tasks) + len(self._replaced)

    async def close(self, seconds: float, *, finish: bool = False) -> None:
        """Cancel everything, unless it may ``finish``, and wait at most ``seconds``: a saboteur may not end."""
        running = {*self._tasks.values(), *self._replaced}
        if not finish:
            for task in running:
                task.cancel()
        if running:
            _, left = await asyncio.wait(running, timeout=seconds)
            for task in left:
                _log.error("a task does not end", task=task.get_name())

    def _ended(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        self._replaced.discard(task)
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.faults.append(error)
            del self.faults[:-FAULTS_KEPT]
            _log.error("fault of the pool", task=task.get_name(), exc_info=error)
