"""All sessions together: time, restarts, ended sessions, the catalog's faults."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import pytest
from sandbank.v1 import execution_pb2, session_pb2
from sandbank_server.catalog.base import CatalogError
from sandbank_server.errors import (
    DrainingError,
    OperationIdReusedError,
    OperationNotFoundError,
    SessionNotFoundError,
    SessionTerminatedError,
    StoreUnavailableError,
)
from sandbank_server.observability.context import current_context, set_context
from sandbank_server.sessions.log import store as log_store
from sandbank_server.sessions.upkeep import PURGE_SECONDS

from tests.fakes.clock import settle
from tests.fakes.saved_states import SavedStates
from tests.fakes.session_world import TENANT, World, collect, state_of, submission, until

Operation = execution_pb2.Operation
State = session_pb2.Session


async def start(made: World) -> None:
    """Start the manager's clockwork and wait until it sleeps."""
    made.manager.start()
    await until(lambda: made.clock.pending == 2)


async def tick(made: World, seconds: float = 1.0) -> None:
    """Let time pass until the manager has seen to it and sleeps again."""
    made.clock.advance(seconds)
    await until(lambda: made.clock.pending == 2)


def exists(path: str) -> bool:
    """Whether a file is there."""
    return os.path.exists(path)


# Restarts.


async def test_a_restart_takes_up_everything(made: World) -> None:
    """What ran runs on, what finished meanwhile is fetched, what was never received is said to be so."""
    session = await made.create()
    await made.run(session, "done")
    sandbox = made.sandbox_of(session)
    for name in ("runs", "ends", "lost"):
        await made.submit(session, name)
    sandbox.start("runs")
    sandbox.output("runs", b"1")
    await until(lambda: session.operations.live["runs"].last == 2)
    sandbox.drop()
    sandbox.output("runs", b"2")
    sandbox.run("ends")
    del sandbox.journal["lost"]
    manager = await made.restart()
    again = manager.live(TENANT, session.session_id)
    assert again is not None
    watched = asyncio.create_task(collect(again.operations.watch("runs")))
    assert [event.sequence for event in await collect(again.operations.watch("ends"))] == [1, 2]
    await until(lambda: set(again.operations.live) == {"runs"})
    sandbox.finish("runs")
    assert [event.sequence for event in await watched] == [1, 2, 3, 4]
    outcomes = {
        name: (await manager.get_operation(TENANT, session.session_id, name)).outcome
        for name in ("done", "runs", "ends", "lost")
    }
    committed = Operation.OUTCOME_COMMITTED
    assert outcomes == {
        "done": committed,
        "runs": committed,
        "ends": committed,
        "lost": Operation.OUTCOME_NOT_STARTED,
    }
    assert again.view().execution_count == 3
    assert again.view().generation == 1


async def test_a_sandbox_that_died_meanwhile_is_a_crash_with_its_list(made: World) -> None:
    """As if it had been seen: CRASHED, what went with it, ends for what ran."""
    session = await made.create()
    await made.run(session, "done")
    await made.submit(session, "runs")
    made.sandbox_of(session).start("runs")
    await until(lambda: session.operations.live["runs"].started)
    await made.sandbox_of(session).die()
    manager = await made.restart()
    again = manager.live(TENANT, session.session_id)
    assert again is not None
    view = again.view()
    assert view.state == State.STATE_CRASHED
    assert list(view.last_recovery.lost_operation_ids) == ["done"]
    assert (await manager.get_operation(TENANT, session.session_id, "runs")).outcome == (
        Operation.OUTCOME_ROLLED_BACK
    )
    for seen in (0, 1, 200):
        # Nobody knows any more how many events a client has seen: the end comes after all of them.
        (end,) = await collect(again.operations.watch("runs", seen))
        assert (end.sequence, end.finished.operation.state) == (seen + 1, Operation.STATE_CRASHED)


async def test_a_loss_that_was_logged_but_never_saved_is_told_after_the_restart(made: World) -> None:
    """A kill between log and catalog: the list of what was lost is the same as if there had been none."""
    session = await made.create()
    await made.run(session, "done")
    session.operations.log.upload("data.csv")
    made.catalog.broken = True
    session.sandbox_lost("killed")
    await until(lambda: made.catalog.failures > 0)
    manager = await made.restart()
    made.catalog.broken = False
    again = manager.live(TENANT, session.session_id)
    assert again is not None
    assert again.view().state == State.STATE_CRASHED
    assert list(again.view().last_recovery.lost_operation_ids) == ["done"]
    assert list(again.view().last_recovery.lost_files) == ["data.csv"]


