"""Variables that were set through the API and go with an interpreter or a sandbox: named, or their caller is told."""

from __future__ import annotations

import asyncio

import pytest
from sandbank.v1 import session_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.errors import SandboxLostError, StoreUnavailableError
from sandbank_server.sessions.life.session import Session

from tests.fakes.saved_states import SavedStates
from tests.fakes.session_world import TENANT, World, until

SYNCHRONOUS = session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS


@pytest.fixture
def states(made: World, monkeypatch: pytest.MonkeyPatch) -> SavedStates:
    """What the sandboxes save and load."""
    return SavedStates(made, monkeypatch)


async def bind(session: Session, name: str, after: str, state: int, transaction_id: str = "") -> None:
    """Set a variable, as the sandbox answers it."""
    result = runner_pb2.StateResult(as_of_operation_id=after, state=state)
    await session.variable_set(name, result, transaction_id, session.served_by)


def recovery_of(session: Session) -> session_pb2.Recovery:
    """Return the newest one."""
    return session_pb2.Recovery.FromString(session.record.last_recovery)


def again(made: World, session: Session) -> Session:
    """Return a session as the control plane of now has it."""
    found = made.manager.live(TENANT, session.session_id)
    assert found is not None
    return found


@pytest.mark.parametrize("heard", [True, False])
async def test_what_an_interpreter_took_along_is_named(made: World, heard: bool) -> None:
    """That which was set after the snapshot that was woken; not what is in that. Also by who learns of it later."""
    session = await made.create()
    await made.run(session, "op")
    await bind(session, "kept", "op", 2)
    await bind(session, "gone", "op", 3)
    sandbox = made.sandbox_of(session)
    if not heard:
        sandbox.drop()
        sandbox.wires.clear()
    sandbox.replace_interpreter(restored_operation_id="op", restored_state=2, newest_state=3)
    await until(lambda: bool(again(made, session).record.last_recovery))
    assert list(recovery_of(session).lost_variables) == ["gone"]
    assert list(recovery_of(session).lost_operation_ids) == []
    assert session.operations.log.sets_missing_in("") == ["kept"]


@pytest.mark.parametrize("at", ["before the catalog", "after it"])
async def test_it_is_told_once_whenever_the_control_plane_is_killed(made: World, at: str) -> None:
    """A loss that is in the log and not in the catalog is told by the next one, with its names."""
    session = await made.create()
    await bind(session, "x", "", 1)
    if at == "before the catalog":
        made.catalog.gate.clear()
    made.sandbox_of(session).replace_interpreter(restored_state=0, newest_state=1)
    await until(lambda: bool(session.record.last_recovery))
    if at == "after it":
        await session.save()
    await made.restart()
    made.catalog.gate.set()
    later = again(made, session)
    assert list(recovery_of(later).lost_variables) == ["x"]
    assert later.operations.log.sets_missing_in("") == []


async def test_a_supervisor_that_numbers_nothing_leaves_nothing_unnamed(made: World) -> None:
    """What was set after the operation that came back may have gone, and is named."""
    session = await made.create()
    await made.run(session, "a")
    await bind(session, "early", "a", 0)
    await made.run(session, "b")
    await bind(session, "late", "b", 0)
    made.sandbox_of(session).replace_interpreter(restored_operation_id="b")
    await until(lambda: bool(session.record.last_recovery))
    assert list(recovery_of(session).lost_variables) == ["late"]


async def test_what_was_rewound_is_not_lost(made: World) -> None:
    """Nor is it ever named again."""
    session = await made.create()
    await made.run(session, "op")
    await bind(session, "x", "op", 2)
    made.sandbox_of(session).replace_interpreter(
        "rewind", restored_operation_id="op", restored_state=1, newest_state=2, rewound=True
    )
    await until(lambda: session.operations.log.replacements == 1)
    assert session.record.last_recovery == b""
    await made.restart()
    assert again(made, session).operations.log.sets_missing_in("") == []


async def test_an_answer_that_comes_after_the_interpreter_died_is_none(made: World) -> None:
    """The caller is told: nobody else would be, since the recovery was told before. Likewise when its sandbox died."""
    session = await made.create()
    sandbox, served_by = made.sandbox_of(session), session.served_by
    sandbox.replace_interpreter(restored_state=0, newest_state=1)
    await until(lambda: session.operations.log.replacements == 1)
    result = runner_pb2.StateResult(state=1)
    with pytest.raises(SandboxLostError):
        await session.variable_set("x", result, "", served_by)
    await bind(session, "y", "", 2)
    await sandbox.die()
    await until(lambda: session.record.sandbox_id == "")
    assert list(recovery_of(session).lost_variables) == ["y"]
    with pytest.raises(SandboxLostError):
        await session.variable_set("x", runner_pb2.StateResult(state=3), "", served_by)
    assert session.operations.log.sets_missing_in("") == []


