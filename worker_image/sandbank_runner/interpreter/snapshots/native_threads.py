"""Threads of libraries below Python that may be there at a snapshot: those of Arrow, while they have nothing to do.

Arrow keeps its threads for good once it has read a file. It is made for being forked: its handlers take its locks
before, and start its threads anew after. What the kernel tells of a thread shows whether it waits for work: by the
system call that it is in, and by what lies on its stack: the return addresses of nothing but the loop of a worker.
"""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from collections.abc import Iterable
from struct import Struct

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.snapshots.kernel import contents, opened
from sandbank_runner.walls.system_calls import MACHINE

seal(globals())

_modules = sys.modules
_pread, _close, _bisect = os.pread, os.close, bisect_right
_words = Struct("<Q").iter_unpack
_STACK_BYTES = 1024
"""Enough to see all of a thread that only waits, from where it is to where it began."""
_FUTEX, _READ = (b"202", b"0") if MACHINE == "x86_64" else (b"98", b"63")
_LIBRARIES = {b"libc": "c", b"libpthread": "c", b"libstdc++": "s", b"libarrow": "a"}
_WORKER = "csasc"
"""Waiting for a condition, in the worker's loop, in the thread that runs it."""
_RECEIVER = "asc"
"""Reading, in the loop of what tells Arrow of signals, in the thread that runs it."""
_NAME_AT = 5


def idle(threads: Iterable[int]) -> frozenset[int] | None:
    """Return the descriptors that the threads read from where all are Arrow's and wait for work, else None."""
    if _modules.get("pyarrow") is None:
        return None
    code = _Code()
    memory = opened(b"/proc/self/mem")
    try:
        descriptors: set[int] = set()
        for thread in threads:
            found = _waits(thread, memory, code)
            if found is None:
                return None
            descriptors.update(found)
        return frozenset(descriptors)
    finally:
        _close(memory)


def _waits(thread: int, memory: int, code: _Code) -> tuple[int, ...] | None:
    try:
        words = contents(b"/proc/self/task/%d/syscall" % thread).split()
        stack = _pread(memory, _STACK_BYTES, int(words[-2], 16))
    except (OSError, IndexError, ValueError):  # it runs, or has ended
        return None
    chain = code.on(stack)
    if words[0] == _FUTEX and chain == _WORKER:
        return ()
    return (int(words[1], 16),) if words[0] == _READ and chain == _RECEIVER else None


class _Code:
    """Where the code of this process lies, by library."""

    __slots__ = ("_ends", "_kinds", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._kinds: list[str] = []
        for line in contents(b"/proc/self/maps").splitlines():
            parts = line.split(None, _NAME_AT)
            if parts[1][2:3] == b"x":
                start, _, end = parts[0].partition(b"-")
                name = parts[_NAME_AT].rpartition(b"/")[2] if len(parts) > _NAME_AT else b""
                self._starts.append(int(start, 16))
                self._ends.append(int(end, 16))
                self._kinds.append(_LIBRARIES.get(name.partition(b".")[0].partition(b"-")[0], "?"))

    def on(self, stack: bytes) -> str:
        """Return whose code the addresses on a stack lead into, the same one in a row once."""
        chain = ""
        for (word,) in _words(stack[: len(stack) & ~7]):
            at = _bisect(self._starts, word) - 1
            if at >= 0 and word < self._ends[at] and chain[-1:] != self._kinds[at]:
                chain += self._kinds[at]
        return chain
