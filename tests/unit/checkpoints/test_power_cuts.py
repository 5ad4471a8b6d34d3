"""What the directory of blobs and the catalog acknowledge stays through a power cut."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sandbank.v1 import session_pb2
from sandbank_server.blobs.base import BlobStoreError
from sandbank_server.blobs.directory import DirectoryBlobs
from sandbank_server.catalog.base import CheckpointRecord, SessionRecord
from sandbank_server.catalog.sql import SqlCatalog, outlives_power
from sqlalchemy import Connection

from tests.fakes.power import Disk

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """What is synced."""
    return Disk(monkeypatch)


async def test_what_was_put_is_there_under_its_name(tmp_path: Path, disk: Disk) -> None:
    """Content, name, and the names of all directories above it, however many are put at once."""
    blobs = DirectoryBlobs(tmp_path / "data" / "blobs")
    keys = [f"t/chunks/{number:02x}/{number}" for number in range(20)] + ["t/manifests/cp-1"]
    await asyncio.gather(*(blobs.put({key: key.encode()}) for key in keys))
    assert all(disk.has(tmp_path / "data" / "blobs" / key, tmp_path / "data") for key in keys)
    syncs = disk.syncs
    await blobs.put({"t/manifests/cp-2": b"x"})
    assert disk.syncs == syncs + 2  # directories that are known cost nothing
    await blobs.close()


async def test_what_another_process_left_is_counted_on_once_it_is_synced(tmp_path: Path, disk: Disk) -> None:
    """It may have been killed between the name and the sync of the directory."""
    left = tmp_path / "blobs" / "t" / "chunks" / "aa" / "aaa"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    blobs = DirectoryBlobs(tmp_path / "blobs")
    assert not disk.has_name(left, tmp_path)
    assert await blobs.present(["t/chunks/aa/aaa", "t/chunks/aa/missing"]) == {"t/chunks/aa/aaa"}
    assert disk.has_name(left, tmp_path)
    syncs = disk.syncs
    await blobs.present(["t/chunks/aa/aaa"])
    assert disk.syncs == syncs
    await blobs.close()


async def test_a_file_whose_name_may_go_is_not_counted_on(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else puts it at this moment, or could not: who asks puts it again."""
    blobs = DirectoryBlobs(tmp_path / "blobs")
    await blobs.put({"t/chunks/aa/first": b"1"})
    named, go_on = threading.Event(), threading.Event()
    sync = disk._listen

    def wait(descriptor: int) -> None:
        if (tmp_path / "blobs/t/chunks/aa/second").exists():
            named.set()
            assert go_on.wait(30)
        sync(descriptor)

    monkeypatch.setattr("os.fsync", wait)
    putting = asyncio.ensure_future(blobs.put({"t/chunks/aa/second": b"2"}))
    await asyncio.to_thread(named.wait, 30)
    assert await blobs.present(["t/chunks/aa/first", "t/chunks/aa/second"]) == {"t/chunks/aa/first"}
    go_on.set()
    await putting
    assert await blobs.present(["t/chunks/aa/second"]) == {"t/chunks/aa/second"}
    disk.refuses = [OSError(5, "no")] * 2
    with pytest.raises(BlobStoreError):
        await blobs.put({"t/chunks/aa/third": b"3"})
    disk.refuses = []
    assert await blobs.present(["t/chunks/aa/third"]) == set()
    await blobs.put({"t/chunks/aa/third": b"3"})
    assert await blobs.present(["t/chunks/aa/third"]) == {"t/chunks/aa/third"}
    await blobs.close()


def session(**fields: object) -> SessionRecord:
    """Return a row."""
    record = SessionRecord(
        tenant="t",
        session_id="ses-1",
        template="slim",
        state=session_pb2.Session.STATE_ACTIVE,
        generation=1,
        create_time=NOW,
        last_active_time=NOW,
        idle_timeout=timedelta(minutes=1),
        max_lifetime=timedelta(hours=1),
        expire_time=NOW,
    )
    return replace(record, **fields)  # type: ignore[arg-type]


async def test_rows_that_are_promised_to_stay_are_committed_with_a_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of checkpoints, and of sessions that have one or are SYNCHRONOUS; others wait for the next of these."""
    catalog = SqlCatalog(f"sqlite:///{tmp_path / 'catalog'}")
    await catalog.start()
    levels: list[int] = []
    run = catalog._run

    async def note(work: object, *, durable: bool = False) -> object:
        def noted(connection: Connection) -> object:
            levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
            return work(connection)  # type: ignore[operator]

        return await run(noted, durable=durable)

    monkeypatch.setattr(catalog, "_run", note)
    plain = session()
    synchronous = session(checkpoint_policy=session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS)
    await catalog.put_session(plain)
    await catalog.put_session(synchronous)
    await catalog.put_session(session(latest_checkpoint_id="cp-1"))
    await catalog.put_session(plain)
    await catalog.put_checkpoint(
        CheckpointRecord(
            tenant="t",
            checkpoint_id="cp-1",
            session_id="ses-1",
            create_time=NOW,
            wall_time=timedelta(0),
            size_bytes=0,
            new_bytes=0,
            execution_count=0,
            last_operation_id="",
            python_version="3.13.5",
        )
    )
    await catalog.delete_checkpoint("t", "cp-1")
    normal, full = 1, 2
    assert levels == [normal, full, full, normal, full, full]
    assert not outlives_power(plain)
    await catalog.close()
