"""Builds the public messages: ``sandbank.v1.OperationEvent`` and ``sandbank.v1.Operation``, serialized."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from sandbank.v1.execution_pb2 import (
    Display,
    ExecutionError,
    Finished,
    OperationEvent,
    Output,
    Started,
)
from sandbank.v1.execution_pb2 import Operation as OperationMessage
from sandbank.v1.transaction_pb2 import ISOLATION_PROCESS, TX_POLICY_NONE

from sandbank_runner.supervisor.journal import Record
from sandbank_runner.supervisor.operations import Operation

_SECOND = 1_000_000_000
_STARTED = Started()


def timestamp(nanoseconds: int) -> Timestamp:
    """Return a time given in nanoseconds since the epoch."""
    return Timestamp(seconds=nanoseconds // _SECOND, nanos=nanoseconds % _SECOND)


class EventBuilder:
    """Builds the events of one session's operations."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id

    def started(self, record: Record, now: int) -> bytes:
        """Return the event that the code began to run."""
        return self._event(record, now, started=_STARTED)

    def output(self, record: Record, now: int, stream: int, data: bytes) -> bytes:
        """Return the event that it wrote ``data``; ``stream`` is 1 for stdout, 2 for stderr."""
        return self._event(record, now, output=Output(stream=stream, data=data))  # type: ignore[arg-type]

    def display(self, record: Record, now: int, display: Display) -> bytes:
        """Return the event that it showed something."""
        return self._event(record, now, display=display)

    def finished(self, record: Record, now: int, operation: OperationMessage) -> bytes:
        """Return the last event."""
        return self._event(record, now, finished=Finished(operation=operation))

    def operation(
        self,
        operation: Operation,
        *,
        wall_seconds: float = 0.0,
        cpu_seconds: float = 0.0,
        peak_memory_bytes: int = 0,
        result: dict[str, bytes] | None = None,
        error: ExecutionError | None = None,
    ) -> OperationMessage:
        """Return the public message of ``operation`` as it is now."""
        message = OperationMessage(
            session_id=self.session_id,
            operation_id=operation.operation_id,
            state=int(operation.state),  # type: ignore[arg-type]
            outcome=int(operation.outcome),  # type: ignore[arg-type]
            tx_policy=TX_POLICY_NONE,
            isolation=ISOLATION_PROCESS,
            create_time=timestamp(operation.create_time),
            start_time=timestamp(operation.start_time) if operation.start_time else None,
            end_time=timestamp(operation.end_time) if operation.end_time else None,
            execution_count=operation.execution_count,
            error=error,
            output_bytes=operation.output_bytes,
            dropped_output_bytes=operation.dropped_output_bytes,
        )
        if operation.end_time:
            usage = message.usage
            usage.wall_time.FromNanoseconds(int(wall_seconds * _SECOND))
            usage.cpu_time.FromNanoseconds(int(cpu_seconds * _SECOND))
            usage.peak_memory_bytes = peak_memory_bytes
        if result:
            for kind, value in result.items():
                message.result[kind] = value
        return message

    def operation_now(self, record: Record) -> bytes:
        """Return ``sandbank.v1.Operation`` as it is now: as Finished told it, but for its outcome.

        Where the journal has dropped the event, result and error are gone with it.
        """
        if record.ended and record.events and (last := record.events[-1]) is not None:
            message = OperationEvent.FromString(last).finished.operation
            message.outcome = int(record.operation.outcome)  # type: ignore[assignment]
        else:
            message = self.operation(record.operation)
        return message.SerializeToString()

    def _event(self, record: Record, now: int, **event: object) -> bytes:
        return OperationEvent(
            session_id=self.session_id,
            operation_id=record.operation.operation_id,
            sequence=record.last_sequence + 1,
            time=timestamp(now),
            **event,  # type: ignore[arg-type]
        ).SerializeToString()
