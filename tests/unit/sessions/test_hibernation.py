"""Going to sleep and waking against everything that can come between."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta

import pytest
from sandbank.v1 import execution_pb2, session_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.catalog.base import SessionRecord
from sandbank_server.errors import (
    CheckpointCorruptError,
    SessionBusyError,
    SessionTerminatedError,
    StoreUnavailableError,
    TransactionOpenError,
)
from sandbank_server.sessions.life.hibernation import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
)
from sandbank_server.sessions.life.session import Session
from sandbank_server.sessions.life.waking import WAKE_ATTEMPTS
from sandbank_server.sessions.ports import HIBERNATIONS

from tests.fakes.clock import settle
from tests.fakes.saved_states import Moment, SavedStates
from tests.fakes.session_world import TENANT, World, collect, submission, until

State = session_pb2.Session
HIBERNATED = State.STATE_HIBERNATED
Operation = execution_pb2.Operation


@pytest.fixture
def states(made: World, monkeypatch: pytest.MonkeyPatch) -> SavedStates:
    """What the sandboxes save and load."""
    return SavedStates(made, monkeypatch)


def confirmed(made: World) -> list[str]:
    """Return the sandboxes that serve a session."""
    return [sandbox_id for sandbox_id, state in made.pool.states.items() if state == "confirmed"]


async def asleep(made: World, **fields: object) -> Session:
    """Return a session that hibernates after one operation."""
    session = await made.create(**fields)
    await made.run(session, "first")
    await session.hibernate()
    assert session.record.state == HIBERNATED
    return session


# Going to sleep.


async def test_what_comes_while_a_session_goes_to_sleep_waits_and_wakes_it(
    made: World, states: SavedStates
) -> None:
    """New code is neither refused nor lost: it runs in the next sandbox."""
    session = await made.create()
    await made.run(session, "first")
    states.saving.close()
    going = asyncio.ensure_future(session.hibernate())
    await states.saving.reached.wait()
    coming = asyncio.ensure_future(session.follow(submission(session.session_id, "second")))
    reading = asyncio.ensure_future(session.usable())
    states.saving.gate.set()
    await going
    cursor = await coming
    assert await reading is session.operations.link
    sandbox = made.sandbox_of(session)
    await until(lambda: "second" in sandbox.journal)
    sandbox.run("second")
    assert await collect(cursor.events())
    assert (session.record.generation, states.loading.count) == (2, 1)


async def test_only_a_quiet_session_goes_to_sleep(made: World, states: SavedStates) -> None:
    """An operation, a transfer, a transaction: it is refused, and nothing was saved or changed."""
    session = await made.create()
    events = await made.submit(session, "runs")
    with pytest.raises(SessionBusyError):
        await session.hibernate()
    made.sandbox_of(session).run("runs")
    await collect(events)
    with session.in_use(), pytest.raises(SessionBusyError):
        await session.hibernate()
    begun = await session.begin_transaction(60.0, include_files=False)
    with pytest.raises(TransactionOpenError) as caught:
        await session.hibernate()
    assert caught.value.resource == begun.transaction_id
    await session.end_transaction(begun.transaction_id, commit=False)
    assert states.saving.count == 0
    assert session.record.state == State.STATE_ACTIVE
    await session.hibernate()
    await session.hibernate()
    assert states.saving.count == 1


async def test_a_session_that_cannot_be_saved_stays_as_it_is(made: World, states: SavedStates) -> None:
    """The store is down: the error, and the session goes on in the sandbox that it has."""
    session = await made.create()
    states.saving.errors = [StoreUnavailableError("down")]
    with pytest.raises(StoreUnavailableError):
        await session.hibernate()
    await made.run(session, "op")
    assert session.record.generation == 1


async def test_a_checkpoint_of_an_older_copy_is_not_what_a_session_sleeps_on(
    made: World, states: SavedStates
) -> None:
    """It would lose what came after it."""
    session = await made.create()
    await made.run(session, "first")
    states.behind = 1
    with pytest.raises(SessionBusyError):
        await session.hibernate()
    assert session.record.state == State.STATE_ACTIVE
    states.behind = 0
    await session.hibernate()


async def test_a_sandbox_that_dies_while_its_state_is_written_costs_what_its_death_costs(
    made: World, states: SavedStates
) -> None:
    """Nothing was saved before: the session has crashed, and does not sleep on nothing."""
    session = await made.create()
    states.saving.close()
    going = asyncio.ensure_future(session.hibernate())
    await states.saving.reached.wait()
    states.saving.errors = [SessionBusyError("gone", retry_delay=0.5)]
    made.pool.report_lost(session.record.sandbox_id, "killed")
    states.saving.gate.set()
    with pytest.raises(SessionBusyError):
        await going
    assert session.record.state == State.STATE_CRASHED


async def test_a_session_that_is_deleted_meanwhile_has_ended(made: World, states: SavedStates) -> None:
    """While it is being saved, and while it is being woken: ended, and no sandbox serves it."""
    session = await made.create()
    states.saving.close()
    going = asyncio.ensure_future(session.hibernate())
    await states.saving.reached.wait()
    await made.manager.delete(TENANT, session.session_id)
    with pytest.raises(SessionTerminatedError):
        await going
    states.saving.gate.set()
    other = await asleep(made)
    states.loading.close()
    waking = asyncio.ensure_future(other.usable())
    await states.loading.reached.wait()
    await made.manager.delete(TENANT, other.session_id)
    with pytest.raises(SessionTerminatedError):
        await waking
    await until(lambda: confirmed(made) == [])


# Kills of the control plane.


def hold_records(made: World, patch: pytest.MonkeyPatch, which: Callable[[SessionRecord], bool]) -> Moment:
    """Hold the catalog's writes of such records until the moment's gate is open."""
    moment, put = Moment(), made.catalog.put_session
    moment.close()

    async def held(record: SessionRecord) -> None:
        if which(record):
            await moment.pass_by()
        await put(record)

    patch.setattr(made.catalog, "put_session", held)
    return moment


@pytest.mark.parametrize("moment", ["saving", "recording"])
async def test_a_kill_before_a_session_sleeps_leaves_it_awake(
    made: World, states: SavedStates, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Until the record says HIBERNATED the sandbox is the session's."""
    session = await made.create()
    await made.run(session, "first")
    sandbox_id = session.record.sandbox_id
    recording = hold_records(made, monkeypatch, lambda record: record.state == HIBERNATED)
    where = recording if moment == "recording" else states.saving
    where.close()
    going = asyncio.ensure_future(session.hibernate())
    await where.reached.wait()
    await made.restart()
    await asyncio.gather(going, return_exceptions=True)
    again = made.manager.live(TENANT, session.session_id)
    assert again is not None
    assert again.record.sandbox_id == sandbox_id
    await made.run(again, "second")
    states.saving.gate.set()
    recording.gate.set()
    await again.hibernate()
    assert confirmed(made) == []


