"""Digests of memory: bytearrays, arrays, the buffers of tables. A large one is digested in chunks."""

from __future__ import annotations

from typing import Any, Final

from sandbank_runner.interpreter.changes.digests import digest
from sandbank_runner.interpreter.changes.limits import LONG_BYTES
from sandbank_runner.interpreter.sealed import seal

seal(globals())

CHUNK_BYTES: Final = 1 << 18


class Memory:
    """Digests memory by reading all of it."""

    __slots__ = ()

    def digest(self, memory: Any, address: int, size: int) -> bytes:
        """Return the digest of ``memory``, contiguous bytes at an address."""
        if size < LONG_BYTES:
            return digest(memory)
        return digest(b"".join(chunks(memory, size)))


def chunks(memory: Any, size: int) -> list[bytes]:
    """Return the digests of the chunks of ``memory``, contiguous bytes."""
    view = memoryview(memory)
    return [digest(view[at : at + CHUNK_BYTES]) for at in range(0, size, CHUNK_BYTES)]
