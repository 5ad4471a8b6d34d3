"""One thread that owns the database connection, and commits what waits together.

A commit costs about as much as a hundred rows: so while one batch is written the next gathers, and a
burst of puts needs a few commits instead of one each. Reads run in the same thread, in order, and so see
every put before them.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, Engine

from sandbank_server.errors import StoreUnavailableError

_log = structlog.get_logger("sandbank.catalog")
_BATCH_LIMIT = 256

Work = Callable[[Connection], Any]


@dataclass(slots=True)
class _Job:
    work: Work
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    durable: bool
    answer: Any = None
    error: BaseException | None = None


class DatabaseThread:
    """Runs functions of a connection, many to a transaction; each gets its own result or error."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sandbank-catalog", daemon=True)
        self._closed = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def run(self, work: Work, *, durable: bool = False) -> Any:
        """Run ``work`` in a transaction and return its result, once that is committed.

        ``durable``: once it stays through a power cut, too; without, a database in a file may lose the newest commits.
        Where it raises, only what it did itself is undone, and the caller gets the error. When the caller
        is cancelled the work may still happen.
        """
        if self._closed:
            raise StoreUnavailableError("the catalog is closed")
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future(), loop, durable)
        self._jobs.put(job)
        return await job.future

    async def close(self) -> None:
        """Do what was asked for so far, then end the thread. Idempotent."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, last = self._gather(first)
            self._perform(batch)
            _deliver(batch)
            if last:
                break
        self._engine.dispose()

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        batch = [first]
        while len(batch) < _BATCH_LIMIT:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _perform(self, batch: Sequence[_Job]) -> None:
        try:
            # One sync for all that wait; those that need none get it for nothing.
            synced = any(job.durable for job in batch)
            with (
                self._engine.connect().execution_options(synced=synced) as connection,
                connection.begin(),
            ):
                for job in batch:
                    job.answer = job.work(connection)
        except Exception as error:  # noqa: BLE001 - delivered below
            if len(batch) == 1:
                batch[0].error = error
                return
            # One of them failed, and took the others' work with it: so each gets a transaction of its own.
            for job in batch:
                self._perform([job])


def _deliver(batch: Sequence[_Job]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in batch:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, jobs)
        except RuntimeError:
            _log.debug("nobody waits for the catalog any more: the event loop is closed")


def _resolve(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # its caller was cancelled
            continue
        if job.error is None:
            job.future.set_result(job.answer)
        else:
            job.future.set_exception(job.error)
