"""Keeps the sleeping snapshots of a sandbox: takes them, wakes them, ranks them, lets go of them, notices their end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass

from sandbank_runner.channel import Message, pair
from sandbank_runner.supervisor import refusals
from sandbank_runner.supervisor.interpreter_messages import (
    BadMessage,
    Woken,
    escaped,
    names_of,
    parse_awake,
)
from sandbank_runner.supervisor.interpreter_process import Interpreter, Owner, StartFailed, Watcher
from sandbank_runner.supervisor.memory_ranks import MemoryRanks
from sandbank_runner.supervisor.reaper import is_living_child
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.restore_points import Mark, RestorePoint, RestorePoints, WayBack
from sandbank_runner.supervisor.user_processes import UserProcesses
from sandbank_runner.walls import memory_order

_TIDYING_SECONDS = 0.005
"""How soon those go that a new one has made needless."""


@dataclass(slots=True)
class SnapshotSettings:
    """What the session wants of them."""

    disabled: bool = False
    history: int = 0
    quiet_seconds: float = 0.05


class Snapshots:
    """The restore points, and the making of them. ``settings`` and ``pinned`` are the session's to set."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        watcher: Watcher,
        ranks: MemoryRanks,
        processes: UserProcesses,
        sleeper_uid: int | None,
        foreign: Callable[[], set[int]],
        on_loss: Callable[[], None],
        owner: Owner,
    ) -> None:
        self.settings = SnapshotSettings()
        self.pinned: Callable[[], set[int]] = set
        """States that must stay within reach."""
        self.files_are_news: Callable[[], bool] = lambda: False
        """Whether the interpreter has to look at the workspace anew."""
        self.points = RestorePoints()
        self.refusal: Refusal | None = None
        """Why the last attempt gave none; stays until :meth:`forget_refusal`."""
        self.living: set[int] = set()
        """Sleepers that have not been reaped, those that were let go of among them."""
        self._loop = loop
        self._watcher = watcher
        self._ranks = ranks
        self._processes = processes
        self._sleeper_uid = sleeper_uid
        self._foreign = foreign
        """The processes that are neither user code nor snapshots."""
        self._on_loss = on_loss
        """Told when one has died that nobody let go of."""
        self._owner = owner
        self._number = 0
        self._taking: asyncio.Task[None] | None = None
        self._taken_of = -1
        self._tidying: asyncio.TimerHandle | None = None

    @property
    def taking(self) -> bool:
        """Whether one is being taken."""
        return self._taking is not None

    def has_way_to(self, state: int) -> bool:
        """Whether there is one of that state, or is about to be."""
        return self.points.of_state(state) is not None or (self.taking and self._taken_of == state)

    def take(self, live: Interpreter, mark: Mark, then: Callable[[], None]) -> None:
        """Take one of ``live``, which is free, and tell ``then``; where there is none, ``refusal`` says why.

        The interpreter is asked at once: what is submitted in the next moment must find it at that.
        """
        assert self._taking is None
        self._taken_of = mark.state
        self._number += 1
        number = self._number
        try:
            ours, theirs = pair()
        except OSError as error:
            self.refusal = refusals.no_snapshot(str(error))
            self._loop.call_soon(then)
            return
        answer = live.snapshot(number, theirs.detach(), self.files_are_news())

        async def work() -> None:
            try:
                self._keep(await self._take(live, mark, number, ours, answer))
            except _NoSnapshot as error:
                self.refusal = error.refusal
            finally:
                self._taking = None
            then()

        self._taking = self._loop.create_task(work())

    async def settled(self) -> None:
        """Wait until none is being taken."""
        if self._taking is not None:
            await asyncio.wait({self._taking})

    def close(self) -> None:
        """The sandbox ends, and with it what sleeps."""
        for pending in (self._taking, self._tidying):
            if pending is not None:
                pending.cancel()

    def forget_refusal(self) -> None:
        """Whoever asks next may have better luck."""
        self.refusal = None

    def candidates(self, way: WayBack) -> list[RestorePoint]:
        """Return what to try on the way back, best first."""
        return self.points.candidates(way)

    async def wake(self, point: RestorePoint) -> Woken | None:
        """Make its sleeper the live interpreter; None where it cannot be woken. It is no restore point any more."""
        self.points.remove(point)
        try:
            message = await point.sleeper.wake(point.number)
        except StartFailed:
            self._let_go(point.sleeper)
            await point.sleeper.dead  # it may have been half awake
            return None
        self._ranks.want(point.sleeper.pid, memory_order.LIVE)
        for later in self.points.later_than(point.mark.state):
            self._drop(later)
        self.tidy()
        try:
            return parse_awake(message)
        except BadMessage:
            return Woken()

    def drop_all(self) -> None:
        """Let go of every one."""
        for point in self.points:
            self._drop(point)

    def tidy(self) -> None:
        """Let go of those that nobody needs, and rank the others."""
        if self._tidying is not None:
            self._tidying.cancel()
            self._tidying = None
        for point in self.points.surplus(self.settings.history, self.pinned()):
            self._drop(point)
        newest = self.points.newest
        if newest is None:
            return
        kept = {newest, *(point for state in self.pinned() for point in self.points.not_later(state)[:1])}
        for point in self.points:
            rank = memory_order.RESTORE_POINT if point in kept else memory_order.HISTORY
            self._ranks.want(point.sleeper.pid, rank)

    async def _take(
        self,
        live: Interpreter,
        mark: Mark,
        number: int,
        ours: socket.socket,
        answer: asyncio.Future[Message],
    ) -> RestorePoint:
        try:
            pid = self._pid_of(await live.answered(answer), number, live)
        except StartFailed as error:
            ours.close()
            raise _NoSnapshot(refusals.no_snapshot(str(error))) from None
        except BaseException:
            ours.close()
            raise
        sleeper = Interpreter(self._loop, ours, live.pumps, self._owner)
        self.living.add(pid)
        sleeper.dead.add_done_callback(lambda _: self.living.discard(pid))
        processes = self._processes.beside(live.pid)  # while the sleeper lies down
        try:
            message = await sleeper.fall_asleep(pid, self._watcher)
        except StartFailed as error:
            self._let_go(sleeper)
            raise _NoSnapshot(refusals.no_snapshot(str(error))) from None
        if message.header.get("snapshot") != number or self._sleeper_uid not in (None, message.uid):
            self._let_go(sleeper)
            raise _NoSnapshot(refusals.no_snapshot("the interpreter does not make what it should"))
        self._ranks.born(pid, memory_order.LIVE, sleeper.dead)
        return RestorePoint(number, mark, sleeper, processes)

    def _pid_of(self, answer: Message, number: int, live: Interpreter) -> int:
        header = answer.header
        if header.get("type") == "snapshot_refused":
            raise _NoSnapshot(_refusal(answer))
        pid = header.get("pid")
        # A lie would have us signal somebody: only a child of ours that is nobody else can be a snapshot.
        if (
            type(pid) is not int
            or header.get("snapshot") != number
            or pid == live.pid
            or pid in self._foreign()
            or pid in self.living
            or not is_living_child(pid)
        ):
            raise _NoSnapshot(refusals.no_snapshot("the interpreter does not make what it should"))
        return pid

    def _keep(self, point: RestorePoint) -> None:
        self.refusal = None
        self.points.add(point)
        point.sleeper.dead.add_done_callback(lambda _: self._died(point))
        if self._tidying is None:  # not now: an operation waits to begin, and a process that ends takes time
            self._tidying = self._loop.call_later(_TIDYING_SECONDS, self.tidy)

    def _died(self, point: RestorePoint) -> None:
        if self.points.remove(point):  # nobody of ours killed it
            point.sleeper.close()
            self.tidy()
            self._on_loss()

    def _drop(self, point: RestorePoint) -> None:
        self.points.remove(point)
        self._let_go(point.sleeper)

    def _let_go(self, sleeper: Interpreter) -> None:
        self._ranks.forget(sleeper.pid)
        sleeper.kill("it is not needed any more")
        sleeper.close()


class _NoSnapshot(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def _refusal(message: Message) -> Refusal:
    """Say why the interpreter makes none; what it says is checked like everything else."""
    if message.header.get("reason") == "threads":
        return refusals.threads_running(names_of(message.header.get("threads")))
    return refusals.no_snapshot(escaped(str(message.header.get("message", ""))[:500]))
