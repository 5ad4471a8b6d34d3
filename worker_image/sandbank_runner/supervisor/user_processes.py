"""The processes of user code beside the interpreter: which there are at a snapshot, and killing those that came later.

Most often there are none, and that is seen at a glance: the supervisor is a reaper of orphans, and alone takes names
off its list of children, so whatever user code has left behind is a child of its own or has an ancestor that is.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Sequence

Processes = tuple[tuple[int, int], ...]
"""(pid, start time) each; a pid alone may be somebody else's later."""


_BLOCK_BYTES = 64 * 1024


class UserProcesses:
    """``ours`` tells the living children of the supervisor that are no user code, or sleep."""

    def __init__(
        self,
        ours: Callable[[], set[int]],
        sweep_all: Callable[[], Awaitable[None]],
        sweep_others: Callable[[Sequence[tuple[int, int]]], Awaitable[None]],
    ) -> None:
        self.spared: Callable[[], set[int]] = set
        """Processes that work for us as user code, and outlive a sweep: candidates, writers."""
        self._ours = ours
        self._sweep_all = sweep_all
        self._sweep_others = sweep_others

    async def sweep_all(self) -> None:
        """Kill every process of user code but what is spared; sleepers too, unless there is such."""
        spared = self._spared()
        if spared:
            await self._sweep_others(spared)
        else:
            await self._sweep_all()

    def beside(self, interpreter: int) -> Processes:
        """Return what runs beside process ``interpreter``, which has one thread and nothing to do."""
        children = _children(os.getpid())
        own = _children(interpreter)
        if children is not None and own is not None:
            others = children - self._ours() - {interpreter}
            if not others and not own:
                return ()
        spared = {*self._ours(), interpreter, os.getpid()}
        return tuple(
            (pid, start)
            for pid in _descendants(os.getpid())
            if pid not in spared and (start := start_time(pid)) is not None
        )

    async def sweep_others(self, keep: Processes) -> None:
        """Kill all but ``keep`` and what sleeps; the interpreter is dead already."""
        if not keep:
            children = _children(os.getpid())
            if children is not None and children <= self._ours():
                return
        await self._sweep_others((*keep, *self._spared()))

    def _spared(self) -> Processes:
        return tuple((pid, start) for pid in self.spared() if (start := start_time(pid)) is not None)


def kill_below(leader: int) -> None:
    """Kill what the leader of a session has started, dead or alive, as far as that can be seen.

    What has left the session, and whose parent is dead, is found by the next sweep.
    """
    session = {int(name) for name in os.listdir("/proc") if name.isdigit() and _field(name, 3) == leader}
    for descendant in _descendants(leader) | session - {leader}:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(descendant, signal.SIGKILL)


def start_time(pid: int) -> int | None:
    """Return when a process began, in ticks of the kernel's clock; None where it is gone."""
    return _field(pid, 19)


def _children(pid: int) -> set[int] | None:
    """Return the children of the main thread of a process, the dead that wait to be reaped among them.

    None where the kernel does not tell, or the process is gone.
    """
    try:
        # A file object would ask for twice as much, and a snapshot that an operation waits for looks here twice.
        descriptor = os.open(f"/proc/{pid}/task/{pid}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        told = b""
        while block := os.read(descriptor, _BLOCK_BYTES):
            told += block
        return {int(child) for child in told.split()}
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _descendants(root: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (parent := _field(name, 1)) is not None:
            children.setdefault(parent, []).append(int(name))
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in found:
                found.add(pid)
                waiting.append(pid)
    return found


def _field(pid: int | str, number: int) -> int | None:
    """Return a field of a process's ``stat``, counted from the one after the name; None where it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return int(file.read(2000).rsplit(b")", 1)[1].split()[number])
    except (OSError, IndexError, ValueError):
        return None
