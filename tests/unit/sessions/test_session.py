"""One session's life: used, idle, updated, reset, ended, against a sandbox that behaves."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sandbank.v1 import execution_pb2, session_pb2
from sandbank_server.errors import (
    BadFieldError,
    SessionBusyError,
    SessionCrashedError,
    SessionTerminatedError,
)

from tests.fakes.saved_states import SavedStates
from tests.fakes.session_world import TENANT, World, collect, state_of, submission, until

Operation = execution_pb2.Operation
State = session_pb2.Session


async def test_a_session_begins_active_with_what_it_was_asked_for(made: World) -> None:
    """Its sandbox is its own, confirmed, and has the environment; the record says so and is saved."""
    session = await made.create(labels={"a": "b"}, env={"PLAIN": "1"}, secret_env={"TOKEN": "2"})
    view = session.view()
    assert (view.state, view.generation, dict(view.labels)) == (State.STATE_ACTIVE, 1, {"a": "b"})
    assert view.python_version == "3.13.5"
    sandbox = made.sandbox_of(session)
    assert made.pool.states[sandbox.sandbox_id] == "confirmed"
    assert sandbox.assigned is not None
    assert dict(sandbox.assigned.env) == {"PLAIN": "1"}
    assert dict(sandbox.assigned.secret_env) == {"TOKEN": "2"}
    saved = await made.catalog.get_session(TENANT, session.session_id)
    assert saved is not None
    assert saved.sandbox_id == sandbox.sandbox_id
    assert "TOKEN" not in repr(saved)


async def test_two_clients_use_one_session_in_turn(made: World) -> None:
    """Both streams are whole; the same id from both runs once and is told to both."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    first = await made.submit(session, "one")
    second = await made.submit(session, "two")
    again = await session.execute(submission(session.session_id, "one"))
    streams = asyncio.gather(collect(first), collect(second), collect(again))
    sandbox.run("one")
    sandbox.run("two")
    told = await streams
    assert [len(each) for each in told] == [2, 2, 2]
    assert told[0] == told[2]
    assert sum(request.HasField("submit") for request in sandbox.asked) == 2
    assert session.view().execution_count == 2


async def test_an_unused_session_turns_idle_and_any_use_wakes_it(made: World) -> None:
    """A minute without an operation; the next one finds it ACTIVE."""
    session = await made.create()
    made.clock.advance(59)
    await session.tick(made.clock.now())
    assert session.view().state == State.STATE_ACTIVE
    made.clock.advance(2)
    await session.tick(made.clock.now())
    assert session.view().state == State.STATE_IDLE
    await made.run(session, "op")
    assert session.view().state == State.STATE_ACTIVE


async def test_an_operation_that_runs_keeps_its_session_from_ending(made: World) -> None:
    """However long it takes; the idle time begins at its end."""
    session = await made.create(idle_timeout=timedelta(seconds=10))
    events = await made.submit(session, "long")
    sandbox = made.sandbox_of(session)
    sandbox.start("long")
    for _ in range(5):
        made.clock.advance(9)
        await session.tick(made.clock.now())
        made.clock.advance(9)
    assert session.view().state == State.STATE_ACTIVE
    await session.tick(made.clock.now())
    sandbox.finish("long")
    assert len(await collect(events)) == 2
    made.clock.advance(9)
    await session.tick(made.clock.now())
    assert not session.ended
    made.clock.advance(2)
    await session.tick(made.clock.now())
    assert session.ended
    assert "idle" in session.view().state_detail


async def test_a_transfer_keeps_its_session_from_ending(made: World) -> None:
    """A file on its way is use, also when it takes longer than the idle timeout."""
    session = await made.create(idle_timeout=timedelta(seconds=10))
    with session.in_use():
        made.clock.advance(60)
        await session.tick(made.clock.now())
        assert not session.ended
    made.clock.advance(9)
    await session.tick(made.clock.now())
    assert not session.ended
    made.clock.advance(2)
    await session.tick(made.clock.now())
    assert session.ended


