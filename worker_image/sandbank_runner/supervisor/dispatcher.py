"""Runs the operations of a session one after the other in whatever interpreter is alive, and tells what happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sandbank.v1.execution_pb2 import ExecutionError

from sandbank_runner.channel import Message
from sandbank_runner.supervisor import verdicts
from sandbank_runner.supervisor.background import BackgroundOutput
from sandbank_runner.supervisor.events import Ending, EventBuilder
from sandbank_runner.supervisor.interpreter_messages import BadMessage, Done, parse_display, parse_done
from sandbank_runner.supervisor.interpreter_process import Interpreter
from sandbank_runner.supervisor.interpreters import RESET, Interpreters
from sandbank_runner.supervisor.journal import Journal, Record
from sandbank_runner.supervisor.ladder import Ladder
from sandbank_runner.supervisor.operations import End, Operation, Stop
from sandbank_runner.supervisor.queue import OperationQueue

DISPLAY_BYTES = 8 * 1024 * 1024
"""What one operation may show; the rest is dropped and counted."""

_DISPLAY_OVERHEAD_BYTES = 256
"""What a display counts beside its content: otherwise empty ones would cost nothing."""


class Publisher(Protocol):
    """Where new events go, beside the journal."""

    def publish(self, record: Record, event: bytes) -> None:
        """Take an event that was just journalled; it leaves with the next flush."""

    def flush_later(self) -> None:
        """Send what was published in a moment."""

    def flush(self) -> None:
        """Send what was published, now."""


@dataclass(slots=True)
class Running:
    """The operation that runs."""

    record: Record
    interpreter: Interpreter
    ladder: Ladder
    start: float
    """By the loop's clock."""


