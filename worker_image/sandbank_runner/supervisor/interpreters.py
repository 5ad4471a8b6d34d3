"""Keeps one interpreter alive in the sandbox: buries the dead one, wakes a snapshot or forks the next.

User code always runs in the live interpreter. Going back is to kill it and to wake a sleeping copy of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from sandbank_runner.channel import Message
from sandbank_runner.supervisor.candidates import Adoption, Candidate, Candidates, Overtaken, Restoration
from sandbank_runner.supervisor.interpreter_births import Births
from sandbank_runner.supervisor.interpreter_messages import Woken
from sandbank_runner.supervisor.interpreter_process import (
    START_SECONDS,
    Environment,
    Interpreter,
    StartFailed,
    Watcher,
)
from sandbank_runner.supervisor.memory_ranks import MemoryRanks
from sandbank_runner.supervisor.process_death import describe
from sandbank_runner.supervisor.restore_points import RestorePoint, WayBack
from sandbank_runner.supervisor.snapshots import Snapshots
from sandbank_runner.supervisor.template_process import TemplateProcess
from sandbank_runner.supervisor.user_processes import UserProcesses
from sandbank_runner.supervisor.workspace import Workspace
from sandbank_runner.walls import memory_order

START_ATTEMPTS = 6
"""Interpreters in a row that die before they did anything, until the sandbox is given up."""

_FIRST_PAUSE_SECONDS = 0.05

RESET = "reset"
"""``killed_for`` of an interpreter that is replaced on purpose."""

RESTORE = "restore"
"""Likewise, by one that has a state from outside."""


class CrashLoop(Exception):
    """No interpreter stays alive in this sandbox. The text is for operators."""


@dataclass(frozen=True, slots=True)
class Restored:
    """The snapshot that took over, and what it found."""

    point: RestorePoint
    woken: Woken


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a live interpreter, and what came after it."""

    interpreter: Interpreter
    cause: str
    was_reset: bool
    """It was replaced on purpose, by a pristine one or by one with a ``restoration``."""
    restored: Restored | None
    """None: the next one is pristine."""
    with_files: bool = False
    """The workspace went back too."""
    restoration: Restoration | None = None
    """What the next one has, where that comes from outside."""


class Listener(Protocol):
    """Who runs operations in the interpreters."""

    def output(self, stream: int, data: bytes) -> None:
        """User code wrote."""

    def settle(self) -> None:
        """Nothing more comes for the moment."""

    def said(self, interpreter: Interpreter, message: Message) -> None:
        """An interpreter that runs an operation said something, not checked yet."""

    def interpreter_ready(self) -> None:
        """There is a fresh interpreter to use."""

    def way_back(self, interpreter: Interpreter) -> WayBack | None:
        """The live interpreter is dead: say where to go back to; None where only a pristine one will do."""

    def interpreter_died(self, death: Death) -> None:
        """An interpreter is gone with all that user code started; what it still said and wrote has been told.

        The snapshot that takes over is awake; a pristine interpreter is still to come.
        """


class Nobody:
    """Listens while the sandbox has no session."""

    def output(self, stream: int, data: bytes) -> None:
        """Drop it."""

    def settle(self) -> None:
        """Nothing was kept."""

    def said(self, interpreter: Interpreter, message: Message) -> None:
        """Drop it."""

    def interpreter_ready(self) -> None:
        """Nothing waits for one."""

    def way_back(self, interpreter: Interpreter) -> WayBack | None:
        """There is nothing to go back to."""
        return None

    def interpreter_died(self, death: Death) -> None:
        """Nothing is lost."""