async def test_a_session_ends_when_its_lifetime_is_over(made: World) -> None:
    """Used or not: what runs is told so, and the sandbox is given up."""
    session = await made.create(max_lifetime=timedelta(seconds=30))
    sandbox_id = session.record.sandbox_id
    events = await made.submit(session, "runs")
    made.sandbox_of(session).start("runs")
    await until(lambda: session.operations.live["runs"].started)
    made.clock.advance(31)
    await session.tick(made.clock.now())
    last = (await collect(events))[-1].finished.operation
    assert (last.state, last.outcome) == (Operation.STATE_CANCELLED, Operation.OUTCOME_ROLLED_BACK)
    assert session.view().state == State.STATE_TERMINATED
    assert made.pool.states[sandbox_id] == "retired"
    saved = await made.catalog.get_session(TENANT, session.session_id)
    assert saved is not None
    assert saved.state == State.STATE_TERMINATED
    assert saved.end_time is not None


async def test_update_changes_what_is_given_in_one_event(made: World) -> None:
    """Labels are replaced, the timeout set, the end put off; the rest stays; watchers are told once."""
    session = await made.create(labels={"a": "b"})
    before = session.record
    sequence = session.events.sequence
    await session.update({"c": "d"}, timedelta(seconds=5), timedelta(hours=1))
    after = session.view()
    assert dict(after.labels) == {"c": "d"}
    assert session.record.expire_time - before.expire_time == timedelta(hours=1)
    assert session.record.idle_timeout == timedelta(seconds=5)
    assert session.events.sequence == sequence + 1
    await session.update(None, None, None)
    assert session.view().labels == after.labels


async def test_a_lifetime_is_put_off_only_so_far(made: World) -> None:
    """Repeated extensions do not make a session immortal, nor its end a time that cannot be written."""
    session = await made.create()
    await session.update(None, None, timedelta(hours=24))
    with pytest.raises(BadFieldError):
        await session.update({"a": "b"}, None, timedelta(hours=24))
    assert dict(session.view().labels) == {}
    made.clock.advance(24 * 3600.0)
    await session.update(None, None, timedelta(hours=23))


async def test_reset_gives_a_pristine_interpreter_and_counts_anew(made: World) -> None:
    """In the same sandbox; what ran before has its outcome for good; a file that was uploaded is forgotten."""
    session = await made.create()
    await made.run(session, "before")
    session.operations.log.upload("data.csv")
    sandbox = made.sandbox_of(session)
    await session.reset(keep_files=True)
    assert session.view().execution_count == 0
    assert list(session.operations.log.uploaded) == ["data.csv"]
    await made.run(session, "after")
    assert session.view().execution_count == 1
    await session.reset(keep_files=False)
    assert list(session.operations.log.uploaded) == []
    assert made.sandbox_of(session) is sandbox
    session.sandbox_lost("test")
    assert list(session.view().last_recovery.lost_operation_ids) == []


