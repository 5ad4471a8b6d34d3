"""One accepted connection: frames in, frames out, nothing unbounded in between."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable

from sandbank_runner.supervisor.frames import GREETING_BYTES, FrameReader, FrameViolation, frame

BACKLOG_BYTES = 32 * 1024 * 1024
"""What may wait for a control plane that does not read; beyond, the connection is closed.

Nothing is lost by that: events stay in the journal, and whoever dials again fetches them from there.
"""

_READ_BYTES = 64 * 1024


class Connection:
    """Owns ``sock``. ``on_message`` gets each frame's content; ``on_close`` is told once, also of :meth:`close`.

    Until it is known what a connection is for, nothing is read beyond a frame: it may be for somebody else.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        on_message: Callable[[Connection, bytes], None],
        on_close: Callable[[Connection], None],
    ) -> None:
        self.on_message = on_message
        self._loop = loop
        self._sock = sock
        self._on_close = on_close
        self._reader = FrameReader(GREETING_BYTES)
        self._backlog: deque[memoryview] = deque()
        self._backlog_bytes = 0
        self._closed = False
        self._reads_ahead = False
        sock.setblocking(False)
        loop.add_reader(sock, self._readable)

    @property
    def closed(self) -> bool:
        """Whether nothing comes or goes any more."""
        return self._closed

    def accept_frames_of(self, limit: int) -> None:
        """It is for us: allow frames of up to ``limit`` bytes from now on."""
        self._reader.limit = limit
        self._reads_ahead = True

    def send(self, message: bytes) -> None:
        """Send one frame, at once as far as the socket takes it. Closes a connection that is too far behind."""
        if self._closed:
            return
        data = memoryview(frame(message))
        if not self._backlog:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.close()
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._loop.add_writer(self._sock, self._writable)
        self._backlog.append(data)
        self._backlog_bytes += len(data)
        if self._backlog_bytes > BACKLOG_BYTES:
            self.close()

    def release(self) -> socket.socket:
        """Give the socket away: nothing was read beyond the last frame. The connection counts as closed here."""
        assert not self._reads_ahead
        self._let_go()
        return self._sock

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if not self._closed:
            self._let_go()
            self._sock.close()
            self._on_close(self)

    def _let_go(self) -> None:
        self._closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._backlog.clear()
        self._backlog_bytes = 0

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES if self._reads_ahead else self._reader.missing)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._reader.feed(data)
        with contextlib.suppress(FrameViolation):
            while not self._closed:
                message = self._reader.next()
                if message is None:
                    return
                self.on_message(self, message)
            return
        self.close()

    def _writable(self) -> None:
        try:
            while self._backlog:
                data = self._backlog[0]
                sent = self._sock.send(data)
                self._backlog_bytes -= sent
                if sent < len(data):
                    self._backlog[0] = data[sent:]
                    return
                self._backlog.popleft()
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._loop.remove_writer(self._sock)
