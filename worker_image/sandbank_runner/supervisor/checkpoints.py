"""Checkpoints as the supervisor sees them: a writer is forked, gets the connection, and is watched until it has ended.

An operation that runs is never delayed: it is a copy that writes. One writes at a time. One that is patient and finds
no copy of the newest state waits for a moment between two operations: the next one waits for a fork then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Protocol

from sandbank_runner.channel import Message
from sandbank_runner.supervisor.effects import Effects, Watch
from sandbank_runner.supervisor.interpreter_process import Interpreter, StartFailed
from sandbank_runner.supervisor.moments import Moments
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.restore_points import Mark
from sandbank_runner.supervisor.state_connections import UNKNOWN, StateConnection, StateConnections
from sandbank_runner.supervisor.state_work import ForkedWorker, Processes, StateRefused, said, seconds_of
from sandbank_runner.v1.runner_pb2 import Checkpoint, CheckpointEnded, StateResult

_WENT_BACK = "the session went back behind the state that was being written"
_GIVEN_UP = "the checkpoint was given up"


class CommittedStates(Protocol):
    """Who knows the states of the session."""

    def committed(self) -> tuple[Interpreter, Mark] | Refusal | None:
        """Return of whom a checkpoint is written now, and what it has; None where that is about to be there."""

    @property
    def committed_state(self) -> int:
        """The state that one should have."""

    def ready(self) -> Awaitable[object]:
        """Wait until it is there."""

    @property
    def live(self) -> Interpreter | None:
        """The live interpreter."""


class Checkpoints:
    """Writes them, one after the other."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connections: StateConnections,
        states: CommittedStates,
        moments: Moments,
        processes: Processes,
        effects: Effects,
    ) -> None:
        self._loop = loop
        self._connections = connections
        self._states = states
        self._moments = moments
        self._processes = processes
        self._effects = effects
        self._turn = asyncio.Lock()
        self._current = ""
        self._given_up = False
        self._writer: ForkedWorker | None = None

    async def write(self, request: Checkpoint) -> StateResult:
        """Have one written; return what is in it. Raises :class:`StateRefused`."""
        seconds = seconds_of(request.timeout)
        connection = await self._connections.take(request.token)
        if connection is None:
            raise StateRefused(UNKNOWN)
        self._give_up(
            request.checkpoint_id
        )  # asked for again: nobody listens to the writer of before any more
        try:
            async with asyncio.timeout(seconds), self._turn:
                mark = await self._write(request.checkpoint_id, connection, seconds_of(request.patience))
        except TimeoutError:
            connection.cut()
            raise StateRefused(
                Refusal("SESSION_BUSY", f"the checkpoint was not written within {seconds:g} s")
            ) from None
        except BaseException:
            connection.cut()
            raise
        connection.close()
        return StateResult(
            as_of_operation_id=mark.operation_id,
            execution_count=mark.execution_count,
            stale=mark.state != self._effects.state,
            state=mark.state,
        )

    def ended(self, ended: CheckpointEnded) -> None:
        """Tell the live interpreter, which counts changes from a durable one on. A copy asleep knows older ones."""
        if not ended.durable:
            self._give_up(ended.checkpoint_id)
        live = self._states.live
        if live is not None:
            live.checkpoint_ended(ended.checkpoint_id, durable=ended.durable)

    def _give_up(self, checkpoint_id: str) -> None:
        """End a writer that nobody listens to: stuck in C it would not notice, and keep the next one waiting."""
        if self._current == checkpoint_id:
            self._given_up = True
            if self._writer is not None:
                self._writer.kill(_GIVEN_UP)

    async def _write(self, checkpoint_id: str, connection: StateConnection, patience: float) -> Mark:
        async with contextlib.AsyncExitStack() as until_asked:
            source, mark = await self._source(patience, until_asked)
            watch = Watch(mark.state)
            self._effects.watches.append(watch)
            self._current, self._given_up = checkpoint_id, False
            asked = self._loop.create_task(source.write_checkpoint(checkpoint_id, connection.give()))
            try:
                await asyncio.sleep(0)  # it is sent
                await until_asked.aclose()
                await self._have_written(asked, watch)
            finally:
                asked.cancel()
                self._current, self._writer = "", None
                self._effects.watches.remove(watch)
        return mark

    async def _have_written(self, asked: asyncio.Task[Message], watch: Watch) -> None:
        try:
            told = (await asked).header
        except StartFailed as error:
            raise StateRefused(Refusal("SESSION_BUSY", f"the interpreter has died: {error}")) from None
        pid = told.get("pid")
        if told.get("type") != "writing" or type(pid) is not int:
            why = said(told.get("message"))
            raise StateRefused(Refusal("SESSION_BUSY", f"no copy of the interpreter could be made: {why}"))
        writer = ForkedWorker(self._loop, pid, self._processes)
        watch.on_gone = lambda: writer.kill(_WENT_BACK)
        self._writer = writer
        try:
            if not watch.gone and not self._given_up:
                await writer.end()
        finally:
            writer.kill(_GIVEN_UP)
        if self._given_up:
            raise StateRefused(Refusal("SESSION_BUSY", _GIVEN_UP))
        if watch.gone:
            raise StateRefused(Refusal("SESSION_BUSY", _WENT_BACK))

    async def _source(self, patience: float, moment: contextlib.AsyncExitStack) -> tuple[Interpreter, Mark]:
        """Return of whom it is written, and what that has; ``moment`` is to be ended once it has been asked."""
        while True:
            found = self._states.committed()
            if found is None:
                await self._states.ready()
            elif patience and (isinstance(found, Refusal) or found[1].state < self._states.committed_state):
                await moment.enter_async_context(self._moments.next(patience))
                patience = 0.0
            elif isinstance(found, Refusal):
                raise StateRefused(found)
            else:
                return found
