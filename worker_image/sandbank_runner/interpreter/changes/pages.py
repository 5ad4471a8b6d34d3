"""What the kernel knows of an operation's writes.

A page of private memory that a process shares with a copy of it, forked earlier, is copied when one of them writes to
it. So ``/proc/self/pagemap`` tells, without privileges, of a page that is still shared (bit 56, "exclusively mapped",
is clear) that it was not written to since a fork. That is proof that an operation left the page alone, if no fork came
after it wrote: a page of our own, the canary, is written to before each operation. If the canary is shared at its end,
the operation forked a process that is still there, or the kernel has no such bit, and nothing is believed. Which copy a
page is shared with, a snapshot or a process of the user's, new or old, does not matter then, nor which of them is dead.

Nor is anything believed if somebody else may have written between the end of the last look and the operation: there
was another thread. Not shared is never taken for written: it is only not known. Memory that the kernel gave anew reads
as zeros and may look shared: see :mod:`buffers`.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
from typing import Any, Final

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.snapshots.kernel import contents, opened

seal(globals())

PAGE_BYTES: Final = mmap.PAGESIZE
_ENTRY_BYTES: Final = 8
_HIGH: Final = 7
"""The byte of an entry with the bits 56 to 63."""
_EXCLUSIVE: Final = b"\x81"
_runs_not_shared: Any = re.compile(rb"[^\x80]+").finditer
"""Shared is exactly 0x80: present, and not exclusive, write-protected, a guard, of a file or shared memory, swapped."""
_PAGEMAP: Final = b"/proc/self/pagemap"
_READ_PAGES: Final = 1 << 16
_preadv, _close = os.preadv, os.close
_PRIVATE: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_entries: Final = memoryview(mmap.mmap(-1, _READ_PAGES * _ENTRY_BYTES, flags=_PRIVATE))
"""Where entries are read into: what is allocated while they are read could come to a page that is asked about. The
kernel gives it page by page, as far as it is needed."""
_own_memory: Any = mmap.mmap(-1, PAGE_BYTES, flags=_PRIVATE)
"""Never unmapped. Made in the template: each interpreter has its own copy, by the first write."""
_view: Any = (ctypes.c_char * PAGE_BYTES).from_buffer(_own_memory)
_canary: Final[int] = ctypes.addressof(_view)


def thread_count() -> int:
    """Return how many threads there are, those that Python does not list included. Raises OSError."""
    return int(contents(b"/proc/self/stat").rsplit(b")", 1)[1].split()[17])


def is_alone() -> bool:
    """Tell whether there is no other thread; False where that cannot be seen."""
    try:
        return thread_count() == 1
    except Exception:  # an audit hook of the user's, too
        return False


def mark() -> None:
    """An operation is about to begin: what is written from here on is written after this."""
    _view[0] = b"\1" if _view[0] == b"\0" else b"\0"


class Pages:
    """What can be known at the end of an operation. To be closed; the descriptor is that of this process only."""

    def __init__(self, *, usable: bool, pagemap: bytes = _PAGEMAP) -> None:
        """``usable``: nothing but us has run between the last look and :func:`mark`."""
        self._descriptor = -1
        self.are_believed = False
        if usable:
            try:
                self._descriptor = opened(pagemap)
                self.are_believed = bytes(self._high_bytes(_canary // PAGE_BYTES, 1)) == _EXCLUSIVE
            except Exception:  # noqa: S110 - an audit hook of the user's, too: there is no evidence then
                pass

    def close(self) -> None:
        """Let go of the descriptor."""
        if self._descriptor >= 0:
            _close(self._descriptor)
            self._descriptor = -1
        self.are_believed = False

    def doubtful(self, address: int, size: int) -> list[tuple[int, int]]:
        """Return the parts of a piece of memory that may have been written to: where each begins and ends.

        To be asked before anything is looked at: looking writes. Raises OSError.
        """
        first = address // PAGE_BYTES
        count = (address + size - 1) // PAGE_BYTES - first + 1
        offset = address % PAGE_BYTES
        found: list[tuple[int, int]] = []
        for begin in range(0, count, _READ_PAGES):
            high = self._high_bytes(first + begin, min(_READ_PAGES, count - begin))
            for run in _runs_not_shared(high):
                start, end = run.span()
                found.append((
                    max((begin + start) * PAGE_BYTES - offset, 0),
                    min((begin + end) * PAGE_BYTES - offset, size),
                ))  # fmt: skip
        return found

    def _high_bytes(self, page: int, count: int) -> memoryview | bytes:
        length = count * _ENTRY_BYTES
        if _preadv(self._descriptor, [_entries[:length]], page * _ENTRY_BYTES) != length:
            raise OSError("no such memory")
        return bytes(_entries[_HIGH:length:_ENTRY_BYTES])
