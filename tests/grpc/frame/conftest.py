"""A real server on a real port, with servicers made for the test."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
import uvloop
from google.protobuf.descriptor import ServiceDescriptor
from google.rpc import error_details_pb2, status_pb2
from sandbank_server.grpc_api.binding import bind
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.chain import CallResult, Chain
from sandbank_server.grpc_api.server import ApiServer
from sandbank_server.grpc_api.steps import Authentication, CallLog, CallsInFlight, DrainGate, RequestId
from sandbank_server.tenants.resolver import EveryoneIsDefault

MESSAGE_BYTES = 64 * 1024


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    """Run each test on both loops: the server runs on uvloop, which cancels and closes in an order of its own."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Recorder:
    """A step that keeps how every call ended."""

    def __init__(self) -> None:
        self.calls: list[CallContext] = []
        self.results: list[CallResult] = []
        self.ended = asyncio.Event()

    def enter(self, call: CallContext) -> None:
        self.calls.append(call)

    def leave(self, call: CallContext, result: CallResult) -> None:
        self.results.append(result)
        self.ended.set()


@dataclass
class Served:
    """A running server."""

    server: ApiServer
    channel: grpc.aio.Channel
    recorder: Recorder
    in_flight: CallsInFlight
    port: int

    def unary(self, method: str) -> grpc.aio.UnaryUnaryMultiCallable:
        """Return a call that sends and receives bytes."""
        return self.channel.unary_unary(method)


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Serve]:
    """Start servers; check at the end that no task and no open call is left, and that grpc had no complaint."""
    before = asyncio.all_tasks()
    started: list[Served] = []

    async def start(servicers: dict[ServiceDescriptor, object], **options: Any) -> Served:
        ids = itertools.count(1)
        recorder = Recorder()
        in_flight = CallsInFlight(options.get("calls", 100))
        gate = DrainGate()
        steps = [
            RequestId(lambda: f"made-{next(ids)}"),
            *options.get("steps", ()),
            recorder,
            CallLog(),
            options.get("authentication") or Authentication(EveryoneIsDefault()),
            in_flight,
            gate,
        ]
        handler = bind(Chain(steps, clock=time.monotonic), servicers, message_bytes=MESSAGE_BYTES)
        server = ApiServer(handler, message_bytes=MESSAGE_BYTES, gate=gate)
        port = server.listen("127.0.0.1:0")
        await server.start()
        options_ = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options_)
        served = Served(server, channel, recorder, in_flight, port)
        started.append(served)
        return served

    yield start
    for served in started:
        await served.channel.close()
        await served.server.stop(0)
        assert served.in_flight.open_count == 0
    for _ in range(20):  # grpc's own tasks end within a few turns of the loop
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not left:
            break
        await asyncio.wait(left, timeout=0.5)
    assert not left, f"tasks left: {left}"
    complaints = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert complaints == []


@dataclass
class Details:
    """The error details of a failed call."""

    status: status_pb2.Status
    info: error_details_pb2.ErrorInfo
    bad_request: error_details_pb2.BadRequest | None
    retry: error_details_pb2.RetryInfo | None
    resource: error_details_pb2.ResourceInfo | None
    quota: error_details_pb2.QuotaFailure | None


def details_of(error: grpc.aio.AioRpcError) -> Details:
    """Unpack the trailers of an error; fails where a part of the contract is missing."""
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    found: dict[str, Any] = {}
    for packed in status.details:
        name = packed.TypeName().removeprefix("google.rpc.")
        message = getattr(error_details_pb2, name)()
        assert packed.Unpack(message)
        assert name not in found
        found[name] = message
    info = found["ErrorInfo"]
    assert info.domain == "sandbank"
    return Details(
        status,
        info,
        found.get("BadRequest"),
        found.get("RetryInfo"),
        found.get("ResourceInfo"),
        found.get("QuotaFailure"),
    )
