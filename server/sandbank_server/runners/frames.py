"""Length-prefixed protobuf frames on an asyncio transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import structlog
from google.protobuf.message import DecodeError
from sandbank_runner.v1 import runner_pb2

_log = structlog.get_logger("sandbank.link")

PROTOCOL_VERSION = 1
"""What this control plane speaks (``sandbank_runner.v1``, see its comments)."""

OLDEST_PROTOCOL_VERSION = 1
"""The oldest supervisor that it adopts: its own version and the one before, once there is one before."""

FRAME_BYTES = 20 * 1024 * 1024
"""Largest frame that is read; more is a violation."""


class RunnerViolation(Exception):
    """The sandbox broke the protocol: it is not to be trusted any longer. The text is for the log."""


class FrameProtocol(asyncio.Protocol):
    """Cuts the stream into messages and hands them to ``on_message``; tells ``on_end`` once why it ended.

    A message that does not parse, a frame over the limit or an exception of ``on_message`` ends the connection, with a
    :class:`RunnerViolation` where it is the sandbox's fault. Writing never blocks; :meth:`drained` waits for the
    transport's buffer, which is what gives a transfer its back-pressure.
    """

    def __init__(
        self,
        on_message: Callable[[runner_pb2.FromRunner], None],
        on_end: Callable[[Exception | None], None],
    ) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self.error: Exception | None = None
        self._ended = False
        self._writable = asyncio.Event()
        self._writable.set()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # Not checked: uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Cut and dispatch what is whole."""
        buffer = self._buffer
        buffer += data
        at = 0
        size = len(buffer)
        try:
            while size - at >= 4:
                length = int.from_bytes(buffer[at : at + 4], "big")
                if length > FRAME_BYTES:
                    raise RunnerViolation(f"frame of {length} bytes")
                end = at + 4 + length
                if end > size:
                    break
                message = runner_pb2.FromRunner.FromString(bytes(buffer[at + 4 : end]))
                at = end
                self._on_message(message)
                if self._ended:
                    return
        except DecodeError:
            self.fail(RunnerViolation("malformed frame"))
        except RunnerViolation as error:
            self.fail(error)
        except Exception as error:  # noqa: BLE001 - a fault of ours: the owner dials anew and takes stock
            _log.exception("a message of a sandbox could not be handled")
            self.fail(error)
        del buffer[:at]

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The transport's buffer has room again."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, once."""
        self._ended = True
        self._writable.set()
        self._on_end(self.error or exc)

    # What the owner calls.

    @property
    def ended(self) -> bool:
        """Whether nothing more can be sent."""
        return self._ended

    def send(self, message: runner_pb2.ToRunner) -> None:
        """Write one frame. ConnectionError when the connection has ended."""
        if self._ended or self._transport is None:
            raise ConnectionResetError("the connection to the sandbox has ended")
        data = message.SerializeToString()
        self._transport.write(len(data).to_bytes(4, "big") + data)

    async def drained(self) -> None:
        """Wait until the transport takes more. ConnectionError when the connection has ended."""
        await self._writable.wait()
        if self._ended:
            raise ConnectionResetError("the connection to the sandbox has ended")

    def pause_reading(self) -> None:
        """Stop reading, so that the sandbox has to wait."""
        if self._transport is not None and not self._ended:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self._transport is not None and not self._ended:
            self._transport.resume_reading()

    def fail(self, error: Exception) -> None:
        """End the connection for ``error``."""
        if not self._ended:
            self.error = error
            self._ended = True
            self._buffer.clear()
            if self._transport is not None:
                self._transport.abort()

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._ended = True
            self._transport.abort()
