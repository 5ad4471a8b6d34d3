"""The workspace's files as a checkpoint tells them: content by chunks, what has not changed by its signature."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from typing import Any, Final

from sandbank_runner.files.restores import LAID
from sandbank_runner.interpreter.checkpoints.chunks import Chunk, Piece, Store
from sandbank_runner.interpreter.checkpoints.frames import CHUNK_BYTES
from sandbank_runner.interpreter.sealed import seal

seal(globals())

ENTRIES: Final = 100_000
_KEPT_BYTES: Final = 128 * 1024 * 1024
"""What is kept of contents in memory; the rest is read again when it is asked for."""
_TRIES: Final = 5

_open, _close, _read, _fstat, _chmod = os.open, os.close, os.read, os.fstat, os.chmod
_scandir, _readlink, _pread = os.scandir, os.readlink, os.pread
_clock = time.clock_gettime_ns
_COARSE_CLOCK: Final = 5  # CLOCK_REALTIME_COARSE: what file systems stamp with
_KIND, _DIRECTORY, _REGULAR, _LINK = 0o170000, 0o040000, 0o100000, 0o120000
_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class TooManyFiles(Exception):
    """The workspace has more entries than a checkpoint holds."""


class Changed(Exception):
    """A file is not any more what was told of it."""


class Tree:
    """The workspace while it is told."""

    def __init__(self, workspace: str, store: Store) -> None:
        self._workspace = workspace
        self._store = store
        self._room = _KEPT_BYTES

    def entries(self, known: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield all entries, a directory before what is in it. ``known`` are those of the base, by path."""
        count = 0
        waiting = [""]
        while waiting:
            parent = waiting.pop()
            for name, status in self._list(parent):
                path = f"{parent}{name}"
                kind = status.st_mode & _KIND
                if kind not in (_DIRECTORY, _REGULAR, _LINK) or (not parent and name.startswith(LAID)):
                    continue
                count += 1
                if count > ENTRIES:
                    raise TooManyFiles(f"the workspace has more than {ENTRIES} files")
                if kind == _DIRECTORY:
                    waiting.append(f"{path}/")
                    yield _entry(path, status)
                elif kind == _LINK:
                    try:
                        yield {**_entry(path, status), "link": _readlink(self._at(path))}
                    except OSError:
                        continue  # gone meanwhile
                else:
                    entry = self._file(path, status, known.get(path))
                    if entry is not None:
                        yield entry

    def read(self, piece: Piece) -> bytes:
        """Return the bytes of a chunk that were not kept. :class:`Changed` where they are others now."""
        descriptor = _open(self._at(piece.path), _TO_READ)
        try:
            data = _pread(descriptor, piece.length, piece.offset)
        finally:
            _close(descriptor)
        if hashlib.sha256(data).hexdigest() != piece.name:
            raise Changed(f"the file {piece.path} was changed while it was being saved")
        return data

    def _list(self, parent: str) -> list[tuple[str, os.stat_result]]:
        found = []
        try:
            with _scandir(self._at(parent)) as entries:
                for entry in entries:
                    try:
                        found.append((entry.name, entry.stat(follow_symlinks=False)))
                    except OSError:
                        continue  # gone meanwhile
        except OSError:
            return []
        return sorted(found, key=lambda each: each[0])

    def _at(self, path: str) -> str:
        return f"{self._workspace}/{path}"

    def _file(self, path: str, status: os.stat_result, known: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return a file's entry, None where it is gone. One that changes while it is read is read again."""
        for _ in range(_TRIES):
            if (
                known is not None
                and known.get("signature") == _signature(status)
                and known["mode"] == status.st_mode
            ):
                return {"path": path, "kept": True}
            now = _clock(_COARSE_CLOCK)
            try:
                descriptor = self._open(path, status.st_mode)
            except OSError:
                return None
            try:
                before = _fstat(descriptor)
                chunks, size, digest = self._content(path, descriptor)
                status = _fstat(descriptor)
            finally:
                _close(descriptor)
            if _signature(before) == _signature(status) and size == status.st_size:
                break
        # What may change once more within the same tick of the clock is not known by its times.
        signature = _signature(status) if status.st_ctime_ns < now else []
        return {
            **_entry(path, status), "size": size, "sha256": digest, "chunks": chunks, "signature": signature,
        }  # fmt: skip

    def _open(self, path: str, mode: int) -> int:
        try:
            return _open(self._at(path), _TO_READ)
        except PermissionError:  # its owner has closed it to himself
            _chmod(self._at(path), (mode & 0o7777) | 0o400)
            try:
                return _open(self._at(path), _TO_READ)
            finally:
                _chmod(self._at(path), mode & 0o7777)

    def _content(self, path: str, descriptor: int) -> tuple[list[Chunk], int, str]:
        whole = hashlib.sha256()
        chunks: list[Chunk] = []
        size = 0
        while data := self._chunk(descriptor):
            whole.update(data)
            name = hashlib.sha256(data).hexdigest()
            if self._room >= len(data):
                self._room -= len(data)
                self._store.parts.setdefault(name, [memoryview(data)])
            else:
                self._store.parts.setdefault(name, Piece(path, size, len(data), name))
            chunks.append((name, len(data)))
            size += len(data)
        return chunks, size, whole.hexdigest()

    def _chunk(self, descriptor: int) -> bytes:
        parts = []
        room = CHUNK_BYTES
        while room and (data := _read(descriptor, room)):
            parts.append(data)
            room -= len(data)
        return b"".join(parts)


def _signature(status: os.stat_result) -> list[int]:
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


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
    }
