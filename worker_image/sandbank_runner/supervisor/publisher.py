"""Sends new events to the control plane, as many in one frame as come together."""

from __future__ import annotations

import asyncio

from sandbank_runner.supervisor.journal import Record
from sandbank_runner.supervisor.link import Link
from sandbank_runner.v1.runner_pb2 import FromRunner

FRAME_BYTES = 1024 * 1024
"""Events beyond this go into a frame of their own; a single one may be larger."""

DELAY_SECONDS = 0.001
"""How long an event may wait for company that is not urgent: a short operation's Started goes with its Finished."""


class EventPublisher:
    """Without a CONTROL connection events stay in the journal only, where the next one finds them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, link: Link) -> None:
        self._loop = loop
        self._link = link
        self._record: Record | None = None
        self._first = 0
        self._events: list[bytes] = []
        self._size = 0
        self._later: asyncio.TimerHandle | None = None

    def publish(self, record: Record, event: bytes) -> None:
        """Take an event that was just journalled; it leaves with the next flush."""
        if self._link.control is None:
            return
        if self._events and (self._record is not record or self._size + len(event) > FRAME_BYTES):
            self.flush()
        if not self._events:
            self._record, self._first = record, record.last_sequence
        self._events.append(event)
        self._size += len(event)

    def flush_later(self) -> None:
        """Send what was published in a moment, or with what comes before."""
        if self._later is None and self._events:
            self._later = self._loop.call_later(DELAY_SECONDS, self.flush)

    def flush(self) -> None:
        """Send what was published, now."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        record, events = self._record, self._events
        if record is None or not events:
            return
        self._record, self._events, self._size = None, [], 0
        finished = record.ended and self._first + len(events) > record.last_sequence
        self._send(record, self._first, events, finished)

    def forget(self) -> None:
        """Another connection has taken over: what was to go to the one before is in the journal."""
        self._record, self._events, self._size = None, [], 0
        self.flush()

    def catch_up(self, record: Record, after_sequence: int) -> bool:
        """Send all journalled events beyond ``after_sequence``; False where the journal has dropped some of them."""
        while record.last_sequence > after_sequence:
            first, events = record.after(after_sequence, FRAME_BYTES)
            if first != after_sequence + 1:
                return False
            after_sequence = first + len(events) - 1
            self._send(record, first, events, record.ended and after_sequence == record.last_sequence)
        return True

    def _send(self, record: Record, first: int, events: list[bytes], finished: bool) -> None:
        control = self._link.control
        if control is not None:
            message = FromRunner()
            # In place: a message that is put into another is copied.
            told = message.events
            told.operation_id = record.operation.operation_id
            told.first_sequence = first
            told.events.extend(events)
            told.finished = finished
            control.send(message.SerializeToString())
