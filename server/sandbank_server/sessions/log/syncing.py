"""Making an operation log stay through a power cut: one sync for all who ask while another is under way."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial


class LogSync:
    """Of one file. ``duplicate`` returns a descriptor of it, with all that was recorded written; OSError where not.

    Its name, and those of ``holders`` directories above that, are synced with the first. After a sync that failed none
    succeeds any more: nobody knows what the kernel has dropped, and it does not try that again.
    """

    def __init__(
        self, path: str, duplicate: Callable[[], int], threads: Executor | None, holders: int
    ) -> None:
        self._directories: tuple[str, ...] = ()
        for _ in range(holders):
            path = os.path.dirname(path)
            self._directories += (path,)
        self._duplicate = duplicate
        self._threads = threads
        self._waiting: list[asyncio.Future[None]] = []
        self._under_way = False
        self._failed: BaseException | None = None

    async def all_so_far(self) -> None:
        """Return once what was recorded before this call stays. OSError."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if not self._under_way:
            self._begin()
        await waiter

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            if self._failed is not None:
                raise OSError("an earlier sync failed") from self._failed
            work = partial(_sync, self._duplicate(), self._directories)
            job = asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (OSError, RuntimeError) as error:  # the threads are ended
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_exception(OSError(str(error)))
            return
        self._under_way = True
        job.add_done_callback(partial(self._done, waiting))

    def _done(self, waiting: list[asyncio.Future[None]], job: asyncio.Future[None]) -> None:
        self._under_way = False
        error = None if job.cancelled() else job.exception()
        if job.cancelled() or error is not None:
            error = error or OSError("cancelled")
            if not isinstance(error, _NotBegunError):
                self._failed = error
        else:
            self._directories = ()
        for waiter in waiting:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(OSError(str(error)))
        if self._waiting:
            self._begin()


class _NotBegunError(OSError):
    """Nothing was synced, and nothing dropped: there was no descriptor left, say."""


def _sync(descriptor: int, directories: tuple[str, ...]) -> None:
    with contextlib.ExitStack() as opened:
        opened.callback(os.close, descriptor)
        holders = []
        for directory in directories:
            try:
                holders.append(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            except OSError as error:
                raise _NotBegunError(str(error)) from error
            opened.callback(os.close, holders[-1])
        os.fdatasync(descriptor)
        for holder in holders:
            os.fsync(holder)
