"""What an operation used of the processor, and how large the process has been."""

from __future__ import annotations

import resource
import time

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_process_time = time.process_time
_getrusage = resource.getrusage
_SELF, _CHILDREN = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN


class Usage:
    """Measures one operation after the other."""

    __slots__ = ("_children", "_own")

    def __init__(self) -> None:
        self._own = 0.0
        self._children = _children_seconds()

    def reborn(self) -> None:
        """This is a new process: its children and its time count from zero."""
        self._own = _process_time()
        self._children = _children_seconds()

    def start(self) -> None:
        """Begin an operation. Children are counted when they are waited for: also those that ended since the last."""
        self._own = _process_time()

    def stop(self) -> tuple[float, int]:
        """Return (seconds of processor time with children, largest resident size of the process so far in bytes)."""
        own = _process_time() - self._own
        before, self._children = self._children, _children_seconds()
        return max(own + self._children - before, 0.0), peak_memory_bytes()


def peak_memory_bytes() -> int:
    """Return the largest resident size of the process so far."""
    return _getrusage(_SELF).ru_maxrss * 1024


def _children_seconds() -> float:
    used = _getrusage(_CHILDREN)
    return used.ru_utime + used.ru_stime
