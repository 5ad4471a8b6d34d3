"""What checkpoints, restores, exports and imports have in common: how they fail, and the processes that do the work."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import Protocol

from google.protobuf.duration_pb2 import Duration

from sandbank_runner.supervisor.interpreter_messages import escaped
from sandbank_runner.supervisor.process_death import describe
from sandbank_runner.supervisor.reaper import is_living_child
from sandbank_runner.supervisor.refusals import Refusal

LONGEST_SECONDS = 24 * 3600.0


class StateRefused(Exception):
    """It could not be done, and the session is as it was."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Processes(Protocol):
    """Who keeps book of processes."""

    def watch(self, pid: int, on_exit: Callable[[int], None]) -> None:
        """Tell ``on_exit`` once of a process's death, and its wait status."""

    def worker_born(self, pid: int) -> bool:
        """Take note of a fork that works for us as user code; False where ``pid`` cannot be one."""

    def worker_died(self, pid: int) -> None:
        """It is no more."""

    def memory_kills(self) -> int:
        """How many processes have been killed for want of memory so far."""

    def fell_to_memory(self, kills_before: int) -> bool:
        """Whether it was such a kill that just ended a process; there had been so many before it began."""


class ForkedWorker:
    """A process that an interpreter has forked for one piece of work. It says nothing to us but its exit code."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pid: int, processes: Processes) -> None:
        self.killed_for = ""
        """Why we killed it; empty where we did not."""
        self._pid = pid
        self._processes = processes
        self._memory_kills = processes.memory_kills()
        self._dead: asyncio.Future[str] = loop.create_future()
        if not processes.worker_born(pid):
            raise StateRefused(Refusal("SESSION_BUSY", "the interpreter does not make what it should"))
        processes.watch(pid, self._exited)

    async def end(self) -> None:
        """Wait until it has exited with 0. Raises :class:`StateRefused`."""
        how = await asyncio.shield(self._dead)
        if self.killed_for:
            raise StateRefused(Refusal("SESSION_BUSY", self.killed_for))
        if how == _OUT_OF_MEMORY:
            raise StateRefused(Refusal("TOO_LARGE", "the sandbox has not enough memory for a copy's work"))
        if how:
            raise StateRefused(Refusal("SESSION_BUSY", f"the copy of the interpreter ended early: {how}"))

    def kill(self, why: str) -> None:
        """End it, with what it may have started. Idempotent."""
        if self._dead.done() or not is_living_child(self._pid):
            return
        self.killed_for = self.killed_for or why
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self._pid, signal.SIGKILL)

    def _exited(self, status: int) -> None:
        if self._dead.done():
            return
        self._processes.worker_died(self._pid)
        if status == 0:
            self._dead.set_result("")
        elif (
            status == signal.SIGKILL
            and not self.killed_for
            and self._processes.fell_to_memory(self._memory_kills)
        ):
            self._dead.set_result(_OUT_OF_MEMORY)
        else:
            self._dead.set_result(describe(status))


_OUT_OF_MEMORY = "out of memory"


def seconds_of(duration: Duration) -> float:
    """Return a time limit; no time at all where none was set."""
    return float(min(max(duration.seconds + duration.nanos / 1e9, 0.0), LONGEST_SECONDS))


def said(text: object) -> str:
    """Return what an interpreter says for people, brought into bounds."""
    return escaped(text[:500]) if isinstance(text, str) else ""
