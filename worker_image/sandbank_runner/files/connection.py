"""A FILES connection, from its first message to its end."""

from __future__ import annotations

import asyncio
import socket

from google.protobuf.message import DecodeError

from sandbank_runner.files.gateway import serve_file_request
from sandbank_runner.files.helper_link import STALL_SECONDS, HelperGone, HelperLink, StartHelper
from sandbank_runner.files.protocol import HEADER, FileProtocolError, pack_header, parse_header
from sandbank_runner.supervisor.frames import FrameReader, FrameViolation, frame
from sandbank_runner.v1.runner_pb2 import FromRunner, ToRunner

_FRAME_BYTES = 512 * 1024
"""Largest frame on such a connection: a piece of a file, or a request with long paths."""
_READ_BYTES = 256 * 1024


async def serve_connection(sock: socket.socket, start_helper: StartHelper) -> None:
    """Serve the one request that comes on ``sock``, then close it: nothing beyond Open was read.

    Never raises but CancelledError: a connection that breaks off, or the rules, is closed.
    """
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    frames = FrameReader(_FRAME_BYTES)

    async def receive() -> ToRunner | None:
        while True:
            try:
                data = frames.next()
                if data is not None:
                    return ToRunner.FromString(data)
                more = await loop.sock_recv(sock, _READ_BYTES)
            except (FrameViolation, DecodeError, OSError):
                return None
            if not more:
                return None
            frames.feed(more)

    async def send(message: FromRunner) -> None:
        await loop.sock_sendall(sock, frame(message.SerializeToString()))

    try:
        async with asyncio.timeout(STALL_SECONDS):
            first = await receive()
        if first is not None and first.WhichOneof("message") == "file":
            await serve_file_request(first.file, receive, send, start_helper)
    except OSError:
        pass  # it has gone, or took too long
    finally:
        sock.close()


class ClearingFailed(Exception):
    """The workspace could not be emptied; the text says why."""


async def clear_workspace(start_helper: StartHelper) -> None:
    """Empty the workspace by a helper, for a reset. Raises ClearingFailed, and what ``start_helper`` raises."""
    await _have_done(start_helper, "clear")


async def undo_restores(start_helper: StartHelper) -> None:
    """Rid the workspace of restores that were broken off. Raises ClearingFailed, and what ``start_helper`` raises."""
    await _have_done(start_helper, "undo_restores")


async def _have_done(start_helper: StartHelper, request: str) -> None:
    helper = await start_helper()
    try:
        async with asyncio.timeout(STALL_SECONDS):
            link = HelperLink(helper.socket)
            await link.send(pack_header({"request": request}))
            kind, body = await link.receive()
            problem = parse_header(body).get("failure") if kind == HEADER else "no answer came"
    except (OSError, HelperGone, FileProtocolError) as error:
        raise ClearingFailed(str(error) or "it took too long") from error
    finally:
        helper.kill()
        helper.socket.close()
    if problem is not None:
        raise ClearingFailed(str(problem.get("message") if isinstance(problem, dict) else problem)[:500])