@pytest.mark.parametrize("moment", ["asleep", "loading", "recording"])
async def test_a_kill_after_that_leaves_it_asleep_and_it_wakes_later(
    made: World, states: SavedStates, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Also in the middle of waking: until the record names the new sandbox there is none."""
    session = await asleep(made)
    recording = hold_records(made, monkeypatch, lambda record: record.generation == 2)
    where = recording if moment == "recording" else states.loading
    where.close()
    if moment != "asleep":
        waking = asyncio.ensure_future(session.usable())
        await where.reached.wait()
        await made.restart()
        await asyncio.gather(waking, return_exceptions=True)
    else:
        await made.restart()
    states.loading.gate.set()
    recording.gate.set()
    again = made.manager.live(TENANT, session.session_id)
    assert again is not None
    assert (again.record.state, again.record.sandbox_id) == (HIBERNATED, "")
    await made.run(again, "second")
    assert again.record.generation == 2
    told = await made.manager.get_operation(TENANT, session.session_id, "first")
    assert told.outcome == Operation.OUTCOME_COMMITTED


# Waking.


async def test_many_uses_at_once_wake_a_session_once(made: World, states: SavedStates) -> None:
    """One sandbox, one load; all of them get the same link."""
    session = await asleep(made)
    states.loading.close()
    waking = [asyncio.ensure_future(session.usable()) for _ in range(5)]
    await states.loading.reached.wait()
    states.loading.gate.set()
    links = await asyncio.gather(*waking)
    assert set(links) == {session.operations.link}
    assert (states.loading.count, session.record.generation) == (1, 2)
    assert len(confirmed(made)) == 1


@pytest.mark.parametrize(
    ("errors", "tries"),
    [
        ([SessionBusyError("gone", retry_delay=0.5)] * WAKE_ATTEMPTS, WAKE_ATTEMPTS),
        ([CheckpointCorruptError("damaged")], 1),
        ([StoreUnavailableError("down")], 1),
    ],
)
async def test_a_session_that_cannot_be_woken_goes_on_sleeping(
    made: World, states: SavedStates, errors: list[Exception], tries: int
) -> None:
    """The caller is told why, nothing is lost, no sandbox is left of it, and the next use tries again."""
    session = await asleep(made)
    states.loading.errors = list(errors)
    with pytest.raises(type(errors[0])):
        await session.usable()
    assert states.loading.count == tries
    assert session.record.state == HIBERNATED
    assert "not woken" in session.record.state_detail
    assert confirmed(made) == []
    await made.run(session, "second")
    assert session.record.generation == 2
    assert session.record.state_detail == ""


async def test_what_could_not_be_saved_is_named_before_and_after(made: World, states: SavedStates) -> None:
    """In words while it sleeps; as a recovery, which watchers hear of, when it has woken."""
    states.lost = [f"name{number}" for number in range(30)]
    session = await asleep(made)
    assert "name0" in session.record.state_detail
    assert "10 more" in session.record.state_detail
    await session.usable()
    recovery = session.view().last_recovery
    assert sorted(recovery.lost_variables) == sorted(states.lost)
    assert not recovery.lost_operation_ids
    assert recovery.generation == 2


async def test_only_the_newest_of_the_states_that_it_slept_on_are_kept(
    made: World, states: SavedStates
) -> None:
    """As many as the limit for automatic checkpoints says, and always the one that it sleeps on."""
    session = await made.create()
    for _ in range(4):
        await session.hibernate()
        await session.wake()
    await session.hibernate()
    assert made.library is not None
    kept = await made.library.of_session(TENANT, session.session_id)
    assert len(kept) == made.limits.keep_automatic
    assert session.record.latest_checkpoint_id in {each.checkpoint_id for each in kept}


async def test_a_reset_needs_no_state_to_wake_to(made: World, states: SavedStates) -> None:
    """It gets a pristine sandbox; where the files stay they have to be brought back first."""
    session = await asleep(made)
    await session.reset(keep_files=False)
    assert (session.record.state, states.loading.count) == (State.STATE_ACTIVE, 0)
    await session.hibernate()
    await session.reset(keep_files=True)
    assert (session.record.state, states.loading.count) == (State.STATE_ACTIVE, 1)


# Idle sessions.


async def idle(made: World, session: Session, seconds: float) -> None:
    """Let time pass, and the session notice."""
    made.clock.advance(seconds)
    await session.tick(made.clock.now())
    await until(lambda: not len(session._tasks))


async def test_an_idle_session_that_cannot_be_saved_is_tried_again_less_and_less_often(
    made: World, states: SavedStates
) -> None:
    """It goes on; the store comes back, and it sleeps."""
    session = await made.create(
        idle_timeout=timedelta(seconds=10),
        max_lifetime=timedelta(days=7),
        idle_action=session_pb2.IDLE_ACTION_HIBERNATE,
    )
    states.saving.errors = [StoreUnavailableError("down")] * 10
    await idle(made, session, 11)
    assert states.saving.count == 1
    await idle(made, session, FIRST_PAUSE_SECONDS - 2)
    assert states.saving.count == 1
    await idle(made, session, 3)
    assert states.saving.count == 2
    for tries in range(3, 11):
        await idle(made, session, LONGEST_PAUSE_SECONDS)
        assert states.saving.count == tries
    assert session.record.state == State.STATE_IDLE
    await idle(made, session, LONGEST_PAUSE_SECONDS)
    assert session.record.state == HIBERNATED


async def test_idle_sessions_go_to_sleep_a_few_at_a_time(made: World, states: SavedStates) -> None:
    """However many are idle at once; one that is used while it waits for its turn stays awake."""
    sessions = [
        await made.create(idle_timeout=timedelta(seconds=10), idle_action=session_pb2.IDLE_ACTION_HIBERNATE)
        for _ in range(HIBERNATIONS + 2)
    ]
    states.saving.close()
    made.clock.advance(11)
    for session in sessions:
        await session.tick(made.clock.now())
    await until(lambda: states.saving.count == HIBERNATIONS)
    await settle()
    assert states.saving.count == HIBERNATIONS
    await made.run(sessions[-1], "used")
    states.saving.gate.set()
    await until(lambda: not any(len(session._tasks) for session in sessions))
    assert [session.record.state for session in sessions] == [
        *[HIBERNATED] * (HIBERNATIONS + 1),
        State.STATE_ACTIVE,
    ]


async def test_the_lifetime_of_a_session_that_sleeps_ends_all_the_same(
    made: World, states: SavedStates
) -> None:
    """Idleness does not end it, whatever the idle action; `max_lifetime` does."""
    session = await asleep(
        made,
        idle_timeout=timedelta(seconds=10),
        max_lifetime=timedelta(seconds=100),
        idle_action=session_pb2.IDLE_ACTION_TERMINATE,
    )
    made.clock.advance(90)
    await session.tick(made.clock.now())
    assert session.record.state == HIBERNATED
    made.clock.advance(20)
    await session.tick(made.clock.now())
    assert session.record.state == State.STATE_TERMINATED
    assert states.loading.count == 0


async def test_sessions_that_sleep_hold_no_task_and_no_descriptor(made: World, states: SavedStates) -> None:
    """Not after they went to sleep, and not after a restart, with a policy that has a task of its own while awake."""
    made.catalog.waiting.clear()
    first = await asleep(made)  # what all of them share is open from now on
    await until(lambda: not made.pool._ending)
    tasks, descriptors = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
    sessions = [first]
    for _ in range(24):
        session = await made.create(checkpoint_policy=session_pb2.CHECKPOINT_POLICY_ON_IDLE)
        await made.run(session, "first")
        assert len(session._tasks) == 1
        await session.hibernate()
        sessions.append(session)
    await until(lambda: not made.pool._ending and not any(len(each._tasks) for each in sessions))
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    await made.restart()
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    assert len(asyncio.all_tasks()) <= tasks
    again = made.manager.live(TENANT, sessions[-1].session_id)
    assert again is not None
    await made.run(again, "second")
    assert states.loading.count == 1


async def test_a_copy_from_before_a_variable_was_set_is_not_what_a_session_sleeps_on(
    made: World, states: SavedStates
) -> None:
    """It would wake without that, and nobody would say so."""
    session = await made.create()
    await made.run(session, "first")
    result = runner_pb2.StateResult(as_of_operation_id="first", state=2)
    await session.variable_set("x", result, "", session.served_by)
    states.state = 1
    with pytest.raises(SessionBusyError):
        await session.hibernate()
    assert session.record.state == State.STATE_ACTIVE
    states.state = 2
    await session.hibernate()
    assert session.operations.log.sets_missing_in(session.record.latest_checkpoint_id) == []


async def test_a_session_does_not_sleep_on_a_state_that_it_has_left(made: World, states: SavedStates) -> None:
    """The interpreter died while it was written: no checkpoint of it leads back, so there was nothing to wake to."""
    session = await made.create()
    states.state = 2
    states.saving.close()
    going = asyncio.ensure_future(session.hibernate())
    await states.saving.reached.wait()
    made.sandbox_of(session).replace_interpreter(
        restored_operation_id="", restored_state=1, newest_state=2, lost_operation_ids=[]
    )
    await until(lambda: session.operations.log.replacements == 1)
    states.saving.gate.set()
    with pytest.raises(SessionBusyError):
        await going
    assert session.record.state == State.STATE_ACTIVE
    states.state = 3
    await session.hibernate()
    assert session.record.latest_checkpoint_id
    await session.usable()
