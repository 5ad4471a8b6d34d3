"""A FILES connection: what goes in as protobuf comes out as protobuf, whatever breaks off in between."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import struct

import pytest
from sandbank_runner.files import helper_link
from sandbank_runner.files.connection import ClearingFailed, clear_workspace, serve_connection
from sandbank_runner.files.helper_link import FileHelper
from sandbank_runner.files.protocol import DATA, LAST, pack, pack_header
from sandbank_runner.supervisor.frames import frame
from sandbank_runner.v1.runner_pb2 import FileChunk, FileRequest, FromRunner, ToRunner

from tests.unit.runner.files.helper_probe import HelperProbe

UPLOAD = FileRequest.Upload(path="f", size_bytes=-1)
ENTRY = {"path": "f", "is_directory": False, "size_bytes": 3, "mode": 0, "modify_time_ns": 0, "sha256": ""}


class Client:
    """The control plane's end of a FILES connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.loop = asyncio.get_running_loop()
        sock.setblocking(False)

    async def send(self, message: ToRunner) -> None:
        """Send one message."""
        await self.loop.sock_sendall(self.sock, frame(message.SerializeToString()))

    async def request(self, **request) -> None:
        """Send the request."""
        await self.send(ToRunner(file=FileRequest(**request)))

    async def chunk(self, data: bytes, last: bool = False) -> None:
        """Send a piece of an upload."""
        await self.send(ToRunner(file_chunk=FileChunk(data=data, last=last)))

    async def receive(self) -> FromRunner | None:
        """Return the next message, None at the end."""
        head = await self._exactly(4)
        if head is None:
            return None
        return FromRunner.FromString(await self._exactly(struct.unpack(">I", head)[0]))

    async def _exactly(self, count: int) -> bytes | None:
        data = b""
        while len(data) < count:
            part = await self.loop.sock_recv(self.sock, count - len(data))
            if not part:
                return None
            data += part
        return data


class Served:
    """A connection that is being served, by a real helper or one that says what a test wants."""

    def __init__(self, files: HelperProbe, saboteur=None) -> None:
        self.killed = 0
        self.files = files
        self.saboteur = saboteur
        ours, theirs = socket.socketpair()
        self.client = Client(ours)
        self.task = asyncio.create_task(serve_connection(theirs, self.start_helper))

    async def start_helper(self) -> FileHelper:
        """Start one."""
        if self.saboteur is not None:
            ours, theirs = socket.socketpair()
            await asyncio.to_thread(self.saboteur, theirs)
            return FileHelper(ours, self.kill)
        return FileHelper(self.files.start()[0], self.kill)

    def kill(self) -> None:
        """Count it: the helper of these tests ends by itself when its connection is closed."""
        self.killed += 1

    async def ended(self) -> None:
        """Wait until the connection is closed; its helper was ended exactly once."""
        async with asyncio.timeout(10):
            await self.task
        assert self.killed == 1


@pytest.fixture
async def serve(files: HelperProbe):
    """Return a function that begins to serve; everything is closed in the end."""
    begun: list[Served] = []

    def begin(saboteur=None) -> Served:
        begun.append(Served(files, saboteur))
        return begun[-1]

    yield begin
    for served in begun:
        served.client.sock.close()
        served.task.cancel()
        await asyncio.gather(served.task, return_exceptions=True)


async def test_a_file_goes_in_and_comes_out_whole(serve, files: HelperProbe):
    """Larger than every buffer on the way."""
    content = os.urandom(3_000_000)
    served = serve()
    await served.client.request(upload=FileRequest.Upload(path="d/f", mode=0o600, size_bytes=len(content)))
    for at in range(0, len(content), 262144):
        await served.client.chunk(content[at : at + 262144], last=at + 262144 >= len(content))
    info = (await served.client.receive()).file_reply.info
    assert (info.path, info.size_bytes, info.mode & 0o777) == ("d/f", len(content), 0o600)
    assert info.modify_time.seconds > 1_700_000_000
    await served.ended()

    served = serve()
    await served.client.request(download=FileRequest.Download(path="d/f"))
    assert (await served.client.receive()).file_reply.info.sha256 == hashlib.sha256(content).hexdigest()
    got = b""
    while True:
        chunk = (await served.client.receive()).file_chunk
        got += chunk.data
        if chunk.last:
            break
    assert got == content
    await served.ended()


