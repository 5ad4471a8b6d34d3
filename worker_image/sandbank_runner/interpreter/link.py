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
from functools import partial
from struct import Struct
from typing import Any

from sandbank_runner.channel import DESCRIPTORS, MESSAGE_BYTES, PACKET_BYTES
from sandbank_runner.interpreter import json_encoder
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.signals import EVERY, SIG_BLOCK, SIG_SETMASK, sigmask

seal(globals())

_length = Struct(">I")
_pack, _unpack = _length.pack, _length.unpack_from
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_exit, _close, _write = os._exit, os.close, os.write
_numbers = Struct("i").iter_unpack  # an array would tell the user's audit hooks
# As enums they would cost more than the system call.
_RIGHTS = (int(socket.SOL_SOCKET), int(socket.SCM_RIGHTS))
_CLOSE_ON_EXEC = int(socket.MSG_CMSG_CLOEXEC)
_DO_NOT_WAIT = _CLOSE_ON_EXEC | int(socket.MSG_DONTWAIT)
_PACKET = (PACKET_BYTES + 1,)
_ANCILLARY = (socket.CMSG_SPACE(DESCRIPTORS * 4),)

_encode = json_encoder.make(ascii_only=True)

_Packet = tuple[bytes, list[tuple[int, int, bytes]], int, Any]
"""As `recvmsg` gives it: content, what came beside it, flags, sender."""


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

    __slots__ = ("_descriptors", "_lock", "_packets", "_receive", "_send", "_sock", "descriptor")

    def __init__(self, sock: socket.socket) -> None:
        """Take over a blocking ``SOCK_SEQPACKET`` socket."""
        self._sock = sock
        self.descriptor = sock.fileno()
        self._receive: Callable[..., _Packet] = sock.recvmsg
        self._packets: list[_Packet] = []
        self._send: Callable[[bytes], int] | None = sock.send
        self._lock = allocate_lock()
        self._descriptors: tuple[int, ...] = ()

    def receive(self) -> tuple[dict[str, Any], tuple[bytes, ...]]:
        """Wait for one message. Ends the process where the supervisor is gone; OSError where the channel is.

        Descriptors that came with it are the link's until :meth:`take_descriptors`, and closed with the next message.
        """
        for descriptor in self.take_descriptors():
            _close(descriptor)
        while (message := self._whole(_CLOSE_ON_EXEC)) is None:
            pass
        return message

    def receive_now(self) -> tuple[dict[str, Any], tuple[bytes, ...]] | None:
        """Do the same without waiting: None where no whole message is there. Not for two threads at once.

        A signal handler's exception loses nothing: what has come of a message waits for the next call.
        """
        try:
            return self._whole(_DO_NOT_WAIT)
        except BlockingIOError:
            return None

    def _whole(self, flags: int) -> tuple[dict[str, Any], tuple[bytes, ...]] | None:
        """Return the message that is whole, after receiving one more packet where none is."""
        packets = self._packets
        if not packets or packets[-1][0][0] == 1:
            # In one call of C code: after it a signal handler may raise, but the packet is kept.
            packets.extend(map(self._receive, _PACKET, _ANCILLARY, (flags,)))
            if not packets[-1][0]:
                _exit(0)
            if packets[-1][0][0] == 1:
                return None
        for _, ancillary, _, _ in packets:
            for level, kind, content in ancillary:
                if (level, kind) == _RIGHTS:
                    self._descriptors += tuple(number for (number,) in _numbers(content[: len(content) & ~3]))
        data = b"".join([packet[0][1:] for packet in packets])
        packets.clear()
        end = 4 + _unpack(data)[0]
        header = _scan(data[4:end].decode("utf-8"), 0)[0]
        blobs = []
        for length in header.pop("blobs", ()):
            blobs.append(data[end : end + length])
            end += length
        return header, tuple(blobs)

    def take_descriptors(self) -> tuple[int, ...]:
        """Return what came with the last message, for the caller to close: less than was sent without room for it."""
        descriptors, self._descriptors = self._descriptors, ()
        return descriptors

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

    def speak_on(self, descriptor: int) -> None:
        """In a forked process: say everything on another channel from here on. It hears nothing any more."""
        self.descriptor = descriptor
        # Not by a socket object: to make one tells the user's audit hooks.
        self._send = partial(_write, descriptor)

    def mute(self) -> None:
        """In a forked process: let go of the channel."""
        self._send = None
        self._sock.close()
