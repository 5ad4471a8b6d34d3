"""What no checkpoint needs is removed, and nothing that somebody counts on: in every store, whoever comes between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sandbank_server.blobs.base import BlobInfo, BlobStore
from sandbank_server.catalog.base import CheckpointRecord
from sandbank_server.catalog.sql import SqlCatalog
from sandbank_server.checkpoints.chunks import name_of
from sandbank_server.checkpoints.library import CheckpointLibrary, Collected
from sandbank_server.checkpoints.manifest import Manifest
from sandbank_server.errors import CheckpointCorruptError, CheckpointNotFoundError

from tests.fakes.clock import ManualClock
from tests.fakes.saved_states import Moment
from tests.fakes.session_world import until

TENANT = "default"
DATA = b"the same bytes, in an old checkpoint and in a new one"
NAME = name_of(DATA)
KEY = f"{TENANT}/chunks/{NAME[:2]}/{NAME}"


class Gated:
    """A store in which a test holds what comes by."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self.listing, self.reading, self.putting, self.removing = Moment(), Moment(), Moment(), Moment()
        self.close = store.close

    async def put(self, blobs: Mapping[str, bytes]) -> None:
        await self.putting.pass_by()
        await self._store.put(blobs)

    async def get(self, key: str) -> bytes:
        data = await self._store.get(key)
        await self.reading.pass_by()
        return data

    async def present(self, keys: Iterable[str]) -> set[str]:
        return await self._store.present(keys)

    async def delete(self, keys: Iterable[str]) -> None:
        await self.removing.pass_by()
        await self._store.delete(keys)

    async def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        async for info in self._store.list(prefix):
            yield info
        if prefix.endswith("manifests"):
            await self.listing.pass_by()


class World:
    """A library whose clock is two hours ahead of the store's: all that is in it looks old."""

    def __init__(self, store: BlobStore, catalog: SqlCatalog) -> None:
        self.blobs = Gated(store)
        self.catalog = catalog
        self.clock = ManualClock()
        self.clock.advance((datetime.now(UTC) + timedelta(hours=2) - self.clock.now()).total_seconds())
        self.library = CheckpointLibrary(self.blobs, catalog, self.clock)
        self.store = self.library.chunks

    async def keep(self, checkpoint_id: str, *names: str, tenant: str = TENANT) -> None:
        """Keep a checkpoint that consists of chunks, which nobody has claimed when this returns."""
        file = {"path": "f", "mode": 0o100644, "sha256": "", "chunks": [(name, len(DATA)) for name in names]}
        record = CheckpointRecord(
            tenant=tenant, checkpoint_id=checkpoint_id, session_id="s", create_time=self.clock.now(),
            wall_time=timedelta(), size_bytes=0, new_bytes=0, execution_count=0, last_operation_id="",
            python_version="3.13.5", parent_checkpoint_id="", request_id="", labels={}, automatic=True,
        )  # fmt: skip
        await self.library.keep(record, Manifest(files=[file]))

    def an_hour_later(self) -> None:
        """Have every claim forgotten."""
        self.store.claims.unclaimed((), 0.0)


@pytest.fixture
async def world(store: BlobStore, tmp_path: Path) -> AsyncIterator[World]:
    """A library with one old chunk that no checkpoint needs."""
    catalog = SqlCatalog(f"sqlite:///{tmp_path / 'catalog.sqlite3'}")
    await catalog.start()
    made = World(store, catalog)
    await made.store.put(TENANT, {NAME: DATA})
    await made.keep("other", tenant=TENANT)
    made.an_hour_later()
    yield made
    await catalog.close()


async def is_whole(world: World, checkpoint_id: str) -> bool:
    """Tell whether all of a checkpoint can be read."""
    manifest = await world.library.manifest(await world.library.get(TENANT, checkpoint_id))
    return [await world.store.get(TENANT, name) for name, _ in manifest.chunks()] != []


async def test_what_a_checkpoint_on_its_way_counts_on_stays(world: World) -> None:
    """It has asked for the old chunk after the collection saw that nobody needs it, and is finished after that."""
    world.blobs.listing.close()
    collecting = asyncio.ensure_future(world.library.collect())
    await world.blobs.listing.reached.wait()
    assert await world.store.lacking(TENANT, [NAME]) == []
    world.blobs.listing.gate.set()
    assert (await collecting).chunks == 0
    await world.keep("new", NAME)
    assert await is_whole(world, "new")


@pytest.mark.parametrize("stopped", [False, True], ids=["goes-on", "is-cancelled"])
async def test_what_is_being_removed_is_brought_anew(world: World, *, stopped: bool) -> None:
    """Who asks meanwhile waits until it is gone, also where nobody waits for the collection any more."""
    world.blobs.removing.close()
    collecting = asyncio.ensure_future(world.library.collect())
    await world.blobs.removing.reached.wait()
    if stopped:
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
    asking = asyncio.ensure_future(world.store.lacking(TENANT, [NAME]))
    done, _ = await asyncio.wait({asking}, timeout=0.05)
    assert not done
    world.blobs.removing.gate.set()
    assert await asking == [NAME]
    await world.store.put(TENANT, {NAME: DATA})
    await world.keep("new", NAME)
    await asyncio.gather(collecting, return_exceptions=True)
    assert await world.library.collect() == Collected()
    assert await is_whole(world, "new")


async def test_what_is_being_written_counts_when_it_is_durable(world: World) -> None:
    """A file is there before its directory is synced: another checkpoint must not rely on it before that."""
    other = b"other bytes"
    world.blobs.putting.close()
    putting = asyncio.ensure_future(world.store.put(TENANT, {name_of(other): other}))
    await world.blobs.putting.reached.wait()
    asking = asyncio.ensure_future(world.store.lacking(TENANT, [name_of(other)]))
    done, _ = await asyncio.wait({asking}, timeout=0.05)
    assert not done
    world.blobs.putting.gate.set()
    await putting
    assert await asking == []