async def test_a_replacement_that_was_logged_but_never_saved_is_told_after_the_restart(made: World) -> None:
    """The same for an interpreter in a sandbox that lives on; once saved it is not told again."""
    session = await made.create()
    await made.run(session, "done")
    made.catalog.broken = True
    made.sandbox_of(session).replace_interpreter("out of memory")
    await until(lambda: made.catalog.failures > 0)
    made.catalog.broken = False
    for _ in range(2):
        manager = await made.restart()
        again = manager.live(TENANT, session.session_id)
        assert again is not None
        recovery = again.view().last_recovery
        assert (recovery.reason, list(recovery.lost_operation_ids)) == ("out of memory", ["done"])
        first, recovery_time = again.record.last_recovery, recovery.time
        await again.save()
    assert again.record.last_recovery == first
    assert again.view().last_recovery.time == recovery_time


async def test_what_a_reset_took_away_is_no_loss(made: World) -> None:
    """A restart after a loss that was told and a reset tells neither of them again."""
    session = await made.create()
    await made.run(session, "done")
    made.sandbox_of(session).replace_interpreter("out of memory")
    await until(lambda: session.view().HasField("last_recovery"))
    session.operations.log.upload("data.csv")
    await session.reset(keep_files=False)
    await session.save()
    told = session.record.last_recovery
    manager = await made.restart()
    again = manager.live(TENANT, session.session_id)
    assert again is not None
    assert again.record.last_recovery == told
    again.sandbox_lost("killed")
    recovery = again.view().last_recovery
    assert (list(recovery.lost_operation_ids), list(recovery.lost_files)) == ([], [])


async def test_a_crashed_session_is_read_after_a_restart(made: World) -> None:
    """Its operations are watched and repeated from the log, at once: there is no sandbox to wait for."""
    session = await made.create()
    await made.run(session, "done")
    session.sandbox_lost("killed")
    await session.save()
    manager = await made.restart()
    again = manager.live(TENANT, session.session_id)
    assert again is not None
    (end,) = await collect(await again.execute(submission(session.session_id, "done")))
    assert end.sequence == 2
    assert (await again.operations.get("done")).outcome == Operation.OUTCOME_LOST
    await again.reset(keep_files=False)
    assert again.view().generation == 2


async def test_a_session_whose_end_was_never_saved_ends_after_the_restart(made: World) -> None:
    """Its sandbox was given up: it cannot go on, whatever the catalog still says."""
    session = await made.create()
    made.catalog.broken = True
    with pytest.raises(StoreUnavailableError):
        await made.manager.delete(TENANT, session.session_id)
    made.catalog.broken = False
    await until(lambda: not made.pool.sandboxes[next(iter(made.pool.sandboxes))].alive)
    manager = await made.restart()
    again = manager.live(TENANT, session.session_id)
    assert again is not None
    assert again.view().state == State.STATE_CRASHED


async def test_session_events_are_numbered_on_after_a_restart_though_the_clock_went_back(made: World) -> None:
    """The newest number is saved with the session."""
    session = await made.create()
    await session.update({"a": "b"}, None, None)
    sequence = session.events.sequence
    made.clock._wall -= timedelta(days=1)
    manager = await made.restart()
    again = manager.live(TENANT, session.session_id)
    assert again is not None
    assert again.events.sequence >= sequence


async def test_a_log_that_cannot_be_opened_keeps_the_server_from_starting(made: World) -> None:
    """Without it code could run twice: better to say so than to guess."""
    session = await made.create()
    path = session.operations.log.path
    session.operations.log.close()
    os.unlink(path)
    os.mkdir(path)
    with pytest.raises(CatalogError):
        await made.restart()
    os.rmdir(path)


# Ended sessions.


