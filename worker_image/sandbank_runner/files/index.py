"""What lies in a workspace, file by file: taken before and after, it tells what was changed (see ``changes.py``).

A file counts as changed when its inode, size or time of modification is another. Where the kernel's clock of files is
coarse (a tick of 1 to 10 ms, before Linux 6.13), a second change within the tick shows in none of them: of files that
are as young as that, a digest is kept too, as far as they are small. Not seen are writes through a shared mapping: in
memory file systems they change no time, in others not at once.

Lives beside user code too: what it calls was looked up before user code runs, and its builtins are its own.
"""

from __future__ import annotations

import builtins
import errno
import os
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

globals()["__builtins__"] = dict(vars(builtins))  # as interpreter/sealed.py, which imports the interpreter

Signature = tuple[int, int, int, int, int, int]
"""Of a file: mode, inode, size, mtime_ns, ctime_ns, links. Of a directory only mode and inode, then zeros."""

ENTRIES: Final = 100_000
"""Most entries that an index holds."""

_YOUNG_BYTES: Final = 256 * 1024
"""Largest young file that is read."""
_ALL_YOUNG_BYTES: Final = 1024 * 1024
"""What is read of young files for one index."""
_YOUNG_FILES: Final = 100
"""How many of them are read."""

_open, _close, _dup, _read, _scandir = os.open, os.close, os.dup, os.read, os.scandir
_listdir, _fstat = os.listdir, os.fstat
_clock: Callable[[int], int] = time.clock_gettime_ns
_COARSE_CLOCK: Final = 5  # CLOCK_REALTIME_COARSE: what file systems stamp with
_KIND, _DIRECTORY, _REGULAR = 0o170000, 0o040000, 0o100000
_TO_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOATIME
_HIDING: Final = frozenset((errno.EACCES, errno.ENAMETOOLONG))

OpenDirectory = Callable[[str], int]
"""Opens a directory to list it, by its path in the workspace, which ends in a slash or is empty. OSError."""


class Index:
    """The workspace at one moment. Made by :func:`take`."""

    __slots__ = ("again", "closed", "count", "directories", "truncated", "young")

    def __init__(self) -> None:
        self.directories: dict[str, dict[str, Signature]] = {}
        """Entries by name, by the path of their directory as :data:`OpenDirectory` takes it."""
        self.closed: set[str] = set()
        """Directories that could not be read: nothing is known of what is below them."""
        self.young: dict[str, bytes] = {}
        """Files that may change once more without a sign, and their digests; empty where one was not read."""
        self.again: dict[str, bytes] = {}
        """Digests of what was young in the index before and has the same signature still."""
        self.count = 0
        self.truncated = False
        """There is more than it holds."""

    def find(self, path: str) -> Signature | None:
        """Return what lies at ``path``."""
        parent, slash, name = path.rpartition("/")
        return self.directories.get(parent + slash, {}).get(name)


def take(workspace: str, before: Index | None = None, limit: int = ENTRIES) -> Index:
    """Look at the workspace, to be compared with ``before``. Raises OSError where its top cannot be read."""
    top = _open(workspace, _TO_LIST)
    try:
        return _take(lambda path: _open(path, _TO_LIST, dir_fd=top) if path else _dup(top), before, limit)
    finally:
        _close(top)


def _take(open_directory: OpenDirectory, before: Index | None, limit: int) -> Index:
    index = walk(open_directory, limit)
    if index.young:
        index.young = _digests(index, list(index.young), open_directory)
    if before is not None and before.young:
        same = [path for path in before.young if index.find(path) == before.find(path)]
        index.again = _digests(index, same, open_directory)
    return index


def walk(open_directory: OpenDirectory, limit: int = ENTRIES) -> Index:
    """Do the same through a function that opens directories, and without digests. Links are not followed."""
    index = Index()
    now = _clock(_COARSE_CLOCK)
    waiting = [""]
    while waiting:
        path = waiting.pop()
        try:
            descriptor = open_directory(path)
        except OSError as error:
            if not path:
                raise
            if error.errno in _HIDING:
                index.closed.add(path)
            continue  # gone meanwhile, or something else by now
        try:
            index.directories[path] = {}
            _list(index, path, descriptor, waiting, now, limit - index.count)
        finally:
            _close(descriptor)
        index.count += len(index.directories[path])
        if index.count > limit:
            index.truncated = True
            break
    return index


def _list(index: Index, path: str, descriptor: int, waiting: list[str], now: int, room: int) -> None:
    """Look at one directory, and stop with the first entry for which there is no room."""
    found, young = index.directories[path], index.young
    with _scandir(descriptor) as entries:
        for entry in entries:
            if len(found) > room:
                return
            name = entry.name
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError as error:  # gone meanwhile, or not to be looked at without the right to search
                if error.errno in _HIDING:
                    index.closed.add(path)
                continue
            mode = status.st_mode
            if mode & _KIND == _DIRECTORY:
                found[name] = (mode, status.st_ino, 0, 0, 0, 0)
                waiting.append(f"{path}{name}/")
                continue
            changed = status.st_ctime_ns
            found[name] = (mode, status.st_ino, status.st_size, status.st_mtime_ns, changed, status.st_nlink)
            if changed >= now and mode & _KIND == _REGULAR:
                young[path + name] = b""


def _digests(index: Index, paths: list[str], open_directory: OpenDirectory) -> dict[str, bytes]:
    room = _ALL_YOUNG_BYTES
    digests = dict.fromkeys(paths, b"")
    open_here = _open_here() if paths else frozenset()
    for path in paths[:_YOUNG_FILES]:
        signature = index.find(path)
        if signature is not None and signature[1] in open_here:
            continue
        size = signature[2] if signature is not None else room
        if size >= min(room, _YOUNG_BYTES):
            continue
        room -= size
        digests[path] = _digest(path, open_directory)
    return digests


def _open_here() -> frozenset[int]:
    """Return the inodes of what this process has open: closing another descriptor of one drops its ``fcntl`` locks."""
    found = set()
    for name in _listdir("/proc/self/fd"):
        try:
            found.add(_fstat(int(name)).st_ino)
        except OSError:
            continue  # the one it was listed by
    return frozenset(found)


def _digest(path: str, open_directory: OpenDirectory) -> bytes:
    parent, slash, name = path.rpartition("/")
    try:
        directory = open_directory(parent + slash)
        try:
            descriptor = _open(name, _TO_READ, dir_fd=directory)
        finally:
            _close(directory)
        try:
            return blake2b(_read(descriptor, _YOUNG_BYTES), digest_size=16).digest()
        finally:
            _close(descriptor)
    except OSError:
        return b""
