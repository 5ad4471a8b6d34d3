"""What WatchSession tells: numbered events of one session, the newest of them kept."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import Any

from sandbank.v1 import session_pb2

from sandbank_server.errors import DrainingError
from sandbank_server.sessions.bell import Bell

KEPT_EVENTS = 256
KEPT_BYTES = 512 * 1024


class SessionEvents:
    """The events of one session.

    The sequence goes on after a restart of the control plane: it then begins anew at a number above every one that
    was given out (the time in microseconds), so that ``after_sequence`` never skips an event.
    """

    def __init__(self, first_sequence: int, now: Callable[[], datetime]) -> None:
        self._sequence = first_sequence
        self._now = now
        self._kept: deque[session_pb2.SessionEvent] = deque()
        self._bytes = 0
        self.bell = Bell()
        self.ended = False
        self._draining = False

    @property
    def sequence(self) -> int:
        """The number of the newest event."""
        return self._sequence

    def publish(self, **event: Any) -> None:
        """Number and keep an event: ``publish(session_changed=…)``."""
        self._sequence += 1
        message = session_pb2.SessionEvent(sequence=self._sequence, **event)
        message.time.FromDatetime(self._now())
        self._kept.append(message)
        self._bytes += message.ByteSize()
        # The newest stays, whatever its size: those who wait would never learn of it.
        while len(self._kept) > KEPT_EVENTS or (self._bytes > KEPT_BYTES and len(self._kept) > 1):
            self._bytes -= self._kept.popleft().ByteSize()
        self.bell.ring()

    def end(self) -> None:
        """No more events will come; watchers end once they have seen what there is."""
        self.ended = True
        self.bell.ring()

    def drain(self) -> None:
        """Send watchers away once they have seen what there is: the server is shutting down."""
        self._draining = True
        self.bell.ring()

    async def watch(
        self, after: int, snapshot: Callable[[], session_pb2.Session]
    ) -> AsyncGenerator[session_pb2.SessionEvent, None]:
        """Yield the events after ``after`` and those to come.

        A watcher that has missed some, or begins, is shown the session as it is now first, under the number of the
        newest event. :class:`DrainingError` when the server shuts down first.
        """
        while True:
            if not self._kept or self._kept[0].sequence > after + 1 or after > self._sequence:
                current = session_pb2.SessionEvent(sequence=self._sequence, session_changed=snapshot())
                current.time.FromDatetime(self._now())
                after = self._sequence
                yield current
            while True:
                fresh = [event for event in self._kept if event.sequence > after]
                if fresh and fresh[0].sequence > after + 1:
                    break  # fell behind: show the session again
                for event in fresh:
                    after = event.sequence
                    yield event
                if not fresh:
                    if self.ended:
                        return
                    if self._draining:
                        raise DrainingError("the server is shutting down", retry_delay=1.0)
                    await self.bell.wait()
