"""The content of a file as it was at one moment, whoever writes to it; on its way while the rest is read."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from sandbank_runner.interpreter.checkpoints.chunks import Chunk, Store
from sandbank_runner.interpreter.checkpoints.frames import CHUNK_BYTES, Broken, Connection
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_HELD_BYTES: Final = 16 * 1024 * 1024
_HELD_CHUNKS: Final = 10_000
"""Contents that are held until they are offered together: a question and an answer for each file would take longer."""

_read, _fstat = os.read, os.fstat
_sha256 = hashlib.sha256
_clock = time.clock_gettime_ns
_COARSE_CLOCK: Final = 5  # CLOCK_REALTIME_COARSE: what file systems stamp with


class Content(NamedTuple):
    """What was read. ``sure``: the file was not written to meanwhile, or that does not show in this."""

    chunks: list[Chunk]
    size: int
    digest: str
    status: os.stat_result
    """The file's, after it."""
    signature: list[int]
    """Empty where what may be written in the same tick of the clock could not be told from it later."""
    sure: bool


def signature_of(status: os.stat_result) -> list[int]:
    """Return what is another one after each write."""
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


class Cargo:
    """Contents of files: what comes to more than a little is handed over before they are forgotten."""

    __slots__ = ("_connection", "_gone", "_held", "_size", "_store")

    def __init__(self, connection: Connection, store: Store) -> None:
        self._connection = connection
        self._store = store
        self._held: dict[str, bytes] = {}
        self._size = 0
        self._gone: set[str] = set()

    def add(self, name: str, data: bytes) -> None:
        """Take a chunk."""
        if name in self._held or name in self._gone or name in self._store.parts:
            return
        self._held[name] = data
        self._size += len(data)
        if self._size >= _HELD_BYTES or len(self._held) >= _HELD_CHUNKS:
            self._hand_over()

    def leave(self) -> None:
        """Leave what is still held in the store, to be asked for with everything else."""
        for name, data in self._held.items():
            self._store.parts.setdefault(name, [memoryview(data)])
        self._held = {}

    def _hand_over(self) -> None:
        self._connection.say("offer", chunks=[[name, len(data)] for name, data in self._held.items()])
        header = self._connection.hear()
        if header["type"] != "need":
            raise Broken(f"unexpected {header['type']}")
        for name in header["chunks"]:
            if name not in self._held:
                raise Broken("a chunk was asked for that was not offered")
            self._connection.give([self._held[name]])
        self._gone.update(self._held)
        self._held, self._size = {}, 0


def read_content(descriptor: int, earlier: Content | None, take: Callable[[str, bytes], None]) -> Content:
    """Read a file that was opened anew, and have its chunks taken. OSError.

    ``earlier``: what an attempt has read that was not sure. Where the same comes again, it was just that at the moment
    between both. Only as much is read as was there then, so one that only grows is had as it was.
    """
    now = _clock(_COARSE_CLOCK)
    before = _fstat(descriptor)
    limit = before.st_size
    if earlier is not None and len(earlier.chunks) > 1:
        limit = min(limit, earlier.size)
    whole = _sha256()
    chunks: list[Chunk] = []
    size = 0
    while data := _chunk(descriptor, min(CHUNK_BYTES, limit - size)):
        whole.update(data)
        name = _sha256(data).hexdigest()
        take(name, data)
        chunks.append((name, len(data)))
        size += len(data)
    status = _fstat(descriptor)
    told = signature_of(status)
    # What is written twice within one tick of the clock does not show in its times.
    ticked = before.st_ctime_ns < now
    still = signature_of(before) == told and size == status.st_size and (ticked or len(chunks) <= 1)
    again = earlier is not None and len(chunks) > 1 and earlier.chunks == chunks
    certain = still and status.st_ctime_ns < now
    return Content(chunks, size, whole.hexdigest(), status, told if certain else [], still or again)


def _chunk(descriptor: int, room: int) -> bytes:
    parts = []
    while room > 0 and (data := _read(descriptor, room)):
        parts.append(data)
        room -= len(data)
    return b"".join(parts)
