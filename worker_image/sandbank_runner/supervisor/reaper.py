"""Reaping: PID 1 is the parent of every orphan, and dead children count against the process limit until reaped.

All children are reaped as they die, whoever they were; whoever watches one is told its wait status.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import OrderedDict
from collections.abc import Callable, Iterator

_REMEMBERED = 1024
"""Statuses kept of the dead that nobody has asked for yet: a process may die before its watcher knows its
pid."""


def reap() -> Iterator[tuple[int, int]]:
    """Reap what is dead now; yield (pid, wait status). Never blocks."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def is_living_child(pid: int) -> bool:
    """Say whether ``pid`` is a child of the caller that has not been reaped and has not died; reaps nothing."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


class Reaper:
    """Reaps on SIGCHLD, on the event loop. ``reaped`` counts all."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.reaped = 0
        self._loop = loop
        self._watched: dict[int, Callable[[int], None]] = {}
        self._unclaimed: OrderedDict[int, int] = OrderedDict()

    def start(self) -> None:
        """Begin. What has died before is reaped at once."""
        self._loop.add_signal_handler(signal.SIGCHLD, self.collect)
        self.collect()

    def stop(self) -> None:
        """Leave children alone from here on."""
        self._loop.remove_signal_handler(signal.SIGCHLD)

    def knows(self, pid: int) -> bool:
        """Whether ``pid`` is a child, or was one of which nobody has asked yet how it ended."""
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except (ChildProcessError, OverflowError):
            return pid in self._unclaimed
        return True

    def watch(self, pid: int, on_exit: Callable[[int], None]) -> None:
        """Tell ``on_exit`` the wait status of child ``pid`` once, on the loop, also when it is dead already.

        For a process that died so long ago that its status is forgotten, it is told status 0.
        """
        status = self._unclaimed.pop(pid, None)
        # A remembered status of a number that lives is that of an earlier process: numbers are used again.
        if is_living_child(pid):
            self._watched[pid] = on_exit
        elif status is not None:
            self._loop.call_soon(on_exit, status)
        else:
            self._watched[pid] = on_exit
            self.collect()  # it is dead and waits to be reaped,
            if self._watched.pop(pid, None) is not None:
                self._loop.call_soon(on_exit, 0)  # or nobody's child any more

    def collect(self) -> None:
        """Reap what is dead now and tell those who watch."""
        for pid, status in reap():
            self.reaped += 1
            on_exit = self._watched.pop(pid, None)
            if on_exit is not None:
                self._loop.call_soon(on_exit, status)
                continue
            self._unclaimed[pid] = status
            self._unclaimed.move_to_end(pid)
            if len(self._unclaimed) > _REMEMBERED:
                self._unclaimed.popitem(last=False)


@contextlib.contextmanager
def held(pid: int) -> Iterator[int | None]:
    """Hold process ``pid`` by a descriptor, closed at the end; None when it is gone.

    The descriptor is readable once the process is dead, and ``signal.pidfd_send_signal`` by it never hits
    another process that was given the same number.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
