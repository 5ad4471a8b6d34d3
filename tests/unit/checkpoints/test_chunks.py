"""Chunks: kept once, checked when they come and when they are read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from sandbank_server.blobs.directory import DirectoryBlobs
from sandbank_server.checkpoints.chunks import CHUNK_BYTES, ChunkStore, WrongChunkError, name_of
from sandbank_server.errors import CheckpointCorruptError

TENANT = "default"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ChunkStore]:
    """An empty store in a directory."""
    blobs = DirectoryBlobs(tmp_path)
    yield ChunkStore(blobs)
    await blobs.close()


def _stored_file(directory: Path, name: str) -> Path:
    return directory / TENANT / "chunks" / name[:2] / name


@pytest.mark.parametrize("data", [b"", b"x", bytes(CHUNK_BYTES), os.urandom(CHUNK_BYTES)], ids=len)
async def test_a_chunk_comes_back(store: ChunkStore, data: bytes) -> None:
    """Whatever it holds; zeros take little room, random bytes no more than they are."""
    name = name_of(data)
    taken = await store.put(TENANT, {name: data})
    assert await store.get(TENANT, name) == data
    assert taken <= len(data) + 16
    if data == bytes(CHUNK_BYTES):
        assert taken < 1000


async def test_only_what_is_lacking_is_asked_for(store: ChunkStore) -> None:
    """Each once, in order; of another tenant's nothing is known."""
    names = [name_of(bytes([number])) for number in range(4)]
    await store.put(TENANT, {names[1]: b"\x01"})
    assert await store.lacking(TENANT, [names[3], names[1], names[0], names[3]]) == [names[3], names[0]]
    assert await store.lacking("other", [names[1]]) == [names[1]]
    with pytest.raises(CheckpointCorruptError):
        await store.get("other", names[1])


@pytest.mark.parametrize("data", [b"other", bytes(CHUNK_BYTES + 1)], ids=["other bytes", "too long"])
async def test_a_chunk_under_a_wrong_name_is_refused(store: ChunkStore, data: bytes) -> None:
    """Nothing of the batch is kept: a sandbox cannot put bytes under the name of others."""
    good = name_of(b"good")
    wrong = name_of(b"right") if len(data) < CHUNK_BYTES else name_of(data)
    with pytest.raises(WrongChunkError):
        await store.put(TENANT, {good: b"good", wrong: data})
    assert await store.lacking(TENANT, [good, wrong]) == [good, wrong]


@pytest.mark.parametrize("compressible", [True, False])
async def test_a_damaged_chunk_is_never_handed_out(
    store: ChunkStore, tmp_path: Path, *, compressible: bool
) -> None:
    """One bit, a missing end, nothing at all, or another kind: the hash or the format tells."""
    data = bytes(5000) + b"end" if compressible else os.urandom(5000)
    name = name_of(data)
    await store.put(TENANT, {name: data})
    path = _stored_file(tmp_path, name)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b"", b"\x07" + whole[1:]):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointCorruptError):
            await store.get(TENANT, name)
    path.write_bytes(whole)
    assert await store.get(TENANT, name) == data


async def test_many_are_read_in_order(store: ChunkStore) -> None:
    """Also the same one twice; who stops early leaves nothing running."""
    pieces = [bytes([number]) * 10 for number in range(50)]
    await store.put(TENANT, {name_of(piece): piece for piece in pieces})
    names = [name_of(piece) for piece in (*pieces, pieces[0])]
    assert [piece async for piece in store.read(TENANT, names)] == [*pieces, pieces[0]]
    reading = store.read(TENANT, names)
    assert await anext(reading) == pieces[0]
    await reading.aclose()
    assert {task for task in asyncio.all_tasks() if not task.done()} == {asyncio.current_task()}


async def test_a_chunk_that_somebody_counts_on_is_not_dropped(store: ChunkStore) -> None:
    """Asked for of late, it stays; where it is being removed just now, who asks waits and is told that it lacks."""
    names = [name_of(data) for data in (b"a", b"b")]
    for data in (b"a", b"b"):
        await store.put(TENANT, {name_of(data): data})
    keys = [f"{TENANT}/chunks/{name[:2]}/{name}" for name in names]
    store.claims.unclaimed(keys, 0.0)  # they came long ago
    assert await store.lacking(TENANT, [names[0]]) == []
    assert await store.drop(keys, 3600.0) == [keys[1]]
    assert await store.lacking(TENANT, names) == [names[1]]
    assert await store.drop([keys[0]], 0.0) == [keys[0]]
    await store.put(TENANT, {names[0]: b"a"})
    asked = []
    delete = store._blobs.delete

    async def slow(gone: Iterable[str]) -> None:
        asked.append(asyncio.ensure_future(store.lacking(TENANT, [names[0]])))
        await asyncio.sleep(0)  # it has asked now, and the chunk is still there
        await delete(gone)

    store._blobs.delete = slow  # type: ignore[method-assign]
    assert await store.drop([keys[0]], 0.0) == [keys[0]]
    assert await asked[0] == [names[0]]


async def test_only_what_is_there_or_comes_is_remembered_as_counted_on(store: ChunkStore) -> None:
    """A sandbox may ask for names without end that nobody has."""
    none, some = name_of(b"none"), name_of(b"some")
    keys = [f"{TENANT}/chunks/{name[:2]}/{name}" for name in (none, some)]
    assert await store.lacking(TENANT, [none, some]) == [none, some]
    assert store.claims.unclaimed(keys, 3600) == keys
    await store.put(TENANT, {some: b"some"})
    assert store.claims.unclaimed(keys, 3600) == keys[:1]
    assert await store.lacking(TENANT, [none, some]) == [none]
    assert await store.drop(keys, 3600) == keys[:1]
    assert await store.get(TENANT, some) == b"some"