async def test_a_manifest_on_its_way_stays_whatever_the_clocks_say(world: World) -> None:
    """Its row comes after it."""
    put = world.catalog.put_checkpoint
    moment = Moment()
    moment.close()

    async def held(record: CheckpointRecord) -> None:
        await moment.pass_by()
        await put(record)

    world.catalog.put_checkpoint = held  # type: ignore[method-assign]
    assert await world.store.lacking(TENANT, [NAME]) == []
    keeping = asyncio.ensure_future(world.keep("new", NAME))
    await moment.reached.wait()
    assert await world.library.collect() == Collected()
    moment.gate.set()
    await keeping
    assert await is_whole(world, "new")


async def test_what_is_being_read_stays_although_its_checkpoint_is_deleted(world: World) -> None:
    """A restore that has begun comes to its end."""
    await world.keep("read", NAME)
    world.an_hour_later()
    world.store.claim(TENANT, [NAME])
    await world.library.delete(TENANT, "read")
    assert (await world.library.collect()).chunks == 0
    assert await world.store.get(TENANT, NAME) == DATA
    world.an_hour_later()
    assert (await world.library.collect()).chunks == 1


async def test_a_damaged_chunk_that_was_brought_anew_meanwhile_stays(world: World) -> None:
    """Two readers find the damage; the first has removed it, a checkpoint has brought it: the second looks again."""
    await world.blobs.put({KEY: b"\x07 damaged"})
    reading = world.blobs.reading
    reading.close()
    readers = [asyncio.ensure_future(world.store.get(TENANT, NAME)) for _ in range(2)]
    await until(lambda: reading.count == 2)  # both have read what is damaged
    reading.hold_at = 4  # where each looks a second time by itself, one of them is held with what it saw
    reading.gate.set()
    await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
    assert await world.store.lacking(TENANT, [NAME]) == [NAME]
    await world.store.put(TENANT, {NAME: DATA})
    reading.hold_at = 0
    reading.gate.set()
    await asyncio.gather(*readers, return_exceptions=True)
    assert await world.store.get(TENANT, NAME) == DATA


async def test_a_checkpoint_that_is_deleted_meanwhile_is_no_trouble(world: World) -> None:
    """Its row was read, its manifest is gone: it needs nothing any more."""
    await world.keep("going", NAME)
    world.an_hour_later()
    read = world.library.manifest

    async def late(record: CheckpointRecord) -> Manifest:
        if record.checkpoint_id == "going":
            await world.library.delete(TENANT, "going")
        return await read(record)

    world.library.manifest = late  # type: ignore[method-assign]
    assert (await world.library.collect()).chunks == 1


async def test_a_damaged_manifest_keeps_what_its_tenant_has_and_no_other_s(world: World) -> None:
    """It is said once the others are done with."""
    await world.store.put("another", {NAME: DATA})
    await world.keep("kept", tenant="another")
    await world.blobs.put({f"{TENANT}/manifests/other": b"damaged"})
    world.an_hour_later()
    with pytest.raises(CheckpointCorruptError):
        await world.library.collect()
    assert await world.blobs.present([KEY]) == {KEY}
    assert await world.store.lacking("another", [NAME]) == [NAME]


async def test_who_begins_to_need_a_checkpoint_that_is_thinned_out_does_not_find_it(world: World) -> None:
    """And of one that is needed already nothing is taken."""
    for number in range(3):
        await world.keep(f"c{number}")
        world.clock.advance(1)
    needed = ["c0"]
    world.library.needed = lambda _tenant: needed
    world.blobs.removing.close()
    thinning = asyncio.ensure_future(world.library.thin_out(TENANT, "s", keep=1))
    delete, moment = world.catalog.delete_checkpoint, Moment()
    moment.close()

    async def held(tenant: str, checkpoint_id: str) -> None:
        await moment.pass_by()
        await delete(tenant, checkpoint_id)

    world.catalog.delete_checkpoint = held  # type: ignore[method-assign]
    await moment.reached.wait()  # its row is still there
    needed.append("c1")
    with pytest.raises(CheckpointNotFoundError):
        await world.library.get(TENANT, "c1")
    moment.gate.set()
    world.blobs.removing.gate.set()
    await thinning
    assert [each.checkpoint_id for each in await world.library.of_session(TENANT, "s")] == ["c2", "c0"]


async def test_a_checkpoint_that_was_deleted_does_not_come_back(world: World) -> None:
    """Who has verified it meanwhile is told so: a row without a content would keep everything from being collected."""
    await world.keep("c")
    record = await world.library.get(TENANT, "c")
    delete, moment = world.catalog.delete_checkpoint, Moment()

    async def held(tenant: str, checkpoint_id: str) -> None:
        await moment.pass_by()
        await delete(tenant, checkpoint_id)

    world.catalog.delete_checkpoint = held  # type: ignore[method-assign]
    moment.close()
    deleting = asyncio.ensure_future(world.library.delete(TENANT, "c"))
    await moment.reached.wait()
    updating = asyncio.ensure_future(world.library.update(replace(record, verified=True)))
    moment.gate.set()
    await deleting
    with pytest.raises(CheckpointNotFoundError):
        await updating
    with pytest.raises(CheckpointNotFoundError):
        await world.library.update(record)
    with pytest.raises(CheckpointNotFoundError):
        await world.library.get(TENANT, "c")