async def test_each_other_request_is_answered(serve, files: HelperProbe):
    """Stat, list, make, delete; and the end of the connection after each."""
    files.upload("a", b"abc")
    for request, expected in (
        ({"stat": FileRequest.Stat(path="a", with_sha256=True)}, lambda reply: reply.info.size_bytes == 3),
        (
            {"list": FileRequest.List(limit=1)},
            lambda reply: [e.path for e in reply.list] == ["a"] and not reply.more,
        ),
        ({"make_directory": FileRequest.MakeDirectory(path="d")}, lambda reply: reply.info.is_directory),
        ({"delete": FileRequest.Delete(path="a")}, lambda reply: not reply.HasField("failure")),
        ({"stat": FileRequest.Stat(path="a")}, lambda reply: reply.failure.reason == "FILE_NOT_FOUND"),
    ):
        served = serve()
        await served.client.request(**request)
        assert expected((await served.client.receive()).file_reply)
        await served.ended()
        assert await served.client.receive() is None


async def test_a_refused_upload_is_answered_early_and_the_rest_is_swallowed(serve):
    """The sender sees the reason although it goes on sending."""
    served = serve()
    await served.client.request(upload=FileRequest.Upload(path="../f", size_bytes=-1))
    for _ in range(40):
        await served.client.chunk(bytes(100_000))
    await served.client.chunk(b"", last=True)
    assert (await served.client.receive()).file_reply.failure.reason == "BAD_FIELD"
    await served.ended()


async def test_a_client_that_leaves_ends_the_helper_and_its_upload(serve, files: HelperProbe):
    """Nothing of the file is left."""
    served = serve()
    await served.client.request(upload=UPLOAD)
    await served.client.chunk(b"abc")
    served.client.sock.close()
    await served.ended()
    assert files.names() == []


async def test_a_client_that_leaves_during_a_download_ends_the_helper(serve, files: HelperProbe):
    """Though nobody reads what the helper sends."""
    files.upload("f", bytes(5_000_000))
    served = serve()
    await served.client.request(download=FileRequest.Download(path="f"))
    await served.client.receive()
    served.client.sock.close()
    await served.ended()


async def test_a_client_that_stalls_is_cut_off(serve, monkeypatch):
    """An upload that does not go on does not hold a process for ever."""
    monkeypatch.setattr("sandbank_runner.files.gateway.STALL_SECONDS", 0.05)
    served = serve()
    await served.client.request(upload=UPLOAD)
    await served.ended()
    assert await served.client.receive() is None


async def test_chunks_over_the_bound_and_other_messages_end_the_connection(serve):
    """What no control plane sends."""
    for message in (
        ToRunner(file_chunk=FileChunk(data=bytes(262145))),
        ToRunner(file=FileRequest(upload=UPLOAD)),
        ToRunner(),
    ):
        served = serve()
        await served.client.request(upload=UPLOAD)
        await served.client.send(message)
        await served.ended()


async def test_no_helper_is_an_answer(serve, files: HelperProbe):
    """Nothing was started, so it can be tried again."""

    async def fails() -> FileHelper:
        raise OSError(11, "no more processes")

    ours, theirs = socket.socketpair()
    client = Client(ours)
    task = asyncio.create_task(serve_connection(theirs, fails))
    await client.request(upload=UPLOAD)
    assert (await client.receive()).file_reply.failure.reason == "SANDBOX_LOST_BEFORE_START"
    await task
    ours.close()


