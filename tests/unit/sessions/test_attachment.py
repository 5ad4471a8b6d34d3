"""A session and its sandbox part and meet again: links that break, control planes that are killed."""

from __future__ import annotations

import asyncio

import pytest
from sandbank.v1 import execution_pb2, session_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.errors import EventsEvictedError
from sandbank_server.sessions.life import reattach
from sandbank_server.sessions.operations.live_operation import WINDOW_EVENTS

from tests.fakes.clock import settle
from tests.fakes.session_world import TENANT, World, collect, state_of, until

Operation = execution_pb2.Operation
State = session_pb2.Session


def numbers(events: list[execution_pb2.OperationEvent]) -> list[int]:
    """Return the sequences."""
    return [event.sequence for event in events]


async def relinked(made: World, session) -> None:
    """Break the link and wait for another one."""
    old = session.operations.link
    made.clock.advance(reattach.STABLE_SECONDS)
    made.sandbox_of(session).drop()
    await until(lambda: session.operations.link not in (None, old))


async def test_a_link_that_breaks_costs_no_event(made: World) -> None:
    """What was written while it was broken is read from the journal, what comes after is pushed: no seam."""
    session = await made.create()
    events = asyncio.create_task(collect(await made.submit(session, "op")))
    sandbox = made.sandbox_of(session)
    sandbox.start("op")
    await until(lambda: session.operations.live["op"].last == 1)
    old = session.operations.link
    sandbox.drop()
    for number in range(5):
        sandbox.output("op", b"%d" % number)
    await until(lambda: session.operations.link not in (None, old))
    sandbox.output("op", b"after")
    sandbox.finish("op")
    assert numbers(await events) == list(range(1, 9))
    assert made.observed.links == [True]
    assert session.view().state == State.STATE_ACTIVE


async def test_what_is_pushed_right_after_the_greeting_is_heard_in_its_place(made: World) -> None:
    """A sandbox that never stops writing is adopted all the same, by the same control plane and by the next."""
    session = await made.create()
    await made.submit(session, "op")
    sandbox = made.sandbox_of(session)
    sandbox.start("op")
    sandbox.output("op", b"before")
    await until(lambda: session.operations.live["op"].last == 2)
    sandbox.on_open = lambda _wire: [sandbox.output("op", b"x") for _ in range(3)]
    await relinked(made, session)
    await until(lambda: session.operations.live["op"].last == 5)
    manager = await made.restart()
    again = manager.live(TENANT, session.session_id)
    assert again is not None
    await until(lambda: again.operations.live["op"].last == 8)
    watched = asyncio.create_task(collect(again.operations.watch("op")))
    sandbox.finish("op")
    assert numbers(await watched) == list(range(1, 10))
    assert again.view().state == State.STATE_ACTIVE


async def test_an_operation_on_its_way_when_the_link_broke_never_started(made: World) -> None:
    """The sandbox does not know it: it ends, and its id is spent."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    events = await made.submit(session, "lost")
    del sandbox.journal["lost"]
    sandbox.drop()
    (end,) = await collect(events)
    assert end.finished.operation.state == Operation.STATE_CRASHED
    assert end.finished.operation.outcome == Operation.OUTCOME_NOT_STARTED
    await made.run(session, "next")


async def test_what_finished_and_was_dropped_meanwhile_is_known_by_its_record(made: World) -> None:
    """A journal keeps outcomes longer than events: the end is told, and that events are missing."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    await made.submit(session, "op")
    sandbox.start("op")
    await until(lambda: session.operations.live["op"].last == 1)
    sandbox.drop()
    sandbox.output("op", b"x")
    sandbox.finish("op")
    sandbox.evict("op", 3)
    with pytest.raises(EventsEvictedError) as caught:
        await collect(session.operations.watch("op", 1))
    assert caught.value.metadata == {"first_sequence": "3", "last_sequence": "3"}
    entry = session.operations.log.get("op")
    assert entry is not None
    assert (entry.outcome, entry.last_sequence) == (Operation.OUTCOME_COMMITTED, 3)
    (end,) = await collect(session.operations.watch("op", 2))
    assert end.finished.operation.state == Operation.STATE_SUCCEEDED


