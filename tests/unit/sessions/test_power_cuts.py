"""What is acknowledged under SYNCHRONOUS is in the operation log to stay, before the catalog has it and it is told."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest
from sandbank.v1 import execution_pb2, session_pb2
from sandbank_server.catalog.base import CheckpointRecord, SessionRecord
from sandbank_server.checkpoints.manifest import Manifest
from sandbank_server.errors import CheckpointNotFoundError, StoreUnavailableError
from sandbank_server.sessions.life.session import Session
from sandbank_server.sessions.log.operation_log import OperationLog

from tests.fakes.power import Disk
from tests.fakes.saved_states import Moment, SavedStates
from tests.fakes.session_world import TENANT, World, collect, forget, until
from tests.unit.sessions.test_operation_log import run

SYNCHRONOUS = session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS
Operation = execution_pb2.Operation


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """What is synced."""
    return Disk(monkeypatch)


@pytest.fixture
def states(made: World, monkeypatch: pytest.MonkeyPatch) -> SavedStates:
    """What the sandboxes save and load."""
    return SavedStates(made, monkeypatch)


def log_of(session: Session) -> Path:
    """Return where it lies."""
    return Path(session.operations.log.path)


def cut(path: Path, log: bytes) -> None:
    """Leave so much of a log."""
    path.write_bytes(log)


async def after_a_power_cut(made: World, session: Session, disk: Disk, row: SessionRecord) -> Session:
    """Return a session as the next control plane finds it: with what was synced, and no sandbox."""
    path = log_of(session)
    stays = disk.content(path)
    for each in made.manager._sessions.values():
        await forget(each)
    made.manager._sessions.clear()
    cut(path, stays)
    await made.catalog.put_session(row)
    for sandbox in made.pool.sandboxes.values():
        await sandbox.die()
    await made.restart()
    found = made.manager.live(TENANT, session.session_id)
    assert found is not None
    await until(lambda: found._recovering is None or found._recovering.done())
    return found


async def test_an_end_is_told_when_log_and_catalog_have_it_to_stay(
    made: World, states: SavedStates, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order: the log, then the row that names the checkpoint, then the end. And so it is found afterwards."""
    session = await made.create(checkpoint_policy=SYNCHRONOUS)
    path = log_of(session)
    rows = [session.record]
    put = made.catalog.put_session

    async def look(record: SessionRecord) -> None:
        covered = record.latest_checkpoint_id.encode()
        assert not covered or b'"cp":"%b"' % covered in disk.content(path)
        await put(record)
        rows.append(record)

    with monkeypatch.context() as patch:
        patch.setattr(made.catalog, "put_session", look)
        await made.run(session, "op")
    assert disk.has_name(path, made.directory)
    assert b'"k":"d","op":"op"' in disk.content(path)
    assert rows[-1].latest_checkpoint_id
    found = await after_a_power_cut(made, session, disk, rows[-1])
    told = found.operations.log.operation("op")
    assert (told.state, told.outcome) == (Operation.STATE_SUCCEEDED, Operation.OUTCOME_COMMITTED)
    assert told.durable_checkpoint_id == rows[-1].latest_checkpoint_id


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (Operation.STATE_FAILED, Operation.OUTCOME_ROLLED_BACK),
        (Operation.STATE_TIMED_OUT, Operation.OUTCOME_ROLLED_BACK),
        (Operation.STATE_CANCELLED, Operation.OUTCOME_NOT_STARTED),
    ],
)
async def test_an_end_that_left_nothing_is_known_as_it_was_told(
    made: World, states: SavedStates, disk: Disk, state: int, outcome: int
) -> None:
    """No checkpoint is made for it; the same id does not run again."""
    session = await made.create(checkpoint_policy=SYNCHRONOUS)
    await made.run(session, "op", state=state, outcome=outcome)
    assert states.saving.count == 0
    found = await after_a_power_cut(made, session, disk, session.record)
    told = found.operations.log.operation("op")
    assert (told.state, told.outcome, told.durable_checkpoint_id) == (state, outcome, "")


