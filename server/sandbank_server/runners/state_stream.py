"""State in and out of a sandbox, on a connection of its own: frames between us and a process of user code.

The supervisor hands the connection on, so whoever speaks on it is hostile. Every frame is bounded before it is read,
and every step has a time limit. What is said is the state protocol of `worker_image/PROTOCOL.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from typing import Any, Final, Self

from sandbank_runner.v1 import runner_pb2

from sandbank_server.runners.frames import PROTOCOL_VERSION, RunnerViolation
from sandbank_server.runners.link import LinkClosed
from sandbank_server.runtimes.base import Endpoint
from sandbank_server.runtimes.dial import open_socket

HEADER_BYTES: Final = 8 << 20
"""The largest JSON frame."""
DATA_BYTES: Final = 1 << 20
"""The largest piece of state."""

STEP_SECONDS: Final = 60.0
"""How long the process may take to say or to take the next frame."""

_HELLO_BYTES: Final = 20 << 20
_LENGTH: Final = struct.Struct(">I")
_PREFIX: Final = struct.Struct(">Ic")
_HEADER, _DATA = b"J", b"D"


class StateStream:
    """One connection of purpose STATE. An async context manager; leaving it ends the process at the other end."""

    def __init__(self, endpoint: Endpoint, token: str) -> None:
        """``token``: named by the request on CONTROL that the connection is for."""
        self._endpoint = endpoint
        self._token = token
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        """Connect and say what for. OSError or :class:`LinkClosed` when the sandbox is gone."""
        sock = open_socket(self._endpoint)
        try:
            self._reader, self._writer = await asyncio.open_unix_connection(sock=sock, limit=4 * DATA_BYTES)
        except BaseException:
            sock.close()
            raise
        try:
            (length,) = _LENGTH.unpack(await self._exactly(_LENGTH.size))
            if length > _HELLO_BYTES:
                raise RunnerViolation("a greeting that is too large")
            await self._exactly(length)  # the same as the link's, which was checked
            opening = runner_pb2.ToRunner(
                open=runner_pb2.Open(
                    protocol_version=PROTOCOL_VERSION, purpose=runner_pb2.PURPOSE_STATE, token=self._token
                )
            ).SerializeToString()
            await self._write(_LENGTH.pack(len(opening)) + opening)
        except BaseException:
            self._writer.close()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close the connection."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def abort(self) -> None:
        """End the connection at once: whoever waits on it is told so."""
        self._writer.transport.abort()

    async def receive(self, seconds: float | None = STEP_SECONDS) -> dict[str, Any] | bytes:
        """Return the next frame: a header, which has a ``type``, or a piece of state.

        It may take ``seconds`` to begin, None: as long as it takes. :class:`RunnerViolation` for one that nobody
        sends, :class:`LinkClosed` at the end, TimeoutError.
        """
        length, kind = _PREFIX.unpack(await self._exactly(_PREFIX.size, seconds))
        if kind not in (_HEADER, _DATA) or length > (HEADER_BYTES if kind == _HEADER else DATA_BYTES):
            raise RunnerViolation(f"a frame of kind {kind!r} and {length} bytes")
        body = await self._exactly(length)
        return body if kind == _DATA else _parse(body)

    async def header(self, *kinds: str, seconds: float | None = STEP_SECONDS) -> dict[str, Any]:
        """Return the next frame, a header of one of these types. As :meth:`receive`."""
        frame = await self.receive(seconds)
        if isinstance(frame, bytes) or frame["type"] not in kinds:
            raise RunnerViolation(f"{kinds[0]!r} was due")
        return frame

    async def send_header(self, header: dict[str, Any]) -> None:
        """Send a header; ValueError for one over the bound."""
        body = json.dumps(header, separators=(",", ":")).encode()
        if len(body) > HEADER_BYTES:
            raise ValueError("a header over the bound")
        await self._write(_PREFIX.pack(len(body), _HEADER) + body)

    async def send_data(self, data: bytes) -> None:
        """Send a piece of state; waits while the process takes no more."""
        await self._write(_PREFIX.pack(len(data), _DATA) + data)

    async def _exactly(self, count: int, seconds: float | None = STEP_SECONDS) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                return await self._reader.readexactly(count)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise LinkClosed("the connection to the sandbox has ended") from error

    async def _write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            async with asyncio.timeout(STEP_SECONDS):
                await self._writer.drain()
        except ConnectionError as error:
            raise LinkClosed("the connection to the sandbox has ended") from error


def _parse(body: bytes) -> dict[str, Any]:
    try:
        header = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RunnerViolation("malformed JSON") from error
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise RunnerViolation("a header without a type")
    return header