async def test_a_watcher_behind_the_window_waits_while_the_link_is_mended(made: World) -> None:
    """A stream never ends without its Finished because the link broke at the wrong moment."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    events = await made.submit(session, "op")
    sandbox.start("op")
    first = await anext(events)
    for _ in range(WINDOW_EVENTS + 50):
        sandbox.output("op", b"x")
    await until(lambda: session.operations.live["op"].last == WINDOW_EVENTS + 51)
    sandbox.drop()
    await until(lambda: session.operations.link is None)
    rest = asyncio.create_task(collect(events))
    await until(lambda: session.operations.link is not None)
    sandbox.finish("op")
    sequences = [execution_pb2.OperationEvent.FromString(first).sequence, *numbers(await rest)]
    assert sequences == list(range(1, WINDOW_EVENTS + 53))


async def test_a_watcher_whose_events_are_dropped_while_the_operation_runs_is_told_where_to_go_on(
    made: World,
) -> None:
    """Never a stream that just ends: EVENTS_EVICTED with the first sequence that is still there."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    events = await made.submit(session, "op")
    sandbox.start("op")
    await anext(events)
    for _ in range(WINDOW_EVENTS + 50):
        sandbox.output("op", b"x")
    await until(lambda: session.operations.live["op"].last == WINDOW_EVENTS + 51)
    sandbox.evict("op", 20)
    with pytest.raises(EventsEvictedError) as caught:
        await collect(events)
    assert caught.value.metadata["first_sequence"] == "21"
    going_on = asyncio.create_task(collect(session.operations.watch("op", 20)))
    repeated = asyncio.create_task(collect(session.operations.watch("op", lenient=True)))
    await settle()
    sandbox.finish("op")
    assert numbers(await going_on)[0] == 21
    (end,) = await repeated
    assert end.HasField("finished")


async def test_an_interpreter_replaced_while_nobody_listened_is_learned_of(made: World) -> None:
    """Each operation whose effects went is listed once, also one whose end was not heard of; the next one counts."""
    session = await made.create()
    await made.run(session, "told")
    sandbox = made.sandbox_of(session)
    await made.submit(session, "unheard")
    sandbox.drop()
    sandbox.run("unheard")
    sandbox.replace_interpreter("out of memory")
    await until(lambda: session.operations.link is not None)
    await until(lambda: not session.operations.live)
    recovery = session.view().last_recovery
    assert recovery.reason == "out of memory"
    assert list(recovery.lost_operation_ids) == ["told", "unheard"]
    for name in ("told", "unheard"):
        assert (await session.operations.get(name)).outcome == Operation.OUTCOME_LOST
    await made.run(session, "fresh")
    sequence = session.events.sequence
    await relinked(made, session)
    await settle()
    assert session.events.sequence == sequence
    assert session.operations.log.get("fresh").outcome == Operation.OUTCOME_COMMITTED


async def test_a_supervisor_that_hangs_up_again_and_again_is_given_up(made: World) -> None:
    """Dialling goes on with growing pauses, and ends: no spin, and no session in limbo."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    sandbox.on_open = lambda wire: wire.writer.transport.abort()
    sandbox.drop()
    crashed = asyncio.create_task(state_of(session, State.STATE_CRASHED))
    async with asyncio.timeout(10):
        while not crashed.done():
            made.clock.advance(0.5)
            await asyncio.sleep(0)
    assert sandbox.dials <= 2 * reattach.BREAKS + 1  # each time somebody listens is found out first
    assert made.pool.states[sandbox.sandbox_id] == "lost"


@pytest.mark.parametrize(
    "hello",
    [
        {"session_id": "ses-of-another"},
        {"operations": []},
        {"operations": [runner_pb2.OperationSummary(operation_id="op", last_sequence=1)]},
        {"operations": [runner_pb2.OperationSummary(operation_id="op", last_sequence=2**60)]},
        {"execution_count": -1},
        {"last_replaced": runner_pb2.InterpreterReplaced(number=-5)},
    ],
)
async def test_a_sandbox_that_contradicts_itself_is_given_up(made: World, hello: dict) -> None:
    """What it says after a broken link cannot be: the session is CRASHED, never left between two states."""
    session = await made.create()
    events = await made.submit(session, "op")
    sandbox = made.sandbox_of(session)
    sandbox.start("op")
    sandbox.output("op", b"x")
    await until(lambda: session.operations.live["op"].last == 2)
    if hello == {"operations": []}:
        del sandbox.journal["op"]
    sandbox.hello = hello
    sandbox.drop()
    await state_of(session, State.STATE_CRASHED)
    assert (await collect(events))[-1].HasField("finished")
    assert made.pool.states[sandbox.sandbox_id] == "lost"


async def test_a_restarted_supervisor_is_not_the_same_sandbox(made: World) -> None:
    """Its state is gone, whatever its name."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    sandbox.boot_id = "another"
    sandbox.drop()
    await state_of(session, State.STATE_CRASHED)


