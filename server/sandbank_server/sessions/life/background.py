"""Tasks that nobody waits for: they belong to a session, not to the call that happened to start them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

import structlog

_log = structlog.get_logger("sandbank.session")
_T = TypeVar("_T")


def spawn(work: Coroutine[None, None, _T], name: str) -> asyncio.Task[_T]:
    """Start a task in an empty context, so that its log lines do not carry a call's request id for ever.

    What it raises is logged when it ends, whether or not somebody waits for it.
    """
    task = asyncio.get_running_loop().create_task(work, name=name, context=Context())
    task.add_done_callback(_look_at)
    return task


def _look_at(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.debug("a background task failed", task=task.get_name(), exc_info=error)


class Tasks:
    """The tasks of one session that end with it at the latest."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[None, None, _T], name: str) -> asyncio.Task[_T]:
        """Start a task."""
        task = spawn(work, name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def __len__(self) -> int:
        return len(self._tasks)

    async def cancel(self) -> None:
        """End all of them, but for the one that asks."""
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
