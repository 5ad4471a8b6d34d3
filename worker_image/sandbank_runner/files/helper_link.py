"""The supervisor's end of the connection with one file helper."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sandbank_runner.files.protocol import CHUNK_BYTES, PREFIX, check

STALL_SECONDS = 60.0
"""How long nothing may move, on either side of a file request."""


@dataclass(frozen=True, slots=True)
class FileHelper:
    """A helper that was started, and what there is to end it."""

    socket: socket.socket
    """The supervisor's end, a stream; whoever uses the helper closes it."""
    kill: Callable[[], None]
    """Ends the process; called in the end, whatever happened, and may find it dead."""


StartHelper = Callable[[], Awaitable[FileHelper]]
"""Has the template fork a helper. Any exception means that there is none."""


class HelperGone(Exception):
    """The helper closed its end."""


class HelperLink:
    """Frames to and from a helper, on the event loop.

    Not a stream of asyncio's: that would lose an answer that comes just before the helper closes.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, frame: bytes) -> None:
        """Send a frame. OSError when the helper is gone, TimeoutError when it does not take it."""
        async with asyncio.timeout(STALL_SECONDS):
            await self._loop.sock_sendall(self._sock, frame)

    async def receive(self) -> tuple[bytes, bytes]:
        """Return (kind, body) of the next frame. HelperGone, OSError, FileProtocolError."""
        length, kind = PREFIX.unpack(await self._exactly(PREFIX.size))
        check(kind, length)
        return kind, await self._exactly(length)

    async def _exactly(self, count: int) -> bytes:
        parts = []
        while count:
            part = await self._loop.sock_recv(self._sock, min(count, CHUNK_BYTES))
            if not part:
                raise HelperGone("the file helper closed its connection")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)