async def test_a_link_found_after_the_session_has_ended_is_dropped(made: World) -> None:
    """Dialling and ending cross: nothing is left open."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    sandbox.drop()
    await until(lambda: session.operations.link is None)
    await session.terminate("test")
    assert session.operations.link is None
    await until(lambda: not sandbox.alive)


async def test_a_pool_that_notices_first_ends_the_search(made: World) -> None:
    """The link broke, and while it is looked for the engine says that the sandbox is dead."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    sandbox.drop()
    await until(lambda: session.operations.link is None)
    made.manager.sandbox_exited(session.session_id, sandbox.sandbox_id, "killed")
    assert session.view().state == State.STATE_CRASHED
    await session.reset(keep_files=False)
    await until(lambda: len(session._tasks) == 0)
    assert session.view().state == State.STATE_ACTIVE
    assert session.operations.link is not None
    assert session.operations.link.hello.sandbox_id == session.view().sandbox_id


async def test_trouble_of_our_own_is_not_held_against_the_sandbox(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptors left: it is tried again until there are, and the session lives."""
    session = await made.create()
    real, tries = reattach.open_socket, 0

    def exhausted(endpoint):
        nonlocal tries
        tries += 1
        if tries < 4:
            raise OSError(24, "Too many open files")
        return real(endpoint)

    monkeypatch.setattr(reattach, "open_socket", exhausted)
    made.sandbox_of(session).drop()
    await until(lambda: session.operations.link is None)
    async with asyncio.timeout(10):
        while session.operations.link is None:
            made.clock.advance(1)
            await asyncio.sleep(0)
    assert session.view().state == State.STATE_ACTIVE


async def test_background_output_within_its_bound_is_told_and_a_flood_is_a_violation(made: World) -> None:
    """A supervisor that tells far more than its own bound is not to be trusted."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    watch = session.watch(session.events.sequence)
    background = runner_pb2.Background(stream=2, data=b"x" * 65_536, dropped_bytes=3, sequence=1)
    sandbox.tell(background=background)
    async for event in watch:
        if event.HasField("background_output"):
            told = event.background_output
            break
    assert (told.stream, len(told.data), told.dropped_bytes) == (2, 65_536, 3)
    for _ in range(70):
        sandbox.tell(background=background)
    await state_of(session, State.STATE_CRASHED)


@pytest.mark.parametrize(
    "message",
    [
        {"background": runner_pb2.Background(stream=3, data=b"x")},
        {"background": runner_pb2.Background(stream=1, data=b"x" * 70_000)},
        {"background": runner_pb2.Background(stream=1, dropped_bytes=-1)},
        {"interpreter_replaced": runner_pb2.InterpreterReplaced(reason="x", state_lost=True, number=0)},
        {"hello": runner_pb2.Hello()},
        {"file_reply": runner_pb2.FileReply()},
        {},
    ],
)
async def test_what_an_honest_supervisor_never_says_ends_the_sandbox(made: World, message: dict) -> None:
    """One such message, and the session is CRASHED with that as its reason."""
    session = await made.create()
    made.sandbox_of(session).tell(**message)
    await state_of(session, State.STATE_CRASHED)
    assert "protocol" in session.view().state_detail


async def test_text_of_a_supervisor_is_bounded_and_on_one_line(made: World) -> None:
    """Neither a version nor a reason can forge a log line or fill an answer."""
    made.pool.prepare = lambda sandbox: setattr(sandbox, "python_version", "3.13\n\x1b[31m")
    session = await made.create()
    assert session.view().python_version == ""
    await made.run(session, "lost")
    sandbox = made.sandbox_of(session)
    sandbox.replace_interpreter("line\nline\x1b[0m" + "x" * 10_000)
    await until(lambda: session.view().HasField("last_recovery"))
    reason = session.view().last_recovery.reason
    assert len(reason) <= 200
    assert reason.isprintable()
