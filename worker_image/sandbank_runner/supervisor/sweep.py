"""Killing processes in local mode, where user code has no user of its own: by scans of ``/proc``.

In a container the template does it atomically instead (``sweep``).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection

from sandbank_runner.walls.processes import living, pids

_ROUNDS = 100
"""A chain of forks is caught in a handful; this is for one that is faster than the scan."""

_EMPTY_LOOKS = 3
"""Looks in a row that must find nothing: what forks on and on can be ahead of one reading of /proc."""


def kill_descendants(keep: Collection[int], root: int | None = None) -> int:
    """Kill every descendant of ``root`` (default: the caller) not in ``keep``; return how many were left.

    The caller must be a child subreaper, so that what was orphaned is its descendant still, and reap
    afterwards: what is dead and not reaped does not count. 0 but for something that forks faster than it can
    be found.
    """
    return _kill_until_none(lambda: _descendants(os.getpid() if root is None else root), keep)


def kill_others(spare: Collection[int], keep: Collection[tuple[int, int]]) -> int:
    """Kill every descendant of the caller but the pids ``spare`` and the older ones ``keep``; likewise.

    ``keep`` has pids with their start times: one that has died since may have left its pid to another. ``spare`` is
    for what the caller has not reaped, which keeps its own: the template, sleepers, file helpers.
    """
    kept = frozenset(keep)

    def found() -> set[int]:
        return {
            pid
            for pid in _descendants(os.getpid())
            if (process := living(pid)) is not None and (pid, process.start_time) not in kept
        }

    return _kill_until_none(found, spare)


def kill_marked(mark: str, keep: Collection[int]) -> int:
    """Kill every process that was executed with ``mark`` (``NAME=value``) in its environment; likewise.

    For what its supervisor has left behind. Code that empties the environment of what it starts hides it from
    this.
    """
    return _kill_until_none(lambda: _marked(mark.encode()), keep)


def _kill_until_none(find: Callable[[], set[int]], keep: Collection[int]) -> int:
    left: set[int] = set()
    empty = 0
    for _ in range(_ROUNDS):
        left = find().difference(keep)
        empty = 0 if left else empty + 1
        if empty == _EMPTY_LOOKS:
            return 0
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
    return len(left)


def _descendants(root: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for process in filter(None, map(living, pids())):
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in found:
                found.add(pid)
                waiting.append(pid)
    return found


def _marked(mark: bytes) -> set[int]:
    found = set()
    for pid in pids():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if mark in file.read(1 << 20).split(b"\0") and living(pid) is not None:
                found.add(pid)
    return found
