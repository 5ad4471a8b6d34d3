"""Values that come by a connection of their own, and are bound in the live interpreter, between two operations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sandbank.v1.state_pb2 import ArrowAs

from sandbank_runner.channel import Message
from sandbank_runner.supervisor.change_messages import parse_change
from sandbank_runner.supervisor.interpreter_messages import BadMessage
from sandbank_runner.supervisor.interpreter_process import Interpreter, StartFailed
from sandbank_runner.supervisor.ledger import Ledger
from sandbank_runner.supervisor.queue import Import
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.state_connections import UNKNOWN, StateConnection, StateConnections
from sandbank_runner.supervisor.state_work import said, seconds_of
from sandbank_runner.v1.runner_pb2 import StateResult

GRACE_SECONDS = 2.0
"""How long the interpreter may take to notice that the connection was cut; then it is killed."""

_REASONS = frozenset({"FORMAT_UNAVAILABLE", "TOO_LARGE", "BAD_FIELD", "SESSION_BUSY"})
_ARROW_AS: dict[int, str] = {
    ArrowAs.ARROW_AS_UNSPECIFIED: "table",
    ArrowAs.ARROW_AS_TABLE: "table",
    ArrowAs.ARROW_AS_PANDAS: "pandas",
    ArrowAs.ARROW_AS_NUMPY: "numpy",
}


class Imports:
    """One at a time, and nothing beside it. ``again`` looks at the queue once more."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connections: StateConnections,
        ledger: Ledger,
        again: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._connections = connections
        self._ledger = ledger
        self._again = again
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether one has its turn."""
        return self._task is not None

    def start(self, step: Import, interpreter: Interpreter) -> None:
        """Do one, whose turn it is."""
        self._task = self._loop.create_task(self._work(step, interpreter))

    async def _work(self, step: Import, interpreter: Interpreter) -> None:
        found: StateResult | Refusal = Refusal("BUG", "the import failed for an unknown reason")
        try:
            connection = await self._connections.take(step.request.token)
            found = UNKNOWN if connection is None else await self._import(step, interpreter, connection)
        finally:
            self._task = None
            step.answer(found)
            self._again()

    async def _import(
        self, step: Import, interpreter: Interpreter, connection: StateConnection
    ) -> StateResult | Refusal:
        request = step.request
        if not interpreter.free:
            connection.cut()
            return _gone("it was replaced")
        state, operation_id = self._ledger.effects.state, self._ledger.effects.operation_id
        self._ledger.effects.begin(operation_id)
        arrow_as = _ARROW_AS.get(request.arrow_as, "table")
        answer = interpreter.import_variable(
            request.name, request.format, arrow_as, step.preview_characters, connection.give()
        )
        seconds = seconds_of(request.timeout)
        try:
            await asyncio.wait({answer}, timeout=seconds)
            in_time = answer.done()
            if not in_time:
                connection.cut()
            message = await interpreter.answered(answer, GRACE_SECONDS)
        except StartFailed as error:
            return _gone(str(error))
        finally:
            connection.cut()
        if interpreter.killed_for:
            return _gone("it was replaced")
        found = _parse(message)
        if isinstance(found, Refusal):
            self._ledger.effects.go_back(state, operation_id)
            if not in_time:
                return Refusal("SESSION_BUSY", f"the value did not come within {seconds:g} s")
            return found
        found.as_of_operation_id = operation_id
        found.execution_count = self._ledger.execution_count
        found.state = self._ledger.effects.state
        return found


def _parse(message: Message) -> StateResult | Refusal:
    header = message.header
    if header.get("type") == "imported":
        try:
            return StateResult(change=parse_change(header.get("change")).SerializeToString())
        except BadMessage:  # it is bound, whatever else is said of it
            return StateResult()
    reason = header.get("reason")
    known = isinstance(reason, str) and reason in _REASONS
    return Refusal(str(reason) if known else "FORMAT_UNAVAILABLE", said(header.get("message")))


def _gone(why: str) -> Refusal:
    return Refusal("SESSION_BUSY", f"the interpreter has died, and nothing was bound: {why}")
