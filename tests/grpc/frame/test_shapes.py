"""The four shapes of RPC: order, backpressure, cancellation, closing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
from sandbank.v1 import execution_pb2, file_pb2, session_pb2
from sandbank_server.errors import SessionNotFoundError
from sandbank_server.grpc_api.binding import bind
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.chain import Chain

from tests.grpc.frame.conftest import Serve, details_of

SESSIONS = session_pb2.DESCRIPTOR.services_by_name["SessionService"]
EXECUTION = execution_pb2.DESCRIPTOR.services_by_name["ExecutionService"]
FILES = file_pb2.DESCRIPTOR.services_by_name["FileService"]
EXECUTE = "/sandbank.v1.ExecutionService/Execute"
INTERACT = "/sandbank.v1.ExecutionService/Interact"


class Gates:
    """Where a servicer is: so that tests wait for it instead of sleeping."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.closed = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.never = asyncio.Event()


class Executes:
    """Streams one event, then waits for ever."""

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        self.sent = 0

    async def Execute(
        self, request: execution_pb2.ExecuteRequest, call: CallContext
    ) -> AsyncIterator[execution_pb2.OperationEvent | bytes]:
        call.on_cancelled(self.gates.cancelled.set)
        try:
            yield execution_pb2.OperationEvent(sequence=1)
            yield execution_pb2.OperationEvent(sequence=2).SerializeToString()
            if request.code == "fail":
                raise SessionNotFoundError("gone", resource=request.session_id)
            if request.code == "flood":
                event = execution_pb2.OperationEvent(output=execution_pb2.Output(data=b"x" * 32_000))
                while True:
                    self.gates.entered.set()
                    yield event
                    self.sent += 1
            if request.code == "wait":
                self.gates.entered.set()
                await self.gates.never.wait()
        finally:
            self.gates.closed.set()

    async def Interact(
        self, requests: AsyncIterator[execution_pb2.InteractRequest], call: CallContext
    ) -> AsyncIterator[execution_pb2.OperationEvent]:
        try:
            async for request in requests:
                self.gates.entered.set()
                yield execution_pb2.OperationEvent(operation_id=request.execute.operation_id)
        finally:
            self.gates.closed.set()


def request(code: str) -> bytes:
    """Return an ExecuteRequest as bytes."""
    return execution_pb2.ExecuteRequest(session_id="s", code=code).SerializeToString()


async def test_messages_and_bytes_stream_in_order(serve: Serve) -> None:
    """A servicer may yield messages, or bytes that are one already: both arrive alike."""
    gates = Gates()
    served = await serve({EXECUTION: Executes(gates)})
    events = [
        execution_pb2.OperationEvent.FromString(raw).sequence
        async for raw in served.channel.unary_stream(EXECUTE)(request(""))
    ]
    assert events == [1, 2]
    assert gates.closed.is_set()
    assert not gates.cancelled.is_set()


async def test_an_error_in_mid_stream_follows_what_was_sent(serve: Serve) -> None:
    """What was yielded before arrives, then the status with its details."""
    served = await serve({EXECUTION: Executes(Gates())})
    call = served.channel.unary_stream(EXECUTE)(request("fail"))
    assert [await call.read() is grpc.aio.EOF for _ in range(2)] == [False, False]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert details_of(caught.value).info.reason == "SESSION_NOT_FOUND"


async def test_a_waiting_generator_is_closed_when_the_client_cancels(serve: Serve) -> None:
    """Its finally runs, the hook is called, the steps see CANCELLED; nothing waits for the next event."""
    gates = Gates()
    served = await serve({EXECUTION: Executes(gates)})
    call = served.channel.unary_stream(EXECUTE)(request("wait"))
    await gates.entered.wait()
    call.cancel()
    await asyncio.wait_for(served.recorder.ended.wait(), 10)
    assert gates.closed.is_set()
    assert gates.cancelled.is_set()
    assert [result.code for result in served.recorder.results] == [grpc.StatusCode.CANCELLED]


async def test_a_deadline_that_passes_closes_the_generator(serve: Serve) -> None:
    """To a server it is the same as a cancelled call; the servicer could see the deadline coming."""
    gates = Gates()
    served = await serve({EXECUTION: Executes(gates)})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in served.channel.unary_stream(EXECUTE)(request("wait"), timeout=0.2):
            pass
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(gates.closed.wait(), 10)
    [call] = served.recorder.calls
    assert call.deadline is not None
    assert call.deadline - call.started < 1  # the client's own, give or take how it was sent


async def test_a_slow_reader_holds_the_generator_back(serve: Serve) -> None:
    """A generator is asked for no more than the transport takes, and ended at its yield."""
    gates = Gates()
    servicer = Executes(gates)
    served = await serve({EXECUTION: servicer})
    call = served.channel.unary_stream(EXECUTE)(request("flood"))
    await gates.entered.wait()
    last = -1
    while servicer.sent != last:  # until it stands still, with nobody reading
        last = servicer.sent
        await asyncio.sleep(0.2)
    assert servicer.sent < 200
    call.cancel()
    await asyncio.wait_for(gates.closed.wait(), 10)