def dies(sock: socket.socket) -> None:
    """Close at once."""
    sock.close()


def says(*frames: bytes):
    """Return a helper that says this and ends."""

    def helper(sock: socket.socket) -> None:
        for data in frames:
            sock.sendall(data)
        sock.close()

    return helper


async def test_a_helper_that_dies_leaves_an_answer_that_says_what_is_known(serve):
    """A change may have happened; a reading can be repeated."""
    for request, reason in (
        ({"delete": FileRequest.Delete(path="f")}, "SANDBOX_LOST"),
        ({"stat": FileRequest.Stat(path="f")}, "SANDBOX_LOST_BEFORE_START"),
    ):
        served = serve(dies)
        await served.client.request(**request)
        assert (await served.client.receive()).file_reply.failure.reason == reason
        await served.ended()


@pytest.mark.parametrize(
    "frames",
    [
        (b"\xff\xff\xff\xffJ",),
        (pack(b"J", b"{"),),
        (pack(b"J", b"[]"),),
        (pack(b"J", b"[" * 100_000),),
        (pack(DATA, b"abc"),),
        (pack_header({"entry": None}),),
        (pack_header({"entry": {**ENTRY, "path": "x" * 40_000}}),),
        (pack_header({"entry": {**ENTRY, "size_bytes": True}}),),
        (pack_header({"entry": {**ENTRY, "size_bytes": 2**63}}),),
        (pack_header({"list": [ENTRY] * 1001, "more": False}),),
        (pack_header({"failure": {"reason": "DELETE_EVERYTHING", "message": ""}}),),
        (pack_header({"failure": {"reason": "BUG", "message": 5}}),),
    ],
)
async def test_a_helper_that_breaks_the_protocol_is_a_bug(serve, frames: tuple[bytes, ...]):
    """Whatever it says, the control plane gets one well-formed answer."""
    served = serve(says(*frames))
    await served.client.request(stat=FileRequest.Stat(path="f"))
    assert (await served.client.receive()).file_reply.failure.reason == "BUG"
    await served.ended()


async def test_a_download_that_breaks_off_ends_with_its_failure(serve):
    """After pieces have gone out, an answer with the failure takes the place of the last piece."""
    for frames, reason in (
        ((), "SANDBOX_LOST_BEFORE_START"),
        ((pack_header({"failure": {"reason": "FILE_NOT_FOUND", "message": "shrank"}}),), "FILE_NOT_FOUND"),
    ):
        served = serve(says(pack_header({"entry": ENTRY}), pack(DATA, b"ab"), *frames))
        await served.client.request(download=FileRequest.Download(path="f"))
        assert (await served.client.receive()).file_reply.info.path == "f"
        assert (await served.client.receive()).file_chunk.data == b"ab"
        assert (await served.client.receive()).file_reply.failure.reason == reason
        await served.ended()


async def test_text_that_utf8_cannot_carry_is_escaped(serve):
    """A lone surrogate in a path does not end the connection."""
    served = serve(says(pack_header({"entry": {**ENTRY, "path": "a\udcff"}}), pack(LAST, b"")))
    await served.client.request(stat=FileRequest.Stat(path="f"))
    assert (await served.client.receive()).file_reply.info.path == "a\\udcff"
    await served.ended()


async def test_clearing_waits_for_the_helper(files: HelperProbe, monkeypatch):
    """A reset goes on when the workspace is empty, and fails when it is not."""
    files.upload("a/b")

    async def start() -> FileHelper:
        return FileHelper(files.start()[0], lambda: None)

    await clear_workspace(start)
    assert files.names() == []

    async def start_dying() -> FileHelper:
        ours, theirs = socket.socketpair()
        theirs.close()
        return FileHelper(ours, lambda: None)

    with pytest.raises(ClearingFailed):
        await clear_workspace(start_dying)
    assert helper_link.STALL_SECONDS == 60
