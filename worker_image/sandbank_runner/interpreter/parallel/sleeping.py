"""``time.sleep`` that an interrupt of its operation wakes: a thread that sleeps in C code would sleep on.

Operations get it in the place of the original, in :mod:`time` and in their names; what they bind of it is the original
again once it is merged.
"""

from __future__ import annotations

import time
from _thread import allocate_lock
from collections.abc import Callable
from typing import Any, Final

from sandbank_runner.interpreter.parallel import current
from sandbank_runner.interpreter.sealed import seal

seal(globals())

original: Final = time.sleep
_monotonic = time.monotonic
_find: Callable[[], Any] = current.namespace_operation
_LONGEST: Final = 3600.0
"""Of one wait: a lock does not take any number."""


def sleep(seconds: Any, /) -> None:
    """Delay execution for a given number of seconds, which may be a fraction."""
    operation = _find()
    if operation is None or type(seconds) not in (int, float) or not 0 < seconds < float("inf"):
        return original(seconds)
    end = _monotonic() + seconds
    lock = allocate_lock()
    lock.acquire()
    wake = _Wake(lock)
    operation.wakers.append(wake)
    try:
        while (left := end - _monotonic()) > 0:
            # Woken by the interrupt, whose exception is raised on the way back to this loop.
            lock.acquire(timeout=min(left, _LONGEST))
    finally:
        operation.wakers.remove(wake)
    return None


sleep.__module__, sleep.__qualname__ = "time", "sleep"


class _Wake:
    __slots__ = ("_lock",)

    def __init__(self, lock: Any) -> None:
        self._lock = lock

    def __call__(self) -> None:
        if self._lock.locked():
            self._lock.release()


def cover() -> None:
    """Operations run beside each other."""
    if time.sleep is original:
        time.sleep = sleep


def uncover() -> None:
    """None does."""
    if time.sleep is sleep:
        time.sleep = original