async def test_where_the_log_cannot_be_synced_the_end_says_so(
    made: World, states: SavedStates, disk: Disk
) -> None:
    """And so do all that follow: what the kernel has dropped it does not try to write again."""
    session = await made.create(checkpoint_policy=SYNCHRONOUS)
    await made.run(session, "before")
    refuse = True
    sync = os.fdatasync

    def listen(descriptor: int) -> None:
        if refuse and os.readlink(f"/proc/self/fd/{descriptor}").endswith(".log"):
            raise OSError(5, "Input/output error")
        sync(descriptor)

    os.fdatasync = listen
    try:
        events = await made.submit(session, "op")
        made.sandbox_of(session).run("op")
        finished = (await collect(events))[-1].finished.operation
        assert [each.code for each in finished.warnings] == ["CHECKPOINT_FAILED"]
        assert finished.durable_checkpoint_id == ""
        refuse = False
        events = await made.submit(session, "next")
        made.sandbox_of(session).run(
            "next", state=Operation.STATE_FAILED, outcome=Operation.OUTCOME_ROLLED_BACK
        )
        finished = (await collect(events))[-1].finished.operation
        assert [each.code for each in finished.warnings] == ["CHECKPOINT_FAILED"]
    finally:
        os.fdatasync = sync


async def test_those_who_wait_share_a_sync(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is under way: all who come meanwhile wait for the next, and that has what they recorded."""
    path = tmp_path / "t" / "ses-1.log"
    path.parent.mkdir()
    log = OperationLog(str(path), "ses-1")
    run(log, "first")
    await log.sync()
    begun, go_on = threading.Event(), threading.Event()
    listen = os.fdatasync
    count = 0

    def wait(descriptor: int) -> None:
        nonlocal count
        count += 1
        begun.set()
        assert go_on.wait(30)
        listen(descriptor)

    monkeypatch.setattr(os, "fdatasync", wait)
    waiting = [asyncio.ensure_future(log.sync())]
    await asyncio.to_thread(begun.wait, 30)
    for number in range(20):
        run(log, f"op-{number}")
        waiting.append(asyncio.ensure_future(log.sync()))
    cancelled = asyncio.ensure_future(log.sync())
    await asyncio.sleep(0)
    cancelled.cancel()
    go_on.set()
    await asyncio.gather(*waiting)
    assert count == 2
    assert disk.content(path) == path.read_bytes()
    log.close()


async def test_what_the_disk_refuses_is_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is kept back is nowhere yet; once it is written the next sync has it."""
    log = OperationLog(str(tmp_path / "ses-1.log"), "ses-1")
    monkeypatch.setattr(os, "pwrite", lambda *_: -1)
    log.upload("x")
    with pytest.raises(StoreUnavailableError):
        await log.sync()
    monkeypatch.undo()
    await log.sync()
    assert b'"p":"x"' in (tmp_path / "ses-1.log").read_bytes()
    log.close()


@pytest.mark.parametrize("how", ["rewound", "reset", "died"])
async def test_a_state_that_was_left_behind_while_it_was_kept_is_no_way_back(
    made: World, states: SavedStates, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Nobody would get what was taken back, or is told to be lost, with the next death."""
    session = await made.create()
    await made.run(session, "first")
    states.state = 1
    first = await session.checkpoint("", {}, verify=False)
    await made.run(session, "second")
    states.state = 2
    library = made.library
    assert library is not None
    keep, reached, gate = library.keep, asyncio.Event(), asyncio.Event()

    async def slowly(record: CheckpointRecord, manifest: Manifest) -> None:
        await keep(record, manifest)
        reached.set()
        await gate.wait()

    monkeypatch.setattr(library, "keep", slowly)
    saving = asyncio.ensure_future(session.checkpoint("", {}, verify=False))
    await reached.wait()
    if how == "reset":
        await session.reset(keep_files=True)
    else:
        fields = {"restored_operation_id": "first", "lost_operation_ids": ["second"]}
        made.sandbox_of(session).replace_interpreter(
            **fields, restored_state=1, newest_state=2, rewound=how == "rewound"
        )
        await until(lambda: session.operations.log.replacements == 1)
    gate.set()
    saved = await saving
    assert saved.last_operation_id == "second"
    assert session.record.latest_checkpoint_id == first.checkpoint_id
    assert not session.operations.log.coverage.knows(saved.checkpoint_id)


async def test_an_end_that_is_told_after_its_effects_went_says_so(made: World, states: SavedStates) -> None:
    """It was held back for a checkpoint when the interpreter died."""
    session = await made.create(checkpoint_policy=SYNCHRONOUS)
    states.state = 1
    await made.run(session, "first")
    states.saving.close()
    events = await made.submit(session, "second")
    sandbox = made.sandbox_of(session)
    sandbox.run("second")
    await states.saving.reached.wait()
    states.behind = 1
    sandbox.replace_interpreter(
        restored_operation_id="first", lost_operation_ids=["second"], restored_state=1, newest_state=2
    )
    await until(lambda: session.operations.log.replacements == 1)
    states.saving.gate.set()
    finished = (await collect(events))[-1].finished.operation
    assert finished.outcome == Operation.OUTCOME_LOST
    assert session.operations.log.operation("second").outcome == Operation.OUTCOME_LOST
    assert list(session_pb2.Recovery.FromString(session.record.last_recovery).lost_operation_ids) == [
        "second"
    ]


async def test_a_restore_stays_one(made: World, states: SavedStates, disk: Disk) -> None:
    """The log has it before the row: without that what was taken back would be there again."""
    session = await made.create(checkpoint_policy=SYNCHRONOUS)
    await made.run(session, "one")
    older = session.record.latest_checkpoint_id
    await made.run(session, "two")
    await session.restore(older, allow_lost=False)
    found = await after_a_power_cut(made, session, disk, session.record)
    assert found.record.latest_checkpoint_id == older
    assert found.operations.log.kept_effects() == ["one"]


async def test_a_session_made_of_another_s_state_goes_on_from_its_own_newest(
    made: World, states: SavedStates, disk: Disk
) -> None:
    """Also where the row still has the one that it began with."""
    source = await made.create()
    began_with = (await source.checkpoint("", {}, verify=False)).checkpoint_id
    session = await made.create(from_checkpoint_id=began_with)
    await made.manager.delete(TENANT, source.session_id)
    await made.run(session, "op")
    made.catalog.broken = True
    with pytest.raises(StoreUnavailableError):
        await session.checkpoint("", {}, verify=False)
    made.catalog.broken = False
    newest = session.record.latest_checkpoint_id
    row = await made.catalog.get_session(TENANT, session.session_id)
    assert row is not None
    assert row.latest_checkpoint_id == began_with != newest
    found = await after_a_power_cut(made, session, disk, row)
    assert found.record.latest_checkpoint_id == newest
    assert found.operations.log.kept_effects() == ["op"]


async def test_what_the_row_still_names_is_needed(
    made: World, states: SavedStates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the log is synced, and the row has the next one: a power cut leaves that and nothing else."""
    session = await made.create()
    first = await session.checkpoint("", {}, verify=False, automatic=True)
    log, moment = session.operations.log, Moment()
    sync = log.sync

    async def held() -> None:
        await moment.pass_by()
        await sync()

    moment.close()
    monkeypatch.setattr(log, "sync", held)
    saving = asyncio.ensure_future(session.checkpoint("", {}, verify=False, automatic=True))
    await moment.reached.wait()
    library = made.library
    assert library is not None
    await library.thin_out(TENANT, session.session_id, keep=0)
    assert await library.get(TENANT, first.checkpoint_id) == first
    moment.gate.set()
    assert await saving
    await library.thin_out(TENANT, session.session_id, keep=0)
    with pytest.raises(CheckpointNotFoundError):
        await library.get(TENANT, first.checkpoint_id)


async def test_a_sync_for_which_there_was_no_descriptor_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was dropped by the kernel then."""
    log = OperationLog(str(tmp_path / "ses-1.log"), "ses-1")
    run(log, "op")
    usual = os.open

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECTORY:
            raise OSError(24, "Too many open files")
        return usual(path, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(StoreUnavailableError):
            await log.sync()
    await log.sync()
    log.close()
