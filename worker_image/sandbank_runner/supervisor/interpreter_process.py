"""One interpreter, alive or asleep: its process and its channel. Its pipes it shares with its snapshots."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sandbank_runner.channel import Message
from sandbank_runner.supervisor.endpoint import Endpoint
from sandbank_runner.supervisor.operations import Operation
from sandbank_runner.supervisor.process_death import describe
from sandbank_runner.supervisor.pumps import OutputSink, Pumps
from sandbank_runner.supervisor.template_process import ForkFailed, TemplateProcess
from sandbank_runner.walls.numbers import number_of
from sandbank_runner.walls.system_calls import system_call

START_SECONDS = 20.0
"""How long a fresh interpreter may take to be ready, and to take its environment: user code may hog the processor."""

SNAPSHOT_SECONDS = 20.0
"""Likewise for a snapshot to be taken, and to wake."""


_ABOUT_FORKS = {
    "reading": "read",
    "read_refused": "read",
    "writing": "checkpoint_id",
    "writing_refused": "checkpoint_id",
}
"""What is said of a fork for some work, and the field that names the work."""


class StartFailed(Exception):
    """An interpreter did not come up, or did not answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What user code finds in ``os.environ`` beside what the template says. ``secret`` names must not leave."""

    variables: Mapping[str, str] = field(default_factory=dict)
    secret: tuple[str, ...] = ()
    recompute: bool = False
    """What cannot be saved may be made anew by code that is recorded."""

    @property
    def is_told(self) -> bool:
        """Tell whether there is anything to tell an interpreter."""
        return bool(self.variables) or self.recompute


class Phase(enum.Enum):
    """Where an interpreter is in its life."""

    STARTING = "starting"
    READY = "ready"
    """It waits for something to do."""
    BUSY = "busy"
    """It runs operations."""
    FORKING = "forking"
    """It makes a snapshot of itself."""
    ASLEEP = "asleep"
    """It is a snapshot."""
    DEAD = "dead"


class Watcher(Protocol):
    """Who tells of deaths: calls back with the wait status, also for a process that has died before it asks."""

    def watch(self, pid: int, on_exit: Callable[[int], None]) -> None:
        """Tell ``on_exit`` once."""

    def knows(self, pid: int) -> bool:
        """Whether there is, or was lately, a child of this number."""


class Owner(OutputSink, Protocol):
    """Who gets what comes out of an interpreter."""

    def said(self, interpreter: Interpreter, message: Message) -> None:
        """It sent a message while it ran an operation, or had sent it when it died."""


class Interpreter:
    """One process and the supervisor's end ``sock`` of its channel. What its lineage writes comes from ``pumps``."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, pumps: Pumps, owner: Owner
    ) -> None:
        self.pumps = pumps
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
        self._awaited: tuple[str, ...] = ()
        self._answer: asyncio.Future[Message] = loop.create_future()
        self._forks: dict[tuple[str, object], asyncio.Future[Message]] = {}
        """What is waited for of a fork that is to be made for some work, by kind and name of the work."""
        # What was written before a message was sent is in the pipes before the message can be read: taken first, it
        # comes before the display or the end that the message tells of, and what is written next does not.
        self._endpoint = Endpoint(
            loop, sock, self._received, before_read=pumps.drain, after_read=owner.settle
        )

    @property
    def pid(self) -> int:
        """Its process; -1 before the fork."""
        return self._endpoint.pid

    @property
    def free(self) -> bool:
        """Whether it waits for something to do."""
        return self.phase is Phase.READY and not self.killed_for

    @property
    def takes_operations(self) -> bool:
        """Whether it can be given one, beside others perhaps."""
        return self.phase in (Phase.READY, Phase.BUSY) and not self.killed_for

    async def start(self, template: TemplateProcess, watcher: Watcher, give: tuple[int, int, int]) -> None:
        """Have it forked, with the descriptors (channel, stdout, stderr), and wait until it is ready.

        On :class:`StartFailed` it is dead or about to be.
        """
        try:
            pid = await template.fork(give)
        except ForkFailed as error:
            raise StartFailed(f"fork: {error}") from error
        answer = self._await("ready")
        self._endpoint.listen_to(pid)
        watcher.watch(pid, self._exited)
        header = (await self._wait(answer, START_SECONDS, Phase.READY)).header
        walls = header.get("missing_walls")
        if isinstance(walls, list):
            self.missing_walls = tuple(str(wall)[:64] for wall in walls[:16])

    def snapshot(self, number: int, give: int, fresh_files: bool = False) -> asyncio.Future[Message]:
        """Have it fork a sleeper that speaks on ``give``, which is closed here: at once, before anything else can run.

        ``fresh_files``: the workspace is to be looked at anew, others have changed it. What is returned is for
        :meth:`answered`.
        """
        self.phase = Phase.FORKING
        answer = self._await("snapshot_taken", "snapshot_refused")
        self._endpoint.send(
            {"type": "snapshot", "snapshot": number, "fresh_files": fresh_files}, give=(give,)
        )
        return answer

    async def answered(self, answer: asyncio.Future[Message], seconds: float = SNAPSHOT_SECONDS) -> Message:
        """Wait for what it was asked for; then it is free again. :class:`StartFailed`."""
        return await self._wait(answer, seconds, Phase.READY)

    async def fall_asleep(self, pid: int, watcher: Watcher) -> Message:
        """Wait until process ``pid``, a fork of a living one, says that it sleeps."""
        answer = self._await("asleep")
        self._endpoint.listen_to(pid)
        watcher.watch(pid, self._exited)
        self.used = True
        return await self._wait(answer, SNAPSHOT_SECONDS, Phase.ASLEEP)

    async def wake(self, number: int) -> Message:
        """Make a sleeper the live interpreter. :class:`StartFailed` where it cannot be woken."""
        if self.phase is not Phase.ASLEEP:
            raise StartFailed("the snapshot is dead")
        self._endpoint.drain()  # what it said in its sleep is no answer
        self.phase = Phase.STARTING
        answer = self._await("awake")
        self._endpoint.send({"type": "wake", "snapshot": number})
        return await self._wait(answer, SNAPSHOT_SECONDS, Phase.READY)

    async def read(
        self, number: int, question: Mapping[str, object], give: int, blobs: tuple[bytes, ...] = ()
    ) -> Message:
        """Have it fork a reader that speaks on ``give``, which is closed here; return what it says to that.

        For one that sleeps or waits for something to do, which it goes on with meanwhile. :class:`StartFailed`.
        """
        request = {"type": "read", **question, "read": number}
        return await self._fork(request, ("read", number), give, blobs)

    async def write_checkpoint(self, checkpoint_id: str, give: int) -> Message:
        """Have it fork a writer that speaks on ``give``, likewise."""
        request: dict[str, object] = {"type": "checkpoint", "checkpoint_id": checkpoint_id}
        return await self._fork(request, ("checkpoint_id", checkpoint_id), give)

    def checkpoint_ended(self, checkpoint_id: str, *, durable: bool) -> None:
        """Tell it what became of a checkpoint; one that it does not know means nothing to it."""
        if self.phase is not Phase.DEAD:
            self._endpoint.send(
                {"type": "checkpoint_ended", "checkpoint_id": checkpoint_id, "durable": durable}
            )

    def set_environment(self, environment: Environment) -> asyncio.Future[Message]:
        """Add to the environment of user code, before anything else can run; likewise."""
        request: dict[str, object] = {
            "type": "setup",
            "env": dict(environment.variables),
            "secret": list(environment.secret),
            "recompute": environment.recompute,
        }
        return self._prepare(request, ("setup_done",))

    def import_variable(
        self, name: str, form: str, arrow_as: str, preview_characters: int, give: int
    ) -> asyncio.Future[Message]:
        """Have it bind a variable to what comes on the connection ``give``, which is closed here; likewise."""
        self.used = True
        request: dict[str, object] = {
            "type": "import",
            "name": name,
            "format": form,
            "arrow_as": arrow_as,
            "preview_characters": preview_characters,
        }
        return self._prepare(request, ("imported", "import_refused"), give)

    def load(self, execution_count: int, give: int) -> asyncio.Future[Message]:
        """Have it, a fresh one, take a state from the connection ``give``, which is closed here; likewise."""
        self.used = True
        request: dict[str, object] = {"type": "load", "execution_count": execution_count}
        return self._prepare(request, ("loaded", "load_refused"), give)

    def place(self) -> asyncio.Future[Message]:
        """Have it put the files that it has loaded in their places; likewise."""
        return self._prepare({"type": "place"}, ("placed", "place_refused"))

    def execute(self, operation: Operation, fresh_files: bool = False) -> None:
        """Run its code; what was written before is handed on first, because it belongs to nobody or somebody else."""
        self.pumps.drain()
        self.pumps.restart()
        self.phase, self.used = Phase.BUSY, True
        self._endpoint.send(
            {
                "type": "execute",
                "operation": operation.operation_id,
                "execution_count": operation.execution_count,
                "isolation": operation.isolation.name.lower(),
                "allow_input": operation.allow_input,
                "fresh_files": fresh_files,
                "report_changes": operation.report_changes,
                "change_count": operation.change_count,
                "preview_characters": operation.preview_characters,
            },
            (operation.code,),
        )

    def answer(self, operation_id: str, input_id: int, text: str | None) -> None:
        """Give user code that waits for input a line; None is the end of file."""
        self._endpoint.send({"type": "input", "operation": operation_id, "input_id": input_id, "text": text})

    def finish(self) -> None:
        """What ran is over: wait for the next."""
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

    def interrupt_operation(self, operation_id: str) -> bool:
        """Have an operation of ISOLATION_NAMESPACE interrupted, in its thread; False where nobody is there to do it."""
        if self.phase is not Phase.BUSY:
            return False
        self._endpoint.send({"type": "interrupt", "operation": operation_id})
        return True

    def kill(self, why: str) -> None:
        """End it; its death is told as any other."""
        if self.phase is not Phase.DEAD:
            self.killed_for = self.killed_for or why
            self._signal(signal.SIGKILL)

    def drain(self) -> None:
        """Hand on what a dead interpreter still said and wrote, once nobody can add to it."""
        self._endpoint.drain()
        self.pumps.drain()
        self._owner.settle()

    def close(self) -> None:
        """Let go of the channel; a sleeper ends with that."""
        self._endpoint.close()

    def _signal(self, number: int) -> bool:
        # Reaped is dead: as long as it is not, nobody else can have its number.
        if self.phase is Phase.DEAD or self.pid <= 1:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        return True

    async def _fork(
        self,
        request: dict[str, object],
        work: tuple[str, object],
        give: int,
        blobs: tuple[bytes, ...] = (),
    ) -> Message:
        """Have it fork a process for some work, that gets ``give``; return what it says to that."""
        if self.phase is Phase.DEAD or self.killed_for or work in self._forks:
            os.close(give)
            raise StartFailed("it is dead")
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._forks[work] = answer
        self._endpoint.send(request, blobs, give=(give,))
        try:
            return await answer
        finally:
            del self._forks[work]

    def _prepare(
        self, request: dict[str, object], answers: tuple[str, ...], *give: int
    ) -> asyncio.Future[Message]:
        """Have one that no operation runs in do something that nothing else may happen beside."""
        if self.phase is not Phase.DEAD:
            self.phase = Phase.STARTING
        answer = self._await(*answers)
        self._endpoint.send(request, give=give)
        return answer

    def _await(self, *kinds: str) -> asyncio.Future[Message]:
        self._awaited = kinds
        self._answer = self._loop.create_future()
        if self.phase is Phase.DEAD:
            self._fail("it is dead")
        return self._answer

    async def _wait(self, answer: asyncio.Future[Message], seconds: float, then: Phase) -> Message:
        kinds = self._awaited
        try:
            async with asyncio.timeout(seconds):
                message = await answer
        except TimeoutError:
            self.kill("it did not answer")
            raise StartFailed(f"no {kinds[0]} within {seconds:.0f} s") from None
        finally:
            self._awaited = ()
        if self.phase is not Phase.DEAD:  # it may have died right after its answer
            self.phase = then
        return message

    def _received(self, message: Message) -> None:
        work = _ABOUT_FORKS.get(str(message.header.get("type")))
        if work is not None:
            self._fork_answered(work, message)
            return
        if self._awaited:
            if message.header.get("type") in self._awaited and not self._answer.done():
                self._answer.set_result(message)
                return
        elif self.phase in (Phase.BUSY, Phase.DEAD):
            self._owner.said(self, message)
            return
        self.dropped_messages += 1

    def _fork_answered(self, work: str, message: Message) -> None:
        name = message.header.get(work)
        answer = self._forks.get((work, name)) if type(name) in (int, str) else None
        if answer is None or answer.done():
            self.dropped_messages += 1
        else:
            answer.set_result(message)

    def _exited(self, status: int) -> None:
        self.phase = Phase.DEAD
        if not self._answer.done():
            self._fail(describe(status))
        for answer in self._forks.values():
            if not answer.done():
                answer.set_exception(StartFailed(describe(status)))
        if not self.dead.done():
            self.dead.set_result(status)

    def _fail(self, why: str) -> None:
        self._answer.set_exception(StartFailed(why))
        self._answer.exception()  # nobody may be waiting


def _blocks(pid: int, number: int) -> bool:
    """Tell whether the main thread of a process blocks a signal; a process that cannot be looked at does not."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            status = file.read()
    except OSError:
        return False
    at = status.find(b"SigBlk:")
    return at >= 0 and bool(int(status[at + 7 : status.index(b"\n", at)], 16) & 1 << (number - 1))
