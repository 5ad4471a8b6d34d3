"""Requests that are no requests: each gets an error of ours, never grpc's or the decoder's."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
from sandbank.v1 import file_pb2, session_pb2
from sandbank_server.grpc_api.call import CallContext

from tests.grpc.frame.conftest import MESSAGE_BYTES, Serve, details_of

SESSIONS = session_pb2.DESCRIPTOR.services_by_name["SessionService"]
FILES = file_pb2.DESCRIPTOR.services_by_name["FileService"]
GET = "/sandbank.v1.SessionService/GetSession"


class Echo:
    """Answers GetSession with what it got."""

    seen: list[session_pb2.GetSessionRequest]

    def __init__(self) -> None:
        self.seen = []

    async def GetSession(
        self, request: session_pb2.GetSessionRequest, call: CallContext
    ) -> session_pb2.GetSessionResponse:
        self.seen.append(request)
        return session_pb2.GetSessionResponse(session=session_pb2.Session(session_id=request.session_id))


class Uploads:
    """Counts the chunks of an upload."""

    async def UploadFile(
        self, requests: AsyncIterator[file_pb2.UploadFileRequest], call: CallContext
    ) -> file_pb2.UploadFileResponse:
        size = 0
        async for request in requests:
            size += len(request.chunk)
        return file_pb2.UploadFileResponse(file=file_pb2.FileInfo(size_bytes=size))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\xff\xff\xff", id="garbage"),
        pytest.param(b"\x0a\x05ab", id="cut off"),
        pytest.param(b"\x0a\x02\xff\xfe", id="invalid UTF-8 in an id"),
        pytest.param(b"\x0a\x03\xed\xa0\x80", id="a lone surrogate"),
        pytest.param(b"\x0b" * 200, id="groups without end"),
    ],
)
async def test_what_is_no_message_is_a_bad_field(serve: Serve, raw: bytes) -> None:
    """A parse failure is INVALID_ARGUMENT BAD_FIELD, and the servicer never sees it."""
    echo = Echo()
    served = await serve({SESSIONS: echo})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.unary(GET)(raw)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = details_of(caught.value)
    assert details.info.reason == "BAD_FIELD"
    assert details.bad_request is not None
    assert "sandbank.v1.GetSessionRequest" in details.status.message
    assert not echo.seen


async def test_unknown_fields_are_ignored(serve: Serve) -> None:
    """A newer client's fields do not disturb an older server."""
    served = await serve({SESSIONS: Echo()})
    newer = session_pb2.GetSessionRequest(session_id="s").SerializeToString() + b"\xfa\x7f\x03new"
    answer = await served.unary(GET)(newer)
    assert session_pb2.GetSessionResponse.FromString(answer).session.session_id == "s"


async def test_a_message_a_little_over_the_limit_says_the_limit(serve: Serve) -> None:
    """Over the limit is RESOURCE_EXHAUSTED TOO_LARGE with the limit in the metadata; at it, fine."""
    served = await serve({SESSIONS: Echo()})
    padding = MESSAGE_BYTES - len(session_pb2.GetSessionRequest(session_id="x" * 60_000).SerializeToString())
    fitting = session_pb2.GetSessionRequest(session_id="x" * (60_000 + padding)).SerializeToString()
    assert len(fitting) == MESSAGE_BYTES
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        # The echo is two bytes of length prefix longer than the request: its own answer is over the limit.
        await served.unary(GET)(fitting)
    assert "response" in str(caught.value.details())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.unary(GET)(fitting + b"\x0a\x00")
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    details = details_of(caught.value)
    assert details.info.reason == "TOO_LARGE"
    assert details.info.metadata["limit_bytes"] == str(MESSAGE_BYTES)
    assert details.retry is None


async def test_a_message_far_over_the_limit_is_refused_by_grpc(serve: Serve) -> None:
    """Over twice the limit grpc itself refuses before it holds the message: the same code, no details."""
    served = await serve({SESSIONS: Echo()})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.unary(GET)(b"\x0a" + b"x" * (3 * MESSAGE_BYTES))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not served.recorder.calls


async def test_a_compressed_bomb_is_refused(serve: Serve) -> None:
    """What counts is the size after decompression."""
    served = await serve({SESSIONS: Echo()})
    bomb = session_pb2.GetSessionRequest(session_id="x" * (40 * MESSAGE_BYTES)).SerializeToString()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.unary(GET)(bomb, compression=grpc.Compression.Gzip)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_bad_chunk_in_a_stream_is_a_bad_field(serve: Serve) -> None:
    """Every message of a request stream is parsed by the same rules."""
    served = await serve({FILES: Uploads()})
    good = file_pb2.UploadFileRequest(chunk=b"abc").SerializeToString()
    upload = served.channel.stream_unary("/sandbank.v1.FileService/UploadFile")
    answer = await upload(iter([good, good]))
    assert file_pb2.UploadFileResponse.FromString(answer).file.size_bytes == 6
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await upload(iter([good, b"\xff"]))
    assert details_of(caught.value).info.reason == "BAD_FIELD"


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("/sandbank.v1.SessionService/HibernateSession", id="an RPC without a servicer's method"),
        pytest.param("/sandbank.v1.SessionService/Fly", id="no RPC of the service"),
        pytest.param("/sandbank.v9.Unheard/Of", id="no service"),
    ],
)
async def test_what_is_not_there_is_not_supported(serve: Serve, method: str) -> None:
    """UNIMPLEMENTED NOT_SUPPORTED, with details, whatever shape the client takes the RPC for."""
    served = await serve({SESSIONS: Echo()})
    channel = served.channel
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(method)(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert details_of(caught.value).info.reason == "NOT_SUPPORTED"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in channel.unary_stream(method)(b""):
            pass
    assert details_of(caught.value).info.reason == "NOT_SUPPORTED"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.stream_unary(method)(iter([b"", b""]))
    assert details_of(caught.value).info.reason == "NOT_SUPPORTED"
    assert all("Fly" not in call.method and "v9" not in call.method for call in served.recorder.calls)
