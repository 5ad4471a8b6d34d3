"""What an event must be before it is forwarded: it came out of a sandbox, so it is hostile until then."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from sandbank.v1 import execution_pb2

from sandbank_server.runners.frames import RunnerViolation

EVENT_BYTES = 16 * 1024 * 1024 - 64 * 1024
"""Largest event: the public message limit, less what a transport adds."""

_FROM_RUNNER = frozenset({"started", "output", "display", "input_request", "finished"})

_Operation = execution_pb2.Operation

_FINAL_STATES = frozenset(
    {
        _Operation.STATE_SUCCEEDED,
        _Operation.STATE_FAILED,
        _Operation.STATE_CANCELLED,
        _Operation.STATE_TIMED_OUT,
        _Operation.STATE_CRASHED,
    }
)

_FRESH_OUTCOMES = frozenset(
    {
        _Operation.OUTCOME_NOT_STARTED,
        _Operation.OUTCOME_COMMITTED,
        _Operation.OUTCOME_PARTIAL,
        _Operation.OUTCOME_ROLLED_BACK,
        _Operation.OUTCOME_PENDING,
        _Operation.OUTCOME_UNKNOWN,
    }
)


def check_event(
    data: bytes, session_id: str, operation_id: str, sequence: int
) -> execution_pb2.OperationEvent:
    """Return the event parsed, having made sure that it may go to the client as it is.

    Raises :class:`RunnerViolation` when it is too large, malformed, of another session, operation or place in the
    sequence, of a kind that a runner does not send, or a Finished that claims what cannot be.
    """
    if len(data) > EVENT_BYTES:
        raise RunnerViolation(f"event of {len(data)} bytes")
    try:
        event = execution_pb2.OperationEvent.FromString(data)
    except DecodeError as error:
        raise RunnerViolation("malformed event") from error
    if event.operation_id != operation_id or event.session_id != session_id:
        raise RunnerViolation("event of another operation or session")
    if event.sequence != sequence:
        raise RunnerViolation(f"event {event.sequence} where {sequence} was due")
    kind = event.WhichOneof("event")
    if kind not in _FROM_RUNNER:
        raise RunnerViolation(f"event of kind {kind}")
    if kind == "finished":
        check_operation(event.finished.operation, session_id, operation_id)
        if event.finished.operation.outcome not in _FRESH_OUTCOMES:
            raise RunnerViolation(f"outcome {event.finished.operation.outcome}")
        if event.finished.operation.state not in _FINAL_STATES:
            raise RunnerViolation("Finished in no final state")
    return event


def check_operation(operation: execution_pb2.Operation, session_id: str, operation_id: str) -> None:
    """Raise :class:`RunnerViolation` unless ``operation`` is the one asked for and claims what a runner may."""
    if operation.session_id != session_id or operation.operation_id != operation_id:
        raise RunnerViolation("another operation than asked for")
    if operation.durable_checkpoint_id:
        raise RunnerViolation("a runner knows no checkpoints")


def parse_operation(data: bytes, session_id: str, operation_id: str) -> execution_pb2.Operation:
    """Return the operation that a reply carries, checked."""
    if len(data) > EVENT_BYTES:
        raise RunnerViolation(f"operation of {len(data)} bytes")
    try:
        operation = execution_pb2.Operation.FromString(data)
    except DecodeError as error:
        raise RunnerViolation("malformed operation") from error
    check_operation(operation, session_id, operation_id)
    return operation