class Interpreters:
    """The interpreters of a sandbox, one alive at a time. :meth:`run` does the work."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        template: TemplateProcess,
        watcher: Watcher,
        *,
        helpers: set[int],
        workspace: Workspace,
        processes: Callable[[Callable[[], set[int]]], UserProcesses],
        sleeper_uid: int | None,
        memory_kills: Callable[[], int],
    ) -> None:
        self.listener: Listener = Nobody()
        self.current: Interpreter | None = None
        self.workspace = workspace
        self._loop = loop
        self._template = template
        self._watcher = watcher
        self._helpers = helpers
        self._processes = processes(self._ours)
        self._ranks = MemoryRanks(loop, template)
        self.snapshots = Snapshots(
            loop,
            watcher=watcher,
            ranks=self._ranks,
            processes=self._processes,
            sleeper_uid=sleeper_uid,
            foreign=lambda: {template.pid, *helpers, *self._readers, *self._workers, *self.candidates.pids},
            on_loss=self._snapshot_lost,
            owner=self,
        )
        self.snapshots.files_are_news = workspace.has_news
        self.deaths = 0
        """How many live interpreters have died so far."""
        self._readers: set[int] = set()
        self._workers: set[int] = set()
        self.memory_kills = memory_kills
        """How many processes have been killed for want of memory so far."""
        self._known_kills = 0
        """As many were not the live interpreter."""
        self._births = Births(loop, template, watcher, self)
        self.candidates = Candidates(self._births, self._ranks, self, self)
        self._processes.spared = lambda: {*self._workers, *self.candidates.pids}
        self._failures = 0
        self._last_failure = ""
        self._ready = asyncio.Event()
        self._before_next: list[Callable[[], Awaitable[None]]] = []
        self._adoption: Adoption | None = None
        self._applying: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Keep an interpreter alive until cancelled. Raises :class:`CrashLoop` or ``TemplateDied``."""
        interpreter: Interpreter | None = None
        try:
            while True:
                if interpreter is None:
                    interpreter = await self._renew()
                self._known_kills = self.memory_kills()
                if self._before_next:  # it is to be replaced before anything ran in it
                    interpreter.kill(RESET)
                else:
                    self.current = interpreter
                    self._ready.set()
                    self.listener.interpreter_ready()
                status = await interpreter.dead
                self.current = None
                self._ready.clear()
                out_of_memory = self.memory_kills() > self._known_kills
                cause = interpreter.killed_for or describe(status, out_of_memory=out_of_memory)
                interpreter = await self._replace(interpreter, cause)
        finally:
            self.snapshots.close()
            self._ranks.close()

    async def _replace(self, dead: Interpreter, cause: str) -> Interpreter | None:
        """Bury the dead one, go back as far as must be, and tell; return who is alive now, None where nobody is."""
        reset = bool(self._before_next)
        adoption = self._take_adoption(reset)
        self._failures = 0 if dead.used or reset or adoption else self._failures + 1
        self._last_failure = cause
        self.deaths += 1
        await self.snapshots.settled()
        way = None if reset or adoption else self.listener.way_back(dead)
        restored, with_files = (None, False) if way is None else await self._go_back(dead, way)
        if restored is None:
            self.snapshots.drop_all()
            await self._bury(dead)
            with_files = way is not None and await self._bring_files_back(way, None)
        if adoption is not None:
            self.listener.interpreter_died(
                Death(dead, cause, was_reset=True, restored=None, restoration=adoption.restoration)
            )
            if not adoption.done.done():
                adoption.done.set_result(None)
            return self.candidates.promote(adoption.candidate)
        self.listener.interpreter_died(Death(dead, cause, reset, restored, with_files))
        return None if restored is None else restored.point.sleeper

    def _take_adoption(self, reset: bool) -> Adoption | None:
        """Return the adoption that the interpreter died for, if it can be: from here on there is no other way."""
        adoption, self._adoption = self._adoption, None
        if adoption is None or adoption.done.done():
            return None
        if reset:
            adoption.done.set_exception(Overtaken("the session was reset meanwhile"))
        elif adoption.candidate.interpreter.dead.done():
            adoption.done.set_exception(StartFailed("ended before it could take over"))
        else:
            return adoption
        return None

    async def _go_back(self, dead: Interpreter, way: WayBack) -> tuple[Restored | None, bool]:
        """Wake the best snapshot that can be woken; return it, and whether the workspace went back first."""
        for point in self.snapshots.candidates(way):
            await self._processes.sweep_others(point.processes)
            dead.drain()
            dead.close()
            with_files = await self._bring_files_back(way, point)
            woken = await self.snapshots.wake(point)
            if woken is not None:
                return Restored(point, woken), with_files
        return None, False

    async def _bring_files_back(self, way: WayBack, point: RestorePoint | None) -> bool:
        base = way.files_for(point)
        return base is not None and await self.workspace.bring_back(base)

    async def ready(self) -> Interpreter:
        """Wait until there is an interpreter to use."""
        while self.current is None:
            await self._ready.wait()
        return self.current

    async def alive(self) -> Interpreter:
        """Likewise, and it must not be about to end."""
        interpreter = await self.ready()
        while interpreter is not self.current or interpreter.killed_for:
            await asyncio.shield(interpreter.dead)
            await asyncio.sleep(0)  # until run() has taken note
            interpreter = await self.ready()
        return interpreter

    def set_environment(self, environment: Environment) -> None:
        """Give this environment to the current interpreter and to each fresh one."""
        self._births.environment = environment
        if self.current is not None and self.current.free and environment.is_told:
            answer = self.current.set_environment(environment)
            self._applying = self._loop.create_task(self._apply(self.current, answer))

    def replace(self, before_next: Callable[[], Awaitable[None]]) -> Awaitable[None]:
        """End the current interpreter at once; between its end and the next, ``before_next`` runs.

        What is returned is done when the next is ready, or raises what ``before_next`` raised.
        """
        done: asyncio.Future[None] = self._loop.create_future()

        async def between() -> None:
            error: Exception | None = None
            try:
                await before_next()
            except Exception as caught:
                error = caught
            if done.done():
                return  # nobody waits any more
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        async def both() -> None:
            await done
            await self.ready()

        self._before_next.append(between)
        if self.current is not None:
            self.current.kill(RESET)
        return both()

    async def adopt(self, live: Interpreter, candidate: Candidate, restoration: Restoration) -> None:
        """End the live interpreter, at once, and have a candidate take over; wait until it has.

        Raises ``StartFailed`` where that has died meanwhile, and :class:`Overtaken`: then the session goes back.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        self._adoption = Adoption(candidate, restoration, done)
        live.kill(RESTORE)
        await done
        await self.ready()

    async def _apply(self, interpreter: Interpreter, answer: asyncio.Future[Message]) -> None:
        try:
            await interpreter.answered(answer, START_SECONDS)
        except StartFailed:
            return  # its death is noticed by run(), and the next interpreter gets the environment from the start
        if interpreter is self.current:
            self.listener.interpreter_ready()

    async def _renew(self) -> Interpreter:
        pending, self._before_next = self._before_next, []
        for work in pending:
            await work()
        while True:
            if self._failures >= START_ATTEMPTS:
                raise CrashLoop(
                    f"{self._failures} interpreters in a row died before they did anything, "
                    f"the last: {self._last_failure}"
                )
            if self._failures:
                await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1))
            try:
                interpreter = await self._births.give(self)
            except StartFailed as error:
                self._failures += 1
                self._last_failure = str(error)
                await self._processes.sweep_all()
            else:
                self._ranks.born(interpreter.pid, memory_order.LIVE, interpreter.dead)
                return interpreter

    async def _bury(self, interpreter: Interpreter) -> None:
        """End what user code has started, and what slept: it holds the pipes, and it is nobody's any more."""
        await self._processes.sweep_all()
        interpreter.drain()
        interpreter.close()
        interpreter.pumps.close()

    def _snapshot_lost(self) -> None:
        """A snapshot has died; where memory was what it died of, the next such death is another's."""
        self.fell_to_memory(self._known_kills)

    def _ours(self) -> set[int]:
        """Return our children that are no user code, or sleep."""
        own = {self._template.pid, *self._helpers, *self.snapshots.living}
        return own | self._readers | self._workers | self.candidates.pids

    def reader_born(self, pid: int) -> bool:
        """Take note of a copy that answers a read; False where ``pid`` is known for something else."""
        live = -1 if self.current is None else self.current.pid
        if pid <= 1 or pid in self._ours() or pid == live:
            return False
        self._readers.add(pid)
        self._ranks.want(pid, memory_order.HISTORY)  # the first to go when memory runs out
        return True

    def worker_born(self, pid: int) -> bool:
        """Likewise of one that works for us as user code, which a sweep spares."""
        if pid <= 1 or not self._watcher.knows(pid) or not self.reader_born(pid):
            return False
        self._workers.add(pid)
        return True

    def worker_died(self, pid: int) -> None:
        """It is no more."""
        self._workers.discard(pid)
        self.reader_died(pid)

    def fell_to_memory(self, kills_before: int) -> bool:
        """Whether it was for want of memory that a process was just killed; asked once of each."""
        kills = self.memory_kills()
        if kills > self._known_kills:
            self._known_kills += 1  # the next such death is another's
        return kills > kills_before

    def watch(self, pid: int, on_exit: Callable[[int], None]) -> None:
        """Tell ``on_exit`` once of a process's death, and its wait status."""
        self._watcher.watch(pid, on_exit)

    def reader_died(self, pid: int) -> None:
        """It is no more."""
        self._readers.discard(pid)
        self._ranks.forget(pid)

    # Owner of the interpreters.

    def output(self, stream: int, data: bytes) -> None:
        """Pass it on."""
        self.listener.output(stream, data)

    def settle(self) -> None:
        """Pass it on."""
        self.listener.settle()

    def said(self, interpreter: Interpreter, message: Message) -> None:
        """Pass it on."""
        self.listener.said(interpreter, message)
