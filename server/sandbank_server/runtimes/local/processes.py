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
    group: int
    session: int
    state: str
    start_ticks: int

    def process(self) -> Process:
        return Process(self.pid, self.start_ticks, boot_id())


def _stat(pid: int) -> _Stat | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name is in parentheses and may hold anything, parentheses too.
            fields = file.read().rpartition(b")")[2].split()
        parent, group, session = (int(field) for field in fields[1:4])
        return _Stat(pid, parent, group, session, fields[0].decode(), int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None


def _all() -> Iterator[_Stat]:
    """Yield all processes, the newest first: what forks on and on is met before it has gone further."""
    for pid in sorted((int(name) for name in os.listdir("/proc") if name.isdecimal()), reverse=True):
        if (line := _stat(pid)) is not None:
            yield line


def descendants(root: int) -> list[Process]:
    """Return the living descendants of a process."""
    return [line.process() for line in _descendants(root) if line.state not in _DEAD]


def _descendants(root: int) -> list[_Stat]:
    """Return the descendants of a process, the dead too: they lead to the living, as parents and by their groups."""
    children: dict[int, list[_Stat]] = {}
    for line in _all():
        children.setdefault(line.parent, []).append(line)
    found: list[_Stat] = []
    waiting = [root]
    while waiting:
        for line in children.get(waiting.pop(), ()):
            waiting.append(line.pid)
            found.append(line)
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
        line.process() for line in _others() if _read(line.pid, "cmdline").split(b"\0")[-2:-1] == [wanted]
    ]


def find_by_variable(setting: str) -> list[Process]:
    """Return the processes that were executed with ``NAME=value`` in their environment, and their forks.

    Only those that the kernel lets this user look into: not the non-dumpable ones of a user who is not root.
    """
    return [line.process() for line in _with_variable(setting)]


def _with_variable(setting: str) -> Iterator[_Stat]:
    wanted = setting.encode()
    return (line for line in _others() if wanted in _read(line.pid, "environ").split(b"\0"))


def _others() -> Iterator[_Stat]:
    own = os.getpid()
    return (line for line in _all() if line.pid != own and line.state not in _DEAD)


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
    ended = _end(lambda: _descendants(root.pid) if root.alive() else (), seconds)
    root.signal(signal.SIGKILL)
    deadline = time.monotonic() + seconds
    while root.alive() and time.monotonic() < deadline:
        time.sleep(_ROUND_SECONDS)
    return ended and not root.alive()


def end_marked(setting: str, seconds: float) -> bool:
    """Kill those that :func:`find_by_variable` finds; return False when some are left after ``seconds``."""
    return _end(lambda: _with_variable(setting), seconds)


def _end(look: Callable[[], Iterable[_Stat]], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    empty = 0
    while True:
        found = False
        for line in look():  # each as soon as it is seen
            _kill_group(line)
            if line.state not in _DEAD:
                found = True
                line.process().signal(signal.SIGKILL)
        empty = 0 if found else empty + 1
        if empty == _EMPTY_LOOKS:
            return True
        if found and time.monotonic() > deadline:
            return False
        # A killed process takes a moment to go; this is not the event loop's thread.
        time.sleep(_ROUND_SECONDS)


def _kill_group(line: _Stat) -> None:
    """Kill the process group of one that is to die, at one blow: no fork gets past it, however fast it forks.

    Groups lie within sessions, and a sandbox is a session of its own, as is whatever leaves it: so nobody else is in
    them. A process of the caller's own session, which a supervisor never is, dies alone.
    """
    if line.group > 1 and line.session != os.getsid(0):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(line.group, signal.SIGKILL)
