"""The supervisor's side of a file request: between a FILES connection and the helper that serves it.

Pieces of files pass through unchanged. Whatever breaks off, on either side, ends the helper: nothing of a
request outlives its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from sandbank_runner.files import translation
from sandbank_runner.files.helper_link import STALL_SECONDS, HelperGone, HelperLink, StartHelper
from sandbank_runner.files.problems import BUG, SANDBOX_LOST, SANDBOX_LOST_BEFORE_START
from sandbank_runner.files.protocol import (
    CHUNK_BYTES,
    DATA,
    HEADER,
    LAST,
    FileProtocolError,
    pack,
    pack_header,
    parse_header,
)
from sandbank_runner.v1.runner_pb2 import FileChunk, FileReply, FileRequest, FromRunner, ToRunner

REQUEST_SECONDS = 3600.0
"""How long one request may take in all."""


Receive = Callable[[], Awaitable[ToRunner | None]]
"""Returns the next message of the control plane; None at the end of the connection."""
Send = Callable[[FromRunner], Awaitable[None]]
"""Sends a message; returns when there is room for the next. ConnectionError when nobody is there."""


async def serve_file_request(
    first: FileRequest, receive: Receive, send: Send, start_helper: StartHelper
) -> None:
    """Serve the request ``first``; return when its connection should be closed.

    What is wrong with the request is answered, not raised. Raises what ``send`` and ``receive`` raise, and
    CancelledError; the helper is ended in every case.
    """
    try:
        header = translation.request_header(first)
    except FileProtocolError as error:
        return await send(FromRunner(file_reply=translation.failure(BUG, str(error))))
    try:
        helper = await start_helper()
    except Exception as error:
        sentence = f"no process could be started for this request: {error}"
        return await send(FromRunner(file_reply=translation.failure(SANDBOX_LOST_BEFORE_START, sentence)))
    exchange = _Exchange(header["request"], helper.socket, receive, send)
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            await exchange.run(pack_header(header))
    except TimeoutError:
        return None
    finally:
        helper.kill()
        helper.socket.close()


class _Exchange:
    """One request under way."""

    def __init__(self, request: str, sock: socket.socket, receive: Receive, send: Send) -> None:
        self._request = request
        self._helper = HelperLink(sock)
        self._receive = receive
        self._send = send
        self._replied = False
        self._complete = request != "upload"

    async def run(self, request: bytes) -> None:
        """Hand the request on, then what follows in either direction, until it is answered or broken off.

        An upload goes on while its answer is awaited: the answer may come early, and then is the last word.
        """
        with contextlib.suppress(OSError):  # it is gone; but it may have said something first
            await self._helper.send(request)
        listening = asyncio.ensure_future(self._listen())
        answering = asyncio.ensure_future(self._answer())
        try:
            await asyncio.wait((listening, answering), return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                await answering
                if not self._complete and not listening.done():
                    # What is still on its way is taken and dropped: a sender that is cut off may never see the answer.
                    await listening
            else:
                await listening  # the control plane has gone; its error, if it was one
        finally:
            for task in (listening, answering):
                task.cancel()
            await asyncio.gather(listening, answering, return_exceptions=True)

    async def _listen(self) -> None:
        """Pass the pieces of an upload on; return when the control plane is gone or breaks the protocol."""
        while True:
            # Only an upload owes us anything: the others are waited for by whoever answers.
            async with asyncio.timeout(None if self._complete else STALL_SECONDS):
                message = await self._receive()
            if message is None or self._complete or message.WhichOneof("message") != "file_chunk":
                return
            chunk = message.file_chunk
            if len(chunk.data) > CHUNK_BYTES:
                return
            self._complete = chunk.last
            if not self._replied:
                with contextlib.suppress(
                    OSError
                ):  # the helper has answered and gone: the answer is the other task's
                    await self._helper.send(pack(LAST if chunk.last else DATA, chunk.data))
            elif chunk.last:
                return

    async def _answer(self) -> None:
        """Pass on what the helper says."""
        try:
            kind, body = await self._helper.receive()
            if kind != HEADER:
                raise FileProtocolError("no answer came first")
            answer = translation.reply(parse_header(body))
        except (HelperGone, OSError):
            answer = self._lost()
        except FileProtocolError as error:
            answer = translation.failure(BUG, f"the file helper broke its protocol: {error}")
        self._replied = True
        await self._to_control_plane(FromRunner(file_reply=answer))
        if self._request == "download" and not answer.HasField("failure"):
            await self._pass_content()

    async def _pass_content(self) -> None:
        while True:
            try:
                kind, body = await self._helper.receive()
                broken = translation.reply(parse_header(body)) if kind == HEADER else None
            except (HelperGone, FileProtocolError, OSError):
                broken = self._lost()
            if broken is not None:
                return await self._to_control_plane(FromRunner(file_reply=broken))
            chunk = FileChunk(data=body, last=kind == LAST)
            await self._to_control_plane(FromRunner(file_chunk=chunk))
            if kind == LAST:
                return None

    def _lost(self) -> FileReply:
        if self._request in translation.READING:
            return translation.failure(SANDBOX_LOST_BEFORE_START, "the process that read the files died")
        return translation.failure(SANDBOX_LOST, "the process that changed the files died")

    async def _to_control_plane(self, message: FromRunner) -> None:
        async with asyncio.timeout(STALL_SECONDS):
            await self._send(message)
