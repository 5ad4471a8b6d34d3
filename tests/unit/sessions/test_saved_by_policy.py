"""Sessions that are saved after changes: when, by what they are used for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from sandbank.v1 import execution_pb2, session_pb2
from sandbank_server.errors import SessionBusyError, StoreUnavailableError
from sandbank_server.sessions.life.autosave import LONGEST_WAIT_SECONDS, STILL_SECONDS

from tests.fakes.clock import settle
from tests.fakes.saved_states import SavedStates
from tests.fakes.session_world import World, collect, until

Operation = execution_pb2.Operation
AFTER_CHANGE = session_pb2.CHECKPOINT_POLICY_AFTER_CHANGE


@pytest.fixture
async def states(made: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SavedStates]:
    """What the sandboxes save; at the end all of it is saved, and no thread holds a file."""
    yield SavedStates(made, monkeypatch)
    sessions = list(made.manager._sessions.values())
    await pass_time_until(made, lambda: not any(session._autosave.unsaved for session in sessions))


async def pass_time(made: World, seconds: float) -> None:
    """Let time pass in small steps, and whatever that wakes run."""
    for _ in range(round(seconds / 0.01)):
        made.clock.advance(0.01)
        await settle(5)


async def pass_time_until(made: World, condition: Callable[[], bool]) -> None:
    """Do so for as long as it takes: what is written to a disk meanwhile seems to take its time, and has a budget."""
    async with asyncio.timeout(20):
        while not condition():
            await pass_time(made, 0.05)


async def test_no_operation_of_a_burst_waits_for_a_writer(made: World, states: SavedStates) -> None:
    """One that is queued or runs keeps the checkpoint waiting, and so does one that has just ended."""
    session = await made.create(checkpoint_policy=AFTER_CHANGE)
    sandbox = made.sandbox_of(session)
    for number in range(8):
        first = await made.submit(session, f"runs-{number}")
        second = await made.submit(session, f"waits-{number}")
        await pass_time(made, 2 * STILL_SECONDS)
        for name, events in ((f"runs-{number}", first), (f"waits-{number}", second)):
            sandbox.run(name)
            await collect(events)
        await pass_time(made, STILL_SECONDS / 5)
        assert states.saving.count == 0
    await pass_time(made, 2 * STILL_SECONDS)
    await until(lambda: session.record.latest_checkpoint_id != "")
    assert states.saving.count == 1
    assert session.operations.log.durable_checkpoint_of(session.operations.entry("waits-7"))


async def test_a_busy_session_is_saved_all_the_same(made: World, states: SavedStates) -> None:
    """So long after the change at the latest, whatever runs."""
    session = await made.create(checkpoint_policy=AFTER_CHANGE)
    await made.run(session, "first")
    events = await made.submit(session, "runs")
    await pass_time(made, LONGEST_WAIT_SECONDS - 0.05)
    assert states.saving.count == 0
    await pass_time(made, 0.1)
    await until(lambda: states.saving.count == 1)
    made.sandbox_of(session).run("runs")
    await collect(events)


async def test_reading_and_uploading_count_as_use(made: World, states: SavedStates) -> None:
    """Nothing that holds the session is interrupted by a fork either."""
    session = await made.create(checkpoint_policy=AFTER_CHANGE)
    await made.run(session, "first")
    with session.in_use():
        await pass_time(made, LONGEST_WAIT_SECONDS - 0.05)
        assert states.saving.count == 0
    await pass_time(made, 2 * STILL_SECONDS)
    await until(lambda: states.saving.count == 1)


async def test_a_client_s_checkpoint_makes_another_needless(made: World, states: SavedStates) -> None:
    """It has what there was to be saved."""
    session = await made.create(checkpoint_policy=AFTER_CHANGE)
    await made.run(session, "first")
    saved = await session.checkpoint("", {}, verify=False)
    await pass_time(made, 2 * LONGEST_WAIT_SECONDS)
    assert (states.saving.count, session.record.latest_checkpoint_id) == (1, saved.checkpoint_id)


async def test_one_that_waits_for_its_turn_meanwhile_is_not_made(made: World, states: SavedStates) -> None:
    """A client's was being written when the session had become still."""
    session = await made.create(checkpoint_policy=AFTER_CHANGE)
    await made.run(session, "first")
    states.saving.close()
    asked = asyncio.ensure_future(session.checkpoint("", {}, verify=False))
    await states.saving.reached.wait()
    await pass_time(made, 2 * LONGEST_WAIT_SECONDS)
    states.saving.gate.set()
    saved = await asked
    await pass_time(made, 2 * LONGEST_WAIT_SECONDS)
    assert (states.saving.count, session.record.latest_checkpoint_id) == (1, saved.checkpoint_id)