async def test_nothing_is_begun_while_a_reset_is_under_way(made: World) -> None:
    """An operation that came in between could run before it or after: so it is refused, and leaves no trace."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    sandbox.answer = lambda request, _reply: not request.HasField("reset")
    resetting = asyncio.create_task(session.reset(keep_files=False))
    await until(lambda: any(each.HasField("reset") for each in sandbox.asked))
    with pytest.raises(SessionBusyError):
        await session.execute(submission(session.session_id, "op"))
    assert session.operations.log.get("op") is None
    await made.manager.delete(TENANT, session.session_id)
    with pytest.raises(SessionTerminatedError):
        await resetting


async def test_a_reset_goes_on_when_its_caller_has_gone(made: World) -> None:
    """The sandbox does it anyway: half of it must not be forgotten."""
    session = await made.create()
    await made.run(session, "op")
    sandbox = made.sandbox_of(session)
    gate: list[object] = []
    sandbox.answer = lambda request, reply: gate.append(reply) is not None or not request.HasField("reset")
    resetting = asyncio.create_task(session.reset(keep_files=False))
    await until(lambda: bool(gate))
    resetting.cancel()
    await asyncio.gather(resetting, return_exceptions=True)
    with pytest.raises(SessionBusyError):
        await session.execute(submission(session.session_id, "early"))
    sandbox.tell(reply=gate[0])
    await until(lambda: session.view().execution_count == 0)
    session.sandbox_lost("test")
    assert session.operations.log.get("op").outcome == Operation.OUTCOME_COMMITTED


async def test_a_crash_is_told_once_whoever_notices(made: World) -> None:
    """Link, pool and engine may all say so: one recovery, one list of what went with it."""
    session = await made.create()
    await made.run(session, "committed")
    await made.run(session, "failed", state=Operation.STATE_FAILED)
    running = await made.submit(session, "runs")
    queued = await made.submit(session, "waits")
    session.operations.log.upload("data.csv")
    sandbox = made.sandbox_of(session)
    sandbox.start("runs")
    await until(lambda: session.operations.live["runs"].started)
    sequence = session.events.sequence
    session.sandbox_lost("first")
    made.manager.sandbox_exited(session.session_id, sandbox.sandbox_id, "second")
    await sandbox.die()
    session.sandbox_lost("third")
    ends = [(await collect(each))[-1].finished.operation for each in (running, queued)]
    assert [end.outcome for end in ends] == [Operation.OUTCOME_ROLLED_BACK, Operation.OUTCOME_NOT_STARTED]
    assert [end.state for end in ends] == [Operation.STATE_CRASHED] * 2
    view = session.view()
    assert (view.state, view.sandbox_id) == (State.STATE_CRASHED, "")
    assert view.state_detail.startswith("first")
    assert list(view.last_recovery.lost_operation_ids) == ["committed", "failed"]
    assert list(view.last_recovery.lost_files) == ["data.csv"]
    assert session.events.sequence == sequence + 2
    assert made.pool.states[sandbox.sandbox_id] == "lost"
    with pytest.raises(SessionCrashedError):
        await session.execute(submission(session.session_id, "new"))


async def test_a_crash_is_saved_at_once(made: World) -> None:
    """Not with the next tick: a list of crashed sessions asked for now has it."""
    session = await made.create()
    session.sandbox_lost("test")

    async def saved() -> bool:
        record = await made.catalog.get_session(TENANT, session.session_id)
        return record is not None and record.state == State.STATE_CRASHED

    async with asyncio.timeout(10):
        while not await saved():
            pass


async def test_reset_of_a_crashed_session_gives_it_another_sandbox(made: World) -> None:
    """Generation + 1, an empty state, saved before it is told; the old sandbox's death is no longer its own."""
    session = await made.create(env={"A": "1"}, secret_env={"B": "2"})
    await made.run(session, "op")
    old = made.sandbox_of(session)
    session.sandbox_lost("test")
    await session.reset(keep_files=False)
    view = session.view()
    assert (view.state, view.generation, view.execution_count) == (State.STATE_ACTIVE, 2, 0)
    fresh = made.sandbox_of(session)
    assert fresh is not old
    assert fresh.assigned is not None
    assert dict(fresh.assigned.secret_env) == {"B": "2"}
    made.manager.sandbox_exited(session.session_id, old.sandbox_id, "late")
    assert session.view().state == State.STATE_ACTIVE
    await made.run(session, "again")
    saved = await made.catalog.get_session(TENANT, session.session_id)
    assert saved is not None
    assert (saved.generation, saved.sandbox_id) == (2, fresh.sandbox_id)


