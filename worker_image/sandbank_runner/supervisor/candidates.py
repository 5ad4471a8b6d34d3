"""Fresh interpreters beside the live one, that take over from it if they come to have what they are to have."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from sandbank_runner.supervisor.interpreter_births import Births
from sandbank_runner.supervisor.interpreter_process import Interpreter
from sandbank_runner.supervisor.memory_ranks import MemoryRanks
from sandbank_runner.supervisor.pumps import OutputSink
from sandbank_runner.supervisor.user_processes import kill_below
from sandbank_runner.walls import memory_order


class _HeardLater:
    """Drops what a candidate writes: no operation of the session runs in it. Once it has taken over it is heard."""

    def __init__(self, sink: OutputSink) -> None:
        self.heard = False
        self._sink = sink

    def output(self, stream: int, data: bytes) -> None:
        """Pass it on, or drop it."""
        if self.heard:
            self._sink.output(stream, data)

    def settle(self) -> None:
        """Pass it on."""
        if self.heard:
            self._sink.settle()


class Overtaken(Exception):
    """Something else replaced the interpreter first; the text says what."""


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """An interpreter that nobody has given an operation yet."""

    interpreter: Interpreter
    output: _HeardLater
    memory_kills: int
    """How many processes had been killed for want of memory when it began."""


@dataclass(frozen=True, slots=True)
class Restoration:
    """What a candidate has: the state that the session goes on from."""

    operation_id: str
    """The newest operation whose effects are in it; empty: none."""
    execution_count: int


@dataclass(frozen=True, slots=True)
class Adoption:
    """A candidate is to take over. ``done`` is told when it has, or why it cannot: StartFailed, :class:`Overtaken`."""

    candidate: Candidate
    restoration: Restoration
    done: asyncio.Future[None]


class Host(Protocol):
    """Who has the live interpreter."""

    @property
    def current(self) -> Interpreter | None:
        """The live interpreter."""

    def memory_kills(self) -> int:
        """How many processes have been killed for want of memory so far."""

    def fell_to_memory(self, kills_before: int) -> bool:
        """Whether it was such a kill that just ended a process; there had been so many before it began."""


class Candidates:
    """Makes them and ends them."""

    def __init__(self, births: Births, ranks: MemoryRanks, sink: OutputSink, host: Host) -> None:
        self.pids: set[int] = set()
        """Those that live. A sweep spares them."""
        self._host = host
        self._births = births
        self._ranks = ranks
        self._sink = sink

    async def fork(self) -> Candidate:
        """Return one. Raises what :meth:`Births.give` raises."""
        output = _HeardLater(self._sink)
        kills = self._host.memory_kills()
        interpreter = await self._births.give(output)
        pid = interpreter.pid
        self.pids.add(pid)
        interpreter.dead.add_done_callback(lambda _: self.pids.discard(pid))
        self._ranks.born(pid, memory_order.LIVE, interpreter.dead)
        self._ranks.want(pid, memory_order.CANDIDATE)  # the session is worth more than what is to replace it
        self._rank_live(memory_order.LIVE_BESIDE_CANDIDATE)
        return Candidate(interpreter, output, kills)

    def fell_to_memory(self, candidate: Candidate) -> bool:
        """Whether one that is dead was killed for want of memory."""
        return not candidate.interpreter.killed_for and self._host.fell_to_memory(candidate.memory_kills)

    def promote(self, candidate: Candidate) -> Interpreter:
        """It is the live interpreter from here on."""
        candidate.output.heard = True
        self.pids.discard(candidate.interpreter.pid)
        if not candidate.interpreter.dead.done():
            self._ranks.want(candidate.interpreter.pid, memory_order.LIVE)
        return candidate.interpreter

    def end(self, candidate: Candidate, why: str) -> None:
        """It is of no use: kill it with what it has started."""
        interpreter = candidate.interpreter
        self._rank_live(memory_order.LIVE)
        interpreter.kill(why)
        kill_below(interpreter.pid)
        interpreter.close()
        interpreter.pumps.close()

    def _rank_live(self, rank: int) -> None:
        live = self._host.current
        if live is not None and not live.dead.done():
            self._ranks.want(live.pid, rank)
