"""What an event must be before it is forwarded: it came out of a sandbox, so it is hostile until then."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from sandbank.v1 import execution_pb2, transaction_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.runners.frames import RunnerViolation

EVENT_BYTES = 16 * 1024 * 1024 - 64 * 1024
"""Largest event: the public message limit, less what a transport adds."""

COUNT_LIMIT = 2**53
"""Bound of every count and size: what any client's language can hold exactly."""

PROMPT_BYTES = 64 * 1024
"""The longest prompt of a question."""

SEQUENCE_LIMIT = 2**48
"""Bound of an event's sequence: there is always room for the events that follow."""

SUMMARIES_LIMIT = 10_000
"""Operations that one Hello may tell of; an honest journal keeps a few hundred."""

CHANGES_LIMIT = 64
"""Replacements, and changes of transactions, that one Hello may tell of."""

_VERSION_CHARACTERS = 32
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999: what a Timestamp, and any library that converts one, ends at."""

_NANOS = 1_000_000_000

_INPUT_ID = re.compile(r"[0-9]{1,16}")

_FROM_RUNNER = frozenset({"started", "output", "display", "input_request", "finished"})

_Operation = execution_pb2.Operation

_STATES = frozenset(_Operation.State.values()) - {_Operation.STATE_UNSPECIFIED}
_OUTCOMES = frozenset(_Operation.Outcome.values())
_POLICIES = frozenset(transaction_pb2.TxPolicy.values())
_ISOLATIONS = frozenset(transaction_pb2.Isolation.values())
_TRANSACTION_STATES = frozenset(transaction_pb2.Transaction.State.values()) - {
    transaction_pb2.Transaction.STATE_UNSPECIFIED
}

FINAL_STATES = frozenset(
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
    check_time(event.time)
    if kind == "input_request":
        check_input_request(event.input_request)
    if kind == "finished":
        check_operation(event.finished.operation, session_id, operation_id)
        if event.finished.operation.outcome not in _FRESH_OUTCOMES:
            raise RunnerViolation(f"outcome {event.finished.operation.outcome}")
        if event.finished.operation.state not in FINAL_STATES:
            raise RunnerViolation("Finished in no final state")
    return event


def check_input_request(request: execution_pb2.InputRequest) -> None:
    """Raise :class:`RunnerViolation` unless a question can be shown to a client, and answered by one."""
    if not _INPUT_ID.fullmatch(request.input_id):
        raise RunnerViolation("a question without a name")
    if len(request.prompt.encode()) > PROMPT_BYTES:
        raise RunnerViolation("a prompt over its bound")


def check_operation(operation: execution_pb2.Operation, session_id: str, operation_id: str) -> None:
    """Raise :class:`RunnerViolation` unless ``operation`` is the one asked for and claims what a runner may."""
    if operation.session_id != session_id or operation.operation_id != operation_id:
        raise RunnerViolation("another operation than asked for")
    if operation.durable_checkpoint_id:
        raise RunnerViolation("a runner knows no checkpoints")
    if operation.state not in _STATES or operation.outcome not in _OUTCOMES:
        raise RunnerViolation(f"state {operation.state} with outcome {operation.outcome}")
    if operation.tx_policy not in _POLICIES or operation.isolation not in _ISOLATIONS:
        raise RunnerViolation(f"policy {operation.tx_policy} with isolation {operation.isolation}")
    check_counts(operation.execution_count, operation.output_bytes, operation.dropped_output_bytes)
    check_time(operation.create_time)
    check_time(operation.start_time)
    check_time(operation.end_time)
    usage = operation.usage
    check_counts(usage.peak_memory_bytes)
    check_duration(usage.wall_time)
    check_duration(usage.cpu_time)


def check_time(time: Timestamp) -> None:
    """Raise :class:`RunnerViolation` unless every library can make a date of ``time``."""
    if not (0 <= time.seconds <= _LAST_SECOND and 0 <= time.nanos < _NANOS):
        raise RunnerViolation("a time that cannot be")


def check_duration(duration: Duration) -> None:
    """Raise :class:`RunnerViolation` for a duration that is negative, malformed or beyond all time."""
    if not (0 <= duration.seconds <= _LAST_SECOND and 0 <= duration.nanos < _NANOS):
        raise RunnerViolation("a duration that cannot be")


def check_counts(*counts: int) -> None:
    """Raise :class:`RunnerViolation` for a count that is negative or absurd."""
    for count in counts:
        if not 0 <= count <= COUNT_LIMIT:
            raise RunnerViolation(f"a count of {count}")


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


def parse_transaction(data: bytes, session_id: str) -> transaction_pb2.Transaction:
    """Return the transaction that a message carries, checked. Its operations are looked up by who knows them."""
    if len(data) > EVENT_BYTES:
        raise RunnerViolation(f"transaction of {len(data)} bytes")
    try:
        transaction = transaction_pb2.Transaction.FromString(data)
    except DecodeError as error:
        raise RunnerViolation("malformed transaction") from error
    if transaction.session_id != session_id:
        raise RunnerViolation("a transaction of another session")
    if transaction.state not in _TRANSACTION_STATES:
        raise RunnerViolation(f"a transaction in state {transaction.state}")
    check_time(transaction.begin_time)
    check_time(transaction.expire_time)
    return transaction


def check_hello(hello: runner_pb2.Hello) -> None:
    """Raise :class:`RunnerViolation` unless what is used of a greeting is within its bounds."""
    if len(hello.operations) > SUMMARIES_LIMIT:
        raise RunnerViolation(f"a journal of {len(hello.operations)} operations")
    check_counts(hello.execution_count, hello.last_replaced.number)
    for summary in hello.operations:
        if not (
            0 <= summary.last_sequence <= SEQUENCE_LIMIT
            and 0 <= summary.first_kept_sequence <= summary.last_sequence + 1
        ):
            raise RunnerViolation("a journal with impossible sequences")
        if summary.outcome not in _OUTCOMES:
            raise RunnerViolation(f"outcome {summary.outcome}")
    check_numbers([each.number for each in hello.replacements])
    check_numbers([each.number for each in hello.transactions])
    if hello.replacements and hello.last_replaced.number != hello.replacements[-1].number:
        raise RunnerViolation("a newest replacement that is not the newest")


def check_numbers(numbers: Sequence[int]) -> None:
    """Raise :class:`RunnerViolation` unless these can number messages of one sandbox, from 1, in order."""
    if len(numbers) > CHANGES_LIMIT:
        raise RunnerViolation(f"{len(numbers)} changes in one greeting")
    if any(later != earlier + 1 for earlier, later in pairwise(numbers)):
        raise RunnerViolation("changes out of order")
    if numbers and not 1 <= numbers[0] <= numbers[-1] <= COUNT_LIMIT:
        raise RunnerViolation("changes with impossible numbers")


def check_page(page: runner_pb2.Page, after: int) -> None:
    """Raise :class:`RunnerViolation` unless a page of the journal can follow sequence ``after``."""
    if not (0 <= page.first_kept_sequence <= SEQUENCE_LIMIT and page.first_sequence <= SEQUENCE_LIMIT):
        raise RunnerViolation("a page with impossible sequences")
    if page.events:
        if page.first_sequence != max(after + 1, page.first_kept_sequence):
            raise RunnerViolation(f"a page from {page.first_sequence} on, asked after {after}")
    elif page.first_kept_sequence <= after + 1:
        # Nothing there and nothing evicted: an answer that would have us ask for ever.
        raise RunnerViolation("an empty page")


def version_of(hello: runner_pb2.Hello) -> str:
    """Return the Python version that a supervisor claims, fit to be shown and stored."""
    text = hello.python_version[:_VERSION_CHARACTERS]
    return text if text.isascii() and text.isprintable() else ""


def reason_of(text: str) -> str:
    """Return a reason that a supervisor gave as one bounded line."""
    return line_of(text, 200)


def line_of(text: str, characters: int) -> str:
    """Return text of a supervisor as one line of at most so many characters, fit to be shown and logged."""
    return "".join(each if each.isprintable() else " " for each in text[:characters]).strip()