async def test_a_connection_that_breaks_closes_the_generator(serve: Serve) -> None:
    """A client that is gone without a word ends its calls too."""
    gates = Gates()
    served = await serve({EXECUTION: Executes(gates)})
    channel = grpc.aio.insecure_channel(
        f"127.0.0.1:{served.port}", options=[("grpc.use_local_subchannel_pool", 1)]
    )
    call = channel.unary_stream(EXECUTE)(request("flood"))
    await gates.entered.wait()
    await channel.close()
    await asyncio.wait_for(gates.closed.wait(), 10)
    assert call.cancelled()


async def test_requests_and_responses_interleave(serve: Serve) -> None:
    """A bidirectional stream answers while requests still come, and ends when they end."""
    gates = Gates()
    served = await serve({EXECUTION: Executes(gates)})
    call = served.channel.stream_stream(INTERACT)()
    for name in ("a", "b"):
        message = execution_pb2.InteractRequest(execute=execution_pb2.ExecuteRequest(operation_id=name))
        await call.write(message.SerializeToString())
        answer = execution_pb2.OperationEvent.FromString(await call.read())
        assert answer.operation_id == name
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert gates.closed.is_set()


async def test_a_bidirectional_stream_is_closed_when_the_client_cancels(serve: Serve) -> None:
    """Also while the servicer waits for the next request."""
    gates = Gates()
    served = await serve({EXECUTION: Executes(gates)})
    call = served.channel.stream_stream(INTERACT)()
    await call.write(execution_pb2.InteractRequest().SerializeToString())
    await gates.entered.wait()
    call.cancel()
    await asyncio.wait_for(gates.closed.wait(), 10)


class CutOff:
    """Says what an upload's end looks like."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.over = asyncio.Event()
        self.ended_well = False

    async def UploadFile(
        self, requests: AsyncIterator[file_pb2.UploadFileRequest], call: CallContext
    ) -> file_pb2.UploadFileResponse:
        try:
            async for _ in requests:
                self.first.set()
            self.ended_well = True
        finally:
            self.over.set()
        return file_pb2.UploadFileResponse()


async def test_an_upload_over_a_broken_connection_never_looks_complete(serve: Serve) -> None:
    """The same when nobody says goodbye: the connection just ends."""
    cut_off = CutOff()
    served = await serve({FILES: cut_off})
    proxy = BreakingProxy(served.port)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{await proxy.start()}") as channel:
        call = channel.stream_unary("/sandbank.v1.FileService/UploadFile")()
        await call.write(file_pb2.UploadFileRequest(chunk=b"abc").SerializeToString())
        await cut_off.first.wait()
        proxy.break_all()
        await asyncio.wait_for(cut_off.over.wait(), 10)
        assert not cut_off.ended_well
        call.cancel()
    await proxy.stop()


class BreakingProxy:
    """Passes bytes between a client and the server until it is told to drop both connections."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self) -> int:
        self.listener = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        return int(self.listener.sockets[0].getsockname()[1])

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers += [writer, far_writer]
        await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except OSError:
            pass
        writer.close()

    def break_all(self) -> None:
        for writer in self.writers:
            writer.transport.abort()

    async def stop(self) -> None:
        self.listener.close()
        await self.listener.wait_closed()


@pytest.mark.parametrize("attempt", range(30))
async def test_a_request_stream_cut_off_never_looks_complete(serve: Serve, attempt: int) -> None:
    """The end of a broken upload is an exception in the servicer, not the end of its loop."""
    cut_off = CutOff()
    served = await serve({FILES: cut_off})
    call = served.channel.stream_unary("/sandbank.v1.FileService/UploadFile")()
    await call.write(file_pb2.UploadFileRequest(chunk=b"abc").SerializeToString())
    await cut_off.first.wait()
    call.cancel()
    await asyncio.wait_for(cut_off.over.wait(), 10)
    assert not cut_off.ended_well


def test_a_servicer_with_a_misspelt_method_is_refused() -> None:
    """A method that is no RPC would never be called: it must not go unnoticed."""

    class Misspelt:
        async def GetSesion(self, request: object, call: CallContext) -> None: ...

    with pytest.raises(ValueError, match="GetSesion"):
        bind(Chain([], clock=lambda: 0.0), {SESSIONS: Misspelt()}, message_bytes=1)


def test_a_servicer_method_of_the_wrong_shape_is_refused() -> None:
    """A coroutine where responses stream would only fail when called."""

    class Wrong:
        async def WatchSession(self, request: object, call: CallContext) -> None: ...

    with pytest.raises(ValueError, match="async iterator"):
        bind(Chain([], clock=lambda: 0.0), {SESSIONS: Wrong()}, message_bytes=1)