@pytest.mark.parametrize("restarted", [True, False])
@pytest.mark.parametrize("commit", [True, False])
async def test_what_was_set_in_a_transaction_counts_from_its_commit(
    made: World, restarted: bool, commit: bool
) -> None:
    """Whichever control plane commits it; what was rolled back never was."""
    session = await made.create()
    begun = await session.begin_transaction(60.0, include_files=False)
    await bind(session, "x", "", 1, begun.transaction_id)
    assert session.operations.log.sets_missing_in("") == []
    if restarted:
        await made.restart()
        session = again(made, session)
    await session.end_transaction(begun.transaction_id, commit=commit)
    assert session.operations.log.sets_missing_in("") == (["x"] if commit else [])
    await made.sandbox_of(session).die()
    await until(lambda: bool(session.record.last_recovery))
    assert list(recovery_of(session).lost_variables) == (["x"] if commit else [])


async def test_a_commit_that_nobody_heard_of_counts_too(made: World) -> None:
    """The next control plane learns of it from the greeting."""
    session = await made.create()
    begun = await session.begin_transaction(60.0, include_files=False)
    await bind(session, "x", "", 1, begun.transaction_id)
    sandbox = made.sandbox_of(session)
    sandbox.wires.clear()
    sandbox.transaction(begun.transaction_id, 2, "commit")
    await made.restart()
    assert again(made, session).operations.log.sets_missing_in("") == ["x"]


async def test_an_answer_that_comes_after_the_end_of_its_transaction_counts_as_that_says(made: World) -> None:
    """The end may be told before the answer is looked at."""
    session = await made.create()
    for commit in (True, False):
        begun = await session.begin_transaction(60.0, include_files=False)
        await session.end_transaction(begun.transaction_id, commit=commit)
        await bind(session, f"set_{commit}", "", 1, begun.transaction_id)
    assert session.operations.log.sets_missing_in("") == ["set_True"]


async def test_the_way_back_is_a_checkpoint_where_that_has_what_was_set(
    made: World, states: SavedStates
) -> None:
    """Not a snapshot that lacks it."""
    session = await made.create(checkpoint_policy=SYNCHRONOUS)
    states.state = 1
    await bind(session, "x", "", 1)
    assert session.operations.log.sets_missing_in(session.record.latest_checkpoint_id) == []
    made.sandbox_of(session).replace_interpreter(restored_state=0, newest_state=1)
    await until(lambda: session.record.generation == 2)
    assert list(recovery_of(session).lost_variables) == []
    assert recovery_of(session).from_checkpoint_id == session.record.latest_checkpoint_id


async def test_a_set_is_acknowledged_when_a_checkpoint_has_it_and_by_no_clock(
    made: World, states: SavedStates
) -> None:
    """While an operation runs checkpoints may be of a moment before; the end of the operation makes another."""
    session = await made.create(checkpoint_policy=SYNCHRONOUS)
    states.state = 1
    await made.run(session, "first")
    events = await made.submit(session, "running")
    sandbox = made.sandbox_of(session)
    sandbox.start("running")
    asked = asyncio.ensure_future(bind(session, "x", "first", 2))
    await until(lambda: states.saving.count == 2 and session.operations.log.set.changed.waiting == 1)
    assert not asked.done()
    states.state = 3
    sandbox.finish("running")
    assert [each async for each in events]
    await asked
    assert states.saving.count == 3
    assert session.operations.log.sets_missing_in(session.record.latest_checkpoint_id) == []


async def test_a_set_of_which_no_copy_can_be_had_is_said_not_to_be_durable(
    made: World, states: SavedStates
) -> None:
    """After some tries: a copy from before is written again and again."""
    session = await made.create(checkpoint_policy=SYNCHRONOUS)
    states.state = 1
    with pytest.raises(StoreUnavailableError, match="not durable"):
        await bind(session, "x", "", 2)
    assert states.saving.count == 3


async def test_a_set_that_goes_before_it_is_durable_is_not_acknowledged(
    made: World, states: SavedStates
) -> None:
    """Although nothing is missing in the checkpoint any more then."""
    session = await made.create(checkpoint_policy=SYNCHRONOUS)
    states.state = 1
    await made.run(session, "first")
    await made.submit(session, "running")
    made.sandbox_of(session).start("running")
    asked = asyncio.ensure_future(bind(session, "x", "first", 2))
    await until(lambda: session.operations.log.set.changed.waiting == 1)
    made.sandbox_of(session).replace_interpreter(
        operation_id="running", restored_operation_id="first", restored_state=1, newest_state=3
    )
    with pytest.raises(SandboxLostError):
        await asked
    assert list(recovery_of(session).lost_variables) == ["x"]
