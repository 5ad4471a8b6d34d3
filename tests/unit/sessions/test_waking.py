"""Waking from a checkpoint that is damaged: the one before it is taken, and what that costs is listed."""

from __future__ import annotations

import asyncio

import pytest
from sandbank.v1 import execution_pb2, session_pb2
from sandbank_server.catalog.base import SessionRecord
from sandbank_server.errors import CheckpointCorruptError, StoreUnavailableError
from sandbank_server.sessions.life.session import Session
from sandbank_server.sessions.recovery.deaths import VARIABLES_BYTES

from tests.fakes.saved_states import SavedStates
from tests.fakes.session_world import TENANT, World, until

State = session_pb2.Session
Operation = execution_pb2.Operation
DAMAGED = CheckpointCorruptError("a chunk is damaged")


@pytest.fixture
def states(made: World, monkeypatch: pytest.MonkeyPatch) -> SavedStates:
    """What the sandboxes save and load."""
    return SavedStates(made, monkeypatch)


async def asleep(made: World, **fields: object) -> tuple[Session, str, str]:
    """Return a session that sleeps, the checkpoint with its first operation, and that with its second, too."""
    session = await made.create(**fields)
    await made.run(session, "one")
    older = (await session.checkpoint("", {}, verify=False)).checkpoint_id
    await made.run(session, "two")
    await session.hibernate()
    return session, older, session.record.latest_checkpoint_id


async def outcomes(made: World, session: Session) -> list[int]:
    """Return what the two operations came to."""
    told = [
        await made.manager.get_operation(TENANT, session.session_id, operation_id)
        for operation_id in ("one", "two")
    ]
    return [each.outcome for each in told]


async def test_a_damaged_checkpoint_is_passed_over_and_what_that_costs_is_listed(
    made: World, states: SavedStates
) -> None:
    """As a recovery: the operations are LOST, the damaged one is named, watchers hear; later losses are none."""
    session, older, newer = await asleep(made)
    states.loading.errors = [DAMAGED]
    await session.usable()
    recovery = session.view().last_recovery
    assert list(recovery.lost_operation_ids) == ["two"]
    assert (recovery.from_checkpoint_id, recovery.generation) == (older, 2)
    assert newer in recovery.reason
    assert "woken" in recovery.reason
    assert (session.record.latest_checkpoint_id, session.record.generation) == (older, 2)
    assert await outcomes(made, session) == [Operation.OUTCOME_COMMITTED, Operation.OUTCOME_LOST]
    await made.run(session, "three")
    await session.hibernate()
    await session.usable()
    assert session.view().last_recovery == recovery


async def test_with_no_checkpoint_whole_nothing_is_given_up(made: World, states: SavedStates) -> None:
    """The error, with all of them named; the session goes on sleeping, and where they come back so does its state."""
    session, older, newer = await asleep(made)
    states.loading.errors = [DAMAGED, DAMAGED]
    with pytest.raises(CheckpointCorruptError):
        await session.usable()
    assert session.record.state == State.STATE_HIBERNATED
    assert older in session.record.state_detail
    assert newer in session.record.state_detail
    await session.usable()
    assert session.record.latest_checkpoint_id == newer
    assert await outcomes(made, session) == [Operation.OUTCOME_COMMITTED] * 2


@pytest.mark.parametrize(
    ("errors", "fields"),
    [
        ([DAMAGED, StoreUnavailableError("down")], {}),
        ([DAMAGED], {"recovery_policy": session_pb2.RECOVERY_POLICY_MANUAL}),
    ],
    ids=["store-away", "manual"],
)
async def test_nothing_is_lost_by_a_try_that_fails_or_against_the_policy(
    made: World, states: SavedStates, errors: list[Exception], fields: dict[str, object]
) -> None:
    """The older one cannot be had now, or nobody wants it by itself: it sleeps on; Restore takes what it is told."""
    session, older, newer = await asleep(made, **fields)
    states.loading.errors = list(errors)
    with pytest.raises(type(errors[-1])):
        await session.usable()
    assert (session.record.state, session.record.latest_checkpoint_id) == (State.STATE_HIBERNATED, newer)
    assert await outcomes(made, session) == [Operation.OUTCOME_COMMITTED] * 2
    await session.restore(older, allow_lost=False)
    assert (session.record.state, session.record.latest_checkpoint_id) == (State.STATE_ACTIVE, older)


async def test_a_kill_while_it_wakes_from_an_older_one_leaves_it_asleep(
    made: World, states: SavedStates
) -> None:
    """The next control plane begins with the newest again, and tells the same of it."""
    session, older, newer = await asleep(made)
    states.loading.errors = [DAMAGED]
    states.loading.hold_at = 2
    waking = asyncio.ensure_future(session.usable())
    await until(lambda: states.loading.count == 2)
    await made.restart()
    await asyncio.gather(waking, return_exceptions=True)
    states.loading.gate.set()
    again = made.manager.live(TENANT, session.session_id)
    assert again is not None
    assert (again.record.state, again.record.latest_checkpoint_id) == (State.STATE_HIBERNATED, newer)
    states.loading.errors = [DAMAGED]
    await again.usable()
    assert again.record.latest_checkpoint_id == older
    assert list(again.view().last_recovery.lost_operation_ids) == ["two"]


# Forks of what sleeps.


async def fork(made: World, session: Session, request_id: str = "", count: int = 1) -> list[str]:
    """Fork it; return the ids of the new sessions."""
    forks = await made.manager.fork(TENANT, session.session_id, request_id, count, {})
    return [each.session_id for each in forks]


