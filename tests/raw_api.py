"""The public API by its bare stubs, for what a well-behaved client would never send."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from sandbank.v1 import (
    execution_pb2_grpc,
    file_pb2_grpc,
    info_pb2_grpc,
    pool_pb2_grpc,
    session_pb2_grpc,
    state_pb2_grpc,
)


@dataclass
class Api:
    """A channel and a stub for each service."""

    channel: grpc.Channel

    def __post_init__(self) -> None:
        self.sessions = session_pb2_grpc.SessionServiceStub(self.channel)
        self.execution = execution_pb2_grpc.ExecutionServiceStub(self.channel)
        self.files = file_pb2_grpc.FileServiceStub(self.channel)
        self.pool = pool_pb2_grpc.PoolServiceStub(self.channel)
        self.info = info_pb2_grpc.InfoServiceStub(self.channel)
        self.state = state_pb2_grpc.StateServiceStub(self.channel)


@contextmanager
def connected(address: str, *options: tuple[str, Any]) -> Iterator[Api]:
    """Connect to a server."""
    with grpc.insecure_channel(address, options=options) as channel:
        yield Api(channel)


@dataclass(frozen=True)
class Refusal:
    """How a call was refused."""

    code: grpc.StatusCode
    reason: str
    message: str
    metadata: dict[str, str]
    fields: list[str]
    retry_seconds: float | None


def refusal(error: grpc.RpcError) -> Refusal:
    """Read the details of an error; every error of the API has them."""
    status = rpc_status.from_call(error)
    assert status is not None, error
    info = _unpack(status.details, error_details_pb2.ErrorInfo)
    assert info is not None
    assert info.domain == "sandbank"
    bad = _unpack(status.details, error_details_pb2.BadRequest)
    retry = _unpack(status.details, error_details_pb2.RetryInfo)
    return Refusal(
        error.code(),
        info.reason,
        status.message,
        dict(info.metadata),
        [violation.field for violation in bad.field_violations] if bad else [],
        retry.retry_delay.ToTimedelta().total_seconds() if retry else None,
    )


@contextmanager
def refused(code: str, reason: str, field: str | None = None) -> Iterator[list[Refusal]]:
    """Assert that the call in the block is refused so; the list holds the refusal afterwards."""
    found: list[Refusal] = []
    with pytest.raises(grpc.RpcError) as caught:
        yield found
    found.append(refusal(caught.value))
    assert (found[0].code.name, found[0].reason) == (code, reason), found[0]
    if field is not None:
        assert field in found[0].fields, found[0]


def _unpack(details: Any, kind: Any) -> Any:
    for detail in details:
        assert isinstance(detail, AnyMessage)
        message = kind()
        if detail.Unpack(message):
            return message
    return None
