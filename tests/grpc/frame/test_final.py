"""A stream whose last response goes out together with the status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from sandbank.v1 import execution_pb2
from sandbank_server.errors import SessionNotFoundError
from sandbank_server.grpc_api.binding import bind
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.chain import Chain
from sandbank_server.grpc_api.shapes import Final, ends_with_final

from tests.grpc.frame.conftest import Serve, details_of

EXECUTION = execution_pb2.DESCRIPTOR.services_by_name["ExecutionService"]
EXECUTE = "/sandbank.v1.ExecutionService/Execute"


def event(sequence: int) -> bytes:
    """Return a serialized event."""
    return execution_pb2.OperationEvent(sequence=sequence).SerializeToString()


def request(code: str) -> bytes:
    """Return an ExecuteRequest as bytes."""
    return execution_pb2.ExecuteRequest(session_id="s", code=code).SerializeToString()


class Executes:
    """Streams what the code says."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    @ends_with_final
    async def Execute(self, request: execution_pb2.ExecuteRequest, call: CallContext) -> AsyncIterator[bytes]:
        try:
            yield event(1)
            if request.code == "fail":
                raise SessionNotFoundError("gone", resource=request.session_id)
            if request.code == "wait":
                await asyncio.Event().wait()
            if request.code == "endless":
                return
            yield Final(event(2))
            raise AssertionError("nobody asks for what follows the last")
        finally:
            self.closed.set()


async def test_all_responses_and_ok_arrive(serve: Serve) -> None:
    """To a client it is a stream like any other, also when only the last response comes."""
    served = await serve({EXECUTION: Executes()})
    call = served.channel.unary_stream(EXECUTE)
    assert [data async for data in call(request(""))] == [event(1), event(2)]


async def test_an_error_in_mid_stream_has_its_details(serve: Serve) -> None:
    """What was sent arrives, then the reason."""
    served = await serve({EXECUTION: Executes()})
    call = served.channel.unary_stream(EXECUTE)(request("fail"))
    assert await call.read() == event(1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert details_of(caught.value).info.reason == "SESSION_NOT_FOUND"


async def test_a_client_that_leaves_closes_the_generator(serve: Serve) -> None:
    """At once, while the servicer waits."""
    servicer = Executes()
    served = await serve({EXECUTION: servicer})
    call = served.channel.unary_stream(EXECUTE)(request("wait"))
    assert await call.read() == event(1)
    call.cancel()
    await servicer.closed.wait()
    await served.recorder.ended.wait()


async def test_a_stream_without_its_last_response_is_a_bug(serve: Serve) -> None:
    """A servicer that breaks its promise is told so by the status, and nothing hangs."""
    served = await serve({EXECUTION: Executes()})
    call = served.channel.unary_stream(EXECUTE)(request("endless"))
    assert await call.read() == event(1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert details_of(caught.value).info.reason == "BUG"


def test_only_a_stream_of_responses_can_end_so() -> None:
    """Anything else is a mistake that shows at the start."""

    class Wrong:
        @ends_with_final
        async def GetOperation(self, request: object, call: CallContext) -> bytes:
            return b""

    with pytest.raises(ValueError, match="Final"):
        bind(Chain([], clock=lambda: 0.0), {EXECUTION: Wrong()}, message_bytes=1 << 20)
