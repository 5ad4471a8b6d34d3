"""Collecting what no checkpoint needs: every so often, and when `sandbank checkpoints gc` asks with a signal.

What was done is written to a file of the data directory, for that command and for people.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any, Final

import structlog

from sandbank_server.checkpoints.library import CheckpointLibrary, Collected
from sandbank_server.errors import DomainError

COLLECT: Final = signal.SIGUSR2
REPORT_NAME: Final = "collected.json"

_log = structlog.get_logger("sandbank.app")


class Collecting:
    """The task that does it, for as long as a server runs. ``every``: seconds."""

    def __init__(self, library: CheckpointLibrary, every: float, directory: Path) -> None:
        self._library = library
        self._every = every
        self._directory = directory
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, and listen to the signal."""
        with contextlib.suppress(ValueError, NotImplementedError):  # not the main thread's loop
            asyncio.get_running_loop().add_signal_handler(COLLECT, self._asked.set)
        self._task = asyncio.create_task(self._run(), name="collect checkpoints")

    async def close(self) -> None:
        """End. What is being removed may be left half removed: the next time goes on."""
        if self._task is not None:
            asyncio.get_running_loop().remove_signal_handler(COLLECT)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._asked.wait()
            self._asked.clear()
            report = await collect(self._library)
            if report["error"]:
                _log.warning("checkpoints could not be collected", reason=report["error"])
            else:
                _log.info("checkpoints collected", chunks=report["chunks"], freed_bytes=report["freed_bytes"])
            try:
                await asyncio.to_thread(write_report, self._directory, report)
            except OSError as error:
                _log.warning("the report of a collection cannot be written", reason=error.strerror)


async def collect(library: CheckpointLibrary) -> dict[str, Any]:
    """Collect once, and return what was done as it goes into the report."""
    error = ""
    done = Collected()
    try:
        done = await library.collect()
    except DomainError as refused:
        error = refused.message
    return {
        "manifests": done.manifests,
        "chunks": done.chunks,
        "freed_bytes": done.freed_bytes,
        "error": error,
    }


def write_report(directory: Path, report: dict[str, Any]) -> None:
    """Replace the report, whole. OSError."""
    temporary = directory / f".{REPORT_NAME}.{os.getpid()}"
    temporary.write_text(json.dumps(report) + "\n")
    temporary.replace(directory / REPORT_NAME)