class Dispatcher:
    """A queue in front of the interpreters. Listens to them."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interpreters: Interpreters,
        *,
        journal: Journal,
        events: EventBuilder,
        publisher: Publisher,
        background: BackgroundOutput,
        now: Callable[[], int],
        on_death: Callable[[Interpreter, str, str], None],
        queue_limit: int,
        grace: float,
    ) -> None:
        self.execution_count = 0
        self.dropped_messages = 0
        self.running: Running | None = None
        self.queue = OperationQueue(queue_limit)
        self._loop = loop
        self._interpreters = interpreters
        self._journal = journal
        self._events = events
        self._publisher = publisher
        self._background = background
        self._now = now
        self._on_death = on_death
        """Told of an interpreter's death and the operation's id, before what became of the operation is published."""
        self._grace = grace

    def submit(self, operation: Operation) -> None:
        """Queue an operation, or run it at once. One that is known already is ignored."""
        if operation.operation_id in self._journal:
            return
        record = self._journal.open(operation)
        if self.queue.push(operation):
            self.dispatch()
        else:
            self._withdraw(record, verdicts.queue_full(self.queue.limit))

    def cancel(self, operation: Operation) -> None:
        """Wish an operation to end; no effect on one that has."""
        running = self.running
        if running is not None and running.record.operation is operation:
            running.ladder.stop(Stop.CANCEL)
        elif self.queue.withdraw(operation.operation_id) is not None:
            record = self._journal.find(operation.operation_id)
            assert record is not None
            self._withdraw(record, verdicts.cancelled_in_queue())

    def cancel_all(self) -> None:
        """End what runs and what is queued, because the interpreter is about to be killed for a reset.

        The count begins anew with the next interpreter.
        """
        self.execution_count = 0
        for operation in self.queue.clear():
            record = self._journal.find(operation.operation_id)
            assert record is not None
            self._withdraw(record, verdicts.cancelled_in_queue())
        if self.running is not None:
            self.running.ladder.release()
            self.running.record.operation.wish(Stop.CANCEL)

    def dispatch(self) -> None:
        """Run the next operation if there is one and an interpreter is free."""
        interpreter = self._interpreters.current
        if self.running is not None or interpreter is None or not interpreter.free:
            return
        operation = self.queue.pop()
        if operation is None:
            return
        record = self._journal.find(operation.operation_id)
        assert record is not None
        self.execution_count += 1
        interpreter.execute(operation.operation_id, self.execution_count, operation.code)
        now = self._now()
        operation.start(self.execution_count, interpreter.generation, now)
        ladder = Ladder(self._loop, operation, interpreter, self._grace)
        self.running = Running(record, interpreter, ladder, self._loop.time())
        self._emit(record, self._events.started(record, now))
        self._publisher.flush_later()

    # What the interpreters tell.

    def output(self, stream: int, data: bytes) -> None:
        """User code wrote: it is the running operation's, or nobody's."""
        if self.running is None:
            self._background.output(stream, data)
            return
        record = self.running.record
        operation = record.operation
        kept = data[: operation.max_output_bytes - operation.output_bytes]
        operation.dropped_output_bytes += len(data) - len(kept)
        if kept:
            operation.output_bytes += len(kept)
            self._emit(record, self._events.output(record, self._now(), stream, kept))

    def settle(self) -> None:
        """Nothing more comes for the moment: send what has come."""
        self._publisher.flush()

    def said(self, interpreter: Interpreter, message: Message) -> None:
        """The interpreter that runs an operation tells of it; what does not fit is dropped."""
        running = self.running
        if (
            running is None
            or running.interpreter is not interpreter
            or message.header.get("operation") != running.record.operation.operation_id
            or interpreter.killed_for  # its state is as good as gone, whatever it had still reached
        ):
            self.dropped_messages += 1
            return
        try:
            kind = message.header.get("type")
            if kind == "display":
                self._display(running, message)
            elif kind == "done":
                self._done(running, parse_done(message))
            else:
                self.dropped_messages += 1
        except BadMessage:
            self.dropped_messages += 1

    def interpreter_ready(self) -> None:
        """There is a fresh interpreter."""
        self.dispatch()

    def interpreter_died(self, interpreter: Interpreter, cause: str) -> None:
        """An interpreter is gone, and with it what ran in it."""
        running = self.running
        mine = running is not None and running.interpreter is interpreter
        self._on_death(interpreter, cause, running.record.operation.operation_id if running and mine else "")
        if running is None or not mine:
            return
        operation = running.record.operation
        if interpreter.killed_for and operation.stop is not None:
            error = verdicts.killed(
                operation.stop, operation.timeout, self._grace, interpreter.killed_for == RESET
            )
            self._finish(running, End.KILLED, error=error)
        else:
            self._finish(running, End.DIED, error=verdicts.died(cause))

    # What becomes of operations.

    def _display(self, running: Running, message: Message) -> None:
        display = parse_display(message)
        operation = running.record.operation
        size = display.ByteSize() + _DISPLAY_OVERHEAD_BYTES
        if operation.display_bytes + size > DISPLAY_BYTES:
            operation.dropped_output_bytes += size - _DISPLAY_OVERHEAD_BYTES
            return
        operation.display_bytes += size
        self._emit(running.record, self._events.display(running.record, self._now(), display))

    def _done(self, running: Running, done: Done) -> None:
        operation = running.record.operation
        operation.dropped_output_bytes += done.dropped_bytes
        running.interpreter.finish()
        operation.interrupted = done.interrupted
        if done.error is not None and done.interrupted and operation.stop is not None:
            verdicts.explain_interrupt(done.error, operation.stop, operation.timeout)
        self._finish(running, End.RETURNED if done.ok else End.RAISED, done=done, error=done.error)
        self.dispatch()

    def _finish(
        self, running: Running, how: End, *, done: Done | None = None, error: ExecutionError | None = None
    ) -> None:
        running.ladder.release()
        record, now = running.record, self._now()
        record.operation.end(how, now)
        self.running = None
        wall_seconds = max(self._loop.time() - running.start, 0.0)
        if done is None:
            ending = Ending(wall_seconds, error=error)
        else:
            ending = Ending(wall_seconds, done.cpu_seconds, done.peak_memory_bytes, done.result, error)
        self._emit(record, self._events.finished(record, now, ending), finished=True)
        self._publisher.flush()

    def _withdraw(self, record: Record, error: ExecutionError) -> None:
        now = self._now()
        record.operation.end(End.WITHDRAWN, now)
        self._emit(record, self._events.finished(record, now, Ending(error=error)), finished=True)
        self._publisher.flush()

    def _emit(self, record: Record, event: bytes, *, finished: bool = False) -> None:
        self._journal.append(record, event, finished=finished)
        self._publisher.publish(record, event)
