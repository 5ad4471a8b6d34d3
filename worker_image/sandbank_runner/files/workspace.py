"""Opening what lies beneath the workspace, whatever links lie there: ``openat2`` with RESOLVE_BENEATH.

The kernel follows links that stay beneath and fails with EXDEV on those that lead out, while it resolves:
there is no moment at which a link could be exchanged.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct

from sandbank_runner.files.problems import BAD_FIELD, FileProblem
from sandbank_runner.walls.numbers import number_of
from sandbank_runner.walls.system_calls import system_call

_NO_MAGIC_LINKS, _NO_LINKS, _BENEATH = 0x02, 0x04, 0x08
_ATTEMPTS = 64
"""EAGAIN: something on the way was renamed meanwhile. User code can do that for ever, but not to us."""

_FOR_READING = os.O_NONBLOCK | os.O_NOCTTY
"""Never wait for a fifo's other end. Unlike ``open``, this call refuses them together with O_PATH."""


class Workspace:
    """The directory of one session's files. ``descriptor`` is open for the life of the helper."""

    def __init__(self, path: str) -> None:
        """Open ``path``, the only one that is trusted. Raises OSError."""
        self._path = path
        self.descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._number = number_of("openat2")

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)

    def open_up(self) -> None:
        """Give the owner all rights to the workspace itself, which user code may have closed."""
        os.chmod(self._path, 0o700)

    def open(self, parts: list[bytes], flags: int, *, links: bool = True) -> int:
        """Open what ``parts`` lead to and return its descriptor. Never blocks, not even on a fifo. Raises OSError.

        Without ``links`` it is an error (ELOOP) where one of the parts is a link.
        """
        flags |= os.O_CLOEXEC | (0 if flags & os.O_PATH else _FOR_READING)
        path = ctypes.create_string_buffer(b"/".join(parts) or b".")
        resolve = _NO_MAGIC_LINKS | _BENEATH | (0 if links else _NO_LINKS)
        how = ctypes.create_string_buffer(struct.pack("QQQ", flags, 0, resolve))
        for attempt in range(_ATTEMPTS):
            try:
                return system_call(
                    self._number, self.descriptor, ctypes.addressof(path), ctypes.addressof(how), 24
                )
            except OSError as error:
                if error.errno != errno.EAGAIN or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def open_directory(self, parts: list[bytes]) -> int:
        """Return a descriptor that names the directory, for calls relative to it; it cannot be read."""
        return self.open(parts, os.O_PATH | os.O_DIRECTORY)

    def describe(self, parts: list[bytes]) -> os.stat_result:
        """Return the status of what is there; of a link itself when it is the last part."""
        descriptor = self.open(parts, os.O_PATH | os.O_NOFOLLOW)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def open_file(self, parts: list[bytes]) -> int:
        """Open a regular file to read. Raises OSError, and :class:`FileProblem` for everything else that may lie there.

        Looked at before it is opened, because opening alone wakes who waits at a fifo's other end.
        """
        for flags in (os.O_PATH, os.O_RDONLY):
            descriptor = self.open(parts, flags)
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                os.close(descriptor)
                what = "is a directory" if stat.S_ISDIR(mode) else "is no regular file"
                raise FileProblem(BAD_FIELD, f"path {what}")
            if flags == os.O_PATH:
                os.close(descriptor)
        return descriptor

    def make_directories(self, parts: list[bytes]) -> tuple[int, list[list[bytes]]]:
        """Make the directory ``parts`` and those above it; return its descriptor and the paths that were new.

        Raises OSError, and :class:`FileProblem` where something else is in the way. What was made until then
        is removed.
        """
        made: list[list[bytes]] = []
        directory = self.open_directory([])
        try:
            for count in range(1, len(parts) + 1):
                path = parts[:count]
                try:
                    following = self.open_directory(path)
                except FileNotFoundError:
                    os.mkdir(path[-1], 0o755, dir_fd=directory)
                    made.append(path)
                    following = self.open_directory(path)
                os.close(directory)
                directory = following
        except BaseException as error:
            os.close(directory)
            self.remove_directories(made)
            if isinstance(error, (FileExistsError, NotADirectoryError)):
                raise FileProblem(BAD_FIELD, "a part of the path is no directory") from None
            raise
        return directory, made

    def remove_directories(self, paths: list[list[bytes]]) -> None:
        """Remove directories that were made for nothing, the last first, as far as they are empty."""
        for path in reversed(paths):
            try:
                parent = self.open_directory(path[:-1])
                try:
                    os.rmdir(path[-1], dir_fd=parent)
                finally:
                    os.close(parent)
            except OSError:
                return
