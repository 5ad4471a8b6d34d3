"""From what grpc raises to the exceptions of `errors` and `reasons`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from sandbank import reasons  # noqa: F401 - defines the classes that are looked up
from sandbank.errors import CodeError, FieldViolation, SandbankError
from sandbank.v1 import execution_pb2

DOMAIN = "sandbank"
_DETAILS_KEY = "grpc-status-details-bin"
_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


def error_from_rpc(failure: grpc.RpcError) -> SandbankError:
    """Return the exception for a failed call, of the sync or of the async grpc."""
    call: Any = failure
    status = call.code()
    code = status.name if status is not None else "UNKNOWN"
    return build_error(code, call.details() or "", _details(call.trailing_metadata() or ()))


def build_error(code: str, message: str, details: status_pb2.Status | None = None) -> SandbankError:
    """Return the exception for a status."""
    reason, metadata, retry_delay = "", {}, None
    violations: tuple[FieldViolation, ...] = ()
    for detail in details.details if details is not None else ():
        info, retry, bad = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.RetryInfo(),
            error_details_pb2.BadRequest(),
        )
        try:
            if detail.Unpack(info) and info.domain == DOMAIN:
                reason, metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(retry):
                retry_delay = max(0.0, retry.retry_delay.ToTimedelta().total_seconds())
            elif detail.Unpack(bad):
                violations = tuple(FieldViolation(v.field, v.description) for v in bad.field_violations)
        except (DecodeError, OverflowError):
            continue  # a damaged detail must not hide the error that it came with
    return error_of(
        code, message, reason=reason, metadata=metadata, retry_delay=retry_delay, violations=violations
    )


def error_from_rejected(rejected: execution_pb2.Rejected) -> SandbankError:
    """Return the exception for a refusal on an Interact stream: the same as for a call of its own."""
    delay = None
    if rejected.HasField("retry_delay"):
        delay = max(0.0, rejected.retry_delay.ToTimedelta().total_seconds())
    field = rejected.metadata.get("field", "")
    return error_of(
        _CODE_NAMES.get(rejected.code, "UNKNOWN"),
        rejected.message,
        reason=rejected.reason,
        metadata=rejected.metadata,
        retry_delay=delay,
        violations=(FieldViolation(field, rejected.message),) if field else (),
    )


def error_of(
    code: str,
    message: str,
    *,
    reason: str = "",
    metadata: Mapping[str, str] | None = None,
    retry_delay: float | None = None,
    violations: tuple[FieldViolation, ...] = (),
) -> SandbankError:
    """Return the exception for what is known of a failure: its class by reason, else by code."""
    cls = CodeError.by_reason.get(reason) or CodeError.by_code.get(code) or SandbankError
    if cls.code != code:
        cls = CodeError.by_code.get(code, SandbankError)
    return cls(
        message,
        code=code,
        reason=reason,
        metadata=metadata,
        retry_delay=retry_delay,
        violations=violations,
    )


def _details(trailers: Iterable[tuple[str, str | bytes]]) -> status_pb2.Status | None:
    for key, value in trailers:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None
