"""Copies of files' contents: small ones as they are, others in one nameless file in memory. Holes stay holes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Final

from sandbank_runner.walls.numbers import number_of
from sandbank_runner.walls.system_calls import system_call

_SMALL_BYTES: Final = 4096
_PAGE: Final = 4096
_CHUNK_BYTES: Final = 1024 * 1024
_KEEP_SIZE, _PUNCH_HOLE = 1, 2

Extent = tuple[int, int, int]
"""Where in the file, how many bytes, where in the store."""


class NoRoom(Exception):
    """The copy would be over the store's bound; nothing of it was kept."""


class Copy:
    """One content. Lives as long as somebody holds it: ``holders`` counts them."""

    __slots__ = ("data", "extents", "holders", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.data = b""
        """All of it, where it is small; then there are no extents."""
        self.extents: list[Extent] = []
        self.holders = 1

    @property
    def kept_bytes(self) -> int:
        """What it takes."""
        return len(self.data) + sum(length for _, length, _ in self.extents)


class Copies:
    """The store. ``limit`` bounds what all copies together may take."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept_bytes = 0
        self.copied_bytes = 0
        """Ever."""
        self._memory = os.memfd_create("workspace", os.MFD_CLOEXEC)
        self._end = 0

    def close(self) -> None:
        """Let go of all copies."""
        os.close(self._memory)

    def add(self, descriptor: int) -> Copy:
        """Copy an open file. Raises :class:`NoRoom`, OSError."""
        size = os.fstat(descriptor).st_size
        copy = Copy(size)
        if size <= _SMALL_BYTES:
            data = _read(descriptor, 0, size)
            self._take(len(data))
            copy.data, copy.size = data, len(data)
        else:
            try:
                for start, end in _data(descriptor, size):
                    self._take(end - start)
                    copy.extents.append((start, end - start, self._end))
                    self._store(descriptor, start, end)
            except BaseException:
                self._discard(copy)
                raise
        self.copied_bytes += copy.kept_bytes
        return copy

    def hold(self, copy: Copy) -> Copy:
        """Hold a copy once more."""
        copy.holders += 1
        return copy

    def release(self, copy: Copy) -> None:
        """Let go of a copy; the memory of one that nobody holds is given back."""
        copy.holders -= 1
        if copy.holders == 0:
            self._discard(copy)

    def same(self, copy: Copy, descriptor: int) -> bool:
        """Tell whether an open file has this content."""
        if os.fstat(descriptor).st_size != copy.size:
            return False
        return all(now == then for _, now, then in self._compare(copy, descriptor))

    def write(self, copy: Copy, descriptor: int) -> int:
        """Give an open file this content; return how many bytes had to be written. Raises OSError."""
        if os.fstat(descriptor).st_size != copy.size:
            os.ftruncate(descriptor, copy.size)
        written = 0
        for at, now, then in self._compare(copy, descriptor):
            if now != then:
                _write(descriptor, then, at)
                written += len(then)
        return written

    def _compare(self, copy: Copy, descriptor: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield (where, bytes of the file, bytes of the copy) of all places where one of the two has data."""
        kept = [(start, start + length) for start, length, _ in copy.extents]
        if copy.data:
            kept.append((0, len(copy.data)))
        for start, end in _joined([*kept, *_data(descriptor, copy.size)]):
            for at in range(start, end, _CHUNK_BYTES):
                length = min(_CHUNK_BYTES, end - at)
                yield at, _read(descriptor, at, length), self._read_copy(copy, at, length)

    def _read_copy(self, copy: Copy, at: int, length: int) -> bytes:
        if copy.data:
            return copy.data[at : at + length]
        buffer = bytearray(length)
        view = memoryview(buffer)
        for start, count, where in copy.extents:
            first, last = max(start, at), min(start + count, at + length)
            if first < last:
                os.preadv(self._memory, [view[first - at : last - at]], where + first - start)
        return bytes(buffer)

    def _take(self, count: int) -> None:
        if self.kept_bytes + count > self.limit:
            raise NoRoom
        self.kept_bytes += count

    def _store(self, descriptor: int, start: int, end: int) -> None:
        where = self._end
        self._end += -(-(end - start) // _PAGE) * _PAGE
        for at in range(start, end, _CHUNK_BYTES):
            _write(self._memory, _read(descriptor, at, min(_CHUNK_BYTES, end - at)), where + at - start)

    def _discard(self, copy: Copy) -> None:
        self.kept_bytes -= copy.kept_bytes
        for _, length, where in copy.extents:
            # Whole pages: a copy begins at a page, and nothing else is in its last.
            pages = -(-length // _PAGE) * _PAGE
            system_call(number_of("fallocate"), self._memory, _PUNCH_HOLE | _KEEP_SIZE, where, pages)
        copy.data, copy.extents = b"", []
        if not self.kept_bytes:
            os.ftruncate(self._memory, 0)
            self._end = 0


def _data(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a file that are not holes."""
    at = 0
    while at < size:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing more but a hole
                return
            raise
        at = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        if start < at:
            yield start, at
        else:
            return


def _joined(ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    start = end = 0
    for first, last in sorted(ranges):
        if first > end:
            if end > start:
                yield start, end
            start = first
        end = max(end, last)
    if end > start:
        yield start, end


def _read(descriptor: int, at: int, length: int) -> bytes:
    """Read so many bytes, fewer where the file ends before."""
    parts = []
    while length:
        part = os.pread(descriptor, length, at)
        if not part:
            break
        parts.append(part)
        at += len(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _write(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, at)
        view, at = view[count:], at + count
