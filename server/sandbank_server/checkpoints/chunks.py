"""A tenant's chunks: pieces of state named by the SHA-256 of their bytes, each kept once.

Names are checked when a chunk comes, because who sends it is hostile, and when it is read, because disks are not.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Final

import structlog
import zstandard

from sandbank_server.blobs.base import BlobNotFoundError, BlobStore, BlobStoreError
from sandbank_server.checkpoints.claims import Claims
from sandbank_server.errors import CheckpointCorruptError, StoreUnavailableError

CHUNK_BYTES: Final = 1 << 20
"""The largest chunk; all but the last of a piece of state have this size."""

_log = structlog.get_logger("sandbank.checkpoints")

_LEVEL: Final = 1
_SAMPLE_BYTES: Final = 32 * 1024
_WORTH: Final = 0.9
"""Random numbers do not compress: where a sample stays larger than this part of itself, no more time is spent."""

_STORED: Final = b"\x00"
_COMPRESSED: Final = b"\x01"
_READ_AHEAD: Final = 8


class WrongChunkError(Exception):
    """The bytes are not those that the name promises."""


class _Damaged(Exception):
    """What is kept is not what its name says."""


def name_of(data: bytes) -> str:
    """Return a chunk's name."""
    return hashlib.sha256(data).hexdigest()


class ChunkStore:
    """The chunks of all tenants in one blob store. Raises :class:`StoreUnavailableError` from every method."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self.claims = Claims()

    async def lacking(self, tenant: str, names: Sequence[str]) -> list[str]:
        """Return the names whose chunks are not there, each once, in order. The others stay for an hour at least."""
        wanted = list(dict.fromkeys(names))
        keys = [_key(tenant, name) for name in wanted]
        claim = self.claims.claim(keys)
        await self.claims.settled(keys)
        try:
            there = await self._blobs.present(keys)
        except BlobStoreError as error:
            raise _unavailable() from error
        # A sandbox names what it likes: only what is there, or comes, is remembered.
        self.claims.withdraw((key for key in keys if key not in there), claim)
        return [name for name in wanted if _key(tenant, name) not in there]

    def claim(self, tenant: str, names: Iterable[str]) -> None:
        """Say that they are about to be read: for an hour they stay, also where their checkpoint is deleted."""
        self.claims.claim(_key(tenant, name) for name in names)

    async def drop(self, keys: Sequence[str], unless_claimed_seconds: float) -> list[str]:
        """Remove blobs that no checkpoint refers to, but for those claimed of late; return which went. BlobStoreError.

        Goes through, once begun, also when the caller is cancelled; who claims one of them meanwhile sees it gone.
        """
        gone = self.claims.unclaimed(keys, unless_claimed_seconds)
        if gone:
            await self.claims.at_once(gone, lambda: self._blobs.delete(gone))
        return gone

    async def put(self, tenant: str, chunks: Mapping[str, bytes]) -> int:
        """Keep chunks, durably; return the bytes that they take. :class:`WrongChunkError`."""
        packed = await asyncio.to_thread(_pack_all, chunks)
        blobs = {_key(tenant, name): data for name, data in packed.items()}
        self.claims.claim(blobs)
        try:
            await self.claims.alone(blobs, lambda: self._blobs.put(blobs))
        except BlobStoreError as error:
            raise _unavailable() from error
        return sum(map(len, packed.values()))

    async def get(self, tenant: str, name: str) -> bytes:
        """Return a chunk. :class:`CheckpointCorruptError` where it is missing or damaged.

        A damaged one is removed: else the next checkpoint with these bytes would be taken to have them.
        """
        try:
            return await self._read(tenant, name)
        except _Damaged:
            key = _key(tenant, name)
            # A disk may err once; or somebody has brought it anew by now, and what is whole must stay.
            return await self.claims.alone([key], lambda: self._read_or_remove(tenant, name))

    async def _read_or_remove(self, tenant: str, name: str) -> bytes:
        try:
            return await self._read(tenant, name)
        except _Damaged as error:
            _log.error("a damaged chunk is removed", tenant=tenant, chunk=name)
            with contextlib.suppress(BlobStoreError):
                await self._blobs.delete([_key(tenant, name)])
            raise _corrupt(name) from error

    async def _read(self, tenant: str, name: str) -> bytes:
        try:
            data = await self._blobs.get(_key(tenant, name))
        except BlobNotFoundError:
            raise _corrupt(name) from None
        except BlobStoreError as error:
            raise _unavailable() from error
        return await asyncio.to_thread(_unpack, name, data)

    async def read(self, tenant: str, names: Iterable[str]) -> AsyncGenerator[bytes, None]:
        """Yield chunks in order, reading a few ahead: memory stays that of :data:`_READ_AHEAD` chunks."""
        ahead: list[asyncio.Task[bytes]] = []
        rest = iter(names)
        try:
            while True:
                while len(ahead) < _READ_AHEAD and (name := next(rest, None)) is not None:
                    ahead.append(asyncio.create_task(self.get(tenant, name)))
                if not ahead:
                    return
                yield await ahead.pop(0)
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)


def _pack_all(chunks: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name: _pack(name, data) for name, data in chunks.items()}


def _pack(name: str, data: bytes) -> bytes:
    if len(data) > CHUNK_BYTES or name_of(data) != name:
        raise WrongChunkError(name)
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    sample = data[:_SAMPLE_BYTES]
    if len(compressor.compress(sample)) > _WORTH * len(sample):
        return _STORED + data
    return _COMPRESSED + compressor.compress(data)


def _unpack(name: str, packed: bytes) -> bytes:
    kind, body = packed[:1], packed[1:]
    if kind == _COMPRESSED:
        try:
            body = zstandard.ZstdDecompressor().decompress(body, max_output_size=CHUNK_BYTES)
        except zstandard.ZstdError:
            raise _Damaged(name) from None
    elif kind != _STORED:
        raise _Damaged(name)
    if name_of(body) != name:
        raise _Damaged(name)
    return body


def _key(tenant: str, name: str) -> str:
    return f"{tenant}/chunks/{name[:2]}/{name}"


def _corrupt(name: str) -> CheckpointCorruptError:
    return CheckpointCorruptError(
        f"chunk {name[:12]} of the checkpoint is missing or damaged; nothing was changed"
    )


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("the store of checkpoints cannot be reached", retry_delay=5.0)
