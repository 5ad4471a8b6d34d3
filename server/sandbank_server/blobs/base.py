"""What the parts that keep bytes need of a store, and what can go wrong with it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

KEY: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}){0,7}")
"""What keys look like: no segment is empty or begins with a dot, so none leads out of a directory."""


class BlobNotFoundError(Exception):
    """There is nothing under the key."""


class BlobStoreError(Exception):
    """The store cannot be reached, is full, or refuses. The text is for operators."""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """One blob. ``modified`` in seconds since the epoch, by the store's clock."""

    key: str
    size_bytes: int
    modified: float


class BlobStore(Protocol):
    """Bytes under keys that match :data:`KEY`. Every method raises :class:`BlobStoreError`."""

    async def put(self, blobs: Mapping[str, bytes]) -> None:
        """Keep blobs. When this returns all are durable; a crash before leaves each whole or absent, in any order."""

    async def get(self, key: str) -> bytes:
        """Return a blob. :class:`BlobNotFoundError`."""

    async def present(self, keys: Iterable[str]) -> set[str]:
        """Return which of the keys are there."""

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove blobs; one that is not there is no error."""

    def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        """Yield the blobs under ``prefix``, which ends a segment, in any order."""

    async def close(self) -> None:
        """Let go of connections and threads."""


def check_key(key: str) -> str:
    """Return the key. ValueError where it is none: a mistake of ours."""
    if KEY.fullmatch(key) is None:
        raise ValueError(f"not a key: {key!r}")
    return key
