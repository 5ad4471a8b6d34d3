"""The one table from reasons to gRPC statuses, log levels and retry advice, and errors on the wire.

A client gets a `google.rpc.Status` in the trailer `grpc-status-details-bin`: always with an ErrorInfo,
with a BadRequest for arguments, a RetryInfo only where the table allows it, and a ResourceInfo or
QuotaFailure where the error has one. Everything is bounded: trailers over 8 KiB would be refused by the
client's own grpc, and it would then see another error than ours.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

import grpc
import structlog
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from sandbank_server.errors import BugError, DomainError, FieldViolation

ERROR_DOMAIN: Final = "sandbank"
STATUS_TRAILER: Final = "grpc-status-details-bin"

# Bytes. At worst the message is sent percent-encoded (three times its size) beside the details as base64
# (a third more): 7 KiB in all.
_MESSAGE_LIMIT = 768
_VALUE_LIMIT = 192
_KEY_LIMIT = 63
_ENTRY_LIMIT = 8
_DETAILS_LIMIT = 3400
_DEFAULT_RETRY_DELAY = 1.0

_log = structlog.get_logger("sandbank.errors")


class Retry(Enum):
    """Whether RetryInfo is sent."""

    NEVER = 0
    """Sending the same call again does not help."""
    WHEN_KNOWN = 1
    """Only if the error says after how long."""
    ALWAYS = 2
    """Waiting helps; a second where the error does not say how long."""


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """What belongs to a reason."""

    code: grpc.StatusCode
    level: int = logging.INFO
    retry: Retry = Retry.NEVER


_S = grpc.StatusCode
_ARGUMENT = ErrorRule(_S.INVALID_ARGUMENT)
_MISSING = ErrorRule(_S.NOT_FOUND)
_REUSED = ErrorRule(_S.ALREADY_EXISTS)
_PRECONDITION = ErrorRule(_S.FAILED_PRECONDITION)
_FULL = ErrorRule(_S.RESOURCE_EXHAUSTED, logging.WARNING, Retry.ALWAYS)
_TOO_MUCH = ErrorRule(_S.RESOURCE_EXHAUSTED)
_LATER = ErrorRule(_S.UNAVAILABLE, logging.WARNING, Retry.ALWAYS)

ERROR_RULES: Final[Mapping[str, ErrorRule]] = MappingProxyType(
    {
        "BAD_FIELD": _ARGUMENT,
        "CODE_TOO_LARGE": _ARGUMENT,
        "BAD_ID": _ARGUMENT,
        "CHECKSUM_MISMATCH": _ARGUMENT,
        "SESSION_NOT_FOUND": _MISSING,
        "OPERATION_NOT_FOUND": _MISSING,
        "CHECKPOINT_NOT_FOUND": _MISSING,
        "VARIABLE_NOT_FOUND": _MISSING,
        "FILE_NOT_FOUND": _MISSING,
        "TEMPLATE_NOT_FOUND": _MISSING,
        "OPERATION_ID_REUSED": _REUSED,
        "REQUEST_ID_REUSED": _REUSED,
        "SESSION_TERMINATED": _PRECONDITION,
        "SESSION_CRASHED": _PRECONDITION,
        "TRANSACTION_OPEN": _PRECONDITION,
        "NO_SUCH_TRANSACTION": _PRECONDITION,
        "NOT_WAITING_FOR_INPUT": _PRECONDITION,
        "SNAPSHOT_GONE": _PRECONDITION,
        "SNAPSHOTS_DISABLED": _PRECONDITION,
        "THREADS_RUNNING": _PRECONDITION,
        "FILES_TOO_LARGE": _PRECONDITION,
        "DIRECTORY_NOT_EMPTY": _PRECONDITION,
        "FORMAT_UNAVAILABLE": _PRECONDITION,
        "CHECKPOINT_INCOMPATIBLE": _PRECONDITION,
        "EVENTS_EVICTED": ErrorRule(_S.OUT_OF_RANGE),
        "POOL_QUEUE_FULL": _FULL,
        "QUOTA_EXCEEDED": ErrorRule(_S.RESOURCE_EXHAUSTED, logging.INFO, Retry.WHEN_KNOWN),
        "OPERATION_QUEUE_FULL": ErrorRule(_S.RESOURCE_EXHAUSTED, logging.INFO, Retry.ALWAYS),
        "WORKSPACE_FULL": _TOO_MUCH,
        "TOO_LARGE": _TOO_MUCH,
        "POOL_DEGRADED": _LATER,
        "POOL_TIMEOUT": _LATER,
        "DRAINING": ErrorRule(_S.UNAVAILABLE, logging.INFO, Retry.ALWAYS),
        "SESSION_BUSY": ErrorRule(_S.UNAVAILABLE, logging.INFO, Retry.ALWAYS),
        "STORE_UNAVAILABLE": ErrorRule(_S.UNAVAILABLE, logging.ERROR, Retry.ALWAYS),
        "SANDBOX_LOST_BEFORE_START": _LATER,
        "SANDBOX_LOST": ErrorRule(_S.ABORTED, logging.WARNING),
        "BAD_CREDENTIALS": ErrorRule(_S.UNAUTHENTICATED),
        "NOT_ALLOWED": ErrorRule(_S.PERMISSION_DENIED),
        "CHECKPOINT_CORRUPT": ErrorRule(_S.DATA_LOSS, logging.ERROR),
        "NOT_SUPPORTED": ErrorRule(_S.UNIMPLEMENTED),
        "BUG": ErrorRule(_S.INTERNAL, logging.ERROR),
    }
)


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as a client will see it, be it a call's status or a `Rejected` event.

    ``retry_delay`` in seconds, None where a retry does not help.
    """

    code: grpc.StatusCode
    reason: str
    message: str
    level: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_delay: float | None = None
    violations: tuple[FieldViolation, ...] = ()
    resource_type: str = ""
    resource: str = ""
    subject: str = ""

    def status_details(self) -> bytes:
        """Return the serialized `google.rpc.Status`, bounded."""
        details: list[Message] = [
            error_details_pb2.ErrorInfo(reason=self.reason, domain=ERROR_DOMAIN, metadata=self.metadata)
        ]
        if self.retry_delay is not None:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromNanoseconds(int(self.retry_delay * 1e9))
            details.append(retry)
        if self.violations:
            bad = error_details_pb2.BadRequest()
            for violation in self.violations:
                bad.field_violations.add(field=violation.path, description=violation.description)
            details.append(bad)
        if self.resource:
            details.append(
                error_details_pb2.ResourceInfo(resource_type=self.resource_type, resource_name=self.resource)
            )
        if self.subject:
            quota = error_details_pb2.QuotaFailure()
            quota.violations.add(subject=self.subject, description=self.message)
            details.append(quota)
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        for detail in details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            # ErrorInfo comes first and is small by its bounds: only what follows it can be left out.
            if status.ByteSize() + packed.ByteSize() <= _DETAILS_LIMIT:
                status.details.append(packed)
        return bytes(status.SerializeToString())


