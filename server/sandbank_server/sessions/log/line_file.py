"""An append-only file of lines that stays whole, whatever the disk does.

What must be there before something else happens is appended, or refused. What has happened already is noted: a line
that the disk refuses is kept in memory and written, in its place, before any other, once there is room again.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator

import structlog

KEPT_LINES = 4096
"""Lines kept back at most. Nothing is dispatched while one is, so no more than a session's queue can end meanwhile."""

LINE_BYTES = 1 << 20
"""Longest line that is read again at its place."""

_log = structlog.get_logger("sandbank.session")


class LogFile:
    """One file. Not thread-safe. ``on_written(key, place)`` is told where a line that was kept back lies at last."""

    def __init__(self, path: str, on_written: Callable[[str, int], None], *, readonly: bool = False) -> None:
        """Open the file, making it unless ``readonly``. OSError when that fails."""
        self.path = path
        self._on_written = on_written
        self._readonly = readonly
        self._kept: deque[tuple[str, bytes]] = deque()
        self._size = 0
        self._released = False
        flags = os.O_RDONLY if readonly else os.O_RDWR | os.O_CREAT
        self._descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield the place and content of every whole line; a torn last one, of a killed machine, is cut off."""
        self._size = 0
        with open(os.dup(self._descriptor), "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                yield self._size, line
                self._size += len(line)
        if not self._readonly:
            os.ftruncate(self._descriptor, self._size)

    def append(self, line: bytes) -> int:
        """Write a line after all others and return its place. OSError when the disk refuses; nothing is left then."""
        if self._descriptor < 0 and self._released:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            self._released = False
        if self._kept:
            self.flush()
        try:
            written = os.pwrite(self._descriptor, line, self._size)
        except OSError:
            written = -1
        if written != len(line):
            # Half a line on a full disk: cut it off, so that the next one is not glued to it.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise OSError("the operation log cannot be written")
        at = self._size
        self._size += written
        return at

    def note(self, line: bytes, key: str = "") -> int:
        """Write a line, or keep it until the disk takes it; return its place, -1 while it is kept.

        Of a file that is only read it is not kept either.
        """
        if self._readonly:
            return -1
        try:
            return self.append(line)
        except OSError:
            if len(self._kept) >= KEPT_LINES:
                _log.error("a line of an operation log is lost: the disk refuses it", path=self.path)
                return -1
            if not self._kept:
                _log.error("an operation log cannot be written; its lines are kept in memory", path=self.path)
            self._kept.append((key, line))
            return -1

    @property
    def behind(self) -> bool:
        """Whether lines are kept back."""
        return bool(self._kept)

    def flush(self) -> None:
        """Write what was kept back. OSError as long as the disk refuses."""
        kept, self._kept = self._kept, deque()
        try:
            while kept:
                key, line = kept[0]
                at = self.append(line)
                kept.popleft()
                self._on_written(key, at)
        finally:
            self._kept = kept
        _log.info("an operation log is written again", path=self.path)

    def read(self, at: int) -> bytes:
        """Return the line at a place, without its end; also after :meth:`close`. OSError when it is not to be had."""
        if self._descriptor >= 0:
            return os.pread(self._descriptor, LINE_BYTES, at).split(b"\n", 1)[0]
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, LINE_BYTES, at).split(b"\n", 1)[0]
        finally:
            os.close(descriptor)

    def duplicate(self) -> int:
        """Return a descriptor of the file, to be closed, when nothing is kept back. OSError."""
        if self._kept:
            self.flush()
        if self._descriptor >= 0:
            return os.dup(self._descriptor)
        return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def release(self) -> None:
        """Give the descriptor back until the next line is written; a file that is behind keeps it."""
        if self._descriptor >= 0 and not self._kept:
            os.close(self._descriptor)
            self._descriptor = -1
            self._released = True

    def close(self) -> None:
        """Close the file, after a last try to write what was kept back. Idempotent."""
        self._released = False
        if self._descriptor < 0:
            return
        if self._kept:
            with contextlib.suppress(OSError):
                self.flush()
        if self._kept:
            _log.error("lines of an operation log are lost", path=self.path, lines=len(self._kept))
            self._kept.clear()
        os.close(self._descriptor)
        self._descriptor = -1

    def delete(self) -> None:
        """Close and remove the file."""
        self._kept.clear()
        self.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
