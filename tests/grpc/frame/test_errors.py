"""The error table, row by row, as a client sees it; and errors that nobody foresaw."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import pytest
from sandbank.v1 import session_pb2
from sandbank_server.errors import ArgumentError, BadFieldError, DomainError, FieldViolation, all_reasons
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.error_map import ERROR_RULES, Retry
from structlog.testing import capture_logs

from tests.grpc.frame.conftest import Serve, details_of

SESSIONS = session_pb2.DESCRIPTOR.services_by_name["SessionService"]
GET = "/sandbank.v1.SessionService/GetSession"

# From the public API's table, by hand: the code is the contract, not whatever the server's table says.
CODES = {
    "INVALID_ARGUMENT": ["BAD_FIELD", "CODE_TOO_LARGE", "BAD_ID", "CHECKSUM_MISMATCH"],
    "NOT_FOUND": [
        "SESSION_NOT_FOUND",
        "OPERATION_NOT_FOUND",
        "CHECKPOINT_NOT_FOUND",
        "VARIABLE_NOT_FOUND",
        "FILE_NOT_FOUND",
        "TEMPLATE_NOT_FOUND",
    ],
    "ALREADY_EXISTS": ["OPERATION_ID_REUSED", "REQUEST_ID_REUSED"],
    "FAILED_PRECONDITION": [
        "SESSION_TERMINATED",
        "SESSION_CRASHED",
        "TRANSACTION_OPEN",
        "NO_SUCH_TRANSACTION",
        "NOT_WAITING_FOR_INPUT",
        "SNAPSHOT_GONE",
        "SNAPSHOTS_DISABLED",
        "THREADS_RUNNING",
        "FILES_TOO_LARGE",
        "DIRECTORY_NOT_EMPTY",
        "FORMAT_UNAVAILABLE",
        "CHECKPOINT_INCOMPATIBLE",
    ],
    "OUT_OF_RANGE": ["EVENTS_EVICTED"],
    "RESOURCE_EXHAUSTED": [
        "POOL_QUEUE_FULL",
        "QUOTA_EXCEEDED",
        "OPERATION_QUEUE_FULL",
        "WORKSPACE_FULL",
        "TOO_LARGE",
    ],
    "UNAVAILABLE": [
        "POOL_DEGRADED",
        "POOL_TIMEOUT",
        "DRAINING",
        "SESSION_BUSY",
        "STORE_UNAVAILABLE",
        "SANDBOX_LOST_BEFORE_START",
    ],
    "ABORTED": ["SANDBOX_LOST"],
    "UNAUTHENTICATED": ["BAD_CREDENTIALS"],
    "PERMISSION_DENIED": ["NOT_ALLOWED"],
    "DATA_LOSS": ["CHECKPOINT_CORRUPT"],
    "UNIMPLEMENTED": ["NOT_SUPPORTED"],
    "INTERNAL": ["BUG"],
}
CODE_OF = {reason: code for code, reasons in CODES.items() for reason in reasons}


class Raises:
    """Raises what it is told to."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def GetSession(
        self, request: session_pb2.GetSessionRequest, call: CallContext
    ) -> session_pb2.GetSessionResponse:
        raise self.error


async def fail_with(serve: Serve, error: BaseException) -> grpc.aio.AioRpcError:
    """Let the server raise; return what the client gets."""
    served = await serve({SESSIONS: Raises(error)})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.unary(GET)(b"", timeout=10)
    return caught.value


def test_the_table_has_every_reason_and_no_other() -> None:
    """Contract, domain classes and table name the same reasons."""
    assert set(CODE_OF) == set(ERROR_RULES) == set(all_reasons())


@pytest.mark.parametrize("reason", sorted(CODE_OF))
async def test_every_reason_reaches_the_client_with_its_details(serve: Serve, reason: str) -> None:
    """Status, ErrorInfo, and the details that the table and the error call for, no others."""
    kind = all_reasons()[reason]
    error: DomainError
    if issubclass(kind, ArgumentError):
        error = kind.at("timeout", "must not be negative")
    else:
        subject = "tenant:default" if reason == "QUOTA_EXCEEDED" else ""
        error = kind("it cannot be", metadata={"key": "value"}, resource="the-id", subject=subject)
    failure = await fail_with(serve, error)
    assert failure.code().name == CODE_OF[reason]
    details = details_of(failure)
    assert details.info.reason == reason
    assert details.status.message == error.message
    assert (details.bad_request is not None) == issubclass(kind, ArgumentError)
    if details.bad_request is not None:
        [violation] = details.bad_request.field_violations
        assert (violation.field, violation.description) == ("timeout", "must not be negative")
    else:
        assert details.info.metadata == {"key": "value"}
        assert details.resource is not None
        assert details.resource.resource_name == "the-id"
        assert details.resource.resource_type == kind.resource_type
    assert (details.quota is not None) == (reason == "QUOTA_EXCEEDED")
    assert (details.retry is not None) == (ERROR_RULES[reason].retry is Retry.ALWAYS)


@pytest.mark.parametrize("reason", sorted(CODE_OF))
async def test_retry_advice_is_sent_only_where_a_retry_helps(serve: Serve, reason: str) -> None:
    """A delay that an error carries is sent where the table allows it, and only there."""
    failure = await fail_with(serve, all_reasons()[reason]("no", retry_delay=2.5))
    retry = details_of(failure).retry
    helps = {"RESOURCE_EXHAUSTED", "UNAVAILABLE"}
    if CODE_OF[reason] in helps and reason not in {"WORKSPACE_FULL", "TOO_LARGE"}:
        assert retry is not None
        assert retry.retry_delay.ToTimedelta().total_seconds() == 2.5
    else:
        assert retry is None


async def test_an_unforeseen_exception_is_a_bug_with_an_id(serve: Serve) -> None:
    """INTERNAL BUG: the client gets an id to quote, the log has the traceback under it."""
    with capture_logs() as logs:
        failure = await fail_with(serve, RuntimeError("the secret is hunter2"))
    details = details_of(failure)
    assert (failure.code(), details.info.reason) == (grpc.StatusCode.INTERNAL, "BUG")
    error_id = details.info.metadata["error_id"]
    assert error_id in details.status.message
    assert "hunter2" not in repr(failure) + repr(failure.trailing_metadata())
    [line] = [entry for entry in logs if entry.get("error_id") == error_id]
    assert isinstance(line["exc_info"], RuntimeError)


async def test_a_cancellation_from_within_is_a_bug_not_silence(serve: Serve) -> None:
    """CancelledError out of something awaited, when nobody cancelled the call, must not leave it waiting."""
    failure = await fail_with(serve, asyncio.CancelledError())
    assert details_of(failure).info.reason == "BUG"


async def test_details_are_bounded_whatever_the_error_carries(serve: Serve) -> None:
    """Trailers stay under what clients accept, and the reason survives."""
    huge = "ü" * 50_000
    error = BadFieldError(
        huge,
        metadata={f"key{n}{huge}": huge for n in range(50)},
        violations=[FieldViolation(huge, huge)] * 50,
        resource=huge,
        subject=huge,
    )
    failure = await fail_with(serve, error)
    assert failure.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details_of(failure).info.reason == "BAD_FIELD"


async def test_text_that_is_no_text_can_be_sent(serve: Serve) -> None:
    """Surrogates, from file names that are not UTF-8, arrive escaped."""
    failure = await fail_with(serve, BadFieldError.at("path", "bad \udc80 name"))
    assert "\\udc80" in str(failure.details())