def explain(error: BaseException) -> Failure:
    """Return what a client may know of an error. One that is no domain error is logged, with an id."""
    if not isinstance(error, DomainError) or error.reason not in ERROR_RULES:
        error = _bug(error)
    rule = ERROR_RULES[error.reason]
    delay = error.retry_delay
    if rule.retry is Retry.NEVER:
        delay = None
    elif delay is None and rule.retry is Retry.ALWAYS:
        delay = _DEFAULT_RETRY_DELAY
    return Failure(
        code=rule.code,
        reason=error.reason,
        message=_bounded(error.message, _MESSAGE_LIMIT),
        level=rule.level,
        metadata=_bounded_entries(error.metadata),
        retry_delay=None if delay is None else max(0.0, delay),
        violations=tuple(
            FieldViolation(_bounded(v.path, _VALUE_LIMIT), _bounded(v.description, _VALUE_LIMIT))
            for v in error.violations[:_ENTRY_LIMIT]
        ),
        resource_type=error.resource_type,
        resource=_bounded(error.resource, _VALUE_LIMIT),
        subject=_bounded(error.subject, _VALUE_LIMIT),
    )


def _bug(error: BaseException) -> BugError:
    error_id = secrets.token_hex(8)
    _log.error("a call failed by a fault of the server", error_id=error_id, exc_info=error)
    text = f"internal error {error_id}: the server's log has it under this id"
    return BugError(text, metadata={"error_id": error_id})


def _bounded_entries(entries: Mapping[str, str]) -> dict[str, str]:
    pairs = list(entries.items())[:_ENTRY_LIMIT]
    return {_bounded(key, _KEY_LIMIT): _bounded(value, _VALUE_LIMIT) for key, value in pairs}


def _bounded(text: str, limit: int) -> str:
    # Names of files may hold surrogates, which protobuf refuses.
    data = text.encode("utf-8", "backslashreplace")
    if len(data) > limit:
        return data[: limit - 3].decode("utf-8", "ignore") + "…"
    return data.decode("utf-8")
