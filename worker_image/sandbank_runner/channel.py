"""The private channel between supervisor, template and interpreter.

A ``SOCK_SEQPACKET`` socket pair. One message is a JSON header and any number of binary blobs; a message that does not
fit one packet is cut into several. A packet is one flag byte (``0`` last, ``1`` more follow) and up to
:data:`PACKET_BYTES` of the message; a message is ``<4-byte big-endian header length><header><blobs, concatenated>``,
and the header's ``"blobs"`` lists their lengths.

Nothing here is trusted by the reading side: sizes are bounded, JSON is the only decoder, descriptors beyond those
expected are closed, and the kernel's credentials of every packet are handed up, because a process that user code
forked holds the channel too and may speak on it.

Interpreter and template use the blocking :class:`Channel`; the supervisor drives the same codec from its event loop
through :class:`Assembler`.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

PACKET_BYTES = 64 * 1024
"""Payload of one packet: well below the default send buffer, so a packet is never refused with EMSGSIZE."""

MESSAGE_BYTES = 20 * 1024 * 1024
"""Largest message that is put together; more is a violation."""

HEADER_BYTES = 4 * 1024 * 1024
"""Largest header: JSON of small parts takes some twenty times its size once it is read."""

DESCRIPTORS = 4
"""Most descriptors that one packet may carry."""

_LAST, _MORE = b"\x00", b"\x01"
_LENGTH = struct.Struct(">I")
_CREDENTIALS = struct.Struct("3i")
_TRUNCATED = int(socket.MSG_TRUNC) | int(socket.MSG_CTRUNC)
_CLOSE_ON_EXEC = int(socket.MSG_CMSG_CLOEXEC)  # as enums they would cost more than the system call
_DECODE = (
    json.JSONDecoder().raw_decode
)  # json.loads() looks for encodings and white space that no sender here uses
_JSON = json.JSONEncoder(separators=(",", ":"))
_ANCILLARY = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(DESCRIPTORS * 4)


class ChannelViolation(Exception):
    """The other side broke the protocol."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as the kernel gave it; ``pid`` and ``uid`` are the kernel's word on who sent it (-1: not asked)."""

    payload: bytes
    more: bool
    pid: int
    uid: int
    descriptors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One whole message. ``descriptors`` belong to the receiver, who closes them."""

    header: dict[str, Any]
    blobs: tuple[bytes, ...] = ()
    descriptors: tuple[int, ...] = ()
    pid: int = -1
    uid: int = -1


def pair() -> tuple[socket.socket, socket.socket]:
    """Return (supervisor's end, other end), both close-on-exec; the first learns who really sent each packet."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


def encode(header: dict[str, Any], blobs: tuple[bytes, ...] = ()) -> list[bytes]:
    """Return the packets of one message."""
    if blobs:
        header = {**header, "blobs": [len(blob) for blob in blobs]}
    head = _JSON.encode(header).encode("utf-8", "backslashreplace")
    data = b"".join((_LENGTH.pack(len(head)), head, *blobs))
    if len(data) > MESSAGE_BYTES or len(head) > HEADER_BYTES:
        raise ChannelViolation(f"message of {len(data)} bytes")
    if len(data) <= PACKET_BYTES:
        return [_LAST + data]
    cuts = range(0, len(data), PACKET_BYTES)
    return [(_MORE if at + PACKET_BYTES < len(data) else _LAST) + data[at : at + PACKET_BYTES] for at in cuts]


def decode(data: bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Return header and blobs of one message put together; :class:`ChannelViolation` when it is malformed."""
    try:
        (length,) = _LENGTH.unpack_from(data)
        end = _LENGTH.size + length
        if end > len(data) or length > HEADER_BYTES:
            raise ChannelViolation("malformed header")
        header, stop = _DECODE(text := data[_LENGTH.size : end].decode(), 0)
    except (struct.error, ValueError, RecursionError) as error:
        raise ChannelViolation("malformed header") from error
    if stop != len(text) or not isinstance(header, dict):
        raise ChannelViolation("malformed header")
    lengths = header.pop("blobs", [])
    if not isinstance(lengths, list) or not all(type(n) is int and n >= 0 for n in lengths):
        raise ChannelViolation("malformed blob lengths")
    if end + sum(lengths) != len(data):
        raise ChannelViolation("blob lengths do not add up")
    blobs = []
    for length in lengths:
        blobs.append(data[end : end + length])
        end += length
    return header, tuple(blobs)


def receive_packet(sock: socket.socket, flags: int = 0) -> Packet:
    """Receive one packet. EOFError at the end, BlockingIOError where the socket is non-blocking and empty."""
    payload, ancillary, message_flags, _ = sock.recvmsg(PACKET_BYTES + 1, _ANCILLARY, _CLOSE_ON_EXEC | flags)
    pid = uid = -1
    descriptors: list[int] = []
    for level, kind, data in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
            descriptors.extend(numbers)
        elif kind == socket.SCM_CREDENTIALS:
            pid, uid, _ = _CREDENTIALS.unpack(data)
    if not payload:
        _close(descriptors)
        if pid >= 0:  # somebody sent nothing; the end has no sender
            raise ChannelViolation("empty packet")
        raise EOFError("channel closed")
    if message_flags & _TRUNCATED:
        _close(descriptors)
        raise ChannelViolation("packet or descriptors truncated")
    return Packet(payload[1:], payload[:1] == _MORE, pid, uid, tuple(descriptors))


def _close(descriptors: list[int] | tuple[int, ...]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


@dataclass(slots=True)
class Assembler:
    """Puts packets together; one per sender of one channel."""

    limit: int = MESSAGE_BYTES
    _parts: list[bytes] = field(default_factory=list)
    _size: int = 0
    _descriptors: tuple[int, ...] = ()

    def add(self, packet: Packet) -> Message | None:
        """Return the message that ``packet`` completes, or None."""
        self._size += len(packet.payload)
        if self._size > self.limit or len(self._descriptors) + len(packet.descriptors) > DESCRIPTORS:
            _close(packet.descriptors)
            self.discard()
            raise ChannelViolation("message too large")
        self._parts.append(packet.payload)
        self._descriptors += packet.descriptors
        if packet.more:
            return None
        data, descriptors = b"".join(self._parts), self._descriptors
        self._parts, self._size, self._descriptors = [], 0, ()
        try:
            header, blobs = decode(data)
        except ChannelViolation:
            _close(descriptors)
            raise
        return Message(header, blobs, descriptors, packet.pid, packet.uid)

    def discard(self) -> None:
        """Forget a half-received message and close its descriptors."""
        _close(self._descriptors)
        self._parts, self._size, self._descriptors = [], 0, ()


class Channel:
    """The blocking side, for template and interpreter."""

    __slots__ = ("_assembler", "sock")

    def __init__(self, sock: socket.socket) -> None:
        """Take over ``sock``, a blocking ``SOCK_SEQPACKET`` socket."""
        self.sock = sock
        self._assembler = Assembler()

    def send(
        self, header: dict[str, Any], blobs: tuple[bytes, ...] = (), descriptors: tuple[int, ...] = ()
    ) -> None:
        """Send one message; descriptors travel with its first packet."""
        packets = encode(header, blobs)
        if descriptors:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
            self.sock.sendmsg([packets[0]], [rights])
            packets = packets[1:]
        for packet in packets:
            self.sock.send(packet)

    def receive(self) -> Message:
        """Wait for one message. EOFError when the other side is gone."""
        while True:
            message = self._assembler.add(receive_packet(self.sock))
            if message is not None:
                return message

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()