async def test_an_ended_session_still_answers(made: World) -> None:
    """Operations are read, watched, listed and repeated from its log; new code is refused."""
    session = await made.create()
    for name in ("one", "two", "three"):
        await made.run(session, name)
    session_id = session.session_id
    await made.manager.delete(TENANT, session_id)
    manager = made.manager
    assert manager.live(TENANT, session_id) is None
    assert (await manager.get(TENANT, session_id)).state == State.STATE_TERMINATED
    assert (await manager.get_operation(TENANT, session_id, "one")).outcome == Operation.OUTCOME_COMMITTED
    assert (await manager.cancel_operation(TENANT, session_id, "one")).state == Operation.STATE_SUCCEEDED
    (end,) = await collect(manager.watch_operation(TENANT, session_id, "one", 1))
    assert (end.sequence, end.HasField("finished")) == (2, True)
    (again,) = await collect(await manager.execute(TENANT, submission(session_id, "one")))
    assert again.finished.operation.state == Operation.STATE_SUCCEEDED
    found, more = await manager.list_operations(TENANT, session_id, None, 2)
    assert [each.operation_id for each in found] == ["three", "two"]
    found, more = await manager.list_operations(TENANT, session_id, more, 2)
    assert ([each.operation_id for each in found], more) == (["one"], 0)
    with pytest.raises(OperationIdReusedError):
        await manager.execute(TENANT, submission(session_id, "one", "2"))
    with pytest.raises(SessionTerminatedError):
        await manager.execute(TENANT, submission(session_id, "new"))
    with pytest.raises(OperationNotFoundError):
        await manager.get_operation(TENANT, session_id, "new")


async def test_a_watch_of_an_ended_session_tells_its_end_once(made: World) -> None:
    """Whoever has seen it gets nothing more, whoever missed it gets it under its number."""
    session = await made.create()
    watch = made.manager.watch(TENANT, session.session_id, 0)
    first = await anext(watch)
    await made.manager.delete(TENANT, session.session_id)
    last = [event async for event in watch][-1]
    assert last.session_changed.state == State.STATE_TERMINATED
    for seen, expected in ((0, [last.sequence]), (first.sequence, [last.sequence]), (last.sequence, [])):
        again = [event async for event in made.manager.watch(TENANT, session.session_id, seen)]
        assert [event.sequence for event in again] == expected


