"""The supervisor's side of a channel to the template or to an interpreter, on the event loop.

Only packets of the one expected process count, by the kernel's word: a process forked by user code holds the channel
too and may speak on it. What breaks the rules is dropped and counted; it never ends the supervisor.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable

from sandbank_runner.channel import Assembler, ChannelViolation, Message, Packet, encode, receive_packet

_NO_SIGNAL = int(socket.MSG_NOSIGNAL)  # as an enum it would cost more than the system call

_PACKETS_AT_ONCE = 32
"""Packets read before the loop's other work has its turn."""

_DRAINED_PACKETS = 4096
"""Most packets read from a channel whose speakers are dead: more do not fit its buffer."""


def _nothing() -> None:
    return


class Endpoint:
    """One channel. ``on_message`` gets whole messages of ``pid``; ``on_end`` is told when all other ends are closed.

    ``before_read`` is called before a packet is taken, ``after_read`` when those at hand have been handled.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        on_message: Callable[[Message], None],
        on_end: Callable[[], None] = _nothing,
        *,
        before_read: Callable[[], None] = _nothing,
        after_read: Callable[[], None] = _nothing,
    ) -> None:
        self.pid = -1
        self.dropped_packets = 0
        self._loop = loop
        self._sock = sock
        self._on_message = on_message
        self._on_end = on_end
        self._before_read = before_read
        self._after_read = after_read
        self._assembler = Assembler()
        self._outgoing: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._reading = self._writing = False
        sock.setblocking(False)

    def listen_to(self, pid: int) -> None:
        """Start reading; messages of any other process are dropped."""
        self.pid = pid
        self._loop.add_reader(self._sock, self._readable)
        self._reading = True

    def send(
        self, header: dict[str, object], blobs: tuple[bytes, ...] = (), give: tuple[int, ...] = ()
    ) -> None:
        """Send a message; the descriptors ``give`` travel with it and are closed here once they have left.

        A dead receiver is no error: its death is told elsewhere.
        """
        descriptors = give
        for packet in encode(header, blobs):
            self._outgoing.append((packet, descriptors))
            descriptors = ()
        if not self._push():
            self._loop.add_writer(self._sock, self._writable)
            self._writing = True

    def drain(self) -> None:
        """Handle what has already arrived, once nobody can send any more."""
        self._read(_DRAINED_PACKETS)
        self._after_read()

    def close(self) -> None:
        """Close the channel; what was not sent yet is forgotten."""
        if self._sock.fileno() < 0:
            return
        self._stop_reading()
        self._stop_writing()
        while self._outgoing:
            _close(self._outgoing.popleft()[1])
        self._assembler.discard()
        self._sock.close()

    def _push(self) -> bool:
        """Send what the socket takes; True when nothing is left."""
        while self._outgoing:
            packet, descriptors = self._outgoing[0]
            rights = (
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            )
            try:
                self._sock.sendmsg([packet], rights, _NO_SIGNAL)
            except BlockingIOError:
                return False
            except OSError:
                pass  # the receiver is gone
            _close(descriptors)
            self._outgoing.popleft()
        return True

    def _writable(self) -> None:
        if self._push():
            self._stop_writing()

    def _readable(self) -> None:
        self._read(_PACKETS_AT_ONCE)
        self._after_read()

    def _read(self, packets: int) -> None:
        for _ in range(packets):
            if self._sock.fileno() < 0:
                return  # a message's handler closed it
            self._before_read()
            try:
                packet = receive_packet(self._sock)
                message = self._take(packet)
            except BlockingIOError:
                return
            except ChannelViolation:
                self.dropped_packets += 1
                continue
            except (EOFError, OSError):
                self._stop_reading()
                self._on_end()
                return
            if message is not None:
                self._on_message(message)
                if not packet.more and packets == _PACKETS_AT_ONCE:
                    return  # most often there is no other: the loop tells if there is

    def _take(self, packet: Packet) -> Message | None:
        if packet.pid != self.pid:
            _close(packet.descriptors)
            self.dropped_packets += 1
            return None
        message = self._assembler.add(packet)
        if message is not None and message.descriptors:
            _close(message.descriptors)  # nobody sends the supervisor any
        return message

    def _stop_writing(self) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._sock)

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock)


def _close(descriptors: tuple[int, ...]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
