"""Bytes cut into chunks: pieces of 1 MiB and a rest, each named by the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
from typing import Any

from sandbank_runner.interpreter.checkpoints.frames import CHUNK_BYTES
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_sha256 = hashlib.sha256

Chunk = tuple[str, int]
"""Name and length."""


class Store:
    """The chunks of one checkpoint that may be asked for, by name. They are not copied: see :class:`Sink`."""

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: dict[str, list[Any]] = {}

    def add(self, parts: list[Any], length: int) -> Chunk:
        """Keep one chunk that is made of ``parts``."""
        digest = _sha256()
        for part in parts:
            digest.update(part)
        name = digest.hexdigest()
        self.parts.setdefault(name, parts)
        return name, length

    def add_buffer(self, view: memoryview) -> list[Chunk]:
        """Cut a contiguous buffer into chunks."""
        view = view.cast("B") if view.nbytes else memoryview(b"")
        cuts = range(0, len(view), CHUNK_BYTES)
        return [self.add([piece], len(piece)) for piece in [view[at : at + CHUNK_BYTES] for at in cuts]]


class Sink:
    """What a pickler writes to. Large strings come as they are and are kept so: nothing is copied.

    ``bytes`` counts all that has come: a sign that something happens.
    """

    __slots__ = ("_length", "_parts", "_store", "bytes", "chunks")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parts: list[Any] = []
        self._length = 0
        self.bytes = 0
        self.chunks: list[Chunk] = []

    def write(self, data: Any) -> int:
        """Take what comes."""
        length = len(data)
        self.bytes += length
        room = CHUNK_BYTES - self._length
        if length < room:
            self._parts.append(data)
            self._length += length
            return length
        view = memoryview(data)
        while len(view) >= room:
            self._parts.append(view[:room])
            self._length += room
            self._cut()
            view, room = view[room:], CHUNK_BYTES
        if view:
            self._parts.append(view)
            self._length = len(view)
        return length

    def close(self) -> list[Chunk]:
        """Cut what is left; return all chunks."""
        if self._parts:
            self._cut()
        return self.chunks

    def _cut(self) -> None:
        self.chunks.append(self._store.add(self._parts, self._length))
        self._parts, self._length = [], 0


class TooLarge(Exception):
    """More was written than may be."""