async def test_a_sandbox_that_dies_during_a_reset_leaves_the_session_crashed(made: World) -> None:
    """The caller is told to try again, and finds a crashed session that a reset mends."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    sandbox.answer = lambda request, _reply: not request.HasField("reset")
    resetting = asyncio.create_task(session.reset(keep_files=False))
    await until(lambda: any(each.HasField("reset") for each in sandbox.asked))
    await sandbox.die()
    with pytest.raises((SessionBusyError, SessionCrashedError)):
        await resetting
    await state_of(session, State.STATE_CRASHED)
    await session.reset(keep_files=False)
    assert session.view().state == State.STATE_ACTIVE


async def test_a_session_deleted_while_it_waits_for_another_sandbox_keeps_none(made: World) -> None:
    """The sandbox that comes too late is given back, and never spoken of."""
    session = await made.create()
    session.sandbox_lost("test")
    made.pool.gate.clear()
    resetting = asyncio.create_task(session.reset(keep_files=False))
    await asyncio.sleep(0)
    await made.manager.delete(TENANT, session.session_id)
    made.pool.gate.set()
    with pytest.raises(SessionTerminatedError):
        await resetting
    assert session.view().sandbox_id == ""
    await until(lambda: "leased" not in made.pool.states.values())
    assert "confirmed" not in made.pool.states.values()


async def test_a_session_deleted_while_it_is_assigned_another_sandbox_keeps_none(made: World) -> None:
    """The same a moment later."""
    session = await made.create()
    session.sandbox_lost("test")
    asked = asyncio.Event()

    def hold(sandbox) -> None:
        sandbox.answer = lambda request, _reply: asked.set() is not None

    made.pool.prepare = hold
    resetting = asyncio.create_task(session.reset(keep_files=False))
    await asked.wait()
    await made.manager.delete(TENANT, session.session_id)
    with pytest.raises(SessionTerminatedError):
        await resetting
    await until(lambda: not {"leased", "confirmed"} & set(made.pool.states.values()))
    saved = await made.catalog.get_session(TENANT, session.session_id)
    assert saved is not None
    assert (saved.state, saved.sandbox_id) == (State.STATE_TERMINATED, "")


async def test_ending_goes_through_when_its_caller_has_gone(made: World) -> None:
    """A DeleteSession that is cancelled at any moment still destroys the sandbox and saves the end."""
    session = await made.create()
    sandbox_id = session.record.sandbox_id
    made.catalog.gate.clear()
    made.catalog.waiting.clear()
    deleting = asyncio.create_task(made.manager.delete(TENANT, session.session_id))
    await asyncio.sleep(0)
    deleting.cancel()
    await asyncio.gather(deleting, return_exceptions=True)
    made.catalog.gate.set()
    await until(lambda: made.manager.live(TENANT, session.session_id) is None)
    assert made.pool.states[sandbox_id] == "retired"
    saved = await made.catalog.get_session(TENANT, session.session_id)
    assert saved is not None
    assert saved.state == State.STATE_TERMINATED


async def test_whoever_deletes_second_waits_until_the_end_is_saved(made: World) -> None:
    """An answer means that it is so, also after a kill right then."""
    session = await made.create()
    made.catalog.waiting.clear()
    made.catalog.gate.clear()
    first = asyncio.create_task(made.manager.delete(TENANT, session.session_id))
    await made.catalog.waiting.wait()
    second = asyncio.create_task(made.manager.delete(TENANT, session.session_id))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not second.done()
    made.catalog.gate.set()
    await asyncio.gather(first, second)


async def test_an_ended_session_is_of_no_use(made: World) -> None:
    """Every use says so."""
    session = await made.create()
    await session.terminate("test")
    for use in (
        session.usable(),
        session.execute(submission(session.session_id, "op")),
        session.update(None, None, None),
        session.reset(keep_files=True),
    ):
        with pytest.raises(SessionTerminatedError):
            await use


async def test_a_watcher_sees_the_end_and_a_late_one_the_session_as_it_is(made: World) -> None:
    """The stream ends by itself; sequences only grow."""
    session = await made.create()
    watch = session.watch(0)
    first = await anext(watch)
    await session.update({"a": "b"}, None, None)
    await session.terminate("test")
    rest = [event async for event in watch]
    assert [event.session_changed.state for event in rest][-1] == State.STATE_TERMINATED
    sequences = [first.sequence, *(event.sequence for event in rest)]
    assert sequences == sorted(set(sequences))


async def test_a_watcher_that_goes_leaves_nothing_behind(made: World) -> None:
    """Neither of the session nor of an operation."""
    session = await made.create()
    watch = session.watch(0)
    await anext(watch)
    events = await made.submit(session, "op")
    waiting = [asyncio.create_task(anext(each)) for each in (watch, events)]
    await until(lambda: bool(session.events.bell.waiting and session.operations.live["op"].bell.waiting))
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert not session.events.bell.waiting
    assert not session.operations.live["op"].bell.waiting


async def test_a_late_use_waits_for_a_broken_link_and_goes_on(made: World) -> None:
    """A call that comes while the sandbox is being found again does not fail."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    sandbox.drop()
    await until(lambda: session.operations.link is None)
    events = await session.execute(submission(session.session_id, "op"))
    await until(lambda: "op" in sandbox.journal)
    sandbox.run("op")
    assert len(await collect(events)) == 2


@pytest.mark.parametrize("what", ["checkpoint", "restore"])
async def test_whoever_waits_for_a_state_when_a_session_ends_is_told_that(
    made: World, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It is the session that was ended, not the call that was cancelled."""
    states = SavedStates(made, monkeypatch)
    session = await made.create()
    saved = await session.checkpoint("", {}, verify=False)
    moment = states.saving if what == "checkpoint" else states.loading
    moment.close()
    if what == "checkpoint":
        waiting = asyncio.ensure_future(session.checkpoint("", {}, verify=False))
    else:
        waiting = asyncio.ensure_future(session.restore(saved.checkpoint_id, allow_lost=False))
    await moment.reached.wait()
    await session.terminate("deleted")
    with pytest.raises(SessionTerminatedError):
        await waiting
