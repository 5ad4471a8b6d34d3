"""An operation that is queued or runs, as the control plane sees it: a window on its newest events.

The journal in the sandbox has them all. The window lets watchers that keep up go on without asking; one that falls
behind reads pages from the journal. So a client that reads slowly costs the control plane nothing, and delays
neither the interpreter nor other watchers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from sandbank.v1 import execution_pb2

from sandbank_server.sessions.bell import Bell

WINDOW_BYTES = 256 * 1024
"""What the window keeps; an event larger than this is not kept at all."""

WINDOW_EVENTS = 512


class LastEvent(bytes):
    """An operation's serialized Finished: nothing follows, so that who sends it need not wait to see."""


def finished_event(operation: execution_pb2.Operation, sequence: int, time: datetime) -> LastEvent:
    """Return Finished as the control plane tells it itself."""
    event = execution_pb2.OperationEvent(
        session_id=operation.session_id,
        operation_id=operation.operation_id,
        sequence=sequence,
        finished=execution_pb2.Finished(operation=operation),
    )
    event.time.FromDatetime(time)
    return LastEvent(event.SerializeToString())


class LiveOperation:
    """The window of one operation. ``last`` is the sequence of the newest event, 0 before the first.

    ``placed`` is False while ``last`` is a guess: the operation was found in the log of an earlier control plane, whose
    clients may have seen any number of events.
    """

    __slots__ = ("_bytes", "_events", "bell", "finished", "last", "operation_id", "placed", "started")

    def __init__(
        self, operation_id: str, last: int = 0, *, started: bool = False, placed: bool = True
    ) -> None:
        self.operation_id = operation_id
        self.last = last
        self.placed = placed
        self.started = started
        self.finished = False
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self.bell = Bell()

    @property
    def kept_bytes(self) -> int:
        """What the window holds."""
        return self._bytes

    @property
    def first_kept(self) -> int:
        """The lowest sequence in the window; ``last + 1`` when it is empty."""
        return self.last - len(self._events) + 1

    def push(self, event: bytes, *, finished: bool = False) -> None:
        """Take in the event after ``last``; call :meth:`wake` once a batch is in."""
        self._events.append(event)
        self._bytes += len(event)
        self.last += 1
        self.finished = finished
        while self._bytes > WINDOW_BYTES or len(self._events) > WINDOW_EVENTS:
            self._bytes -= len(self._events.popleft())

    def skip_to(self, last: int) -> None:
        """Note that events up to ``last`` exist without having seen them (the link was down for a while)."""
        self.placed = True
        if last > self.last:
            self._events.clear()
            self._bytes = 0
            self.last = last

    def after(self, sequence: int) -> Sequence[bytes] | None:
        """Return the events after ``sequence``, or None when the window no longer has the first of them."""
        count = self.last - sequence
        if count > len(self._events):
            return None
        return list(islice(self._events, len(self._events) - count, None))

    def wake(self) -> None:
        """Let every waiting watcher look again."""
        self.bell.ring()

    async def changed(self) -> None:
        """Wait for :meth:`wake`."""
        await self.bell.wait()

    def check_invariants(self) -> None:
        """Assert what must always hold."""
        assert self._bytes == sum(map(len, self._events))
        assert 1 <= self.first_kept <= self.last + 1
