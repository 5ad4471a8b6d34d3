"""File transfers: each on a connection of its own, so that a slow one delays no operation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Self

from sandbank_runner.v1 import runner_pb2

from sandbank_server.runners.frames import PROTOCOL_VERSION, FrameProtocol, RunnerViolation
from sandbank_server.runners.link import LinkClosed, RequestFailed
from sandbank_server.runtimes.base import Endpoint
from sandbank_server.runtimes.dial import open_socket

CHUNK_BYTES = 256 * 1024
"""Largest piece of a file in one frame."""

FIRST_ANSWER_SECONDS = 60.0
"""How long the sandbox may take to answer, or to take or give the next piece."""

_QUEUED_MESSAGES = 8


class FileTransfer:
    """One file request to one sandbox. An async context manager; leaving it early cancels the request there."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._protocol = FrameProtocol(self._on_message, self._on_end)
        self._incoming: asyncio.Queue[runner_pb2.FromRunner | None] = asyncio.Queue()
        self._error: Exception | None = None
        self._replied = False
        self._lost = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Connect and say what for. OSError or :class:`LinkClosed` when the sandbox is gone."""
        sock = open_socket(self._endpoint)
        try:
            await asyncio.get_running_loop().create_connection(lambda: self._protocol, sock=sock)
        except BaseException:
            sock.close()
            raise
        try:
            hello = await self._next()
            if hello.WhichOneof("message") != "hello":
                raise RunnerViolation("no Hello")
            self._protocol.send(
                runner_pb2.ToRunner(
                    open=runner_pb2.Open(protocol_version=PROTOCOL_VERSION, purpose=runner_pb2.PURPOSE_FILES)
                )
            )
        except BaseException:
            self._protocol.close()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close the connection."""
        self._protocol.close()
        await self._lost.wait()

    async def ask(self, **request: Any) -> runner_pb2.FileReply:
        """Send the request and wait for its answer. :class:`RequestFailed` with the sandbox's reason."""
        self.start(**request)
        return await self.answer()

    def start(self, **request: Any) -> None:
        """Send the request only, before the pieces of an upload."""
        try:
            self._protocol.send(runner_pb2.ToRunner(file=runner_pb2.FileRequest(**request)))
        except ConnectionError as error:
            raise LinkClosed(str(error)) from error

    async def answer(self) -> runner_pb2.FileReply:
        """Wait for the answer."""
        message = await self._next()
        if message.WhichOneof("message") != "file_reply":
            raise RunnerViolation("no FileReply")
        if message.file_reply.HasField("failure"):
            failure = message.file_reply.failure
            raise RequestFailed(failure.reason, failure.message[:500])
        return message.file_reply

    @property
    def answered(self) -> bool:
        """Whether an answer is waiting (a sandbox may refuse an upload before its end)."""
        return not self._incoming.empty()

    async def send_chunk(self, data: bytes, *, last: bool = False) -> None:
        """Send a piece of an upload; waits while the sandbox takes no more."""
        try:
            for at in range(0, max(len(data), 1), CHUNK_BYTES):
                piece = data[at : at + CHUNK_BYTES]
                end = last and at + CHUNK_BYTES >= len(data)
                self._protocol.send(
                    runner_pb2.ToRunner(file_chunk=runner_pb2.FileChunk(data=piece, last=end))
                )
                async with asyncio.timeout(FIRST_ANSWER_SECONDS):
                    await self._protocol.drained()
        except ConnectionError as error:
            raise LinkClosed(str(error)) from error

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the pieces of a download; the sandbox waits while the caller does."""
        while True:
            message = await self._next()
            if message.WhichOneof("message") != "file_chunk":
                raise RunnerViolation("not a piece of a file")
            if message.file_chunk.data:
                yield message.file_chunk.data
            if message.file_chunk.last:
                return

    async def _next(self) -> runner_pb2.FromRunner:
        with contextlib.suppress(asyncio.QueueEmpty):
            return self._take(self._incoming.get_nowait())
        async with asyncio.timeout(FIRST_ANSWER_SECONDS):
            return self._take(await self._incoming.get())

    def _take(self, message: runner_pb2.FromRunner | None) -> runner_pb2.FromRunner:
        if message is None:
            self._incoming.put_nowait(None)
            raise self._error or LinkClosed("the connection to the sandbox has ended")
        if self._incoming.qsize() < _QUEUED_MESSAGES:
            self._protocol.resume_reading()
        return message

    def _on_message(self, message: runner_pb2.FromRunner) -> None:
        # Checked before it is queued: a few large messages would be much memory.
        kind = message.WhichOneof("message")
        if kind == "file_chunk" and len(message.file_chunk.data) > CHUNK_BYTES:
            raise RunnerViolation("a piece of a file that is too large")
        if kind == "file_reply":
            if self._replied:
                raise RunnerViolation("a second answer")
            self._replied = True
        self._incoming.put_nowait(message)
        if self._incoming.qsize() >= _QUEUED_MESSAGES:
            self._protocol.pause_reading()

    def _on_end(self, error: Exception | None) -> None:
        if isinstance(error, RunnerViolation):
            self._error = error
        self._lost.set()
        self._incoming.put_nowait(None)
