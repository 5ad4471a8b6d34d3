"""The workspace's files as a checkpoint tells them: content by chunks, what has not changed by its signature."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

from sandbank_runner.files.restores import LAID
from sandbank_runner.interpreter.checkpoints.contents import Cargo, Content, read_content, signature_of
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.snapshots.kernel import contents

seal(globals())

ENTRIES: Final = 100_000
_TRIES: Final = 5
CHANGES: Final = "it was written to each time it was read"
CLOSED: Final = "it cannot be read"
NO_FILE: Final = "it is a socket, a FIFO or a device: what is behind it is not in the workspace"

_open, _close, _chmod, _access = os.open, os.close, os.chmod, os.access
_scandir, _readlink = os.scandir, os.readlink
_KIND, _DIRECTORY, _REGULAR, _LINK = 0o170000, 0o040000, 0o100000, 0o120000
_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_TO_LIST = os.R_OK | os.X_OK
_WRITABLE, _SHARED = (b"rw", b"-w"), b"s"


_Found = list[tuple[str, os.stat_result]]


class TooManyFiles(Exception):
    """The workspace has more entries than a checkpoint holds."""


class Tree:
    """The workspace while it is told."""

    def __init__(self, workspace: str, cargo: Cargo) -> None:
        self._workspace = workspace
        self._cargo = cargo
        self._count = 0
        self._mapped = _mapped()

    def entries(self, known: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield all entries, a directory before what is in it. ``known`` are those of the base, by path."""
        waiting = [("", self._list(""))]
        while waiting:
            parent, found = waiting.pop()
            for name, status in found:
                path = f"{parent}{name}"
                kind = status.st_mode & _KIND
                if not parent and name.startswith(LAID):
                    continue
                if kind == _DIRECTORY:
                    yield self._directory(path, status, waiting)
                elif kind == _LINK:
                    try:
                        yield {**_entry(path, status), "link": _readlink(self._at(path))}
                    except OSError:
                        continue  # gone meanwhile
                else:
                    entry = self._file(path, status, known.get(path))
                    if entry is not None:
                        yield entry

    def _directory(
        self, path: str, status: os.stat_result, waiting: list[tuple[str, _Found]]
    ) -> dict[str, Any]:
        """Return a directory's entry, and have what is in it wait for its turn."""
        try:
            if not _access(self._at(path), _TO_LIST):
                return _lost(path, status, CLOSED)
            waiting.append((f"{path}/", self._list(f"{path}/")))
        except OSError as error:
            return _lost(path, status, f"{CLOSED}: {error.strerror}")
        return _entry(path, status)

    def _list(self, parent: str) -> _Found:
        """Return what is in a directory, nothing where that is gone. OSError."""
        found: _Found = []
        try:
            with _scandir(self._at(parent)) as entries:
                for entry in entries:
                    try:
                        found.append((entry.name, entry.stat(follow_symlinks=False)))
                    except FileNotFoundError:
                        continue  # gone meanwhile
                    self._count += 1
                    if self._count > ENTRIES:
                        raise TooManyFiles(f"the workspace has more than {ENTRIES} files")
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(found, key=lambda each: each[0])

    def _at(self, path: str) -> str:
        return f"{self._workspace}/{path}"

    def _file(self, path: str, status: os.stat_result, known: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return a file's entry, None where it is gone. One that changes while it is read is read again."""
        if status.st_mode & _KIND != _REGULAR:
            return _lost(path, status, NO_FILE)
        content: Content | None = None
        for _ in range(_TRIES):
            if (
                known is not None
                and known.get("signature") == signature_of(status)
                and known["mode"] == status.st_mode
                and not self._is_mapped(status)
            ):
                return {"path": path, "kept": True}
            try:
                content = self._read(path, status.st_mode, content)
            except FileNotFoundError:
                return None
            except OSError as error:
                return _lost(path, status, f"{CLOSED}: {error.strerror}")
            status = content.status
            if content.sure:
                break
        if content is None or not (content.sure or len(content.chunks) <= 1):
            return _lost(path, status, CHANGES)
        # A small one is had as whoever reads it would see it.
        return {
            **_entry(path, status),
            "size": content.size,
            "sha256": content.digest,
            "chunks": content.chunks,
            "signature": [] if self._is_mapped(status) else content.signature,
        }

    def _is_mapped(self, status: os.stat_result) -> bool:
        """Tell whether a file may be written to without a sign: in memory only a mapping's first write shows."""
        return self._mapped is None or status.st_ino in self._mapped

    def _read(self, path: str, mode: int, earlier: Content | None) -> Content:
        descriptor = self._open(path, mode)
        try:
            return read_content(descriptor, earlier, self._cargo.add)
        finally:
            _close(descriptor)

    def _open(self, path: str, mode: int) -> int:
        try:
            return _open(self._at(path), _TO_READ)
        except PermissionError:  # its owner has closed it to himself
            _chmod(self._at(path), (mode & 0o7777) | 0o400)
            try:
                return _open(self._at(path), _TO_READ)
            finally:
                _chmod(self._at(path), mode & 0o7777)


def _mapped() -> frozenset[int] | None:
    """Return the inodes of files that memory is shared with, None where that is not told."""
    found = set()
    try:
        told = contents(b"/proc/self/maps")
    except OSError:
        return None
    for line in told.splitlines():
        parts = line.split(maxsplit=5)
        if parts[1].startswith(_WRITABLE) and parts[1].endswith(_SHARED):
            found.add(int(parts[4]))
    return frozenset(found)


def _lost(path: str, status: os.stat_result, reason: str) -> dict[str, Any]:
    return {**_entry(path, status), "size": status.st_size, "lost": reason}


def _entry(path: str, status: os.stat_result) -> dict[str, Any]:
    return {
        "path": path,
        "mode": status.st_mode,
        "mtime_ns": status.st_mtime_ns,
        "size": 0,
        "sha256": "",
        "link": None,
        "chunks": [],
        "signature": [],
        "lost": "",
    }