async def test_reading_an_ended_session_keeps_no_descriptor(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a watch of one that is left in the middle; a large log is read aside."""
    session = await made.create()
    await made.run(session, "op")
    await made.manager.delete(TENANT, session.session_id)
    before = len(os.listdir("/proc/self/fd"))
    for aside in (10**6, 0):
        monkeypatch.setattr(log_store, "_READ_ASIDE_BYTES", aside)
        watches = [made.manager.watch_operation(TENANT, session.session_id, "op", 0) for _ in range(5)]
        for watch in watches:
            with pytest.raises(Exception, match="gone"):
                await anext(watch)
        await made.manager.get_operation(TENANT, session.session_id, "op")
    assert len(os.listdir("/proc/self/fd")) == before


async def test_an_ended_session_without_a_log_has_no_operations(made: World) -> None:
    """Somebody removed the file: nothing is made in its place."""
    session = await made.create()
    await made.manager.delete(TENANT, session.session_id)
    os.unlink(session.operations.log.path)
    assert await made.manager.list_operations(TENANT, session.session_id, None, 9) == ([], 0)
    assert not exists(session.operations.log.path)


async def test_an_operation_without_an_end_in_the_log_of_an_ended_session_has_ended(made: World) -> None:
    """The disk refused its end to the last: it is told to have ended all the same."""
    session = await made.create()
    events = await made.submit(session, "op")
    await made.manager.delete(TENANT, session.session_id)
    assert len(await collect(events)) == 1
    path = session.operations.log.path
    with open(path, "rb+") as file:  # noqa: ASYNC230
        file.truncate(len(file.readline()))
    told = await made.manager.get_operation(TENANT, session.session_id, "op")
    assert told.state == Operation.STATE_CANCELLED
    (end,) = await collect(await made.manager.execute(TENANT, submission(session.session_id, "op")))
    assert end.HasField("finished")


async def test_sessions_of_others_are_not_there(made: World) -> None:
    """Neither live nor ended, for any use."""
    session = await made.create()
    session_id = session.session_id
    for _ in range(2):
        for use in (
            made.manager.get("other", session_id),
            made.manager.usable("other", session_id),
            made.manager.delete("other", session_id),
            made.manager.execute("other", submission(session_id, "op")),
            made.manager.get_operation("other", session_id, "op"),
            made.manager.list_operations("other", session_id, None, 9),
        ):
            with pytest.raises(SessionNotFoundError):
                await use
        await made.manager.delete(TENANT, session_id)


# Time.


async def test_ticks_end_what_is_unused_and_save_what_was_used(made: World) -> None:
    """Each second: one session ends, one turns idle, one is saved with its count."""
    short = await made.create(idle_timeout=timedelta(seconds=2))
    long = await made.create()
    await made.run(long, "op")
    await start(made)
    await tick(made)
    saved = await made.catalog.get_session(TENANT, long.session_id)
    assert saved is not None
    assert saved.execution_count == 1
    await tick(made)
    await until(lambda: made.manager.live(TENANT, short.session_id) is None)
    await tick(made, 60)
    await until(lambda: long.view().state == State.STATE_IDLE)


async def test_an_end_that_could_not_be_saved_is_saved_by_a_later_tick(made: World) -> None:
    """Until then the session says that it has ended, to everyone, and its sandbox is gone."""
    session = await made.create()
    await start(made)
    made.catalog.broken = True
    with pytest.raises(StoreUnavailableError):
        await made.manager.delete(TENANT, session.session_id)
    with pytest.raises(StoreUnavailableError):
        await made.manager.delete(TENANT, session.session_id)
    assert (await made.manager.get(TENANT, session.session_id)).state == State.STATE_TERMINATED
    with pytest.raises(SessionTerminatedError):
        await made.manager.usable(TENANT, session.session_id)
    with pytest.raises(SessionTerminatedError):
        await made.manager.execute(TENANT, submission(session.session_id, "op"))
    assert made.manager.live_states() == []
    assert "confirmed" not in made.pool.states.values()
    await tick(made)
    assert made.manager.live(TENANT, session.session_id) is not None
    made.catalog.broken = False
    await tick(made)
    await until(lambda: made.manager.live(TENANT, session.session_id) is None)
    saved = await made.catalog.get_session(TENANT, session.session_id)
    assert saved is not None
    assert saved.state == State.STATE_TERMINATED


async def test_a_catalog_that_fails_stops_no_session(made: World) -> None:
    """Operations go on; what changed meanwhile is saved when it can be."""
    session = await made.create()
    await start(made)
    made.catalog.broken = True
    await made.run(session, "op")
    await tick(made)
    assert made.catalog.failures > 0
    with pytest.raises(StoreUnavailableError):
        await session.update({"a": "b"}, None, None)
    made.catalog.broken = False
    await tick(made)

    async def saved() -> bool:
        record = await made.catalog.get_session(TENANT, session.session_id)
        return record is not None and dict(record.labels) == {"a": "b"} and record.execution_count == 1

    async with asyncio.timeout(10):
        while not await saved():
            pass


async def test_a_crashed_session_that_cannot_be_saved_with_its_new_sandbox_stays_crashed(made: World) -> None:
    """A kill right then would lose what ran in it without a word: so nothing is run."""
    session = await made.create()
    session.sandbox_lost("killed")
    await session.save()
    made.catalog.broken = True
    with pytest.raises(StoreUnavailableError):
        await session.reset(keep_files=False)
    assert session.view().state == State.STATE_CRASHED
    assert session.view().sandbox_id == ""
    await until(lambda: not {"leased", "confirmed"} & set(made.pool.states.values()))
    made.catalog.broken = False
    await session.reset(keep_files=False)
    assert session.view().generation == 2


async def test_purging_removes_rows_and_logs_of_sessions_that_ended_long_ago(made: World) -> None:
    """A day after their end; those that live keep theirs."""
    ended, live = await made.create(), await made.create()
    await made.manager.delete(TENANT, ended.session_id)
    await start(made)
    assert exists(ended.operations.log.path)
    live._keeper.change(expire_time=made.clock.now() + timedelta(days=9), idle_timeout=timedelta(days=9))
    await tick(made, made.limits.readable_after_end + 2 * PURGE_SECONDS)
    await until(lambda: not exists(ended.operations.log.path))
    with pytest.raises(SessionNotFoundError):
        await made.manager.get(TENANT, ended.session_id)
    assert exists(live.operations.log.path)


async def test_logs_of_sessions_that_nobody_knows_are_swept_at_the_start(made: World) -> None:
    """A kill came between a log and its row; one that was made since the start is left alone."""
    known, live = await made.create(), await made.create()
    await made.manager.delete(TENANT, known.session_id)
    directory = os.path.dirname(live.operations.log.path)
    old, young = os.path.join(directory, "ses-old.log"), os.path.join(directory, "ses-young.log")
    stray = os.path.join(directory, "not a log")
    for path in (old, young, stray):
        os.close(os.open(path, os.O_CREAT))
    now = made.clock.now().timestamp()
    for path in (old, stray, known.operations.log.path, live.operations.log.path):
        os.utime(path, (now - 10, now - 10))
    os.utime(young, (now + 10, now + 10))
    made.manager.start()
    await until(lambda: not exists(old))
    for path in (young, stray, known.operations.log.path, live.operations.log.path):
        assert exists(path)


# The end of the server.


async def test_draining_sends_watchers_of_sessions_away(made: World) -> None:
    """They are told to come again; what happened until then they have seen."""
    session = await made.create()
    watch = session.watch(0)
    await anext(watch)
    waiting = asyncio.create_task(anext(watch))
    await settle()
    made.manager.drain()
    with pytest.raises(DrainingError):
        await waiting


async def test_ending_all_sessions_ends_them_though_the_catalog_fails(made: World) -> None:
    """The sandboxes are given up, and nobody waits for ever."""
    sessions = [await made.create() for _ in range(3)]
    made.catalog.broken = True
    await made.manager.end_all("test")
    assert all(session.ended for session in sessions)
    assert set(made.pool.states.values()) == {"retired"}


async def test_closing_saves_and_ends_nothing(made: World) -> None:
    """The next control plane finds everything as it was."""
    session = await made.create()
    await made.run(session, "op")
    await made.manager.close()
    assert made.sandbox_of(session).alive
    saved = await made.catalog.get_session(TENANT, session.session_id)
    assert saved is not None
    assert (saved.state, saved.execution_count) == (State.STATE_ACTIVE, 1)


async def test_an_observer_that_fails_keeps_no_operation_from_ending(made: World) -> None:
    """Neither the stream nor the link suffers."""
    session = await made.create()
    made.observed.operation_finished = lambda *_args: 1 / 0  # type: ignore[method-assign]
    link = session.operations.link
    await made.run(session, "op")
    assert session.operations.link is link


# What is not the call's.


async def test_what_a_session_does_by_itself_carries_no_ids_of_a_call(made: World) -> None:
    """Dialling again, saving, ticking: none of it belongs to the request that was there first."""
    set_context({"request_id": "req-of-the-call"})
    session = await made.create()
    seen: list[str] = []

    async def note() -> None:
        seen.append(current_context().get("request_id", ""))

    session.start(note())
    sandbox = made.sandbox_of(session)
    sandbox.drop()
    await until(lambda: session.operations.link is None)
    await until(lambda: session.operations.link is not None)
    session.sandbox_lost("killed")
    await state_of(session, State.STATE_CRASHED)
    await until(lambda: bool(seen))
    assert seen == [""]


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_a_forgotten_session_left_goes_once_no_fork_needs_it(
    made: World, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    """Not before; and also by a control plane that was not there when the session was forgotten."""
    SavedStates(made, monkeypatch)
    library, long = made.library, timedelta(days=99)
    assert library is not None
    source = await made.create(idle_timeout=long, max_lifetime=long)
    await made.run(source, "op")
    (told,) = await made.manager.fork(TENANT, source.session_id, "", 1, {})
    origin = told.latest_checkpoint_id
    await made.manager.delete(TENANT, source.session_id)
    await start(made)
    await tick(made, made.limits.readable_after_end + 2 * PURGE_SECONDS)
    await until(lambda: not exists(source.operations.log.path))
    assert (await library.get(TENANT, origin)).session_id == source.session_id
    if restarted:
        await made.restart()
        await start(made)
    fork = made.manager.live(TENANT, told.session_id)
    assert fork is not None
    await made.run(fork, "more")
    await fork.checkpoint("", {}, verify=False)
    made.clock.advance(PURGE_SECONDS)
    await until(lambda: not made.manager._left)
    assert not await library.of_session(TENANT, source.session_id)
    assert (await library.get(TENANT, fork.record.latest_checkpoint_id)).session_id == fork.session_id
