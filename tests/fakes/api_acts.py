"""What the fake server can be told to do instead of answering, and how it makes its errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from sandbank.v1 import execution_pb2 as ex


@dataclass(frozen=True)
class Refuse:
    """Answer with an error as the real server makes it; without a reason, as a broken connection looks."""

    code: grpc.StatusCode
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    retry_delay: float | None = None
    field: str = ""


@dataclass(frozen=True)
class BreakAfter:
    """Send so many messages of the stream, then break as a lost connection does, or end without an error."""

    messages: int
    politely: bool = False


@dataclass(frozen=True)
class HoldAfter:
    """Send so many messages of the stream, and the rest once CancelOperation was called."""

    messages: int


class FakeError(Exception):
    """An answer that is an error."""

    def __init__(self, act: Refuse) -> None:
        super().__init__(act.reason)
        self.act = act


def rejection(index: int, act: Refuse) -> ex.OperationEvent:
    """The event that refuses one request of an Interact stream."""
    rejected = ex.Rejected(
        code=act.code.value[0],
        message="refused",
        reason=act.reason,
        metadata=act.metadata,
        request_index=index,
    )
    if act.retry_delay is not None:
        rejected.retry_delay.FromNanoseconds(round(act.retry_delay * 1e9))
    return ex.OperationEvent(rejected=rejected)


def refuse(context: grpc.ServicerContext, act: Refuse) -> None:
    """End a call with an error whose details are those of the real server."""
    if act.reason:
        details: list[Any] = [
            error_details_pb2.ErrorInfo(reason=act.reason, domain="sandbank", metadata=act.metadata)
        ]
        if act.retry_delay is not None:
            delay = duration_pb2.Duration()
            delay.FromNanoseconds(round(act.retry_delay * 1e9))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        if act.field:
            violation = error_details_pb2.BadRequest.FieldViolation(
                field=act.field, description="is not known"
            )
            details.append(error_details_pb2.BadRequest(field_violations=[violation]))
        status = status_pb2.Status(code=act.code.value[0], message="refused")
        for detail in details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(act.code, "refused")
