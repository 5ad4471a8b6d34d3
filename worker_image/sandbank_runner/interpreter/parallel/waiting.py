"""Waits of :mod:`threading` that an interrupt of the operation wakes.

Whoever waits for a condition (an event, a queue, a future, a semaphore) waits for a lock made for that one wait. The
lock that an operation gets is released by the interrupt too, and tells that apart from what was waited for.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock
from collections.abc import Callable
from typing import Any

from sandbank_runner.interpreter.parallel import current
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_find: Callable[[], Any] = current.namespace_operation
_NAME = "_allocate_lock"


class _Waiter:
    """The lock of one wait: taken when it is made, waited for, released once."""

    __slots__ = ("_is_released", "_is_taken", "_lock", "_operation")

    def __init__(self, operation: Any) -> None:
        self._operation = operation
        self._lock = allocate_lock()
        self._is_taken = False
        self._is_released = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not self._is_taken:
            self._is_taken = self._lock.acquire()
            return True
        if not blocking:
            return self._lock.acquire(blocking=False)
        wakers = self._operation.wakers
        wakers.append(self._wake)
        try:
            while self._lock.acquire(timeout=timeout):
                if self._is_released:
                    self._is_released = False
                    return True
                # Woken: the interrupt is raised on the way back to the wait.
            return False
        finally:
            wakers.remove(self._wake)

    def release(self) -> None:
        self._is_released = True
        if self._lock.locked():
            self._lock.release()

    def locked(self) -> bool:
        return self._lock.locked()

    def __enter__(
        self,
    ) -> bool:  # threading's own lock in a child that the operation forks is made by this too
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _wake(self) -> None:
        if self._lock.locked():
            self._lock.release()


def _allocate() -> Any:
    operation = _find()
    return allocate_lock() if operation is None else _Waiter(operation)


def cover() -> None:
    """Operations run beside each other. A module that is imported meanwhile takes the plain lock."""
    threading = sys.modules.get("threading")
    if getattr(threading, _NAME, None) is allocate_lock:
        setattr(threading, _NAME, _allocate)


def uncover() -> None:
    """None does."""
    threading = sys.modules.get("threading")
    if getattr(threading, _NAME, None) is _allocate:
        setattr(threading, _NAME, allocate_lock)
