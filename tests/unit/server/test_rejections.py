"""Errors of single requests as events."""

from __future__ import annotations

from datetime import UTC, datetime

import grpc
import pytest
from sandbank.v1 import execution_pb2
from sandbank_server.errors import (
    BadFieldError,
    DomainError,
    OperationQueueFullError,
    ThreadsRunningError,
)
from sandbank_server.grpc_api.binding import bind
from sandbank_server.grpc_api.chain import Chain
from sandbank_server.grpc_api.dialogue import is_dialogue
from sandbank_server.grpc_api.error_map import explain
from sandbank_server.grpc_api.rejections import rejection

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def _rejected(error: Exception) -> execution_pb2.OperationEvent:
    return rejection(explain(error), "ses-1", "op-1", 7, NOW)


def test_a_rejection_has_what_the_unary_error_would_have() -> None:
    """Code, reason, message, metadata; its place is that of no event of an operation."""
    error = ThreadsRunningError("threads are at work", metadata={"threads": "a,b"})
    event = _rejected(error)
    assert (event.session_id, event.operation_id, event.sequence) == ("ses-1", "op-1", 0)
    assert event.time.ToDatetime(UTC) == NOW
    rejected = event.rejected
    assert rejected.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    assert (rejected.reason, rejected.message) == ("THREADS_RUNNING", "threads are at work")
    assert (dict(rejected.metadata), rejected.request_index) == ({"threads": "a,b"}, 7)
    assert not rejected.HasField("retry_delay")


@pytest.mark.parametrize(("delay", "seconds"), [(0.25, 0.25), (None, 1.0)])
def test_a_delay_where_trying_again_helps(delay: float | None, seconds: float) -> None:
    """As in RetryInfo: what the error says, or a second."""
    event = _rejected(OperationQueueFullError("full", retry_delay=delay))
    assert event.rejected.retry_delay.ToTimedelta().total_seconds() == seconds


def test_the_field_at_fault_is_named() -> None:
    """BadRequest has no place in an event: its first field goes into the metadata."""
    event = _rejected(BadFieldError.at("execute.timeout", "must not be negative"))
    assert event.rejected.metadata["field"] == "execute.timeout"


def test_a_fault_of_ours_tells_no_secret() -> None:
    """Only an id to quote."""
    event = _rejected(ZeroDivisionError("/srv/secret"))
    assert (event.rejected.code, event.rejected.reason) == (grpc.StatusCode.INTERNAL.value[0], "BUG")
    assert "secret" not in event.rejected.message
    assert event.rejected.metadata["error_id"] in event.rejected.message
    assert not isinstance(ZeroDivisionError(), DomainError)


def test_only_a_two_way_stream_can_be_a_dialogue() -> None:
    """Anything else is a mistake, found at the start."""
    service = execution_pb2.DESCRIPTOR.services_by_name["ExecutionService"]

    class Wrong:
        @is_dialogue
        async def GetOperation(self, dialogue: object, call: object) -> None: ...

    class Generator:
        @is_dialogue
        async def Interact(self, dialogue: object, call: object):  # type: ignore[no-untyped-def]
            yield None

    for servicer in (Wrong(), Generator()):
        with pytest.raises(ValueError, match="cannot be a dialogue"):
            bind(Chain([], clock=lambda: 0.0), {service: servicer}, message_bytes=1 << 20)