@pytest.mark.parametrize("outcome", [Operation.OUTCOME_COMMITTED, Operation.OUTCOME_ROLLED_BACK])
async def test_a_copy_from_before_is_not_enough(
    made: World, states: SavedStates, outcome: Operation.Outcome
) -> None:
    """When what kept the state from being copied has ended, with an effect or without, the rest is saved."""
    session = await made.create(checkpoint_policy=AFTER_CHANGE)
    await made.run(session, "first")
    events = await made.submit(session, "runs")
    states.behind = 1
    await pass_time(made, LONGEST_WAIT_SECONDS + 0.05)
    await until(lambda: states.saving.count == 1)
    await pass_time(made, 2 * LONGEST_WAIT_SECONDS)
    assert states.saving.count == 1
    states.behind = 0
    made.sandbox_of(session).run("runs", outcome=outcome)
    await collect(events)
    await pass_time_until(made, lambda: states.saving.count == 2)


async def test_what_no_checkpoint_has_when_the_control_plane_dies_is_saved_by_the_next(
    made: World, states: SavedStates
) -> None:
    """Without another change; what was saved is not saved again."""
    unsaved = await made.create(checkpoint_policy=AFTER_CHANGE)
    saved = await made.create(checkpoint_policy=AFTER_CHANGE)
    for session in (unsaved, saved):
        await made.run(session, "first")
    await saved.checkpoint("", {}, verify=False)
    manager = await made.restart()
    await pass_time(made, 3 * STILL_SECONDS)
    adopted = manager.live(unsaved.record.tenant, unsaved.session_id)
    assert adopted is not None
    await until(lambda: adopted.record.latest_checkpoint_id != "")
    await pass_time(made, 2 * LONGEST_WAIT_SECONDS)
    assert states.saving.count == 2


async def test_a_session_that_could_not_be_copied_is_tried_again(made: World, states: SavedStates) -> None:
    """Soon, and without a word to anybody."""
    session = await made.create(checkpoint_policy=AFTER_CHANGE)
    states.saving.errors = [SessionBusyError("an operation is running", retry_delay=0.5)]
    await made.run(session, "first")
    await pass_time(made, 2 * STILL_SECONDS)
    await until(lambda: states.saving.count == 1)
    await pass_time_until(made, lambda: session.record.latest_checkpoint_id != "")


async def test_of_what_is_saved_for_changes_outside_of_operations_only_the_newest_are_kept(
    made: World, states: SavedStates
) -> None:
    """A session that only gets files and values would fill the disk."""
    session = await made.create(checkpoint_policy=session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS)
    library = made.library
    assert library is not None
    for _ in range(5):
        await session.changed_outside()
    while session._tasks:
        await asyncio.gather(*session._tasks._tasks)
    kept = await library.of_session(session.record.tenant, session.session_id)
    assert len(kept) == made.limits.keep_automatic
    assert kept[0].checkpoint_id == session.record.latest_checkpoint_id


async def test_a_session_that_could_not_be_saved_when_it_was_idle_is_saved_by_the_next_control_plane(
    made: World, states: SavedStates
) -> None:
    """To be saved is no use: a session that nobody uses stays idle, and does not become so once more."""
    session = await made.create(checkpoint_policy=session_pb2.CHECKPOINT_POLICY_ON_IDLE)
    await made.run(session, "first")
    made.clock.advance(made.limits.idle_after)
    states.saving.errors = [StoreUnavailableError("down")]
    await session.tick(made.clock.now())
    assert session.record.state == session_pb2.Session.STATE_IDLE
    used = session.record.last_active_time
    await pass_time_until(made, lambda: states.saving.count == 1)
    assert (session.record.state, session.record.last_active_time) == (session_pb2.Session.STATE_IDLE, used)
    await session.save()
    manager = await made.restart()
    found = manager.live(session.record.tenant, session.session_id)
    assert found is not None
    await pass_time_until(made, lambda: found.record.latest_checkpoint_id != "")
