"""The interpreter's end of the private channel.

The framing is that of :mod:`sandbank_runner.channel`. It is written a second time because this end lives beside user
code: whatever it calls was looked up before user code ran, so a replaced ``json.dumps`` or ``socket.socket.send``
cannot silence it; and because a message is handed to the kernel in one go that no signal handler can cut in two.
"""

from __future__ import annotations

import json
import os
import socket
from _thread import allocate_lock
from collections.abc import Callable
from struct import Struct
from typing import Any

from sandbank_runner.channel import MESSAGE_BYTES, PACKET_BYTES
from sandbank_runner.interpreter import json_encoder
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.signals import EVERY, SIG_BLOCK, SIG_SETMASK, sigmask

seal(globals())

_length = Struct(">I")
_pack, _unpack = _length.pack, _length.unpack_from
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_exit = os._exit
_getpid = os.getpid


_encode = json_encoder.make(ascii_only=True)


def packets_of(header: dict[str, Any], blobs: tuple[bytes, ...] = ()) -> list[bytes]:
    """Return one message as packets. ValueError where it is too large."""
    if blobs:
        header["blobs"] = [len(blob) for blob in blobs]
    head = _encode(header).encode("ascii")
    data = b"".join((_pack(len(head)), head, *blobs))
    if len(data) <= PACKET_BYTES:
        return [b"\x00" + data]
    if len(data) > MESSAGE_BYTES:
        raise ValueError(f"message of {len(data)} bytes")
    cuts = range(0, len(data), PACKET_BYTES)
    return [
        (b"\x01" if at + PACKET_BYTES < len(data) else b"\x00") + data[at : at + PACKET_BYTES] for at in cuts
    ]


class Link:
    """One interpreter's word with its supervisor. A process that user code forks has none: see :meth:`mute`."""

    __slots__ = ("_lock", "_receive", "_send", "_sock", "descriptor")

    def __init__(self, sock: socket.socket) -> None:
        """Take over a blocking ``SOCK_SEQPACKET`` socket."""
        self._sock = sock
        self.descriptor = sock.fileno()
        self._receive: Callable[[int], bytes] = sock.recv
        self._send: Callable[[bytes], int] | None = sock.send
        self._lock = allocate_lock()

    def receive(self) -> tuple[dict[str, Any], tuple[bytes, ...]]:
        """Wait for one message. Ends the process where the supervisor is gone; OSError where the channel is."""
        parts = []
        more = True
        while more:
            packet = self._receive(PACKET_BYTES + 1)
            if not packet:
                _exit(0)
            more = packet[0] == 1
            parts.append(packet[1:])
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        end = 4 + _unpack(data)[0]
        header = _scan(data[4:end].decode("utf-8"), 0)[0]
        blobs = []
        for length in header.pop("blobs", ()):
            blobs.append(data[end : end + length])
            end += length
        return header, tuple(blobs)

    def send(self, header: dict[str, Any], blobs: tuple[bytes, ...] = ()) -> bool:
        """Send one message, from any thread; False in a process that has no say."""
        packets = packets_of(header, blobs)
        send = self._send
        if send is None:
            return False
        if len(packets) == 1:
            with self._lock:
                send(packets[0])
            return True
        # Between two packets of a message nothing may come: no other thread's, and no exception of a signal handler.
        # Blocked signals do not break off a send, and in a loop that is C code no handler runs.
        mask = sigmask(SIG_BLOCK, EVERY)
        try:
            with self._lock:
                all(map(send, packets))
        finally:
            sigmask(SIG_SETMASK, mask)
        return True

    def mute(self) -> None:
        """In a forked process: let go of the channel."""
        self._send = None
        self._sock.close()
