"""What the supervisor and a file helper say to each other, on a stream socket: frames of JSON or of bytes.

The helper is forked from the template, where protobuf is not loaded, hence a format of its own. A frame is a
4-byte big-endian length, one byte for its kind, and that many bytes:

``J``
    A JSON object. The supervisor sends one, the request; the helper one, the answer, or in a download that breaks a
    second one with ``failure``.
``D``, ``L``
    A piece of a file, ``L`` the last, which may be empty. In an upload from the supervisor, in a download from the
    helper, after its answer.

================== ===================================================================================
``request`` other fields ==================
=================================================================================== ``upload`` ``path``,
``mode``, ``size_bytes`` (-1: not announced), ``sha256`` ("": likewise) ``download`` ``path``,
``offset_bytes``, ``length_bytes`` (0: to the end) ``stat`` ``path``, ``with_sha256`` ``list`` ``path``,
``recursive``, ``after_path``, ``limit`` ``delete`` ``path``, ``recursive`` ``make_directory`` ``path``
================== ===================================================================================

An answer has one of ``failure`` {``reason``, ``message``}, ``entry``, ``list`` [entries] with ``more``, or
nothing (a delete). An entry is {``path``, ``is_directory``, ``size_bytes``, ``mode``, ``modify_time_ns``,
``sha256``}.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

HEADER, DATA, LAST = b"J", b"D", b"L"

CHUNK_BYTES = 256 * 1024
"""Largest piece of a file in one frame."""
HEADER_BYTES = 4 * 1024 * 1024
"""Largest JSON frame: a page of a listing, whose paths may be long."""
LIST_ENTRIES = 1000
"""Most entries of a page."""
MESSAGE_CHARACTERS = 500
"""Longest message of a failure."""

PREFIX = struct.Struct(">Ic")


class FileProtocolError(Exception):
    """The other side does not keep to this protocol."""


def pack(kind: bytes, body: bytes) -> bytes:
    """Return a frame."""
    return PREFIX.pack(len(body), kind) + body


def pack_header(header: dict[str, Any]) -> bytes:
    """Return a JSON frame."""
    return pack(HEADER, json.dumps(header, separators=(",", ":")).encode())


def check(kind: bytes, length: int) -> None:
    """Raise :class:`FileProtocolError` for a frame that nobody sends."""
    if kind not in (HEADER, DATA, LAST) or length > (HEADER_BYTES if kind == HEADER else CHUNK_BYTES):
        raise FileProtocolError(f"frame of kind {kind!r} and {length} bytes")


def parse_header(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a frame. Raises :class:`FileProtocolError`."""
    try:
        header = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FileProtocolError("malformed header") from error
    if not isinstance(header, dict):
        raise FileProtocolError("a header must be an object")
    return header


class FrameSocket:
    """The helper's end: blocking, with the socket's time-out on each step."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def receive(self) -> tuple[bytes, bytes]:
        """Return (kind, body) of the next frame. EOFError when the supervisor has closed, TimeoutError."""
        length, kind = PREFIX.unpack(self._exactly(PREFIX.size))
        check(kind, length)
        return kind, self._exactly(length)

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        self._connection.sendall(frame)

    def _exactly(self, count: int) -> bytes:
        buffer = bytearray(count)
        view = memoryview(buffer)
        while view:
            received = self._connection.recv_into(view)
            if received == 0:
                raise EOFError("the supervisor closed the connection")
            view = view[received:]
        return bytes(buffer)
