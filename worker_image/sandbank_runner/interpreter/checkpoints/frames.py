"""Frames of the state protocol on a blocking stream socket, as ``files/protocol.py`` has them, with its own bounds.

By descriptor and by functions looked up beforehand: the process at this end also runs user code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from struct import Struct
from typing import Any

from sandbank_runner.interpreter import json_encoder
from sandbank_runner.interpreter.sealed import seal

seal(globals())

HEADER, DATA = b"J", b"D"
HEADER_BYTES = 8 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024
"""Largest piece of state in one frame, and the length of all chunks but the last of a pickle, buffer or file."""

_prefix = Struct(">Ic")
_PREFIX_BYTES = _prefix.size
_pack, _unpack = _prefix.pack, _prefix.unpack
_read, _readv, _write, _writev = os.read, os.readv, os.write, os.writev
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_encode = json_encoder.make(ascii_only=True)
_VECTOR = 512
"""Pieces handed to the kernel at once, below its limit of 1024."""
_END_BYTES = 64


class Broken(Exception):
    """The other side does not keep to the protocol, or is gone."""


class Connection:
    """One end of a connection that carries state."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def say(self, kind: str, **fields: Any) -> None:
        """Send a header. :class:`Broken` where nobody takes it, or it is too large."""
        body = _encode({"type": kind, **fields}).encode("ascii")
        if len(body) > HEADER_BYTES:
            raise Broken(f"header of {len(body)} bytes")
        self._send([_pack(len(body), HEADER), body])

    def give(self, parts: Iterable[Any]) -> None:
        """Send the parts of one chunk, which support the buffer protocol, as one piece of state."""
        views = [memoryview(part).cast("B") for part in parts]
        self._send([_pack(sum(map(len, views)), DATA), *views])

    def hear(self) -> dict[str, Any]:
        """Wait for a header. :class:`Broken` at the end, and for anything else."""
        length, kind = self._next()
        if kind != HEADER or length > HEADER_BYTES:
            raise Broken(f"frame of kind {kind!r} and {length} bytes")
        body = bytearray(length)
        self.fill(memoryview(body))
        return _parse(body)

    def take_into(self, view: memoryview) -> None:
        """Fill ``view`` with the next piece of state, which must have just its length."""
        length, kind = self._next()
        if kind != DATA or length != len(view):
            raise Broken(f"frame of kind {kind!r} and {length} bytes instead of {len(view)} of state")
        self.fill(view)

    def begin_piece(self) -> int | None:
        """Return the length of the piece of state that comes next, None where the header `end` does.

        The piece is to be read by :meth:`fill`.
        """
        length, kind = self._next()
        if kind == DATA and length <= CHUNK_BYTES:
            return length
        if kind == HEADER and length <= _END_BYTES:
            body = bytearray(length)
            self.fill(memoryview(body))
            if _parse(body)["type"] == "end":
                return None
        raise Broken(f"frame of kind {kind!r} and {length} bytes instead of state")

    def _next(self) -> tuple[int, bytes]:
        prefix = bytearray(_PREFIX_BYTES)
        self.fill(memoryview(prefix))
        length, kind = _unpack(prefix)
        return length, kind

    def fill(self, view: memoryview) -> None:
        """Read until ``view`` is full. :class:`Broken` at the end."""
        try:
            while view:
                count = _readv(self.descriptor, [view])
                if count == 0:
                    raise Broken("the connection has ended")
                view = view[count:]
        except OSError as error:
            raise Broken(str(error)) from None

    def _send(self, parts: list[Any]) -> None:
        try:
            while parts:
                count = _writev(self.descriptor, parts[:_VECTOR])
                while parts and count >= len(parts[0]):
                    count -= len(parts[0])
                    del parts[0]
                if parts and count:
                    parts[0] = memoryview(parts[0])[count:]
        except OSError as error:
            raise Broken(str(error)) from None


def _parse(body: bytearray) -> dict[str, Any]:
    try:
        header = _scan(body.decode("utf-8"), 0)[0]
    except (ValueError, RecursionError, StopIteration):
        raise Broken("malformed header") from None
    if type(header) is not dict or type(header.get("type")) is not str:
        raise Broken("malformed header")
    return header
