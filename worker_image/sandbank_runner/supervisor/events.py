"""Builds the public messages: ``sandbank.v1.OperationEvent`` and ``sandbank.v1.Operation``, serialized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp
from sandbank.v1.execution_pb2 import (
    Display,
    ExecutionError,
    InputRequest,
    OperationEvent,
    Output,
    Started,
)
from sandbank.v1.execution_pb2 import Operation as OperationMessage
from sandbank.v1.variable_pb2 import VariableChange

from sandbank_runner.supervisor.journal import Record
from sandbank_runner.supervisor.operations import Operation, Outcome

_SECOND = 1_000_000_000
_STARTED = Started()


def timestamp(nanoseconds: int) -> Timestamp:
    """Return a time given in nanoseconds since the epoch."""
    return Timestamp(seconds=nanoseconds // _SECOND, nanos=nanoseconds % _SECOND)


@dataclass(frozen=True, slots=True)
class Ending:
    """What Finished tells beside the operation itself."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    result: Mapping[str, bytes] = field(default_factory=dict)
    error: ExecutionError | None = None
    changes: Sequence[VariableChange] = ()
    changes_truncated: bool = False


class EventBuilder:
    """Builds the events of one session's operations."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id

    def started(self, record: Record, now: int) -> bytes:
        """Return the event that the code began to run."""
        return self._event(record, now, started=_STARTED)

    def output(
        self, record: Record, now: int, stream: int, data: bytes, *, unattributed: bool = False
    ) -> bytes:
        """Return the event that it wrote ``data``, or perhaps another; ``stream`` is 1 for stdout, 2 for stderr."""
        output = Output(stream=stream, data=data, unattributed=unattributed)  # type: ignore[arg-type]
        return self._event(record, now, output=output)

    def display(self, record: Record, now: int, display: Display) -> bytes:
        """Return the event that it showed something."""
        return self._event(record, now, display=display)

    def input_request(self, record: Record, now: int, request: InputRequest) -> bytes:
        """Return the event that it asked for a line."""
        return self._event(record, now, input_request=request)

    def finished(self, record: Record, now: int, ending: Ending) -> bytes:
        """Return the last event."""
        event = OperationEvent(
            session_id=self.session_id,
            operation_id=record.operation.operation_id,
            sequence=record.last_sequence + 1,
            time=timestamp(now),
        )
        # In place: a result may be large, and each message that is put into another is copied.
        self._fill(event.finished.operation, record.operation, ending)
        return event.SerializeToString()

    def operation_now(self, record: Record) -> bytes:
        """Return ``sandbank.v1.Operation`` as it is now: as Finished told it, but for its outcome.

        Where the journal has dropped the event, result and error are gone with it.
        """
        if record.ended and record.events and (last := record.events[-1]) is not None:
            message = OperationEvent.FromString(last).finished.operation
            message.outcome = int(record.operation.outcome)  # type: ignore[assignment]
            if record.operation.outcome is Outcome.ROLLED_BACK:
                message.ClearField("changes")
                message.ClearField("changes_truncated")
        else:
            message = OperationMessage()
            self._fill(message, record.operation, Ending())
        return message.SerializeToString()

    def _fill(self, message: OperationMessage, operation: Operation, ending: Ending) -> None:
        message.session_id = self.session_id
        message.operation_id = operation.operation_id
        message.state = int(operation.state)  # type: ignore[assignment]
        message.outcome = int(operation.outcome)  # type: ignore[assignment]
        message.tx_policy = int(operation.policy)  # type: ignore[assignment]
        message.isolation = int(operation.isolation)  # type: ignore[assignment]
        message.transaction_id = operation.transaction_id
        message.execution_count = operation.execution_count
        message.output_bytes = operation.output_bytes
        message.dropped_output_bytes = operation.dropped_output_bytes
        message.create_time.FromNanoseconds(operation.create_time)
        if operation.start_time:
            message.start_time.FromNanoseconds(operation.start_time)
        if operation.end_time:
            message.end_time.FromNanoseconds(operation.end_time)
            usage = message.usage
            usage.wall_time.FromNanoseconds(int(ending.wall_seconds * 1e9))
            usage.cpu_time.FromNanoseconds(int(ending.cpu_seconds * 1e9))
            usage.peak_memory_bytes = ending.peak_memory_bytes
        for kind, value in ending.result.items():
            message.result[kind] = value
        if ending.error is not None:
            message.error.CopyFrom(ending.error)
        for notice in operation.warnings:
            message.warnings.add(code=notice.code, message=notice.message, names=notice.names)
        message.conflicting_names.extend(operation.conflicting_names)
        for path, change in operation.files_changed:
            message.files_changed.add(path=path, kind=change)
        message.files_changed_truncated = operation.files_changed_truncated
        if operation.outcome is not Outcome.ROLLED_BACK:  # there are none any more
            message.changes.extend(ending.changes)
            message.changes_truncated = ending.changes_truncated

    def _event(self, record: Record, now: int, **event: object) -> bytes:
        return OperationEvent(
            session_id=self.session_id,
            operation_id=record.operation.operation_id,
            sequence=record.last_sequence + 1,
            time=timestamp(now),
            **event,  # type: ignore[arg-type]
        ).SerializeToString()
