"""Restore: a candidate beside the live interpreter takes a state in, and takes over once it has everything.

Until then the session is as it was, and goes on working.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from sandbank_runner.channel import Message
from sandbank_runner.supervisor.candidates import Candidate, Candidates, Overtaken, Restoration
from sandbank_runner.supervisor.interpreter_process import StartFailed
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.state_connections import UNKNOWN, StateConnection, StateConnections
from sandbank_runner.supervisor.state_work import StateRefused, said, seconds_of
from sandbank_runner.supervisor.template_process import ForkFailed, TemplateDied
from sandbank_runner.v1.runner_pb2 import Restore, StateResult

_REASONS = frozenset({"CHECKPOINT_CORRUPT", "TOO_LARGE", "WORKSPACE_FULL"})
"""What a candidate may claim; all else makes the checkpoint incompatible."""


class Stage(Protocol):
    """Whose live interpreter it is to become."""

    async def take_over(
        self, candidate: Candidate, restoration: Restoration, before: Callable[[], Awaitable[None]]
    ) -> None:
        """Cancel everything and make a candidate the live interpreter; nothing begins during ``before``.

        Raises ``StartFailed`` where it died, :class:`Overtaken`, and what ``before`` raises.
        """


class Restoring:
    """One at a time."""

    def __init__(
        self,
        connections: StateConnections,
        candidates: Candidates,
        stage: Stage,
        undo_files: Callable[[], Awaitable[None]],
    ) -> None:
        """``undo_files`` rids the workspace of what a candidate left there that died over it."""
        self._connections = connections
        self._candidates = candidates
        self._stage = stage
        self._undo_files = undo_files
        self._turn = asyncio.Lock()

    async def restore(self, request: Restore) -> StateResult:
        """Replace the session's state, or only see whether that could be. Raises :class:`StateRefused`."""
        seconds = seconds_of(request.timeout)
        connection = await self._connections.take(request.token)
        if connection is None:
            raise StateRefused(UNKNOWN)
        try:
            async with self._turn:
                await self._restore(request, connection, seconds)
        except BaseException:
            connection.cut()
            raise
        connection.close()
        return StateResult(as_of_operation_id=request.operation_id, execution_count=request.execution_count)

    async def _restore(self, request: Restore, connection: StateConnection, seconds: float) -> None:
        try:
            candidate = await self._candidates.fork()
        except StartFailed as error:
            raise StateRefused(
                Refusal("TOO_LARGE", f"no interpreter could be started beside the live one: {error}")
            ) from None
        taken = False
        try:
            loaded = await self._load(candidate, max(request.execution_count, 0), connection, seconds)
            if not request.dry_run:
                restoration = Restoration(request.operation_id, max(request.execution_count, 0))
                await self._stage.take_over(candidate, restoration, lambda: self._place(candidate, loaded))
                taken = True
        except StartFailed as error:
            raise self._died(candidate, str(error)) from None
        except Overtaken as error:
            raise StateRefused(Refusal("SESSION_BUSY", str(error))) from None
        finally:
            if not taken:
                self._candidates.end(candidate, "it was not taken")
                if not request.dry_run:
                    await self._put_back(candidate)

    async def _put_back(self, candidate: Candidate) -> None:
        """See to the files: the candidate may have died while it laid them ready or moved them."""
        await asyncio.wait({candidate.interpreter.dead}, timeout=_DEATH_SECONDS)
        with contextlib.suppress(ForkFailed, TemplateDied):  # the next restore tries again
            await self._undo_files()

    async def _load(
        self, candidate: Candidate, execution_count: int, connection: StateConnection, seconds: float
    ) -> Message:
        interpreter = candidate.interpreter
        message = await interpreter.answered(interpreter.load(execution_count, connection.give()), seconds)
        if message.header.get("type") == "loaded":
            return message
        reason = str(message.header.get("reason"))
        if reason not in _REASONS:
            reason = "CHECKPOINT_INCOMPATIBLE"
        raise StateRefused(Refusal(reason, said(message.header.get("message"))))

    async def _place(self, candidate: Candidate, loaded: Message) -> None:
        if loaded.header.get("files") is not True:
            return
        interpreter = candidate.interpreter
        message = await interpreter.answered(interpreter.place(), PLACE_SECONDS)
        if message.header.get("type") != "placed":
            why = said(message.header.get("message"))
            raise StateRefused(
                Refusal("WORKSPACE_FULL", f"the files could not be put in their places: {why}")
            )

    def _died(self, candidate: Candidate, why: str) -> StateRefused:
        if self._candidates.fell_to_memory(candidate):
            return StateRefused(
                Refusal("TOO_LARGE", "the sandbox has not enough memory for both states at once")
            )
        return StateRefused(
            Refusal("CHECKPOINT_INCOMPATIBLE", f"the state could not be loaded: its interpreter {why}")
        )


_DEATH_SECONDS = 10.0

PLACE_SECONDS = 120.0
"""How long files that were loaded may take to be put in their places, and, where that fails, to be taken back."""
