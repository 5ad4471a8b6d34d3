"""Reading a file: described with its hash first, then the range that was asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any

from sandbank_runner.files import paths
from sandbank_runner.files.entries import entry
from sandbank_runner.files.problems import BAD_FIELD, FILE_NOT_FOUND, FileProblem
from sandbank_runner.files.protocol import CHUNK_BYTES
from sandbank_runner.files.workspace import Workspace


class Download:
    """One download. The size counts as it was when the file was hashed; what is added later is not sent."""

    def __init__(self, workspace: Workspace, path: str, offset_bytes: int, length_bytes: int) -> None:
        """Open the file and hash it. Raises :class:`FileProblem`, OSError."""
        parts = paths.split(path)
        for name, value in (("offset_bytes", offset_bytes), ("length_bytes", length_bytes)):
            if value < 0:
                raise FileProblem(BAD_FIELD, f"{name} must not be negative")
        self._descriptor = workspace.open_file(parts)
        sha256, size = digest(self._descriptor)
        self.entry: dict[str, Any] = {
            **entry(paths.shown(parts), os.fstat(self._descriptor), sha256),
            "size_bytes": size,
        }
        self._position = offset_bytes
        self._end = min(size, offset_bytes + length_bytes) if length_bytes else size

    def chunks(self) -> Iterator[bytes]:
        """Yield the range in pieces, none of them empty. Raises :class:`FileProblem` when the file shrank meanwhile."""
        while self._position < self._end:
            chunk = os.pread(self._descriptor, min(CHUNK_BYTES, self._end - self._position), self._position)
            if not chunk:
                raise FileProblem(FILE_NOT_FOUND, "the file became shorter while it was read")
            self._position += len(chunk)
            yield chunk


def digest(descriptor: int) -> tuple[str, int]:
    """Return (lower-case hex SHA-256, size in bytes) of an open file as it is now."""
    found, size = hashlib.sha256(), 0
    while chunk := os.pread(descriptor, CHUNK_BYTES, size):
        found.update(chunk)
        size += len(chunk)
    return found.hexdigest(), size
