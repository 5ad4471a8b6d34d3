"""The ladder by which an operation is stopped: soft interrupt, grace, kill. It belongs to one operation.

A new ladder is made for each operation and let go of at its end, so that a late cancel or timer cannot reach the next
one: the supervisor hands an operation to the interpreter only after the one before is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from sandbank_runner.supervisor.operations import Operation, Stop

_RETRY_SECONDS = 0.005
"""How soon to look again whether the interpreter can take the interrupt."""

_LARGEST_RETRY_SECONDS = 0.050

_FIRST_REPEAT_SECONDS = 0.020
"""How soon the interrupt is repeated, then at growing intervals.

One that comes between the interpreter's last look for signals and a system call that sleeps is noticed only when the
call ends; the next one ends the call. The interpreter takes repetitions within a second for the same interrupt.
"""


class Stoppable(Protocol):
    """What the ladder needs of an interpreter."""

    def interrupt(self) -> bool:
        """Interrupt user code softly; False where that cannot reach it now (SIGINT is blocked: it is not there)."""

    def kill(self, why: str) -> None:
        """End the interpreter, for a reason to be told."""


class Ladder:
    """Stops ``operation`` when its timeout is over or somebody wishes it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        operation: Operation,
        target: Stoppable,
        grace: float,
    ) -> None:
        self._loop = loop
        self._operation = operation
        self._target = target
        self._grace = grace
        self._give_up = 0.0
        self._timer: asyncio.TimerHandle | None = loop.call_later(operation.timeout, self.stop, Stop.TIMEOUT)

    def stop(self, reason: Stop) -> None:
        """Take the first step, unless it was taken already."""
        if self._timer is not None and self._operation.wish(reason):
            self._timer.cancel()
            self._give_up = self._loop.time() + self._grace
            self._interrupt(_RETRY_SECONDS)

    def release(self) -> None:
        """The operation is over: nothing more happens to the interpreter on its account."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _interrupt(self, retry: float) -> None:
        """Interrupt as soon as user code can be reached.

        The interpreter blocks SIGINT outside user code and forgets one that came meanwhile: sent before the code has
        begun, it would be lost and the whole grace would pass.
        """
        if self._target.interrupt():
            self._again(self._repeat, _FIRST_REPEAT_SECONDS)
        else:
            self._again(self._interrupt, min(retry, _LARGEST_RETRY_SECONDS))

    def _repeat(self, pause: float) -> None:
        self._target.interrupt()
        self._again(self._repeat, pause)

    def _again(self, step: Callable[[float], None], pause: float) -> None:
        """Take ``step`` after ``pause``, the next after twice as long; the last step when the grace is over."""
        left = self._give_up - self._loop.time()
        if left <= pause:
            self._timer = self._loop.call_later(max(left, 0.0), self._kill)
        else:
            self._timer = self._loop.call_later(pause, step, 2 * pause)

    def _kill(self) -> None:
        self._timer = None
        assert self._operation.stop is not None
        self._target.kill(self._operation.stop.value)
