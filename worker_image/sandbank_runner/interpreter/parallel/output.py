"""What Python code of one operation writes to ``sys.stdout`` and ``sys.stderr``: messages that carry its id.

Written line by line, as to the pipes: a line leaves at once, but within 10 ms of the one before it waits for the end of
that time, so that a million lines are not a million messages. The main thread looks after those that wait.
"""

from __future__ import annotations

import time
from _thread import RLock
from collections.abc import Callable
from typing import Any, Final, Protocol

from sandbank_runner.interpreter.parallel.operation import breathe
from sandbank_runner.interpreter.sealed import seal

seal(globals())

WINDOW_SECONDS: Final = 0.010
_PIECE_BYTES: Final = 48 * 1024
"""Of one message: it fits one packet."""
_LARGE_BYTES: Final = 32 * 1024
"""So much does not wait."""

_monotonic = time.monotonic
_LONG_AGO: Final = float("-inf")
_NEVER: Final = float("inf")

Send = Callable[[dict[str, Any], tuple[bytes, ...]], bool]


class _Operation(Protocol):
    operation: str
    guard: RLock


class OperationOutput:
    """The output of one operation, from any of its threads."""

    __slots__ = ("_operation", "_pending", "_ring", "_send", "_sent_at", "_size", "due_at")

    def __init__(self, operation: _Operation, send: Send, ring: Callable[[], None]) -> None:
        """``send`` sends a message; ``ring`` has the main thread call :meth:`flush_due` soon."""
        self._operation = operation
        self._send = send
        self._ring = ring
        self._pending: list[tuple[int, bytes]] = []
        self._size = 0
        self._sent_at = _LONG_AGO
        self.due_at = _NEVER
        """When what waits is to leave, monotonic."""

    def write(self, stream: int, data: bytes, *, ends_line: bool) -> None:
        """Take what was written to ``stream``."""
        with self._operation.guard:
            breathe()
            self._pending.append((stream, data))
            self._size += len(data)
            if ends_line or self._size >= _LARGE_BYTES:
                self._leave()

    def flush(self) -> None:
        """Let unfinished lines leave too."""
        with self._operation.guard:
            breathe()
            if self._pending:
                self._leave()

    def finish(self) -> None:
        """Send all, now: what comes next must come after it."""
        with self._operation.guard:
            breathe()
            self._send_all()

    def flush_due(self) -> None:
        """In the main thread: send what has waited, unless the operation is at it itself."""
        guard: Any = self._operation.guard
        if self.due_at <= _monotonic() and guard.acquire(blocking=False):
            try:
                self._send_all()
            finally:
                guard.release()

    def _leave(self) -> None:
        due_at = self._sent_at + WINDOW_SECONDS
        if self._size >= _LARGE_BYTES or _monotonic() >= due_at:
            self._send_all()
        elif self.due_at == _NEVER:
            self.due_at = due_at
            self._ring()

    def _send_all(self) -> None:
        pending, self._pending, self._size, self.due_at = self._pending, [], 0, _NEVER
        at = 0
        while at < len(pending):
            stream = pending[at][0]
            end = at
            while end < len(pending) and pending[end][0] == stream:
                end += 1
            self._send_piecewise(stream, b"".join([data for _, data in pending[at:end]]))
            at = end
        if pending:
            self._sent_at = _monotonic()

    def _send_piecewise(self, stream: int, data: bytes) -> None:
        header = {"type": "output", "operation": self._operation.operation, "stream": stream}
        for at in range(0, len(data), _PIECE_BYTES):
            try:
                self._send(dict(header), (data[at : at + _PIECE_BYTES],))
            except OSError:
                return  # the channel is closed: the main thread finds out, and ends the process