async def test_a_session_that_sleeps_is_forked_without_being_woken(made: World, states: SavedStates) -> None:
    """Nothing is saved anew; the forks' checkpoint is their own, so that its source may wake, sleep and end."""
    session, _, newer = await asleep(made)
    saved = states.saving.count
    forks = await fork(made, session, count=2)
    assert (session.record.state, session.record.generation) == (State.STATE_HIBERNATED, 1)
    assert (states.saving.count, states.loading.count) == (saved, 2)
    assert made.library is not None
    origins = set()
    for each in forks:
        live = made.manager.live(TENANT, each)
        assert live is not None
        assert live.record.execution_count == session.record.execution_count
        origins.add(live.record.latest_checkpoint_id)
    (origin,) = origins
    assert origin != newer
    copy = await made.library.get(TENANT, origin)
    assert (copy.parent_checkpoint_id, copy.new_bytes, copy.session_id) == (newer, 0, session.session_id)
    for number in range(3):
        await made.run(session, f"more-{number}")
        await session.hibernate()
    assert await made.library.get(TENANT, origin) == copy
    await made.manager.delete(TENANT, session.session_id)
    await made.run(made.manager.live(TENANT, forks[0]), "in the fork")  # type: ignore[arg-type]


async def test_a_repeated_fork_is_the_same_whether_its_source_sleeps_or_not(
    made: World, states: SavedStates
) -> None:
    """Asleep, woken and changed since, asleep again: the sessions that it made, and no others."""
    session, _, _ = await asleep(made)
    first = await fork(made, session, "again", 2)
    assert await fork(made, session, "again", 2) == first
    await made.run(session, "three")
    assert await fork(made, session, "again", 2) == first
    awake = await fork(made, session, "awake")
    await session.hibernate()
    assert await fork(made, session, "again", 2) == first
    assert await fork(made, session, "awake") == awake
    assert await fork(made, session, "other") not in (first, awake)
    assert session.record.generation == 2


async def test_a_fork_that_comes_while_its_source_goes_to_sleep_waits_for_that(
    made: World, states: SavedStates
) -> None:
    """It is neither refused nor does it wake the session."""
    session = await made.create()
    states.saving.close()
    going = asyncio.ensure_future(session.hibernate())
    await states.saving.reached.wait()
    forking = asyncio.ensure_future(fork(made, session))
    states.saving.gate.set()
    await going
    assert await forking
    assert (session.record.state, states.saving.count) == (State.STATE_HIBERNATED, 1)


async def test_a_fork_of_what_is_damaged_fails_and_may_be_asked_for_again(
    made: World, states: SavedStates
) -> None:
    """No session is left of it; the same request works once the source has found a state that is whole."""
    session, older, _ = await asleep(made)
    states.loading.errors = [DAMAGED]
    with pytest.raises(CheckpointCorruptError):
        await fork(made, session, "again")
    assert len(made.manager.live_states()) == 1
    states.loading.errors = [DAMAGED]
    await session.usable()
    assert session.record.latest_checkpoint_id == older
    assert await fork(made, session, "again")


async def test_a_checkpoint_that_a_session_sleeps_on_is_not_deleted_where_it_cannot_be_woken(
    made: World, states: SavedStates
) -> None:
    """Who asks for that gets the error of waking; those who sleep on others are left alone."""
    session, older, newer = await asleep(made)
    states.loading.errors = [StoreUnavailableError("down")]
    with pytest.raises(StoreUnavailableError):
        await made.manager.wake_from(TENANT, newer)
    await made.manager.wake_from(TENANT, older)
    assert session.record.state == State.STATE_HIBERNATED
    await made.manager.wake_from(TENANT, newer)
    assert session.record.state == State.STATE_ACTIVE


async def test_a_fork_s_state_stays_while_its_source_goes_on_and_sandboxes_are_waited_for(
    made: World, states: SavedStates
) -> None:
    """However many newer ones there are by then."""
    session = await made.create()
    await made.run(session, "one")
    made.pool.gate.clear()
    forking = asyncio.ensure_future(fork(made, session))
    await until(lambda: session.record.latest_checkpoint_id != "")
    for number in range(3):
        await made.run(session, f"more-{number}")
        await session.checkpoint("", {}, verify=False, automatic=True)
    assert made.library is not None
    await made.library.thin_out(TENANT, session.session_id, keep=1)
    made.pool.gate.set()
    assert await forking


async def test_what_came_otherwise_is_in_the_row_that_says_that_it_is_awake(
    made: World, states: SavedStates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill right after it keeps nothing back; and however much it is, it fits into an answer."""
    session = await made.create()
    states.lost = [f"{'x' * 900}{number}" for number in range(400)]
    await session.hibernate()
    rows, put = [], made.catalog.put_session

    async def look(record: SessionRecord) -> None:
        rows.append(record)
        await put(record)

    monkeypatch.setattr(made.catalog, "put_session", look)
    await session.usable()
    row = next(each for each in rows if each.state == State.STATE_ACTIVE)
    recovery = session_pb2.Recovery.FromString(row.last_recovery)
    assert recovery.lost_variables[-1] in states.lost
    assert recovery.generation == session.record.generation == 2
    assert recovery == session.view().last_recovery
    assert len(row.last_recovery) < VARIABLES_BYTES + 1000
    assert "more variables" in recovery.reason
