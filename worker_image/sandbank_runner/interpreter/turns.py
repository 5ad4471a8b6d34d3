"""The order of what goes out by different ways: two pipes and the channel.

Their reader sees each in order but not which of two came first. So whoever writes where somebody else wrote last waits
until the reader has taken that: a moment, for a reader that is slow must not stop user code for long. A fifth of a
second at most, and where that was in vain, 20 ms each time until the reader is back. Only what Python code writes takes
turns; what C code and child processes write is not seen here.
"""

from __future__ import annotations

import fcntl
import time
from array import array
from collections.abc import Mapping
from termios import FIONREAD, TIOCOUTQ
from typing import Final

from sandbank_runner.interpreter.sealed import seal

seal(globals())

CHANNEL: Final = 0
"""Whose turn it is besides 1 and 2, the pipes."""

_FIRST_PAUSE_SECONDS: Final = 0.00005
_LARGEST_PAUSE_SECONDS: Final = 0.001
_BOUND_SECONDS: Final = 0.2
_BOUND_IN_VAIN_SECONDS: Final = 0.020

_ioctl, _sleep, _clock = fcntl.ioctl, time.sleep, time.monotonic


class Turns:
    """Whose turn it was last, and how to see whether the reader has taken it."""

    __slots__ = ("_bound", "_count", "_last", "_queues")

    def __init__(self, channel: int, pipes: Mapping[int, int]) -> None:
        """``pipes`` has descriptors of the write ends of pipes 1 and 2 that user code does not redirect."""
        self._queues = {CHANNEL: (channel, TIOCOUTQ)}
        self._queues.update((number, (descriptor, FIONREAD)) for number, descriptor in pipes.items())
        self._count = array("i", [0])
        self._last = CHANNEL
        self._bound = _BOUND_SECONDS

    def take(self, who: int) -> None:
        """Wait for the reader where another wrote last; then it is the turn of ``who``."""
        last = self._last
        if last == who:
            return
        self._last = who
        descriptor, request = self._queues[last]
        pause = _FIRST_PAUSE_SECONDS
        give_up = 0.0
        while self._waiting(descriptor, request):
            now = _clock()
            if not give_up:
                give_up = now + self._bound
            elif now >= give_up:
                self._bound = _BOUND_IN_VAIN_SECONDS
                return
            _sleep(pause)
            pause = min(2 * pause, _LARGEST_PAUSE_SECONDS)
        self._bound = _BOUND_SECONDS

    def _waiting(self, descriptor: int, request: int) -> bool:
        try:
            _ioctl(descriptor, request, self._count)
        except Exception:  # user code closed it, or has an audit hook that minds
            return False
        return self._count[0] > 0
