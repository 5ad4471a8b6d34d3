"""Frames on a stream: a 4-byte big-endian length, and that many bytes of one message."""

from __future__ import annotations

import struct

FRAME_BYTES = 20 * 1024 * 1024
"""Largest frame that is read; more is a violation."""

GREETING_BYTES = 4 * 1024
"""Largest frame before a connection has said what it is for."""

_LENGTH = struct.Struct(">I")


class FrameViolation(Exception):
    """What came is no frame of this protocol."""


class FrameReader:
    """Cuts a stream into frames. ``limit`` may change between calls."""

    __slots__ = ("_buffer", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what was read."""
        self._buffer += data

    def next(self) -> bytes | None:
        """Return the next whole frame's message, or None. :class:`FrameViolation` when it is over the limit."""
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        (length,) = _LENGTH.unpack_from(buffer)
        if length > self.limit:
            raise FrameViolation(f"frame of {length} bytes")
        end = 4 + length
        if len(buffer) < end:
            return None
        message = bytes(memoryview(buffer)[4:end])
        del buffer[:end]
        return message

    @property
    def missing(self) -> int:
        """How many bytes lack until there is more to tell: of a frame's length, or of its message."""
        have = len(self._buffer)
        return 4 - have if have < 4 else 4 + int(_LENGTH.unpack_from(self._buffer)[0]) - have


def frame(message: bytes) -> bytes:
    """Return ``message`` as a frame."""
    return _LENGTH.pack(len(message)) + message
