"""Writes down what happens to operations, and publishes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sandbank.v1.execution_pb2 import Display, ExecutionError, InputRequest

from sandbank_runner.supervisor.events import Ending, EventBuilder
from sandbank_runner.supervisor.inputs import Inputs
from sandbank_runner.supervisor.interpreter_messages import Done
from sandbank_runner.supervisor.interpreter_process import Interpreter
from sandbank_runner.supervisor.journal import Journal, Record
from sandbank_runner.supervisor.ladder import Ladder
from sandbank_runner.supervisor.operations import End

DISPLAY_BYTES = 8 * 1024 * 1024
"""What one operation may show; the rest is dropped and counted."""

OUTPUT_MESSAGES = 500_000
"""Pieces of output that an interpreter may tell of for one operation: an honest one sends some hundred in a second."""

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


@dataclass(eq=False, slots=True)
class Running:
    """An operation that runs."""

    record: Record
    interpreter: Interpreter
    ladder: Ladder
    start: float
    """By the loop's clock."""
    inputs: Inputs
    done: Done | None = None
    """What the interpreter said of its end, where the way back still lies between that and the end."""


class Reporter:
    """Journal, events and publisher of one session put together."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        journal: Journal,
        events: EventBuilder,
        publisher: Publisher,
        now: Callable[[], int],
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._events = events
        self._publisher = publisher
        self._now = now

    def started(self, record: Record, now: int) -> None:
        """Its code was handed to an interpreter."""
        self._emit(record, self._events.started(record, now))
        self._publisher.flush_later()

    def output(self, record: Record, stream: int, data: bytes, *, unattributed: bool = False) -> None:
        """It wrote ``data``, of which its bound may keep less; or one beside it did, where that is ``unattributed``."""
        operation = record.operation
        kept = data[: operation.max_output_bytes - operation.output_bytes]
        operation.dropped_output_bytes += len(data) - len(kept)
        if kept:
            operation.output_bytes += len(kept)
            event = self._events.output(record, self._now(), stream, kept, unattributed=unattributed)
            self._emit(record, event)

    def told_output(self, record: Record, stream: int, data: bytes) -> None:
        """Its interpreter says that it wrote ``data``: bounded in the number of pieces too, for each is an event."""
        operation = record.operation
        operation.output_messages += 1
        if operation.output_messages > OUTPUT_MESSAGES:
            operation.dropped_output_bytes += len(data)
        else:
            self.output(record, stream, data)

    def display(self, record: Record, display: Display) -> None:
        """It showed something."""
        operation = record.operation
        size = display.ByteSize() + _DISPLAY_OVERHEAD_BYTES
        if operation.display_bytes + size > DISPLAY_BYTES:
            operation.dropped_output_bytes += size - _DISPLAY_OVERHEAD_BYTES
            return
        operation.display_bytes += size
        self._emit(record, self._events.display(record, self._now(), display))

    def input_request(self, record: Record, request: InputRequest) -> None:
        """It asked for a line."""
        self._emit(record, self._events.input_request(record, self._now(), request))

    def finished(self, running: Running, how: End, error: ExecutionError | None) -> None:
        """It ended."""
        running.ladder.release()
        record, now, done = running.record, self._now(), running.done
        record.operation.end(how, now)
        wall_seconds = max(self._loop.time() - running.start, 0.0)
        if done is None:
            ending = Ending(wall_seconds, error=error)
        else:
            ending = Ending(
                wall_seconds,
                done.cpu_seconds,
                done.peak_memory_bytes,
                done.result,
                error,
                done.changes,
                done.changes_truncated,
            )
        self._emit(record, self._events.finished(record, now, ending), finished=True)
        self._publisher.flush()

    def never_began(self, record: Record, how: End, error: ExecutionError) -> None:
        """It was taken out of the queue, or could not begin."""
        now = self._now()
        record.operation.end(how, now)
        self._emit(record, self._events.finished(record, now, Ending(error=error)), finished=True)
        self._publisher.flush()

    def settle(self) -> None:
        """Nothing more comes for the moment: send what has come."""
        self._publisher.flush()

    def _emit(self, record: Record, event: bytes, *, finished: bool = False) -> None:
        self._journal.append(record, event, finished=finished)
        self._publisher.publish(record, event)
