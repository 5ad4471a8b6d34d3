"""Reads what user code writes to its descriptors 1 and 2, without ever letting it wait for anybody else.

What is read goes to a :class:`OutputSink` at once the first time, then in windows of 10 ms, so that a person sees
output immediately and a billion one-byte writes make few events. Within a window, small pieces make the pumps pause
until its end: the pipe collects meanwhile, and the supervisor is not woken for every byte.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import select
import termios
from typing import Protocol

STDOUT, STDERR = 1, 2

WINDOW_SECONDS = 0.010
_READ_BYTES = 64 * 1024
_LARGE_READ_BYTES = 16 * 1024
"""A read of this size is worth being woken for."""
_SMALL_READS = 32
"""Small reads in one window before the pumps pause: enough to keep the order of two streams that take turns."""


class OutputSink(Protocol):
    """Where output goes."""

    def output(self, stream: int, data: bytes) -> None:
        """Take what was written to ``stream``; one call is one event."""

    def settle(self) -> None:
        """Nothing more comes for the moment."""


class Pumps:
    """The read ends of one interpreter's two pipes; owns them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stdout: int, stderr: int, sink: OutputSink) -> None:
        self._loop = loop
        self._sink = sink
        self._open = {STDOUT: stdout, STDERR: stderr}
        self._pending: list[tuple[int, bytes]] = []
        self._pending_bytes = 0
        self._window: asyncio.TimerHandle | None = None
        self._small_reads = 0
        self._paused = True
        self._glance = select.poll()
        for descriptor in (stdout, stderr):
            os.set_blocking(descriptor, False)
            self._glance.register(descriptor, select.POLLIN)
        self._resume()

    def drain(self) -> None:
        """Take what was written until now and hand all of it on, without telling the sink to settle.

        What is in the pipes at this moment, and no more: somebody may be writing without an end.
        """
        # Most often there is nothing, twice in every operation: one call tells of both.
        for stream, descriptor in list(self._open.items()) if self._glance.poll(0) else ():
            left = _waiting(descriptor)
            while left > 0:
                data = self._read(stream, min(left, _READ_BYTES))
                if not data:
                    break
                left -= len(data)
                self._keep(stream, data)
        self._flush()

    def restart(self) -> None:
        """End the window: what is written from now on belongs to somebody else, who sees the first of it at once."""
        if self._window is not None:
            self._window.cancel()
            self._window = None
            if self._paused:
                self._resume()

    def close(self) -> None:
        """Close the pipes and forget what was not handed on."""
        if self._window is not None:
            self._window.cancel()
            self._window = None
        self._pause()
        for descriptor in self._open.values():
            self._glance.unregister(descriptor)
            os.close(descriptor)
        self._open.clear()
        self._pending.clear()

    def _readable(self, stream: int) -> None:
        if self._paused:
            return  # told in the same turn of the loop in which the other stream made us pause
        data = self._read(stream, _READ_BYTES)
        if not data:
            return
        if self._window is None:
            self._sink.output(stream, data)
            self._sink.settle()
            self._open_window()
            return
        self._keep(stream, data)
        if self._pending_bytes >= _READ_BYTES:
            self._flush()
            self._sink.settle()
        if len(data) < _LARGE_READ_BYTES:
            self._small_reads += 1
            if self._small_reads >= _SMALL_READS:
                self._pause()

    def _read(self, stream: int, size: int) -> bytes:
        """Read once; a pipe that has ended is dropped."""
        try:
            data = os.read(self._open[stream], size)
        except BlockingIOError:
            return b""
        if not data:
            descriptor = self._open.pop(stream)
            self._loop.remove_reader(descriptor)
            self._glance.unregister(descriptor)
            os.close(descriptor)
        return data

    def _keep(self, stream: int, data: bytes) -> None:
        self._pending_bytes += len(data)
        if (
            self._pending
            and self._pending[-1][0] == stream
            and len(data) + len(self._pending[-1][1]) <= _READ_BYTES
        ):
            self._pending[-1] = (stream, self._pending[-1][1] + data)
        else:
            self._pending.append((stream, data))

    def _flush(self) -> bool:
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        for stream, data in pending:
            self._sink.output(stream, data)
        return bool(pending)

    def _open_window(self) -> None:
        self._small_reads = 0
        self._window = self._loop.call_later(WINDOW_SECONDS, self._close_window)

    def _close_window(self) -> None:
        self._window = None
        was_paused = self._paused
        if was_paused:
            self._resume()
        if self._flush() or was_paused:
            self._sink.settle()
            self._open_window()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            for descriptor in self._open.values():
                self._loop.remove_reader(descriptor)

    def _resume(self) -> None:
        self._paused = False
        for stream, descriptor in self._open.items():
            self._loop.add_reader(descriptor, self._readable, stream)


def _waiting(descriptor: int) -> int:
    """Return how many bytes a pipe holds."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]
