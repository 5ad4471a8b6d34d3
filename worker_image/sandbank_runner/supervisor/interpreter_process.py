"""One interpreter: its process, its channel, its pipes."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import signal
from collections.abc import Callable, Mapping
from typing import Protocol

from sandbank_runner.channel import Message, pair
from sandbank_runner.supervisor.endpoint import Endpoint
from sandbank_runner.supervisor.process_death import describe
from sandbank_runner.supervisor.pumps import OutputSink, Pumps
from sandbank_runner.supervisor.template_process import ForkFailed, TemplateProcess
from sandbank_runner.walls.numbers import number_of
from sandbank_runner.walls.system_calls import system_call

START_SECONDS = 20.0
"""How long a fresh interpreter may take to be ready, and to take its environment: user code may hog the processor."""


class StartFailed(Exception):
    """An interpreter did not come up; the text says why."""


class Phase(enum.Enum):
    """Where an interpreter is in its life."""

    STARTING = "starting"
    READY = "ready"
    """It waits for something to do."""
    BUSY = "busy"
    """It runs an operation."""
    DEAD = "dead"


class Watcher(Protocol):
    """Who tells of deaths: calls back with the wait status, also for a process that has died before it asks."""

    def watch(self, pid: int, on_exit: Callable[[int], None]) -> None:
        """Tell ``on_exit`` once."""


class Owner(OutputSink, Protocol):
    """Who gets what comes out of an interpreter."""

    def said(self, interpreter: Interpreter, message: Message) -> None:
        """It sent a message while it ran an operation, or had sent it when it died."""


class Interpreter:
    """Made by :meth:`start`. ``generation`` numbers the interpreters of this sandbox."""

    def __init__(self, loop: asyncio.AbstractEventLoop, generation: int, owner: Owner) -> None:
        self.generation = generation
        self.phase = Phase.STARTING
        self.used = False
        """Whether user code ever ran in it."""
        self.dead: asyncio.Future[int] = loop.create_future()
        """The wait status, once its process is gone."""
        self.killed_for = ""
        """Why the supervisor killed it; empty where it did not."""
        self.missing_walls: tuple[str, ...] = ()
        self.dropped_messages = 0
        self._owner = owner
        self._loop = loop
        self._awaited = ""
        self._answer: asyncio.Future[Message] = loop.create_future()
        ours, theirs = pair()
        out, out_theirs = os.pipe()
        err, err_theirs = os.pipe()
        self._give = (theirs.detach(), out_theirs, err_theirs)
        self._pumps = Pumps(loop, out, err, owner)
        # What was written before a message was sent is in the pipes before the message can be read: taken first, it
        # comes before the display or the end that the message tells of, and what is written next does not.
        self._endpoint = Endpoint(
            loop, ours, self._received, before_read=self._pumps.drain, after_read=owner.settle
        )

    @property
    def pid(self) -> int:
        """Its process; -1 before the fork."""
        return self._endpoint.pid

    @property
    def free(self) -> bool:
        """Whether it waits for something to do."""
        return self.phase is Phase.READY and not self.killed_for

    async def start(self, template: TemplateProcess, watcher: Watcher) -> None:
        """Have it forked and wait until it is ready. On :class:`StartFailed` it is dead or about to be."""
        try:
            pid = await template.fork(self._give)
        except ForkFailed as error:
            raise StartFailed(f"fork: {error}") from error
        self._awaited = "ready"
        self._endpoint.listen_to(pid)
        watcher.watch(pid, self._exited)
        header = (await self._wait()).header
        walls = header.get("missing_walls")
        if isinstance(walls, list):
            self.missing_walls = tuple(str(wall)[:64] for wall in walls[:16])
        self.phase = Phase.READY

    async def set_environment(self, environment: Mapping[str, str]) -> None:
        """Add to the environment of user code. :class:`StartFailed` when it dies over it."""
        if not environment:
            return
        self.phase = Phase.STARTING
        self._awaited = "setup_done"
        self._answer = self._loop.create_future()
        self._endpoint.send({"type": "setup", "env": dict(environment)})
        await self._wait()
        self.phase = Phase.READY

    def execute(self, operation_id: str, execution_count: int, code: bytes) -> None:
        """Run ``code``; what was written before is handed on first, because it belongs to nobody or somebody else."""
        self._pumps.drain()
        self._pumps.restart()
        self.phase, self.used = Phase.BUSY, True
        self._endpoint.send(
            {"type": "execute", "operation": operation_id, "execution_count": execution_count}, (code,)
        )

    def finish(self) -> None:
        """The operation is over: wait for the next."""
        if self.phase is Phase.BUSY:
            self.phase = Phase.READY

    def interrupt(self) -> bool:
        """Send SIGINT where it is not blocked, which it is outside user code; False where it is.

        To the main thread, which runs operations and blocks and forgets signals between them: one that another thread
        of user code took would be handled whenever that thread comes to it, in the next operation perhaps.
        """
        if self.phase is Phase.DEAD or self.pid <= 1 or _blocks(self.pid, signal.SIGINT):
            return False
        with contextlib.suppress(ProcessLookupError):
            system_call(number_of("tgkill"), self.pid, self.pid, signal.SIGINT)
        return True

    def kill(self, why: str) -> None:
        """End it; its death is told as any other."""
        if self.phase is not Phase.DEAD:
            self.killed_for = self.killed_for or why
            self._signal(signal.SIGKILL)

    def drain(self) -> None:
        """Hand on what a dead interpreter still said and wrote, once nobody can add to it."""
        self._endpoint.drain()
        self._pumps.drain()
        self._owner.settle()

    def close(self) -> None:
        """Let go of channel and pipes."""
        self._endpoint.close()
        self._pumps.close()

    def _signal(self, number: int) -> bool:
        # Reaped is dead: as long as it is not, nobody else can have its number.
        if self.phase is Phase.DEAD or self.pid <= 1:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        return True

    async def _wait(self) -> Message:
        try:
            async with asyncio.timeout(START_SECONDS):
                return await self._answer
        except TimeoutError:
            self.kill("it did not start")
            raise StartFailed(f"no {self._awaited} within {START_SECONDS:.0f} s") from None
        finally:
            self._awaited = ""

    def _received(self, message: Message) -> None:
        if self._awaited:
            if message.header.get("type") == self._awaited and not self._answer.done():
                self._answer.set_result(message)
                return
        elif self.phase in (Phase.BUSY, Phase.DEAD):
            self._owner.said(self, message)
            return
        self.dropped_messages += 1

    def _exited(self, status: int) -> None:
        self.phase = Phase.DEAD
        if not self._answer.done():
            self._answer.set_exception(StartFailed(describe(status)))
            self._answer.exception()  # nobody may be waiting
        if not self.dead.done():
            self.dead.set_result(status)


def _blocks(pid: int, number: int) -> bool:
    """Tell whether the main thread of a process blocks a signal; a process that cannot be looked at does not."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            status = file.read()
    except OSError:
        return False
    at = status.find(b"SigBlk:")
    return at >= 0 and bool(int(status[at + 7 : status.index(b"\n", at)], 16) & 1 << (number - 1))
