"""Ends that wait for what they tell of to be durable are told, whatever becomes of that."""

from __future__ import annotations

import asyncio

import pytest
from sandbank.v1 import execution_pb2, session_pb2

from tests.fakes.saved_states import SavedStates
from tests.fakes.session_world import World, collect, until

SYNCHRONOUS = session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS
Operation = execution_pb2.Operation


@pytest.fixture
def states(made: World, monkeypatch: pytest.MonkeyPatch) -> SavedStates:
    """What the sandboxes save and load."""
    return SavedStates(made, monkeypatch)


@pytest.mark.parametrize("behind", [0, 1], ids=["has-it", "from-before"])
async def test_nothing_is_saved_for_effects_that_have_gone(
    made: World, states: SavedStates, behind: int
) -> None:
    """The interpreter died while it was made durable: it is LOST, and neither durable nor a checkpoint that failed."""
    session = await made.create(checkpoint_policy=SYNCHRONOUS)
    states.state = 1
    await made.run(session, "first")
    states.behind = behind
    states.saving.close()
    events = await made.submit(session, "second")
    sandbox = made.sandbox_of(session)
    sandbox.run("second")
    await states.saving.reached.wait()
    sandbox.replace_interpreter(
        restored_operation_id="first", lost_operation_ids=["second"], restored_state=1, newest_state=2
    )
    await until(lambda: session.operations.log.replacements == 1)
    states.saving.gate.set()
    finished = (await collect(events))[-1].finished.operation
    assert (finished.outcome, finished.durable_checkpoint_id) == (Operation.OUTCOME_LOST, "")
    assert [each.code for each in finished.warnings] == []
    assert states.saving.count == 2


async def test_an_end_is_told_also_where_the_server_fails(made: World, states: SavedStates) -> None:
    """With a fault of its own: nobody waits for ever, and nobody takes it to be durable."""
    session = await made.create(checkpoint_policy=SYNCHRONOUS)
    states.saving.errors = [ValueError("a fault")]
    events = await made.submit(session, "op")
    made.sandbox_of(session).run("op")
    async with asyncio.timeout(10):
        finished = (await collect(events))[-1].finished.operation
    assert (finished.outcome, finished.durable_checkpoint_id) == (Operation.OUTCOME_COMMITTED, "")
    assert [each.code for each in finished.warnings] == ["CHECKPOINT_FAILED"]
