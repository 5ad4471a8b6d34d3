"""Which files somebody had open for writing: the kernel tells when the last of them has let go.

A write through a shared mapping changes no time that an index could see, in file systems in memory, but the file was
open for it. What was opened before the watch began and is still open is not told.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from typing import Final

from sandbank_runner.walls.numbers import number_of
from sandbank_runner.walls.system_calls import system_call

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x008, 0x040, 0x080
_OVERFLOW: Final = 0x4000
_EVENT = struct.Struct("=iIII")
_BUFFER_BYTES: Final = 64 * 1024


class Suspects:
    """Names that a file may have that was written without a sign; a directory's part of a path does not matter."""

    __slots__ = ("everyone", "names")

    def __init__(self) -> None:
        self.names: set[bytes] = set()
        self.everyone = False
        """More happened than the kernel could keep."""

    def __bool__(self) -> bool:
        return self.everyone or bool(self.names)

    def has(self, path: str) -> bool:
        """Tell whether a file of this path must be read to know what is in it."""
        return self.everyone or os.fsencode(path.rpartition("/")[2]) in self.names

    def add(self, others: Suspects) -> None:
        """Suspect these too."""
        self.names |= others.names
        self.everyone |= others.everyone

    def clear(self) -> None:
        """All of them were read."""
        self.names.clear()
        self.everyone = False


class Openings:
    """A watch over directories. Where the system has no room for all of it, everybody is suspected always.

    A user of the system has so many watches for all of its sandboxes (``fs.inotify.max_user_instances``, 128 on most):
    it is made when a first directory is to be watched.
    """

    def __init__(self) -> None:
        self._descriptor = -1
        self._blind = False

    def watch(self, directory: int) -> None:
        """Watch what is in an open directory, from now on."""
        if self._blind:
            return
        path = ctypes.create_string_buffer(b"/proc/self/fd/%d" % directory)
        mask = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO
        try:
            if self._descriptor < 0:
                self._descriptor = system_call(number_of("inotify_init1"), os.O_CLOEXEC | os.O_NONBLOCK)
            system_call(number_of("inotify_add_watch"), self._descriptor, ctypes.addressof(path), mask)
        except OSError as error:
            if error.errno != errno.ENOENT:  # it is gone: nothing in it can be opened
                self.close()
                self._blind = True

    def close(self) -> None:
        """End the watch."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def take(self, into: Iterable[Suspects]) -> None:
        """Take what was told since the last time, and add it to ``into``."""
        found = Suspects()
        found.everyone = self._blind
        while self._descriptor >= 0:
            try:
                data = os.read(self._descriptor, _BUFFER_BYTES)
            except OSError:  # nothing more
                break
            at = 0
            while at < len(data):
                _, mask, _, length = _EVENT.unpack_from(data, at)
                at += _EVENT.size
                found.everyone |= bool(mask & _OVERFLOW)
                if length:
                    found.names.add(data[at : at + length].rstrip(b"\0"))
                at += length
        for suspects in into:
            suspects.add(found)
