"""Processes as /proc shows them: told apart from later ones with the same number, found, ended with theirs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

_DEAD = frozenset("ZX")
_ROUND_SECONDS = 0.002
_READ_BYTES = 1 << 20
_EMPTY_LOOKS = 3
"""Looks in a row that must find nothing: what forks on and on can be ahead of one reading of /proc, hardly of three."""


@cache
def boot_id() -> str:
    """Return what tells this start of the machine from others: numbers and start times repeat."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


@dataclass(frozen=True, slots=True)
class Process:
    """One process; ``start_ticks`` since the machine's start, so that a reused number is noticed."""

    pid: int
    start_ticks: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return the process that has the number now, or None when it is dead."""
        line = _stat(pid)
        return None if line is None or line.state in _DEAD else cls(pid, line.start_ticks, boot_id())

    def alive(self) -> bool:
        """Return whether it still runs; a zombie does not."""
        return Process.of(self.pid) == self

    def signal(self, number: int) -> None:
        """Send a signal to this process and to no later one with its number; nothing when it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # From here on the descriptor means one process, whichever it is: this one, if it is alive now.
            if self.alive():
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


class _Stat(NamedTuple):
    pid: int
    parent: int
    state: str
    start_ticks: int


def _stat(pid: int) -> _Stat | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name is in parentheses and may hold anything, parentheses too.
            fields = file.read().rpartition(b")")[2].split()
        return _Stat(pid, int(fields[1]), fields[0].decode(), int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None


def _all() -> Iterator[_Stat]:
    """Yield all processes, the newest first: what forks on and on is met before it has gone further."""
    for pid in sorted((int(name) for name in os.listdir("/proc") if name.isdecimal()), reverse=True):
        if (line := _stat(pid)) is not None:
            yield line


def descendants(root: int) -> list[Process]:
    """Return the living descendants of a process."""
    children: dict[int, list[_Stat]] = {}
    for line in _all():
        children.setdefault(line.parent, []).append(line)
    found: list[Process] = []
    waiting = [root]
    while waiting:
        for line in children.get(waiting.pop(), ()):
            # The dead lead to the living: a parent may have died after its child was looked at.
            waiting.append(line.pid)
            if line.state not in _DEAD:
                found.append(Process(line.pid, line.start_ticks, boot_id()))
    return found


def inherited_descriptors() -> list[int]:
    """Return this process's descriptors that a new program would get, beside the first three.

    Python's own close themselves; these were open when it started: a pipe of whoever started it, say, who
    would wait for its end as long as any sandbox lives.
    """
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the directory's own is closed by now
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return found


def find_by_argument(argument: str) -> list[Process]:
    """Return the processes whose last argument is ``argument``."""
    wanted = argument.encode()
    return [
        process for process in _processes() if _read(process.pid, "cmdline").split(b"\0")[-2:-1] == [wanted]
    ]


def find_by_variable(setting: str) -> list[Process]:
    """Return the processes that were executed with ``NAME=value`` in their environment, and their forks.

    Only those that the kernel lets this user look into: not the non-dumpable ones of a user who is not root.
    """
    return list(_with_variable(setting))


def _with_variable(setting: str) -> Iterator[Process]:
    wanted = setting.encode()
    return (process for process in _processes() if wanted in _read(process.pid, "environ").split(b"\0"))


def _processes() -> Iterator[Process]:
    own = os.getpid()
    return (
        Process(line.pid, line.start_ticks, boot_id())
        for line in _all()
        if line.pid != own and line.state not in _DEAD
    )


def _read(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read(_READ_BYTES)
    except OSError:
        return b""


def end_tree(root: Process, seconds: float) -> bool:
    """Kill a subreaper and all its descendants; return False when some are left after ``seconds``.

    The subreaper is stopped first and dies last: until then whatever its descendants fork, and whatever loses
    its parent, is still its descendant and is found by the next look.
    """
    root.signal(signal.SIGSTOP)
    ended = _end(lambda: descendants(root.pid) if root.alive() else (), seconds)
    root.signal(signal.SIGKILL)
    return _end(lambda: (root,) if root.alive() else (), seconds) and ended


def end_marked(setting: str, seconds: float) -> bool:
    """Kill those that :func:`find_by_variable` finds; return False when some are left after ``seconds``."""
    return _end(lambda: _with_variable(setting), seconds)


def _end(look: Callable[[], Iterable[Process]], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    empty = 0
    while True:
        found = False
        for process in look():  # each as soon as it is seen
            found = True
            process.signal(signal.SIGKILL)
        empty = 0 if found else empty + 1
        if empty == _EMPTY_LOOKS:
            return True
        if found and time.monotonic() > deadline:
            return False
        # A killed process takes a moment to go; this is not the event loop's thread.
        time.sleep(_ROUND_SECONDS)
