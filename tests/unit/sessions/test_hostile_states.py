"""What sandboxes say of the states that they save and load is believed as far as it can be, and harms nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sandbank.v1 import session_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.checkpoints.manifest import Manifest, ManifestBuilder
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.sessions.recovery.report import report_of

from tests.fakes.saved_states import SavedStates
from tests.fakes.scripted_supervisor import Journalled, Operation
from tests.fakes.session_world import World, until

State = session_pb2.Session


@pytest.fixture
def states(made: World, monkeypatch: pytest.MonkeyPatch) -> SavedStates:
    """What the sandboxes save and load."""
    return SavedStates(made, monkeypatch)


async def test_a_writer_is_told_of_no_other_session_s_checkpoint(made: World, states: SavedStates) -> None:
    """Only of those that its session made, and of the one that it was brought back from."""
    session, other = await made.create(), await made.create()
    own = await session.checkpoint("", {}, verify=False)
    foreign = await other.checkpoint("", {}, verify=False)
    assert await session._find_base(own.checkpoint_id) is not None
    for name in (foreign.checkpoint_id, "none", "", "\ud800", "x" * 1_000_000):
        assert await session._find_base(name) is None
    await session.restore(foreign.checkpoint_id, allow_lost=False)
    assert await session._find_base(foreign.checkpoint_id) is not None


async def test_a_state_after_an_operation_that_nobody_sent_has_the_effects_of_none(
    made: World, states: SavedStates
) -> None:
    """Whatever the id is, it is not kept."""
    session = await made.create()
    await made.run(session, "op")
    forged = Journalled(runner_pb2.Submit(operation_id="x" * 100_000))
    forged.operation.state = Operation.STATE_SUCCEEDED
    made.sandbox_of(session).journal["x" * 100_000] = forged
    saved = await session.checkpoint("", {}, verify=False)
    assert saved.last_operation_id == ""
    assert session.operations.log.covered_by(saved.checkpoint_id) == frozenset()
    assert made.library is not None
    assert (await made.library.manifest(saved)).operation == ""


def test_a_reason_that_cannot_be_shown_is_shown_as_far_as_it_can_be() -> None:
    """Lone surrogates have no bytes; more than a line is one."""
    variable = {"name": "x", "type": "int", "size": 1, "fidelity": "EXACT", "reason": "", "shares": ""}
    manifest = Manifest(groups=[{"variables": [variable], "pickle": [], "buffers": []}])
    told = {"lost": [{"name": "x", "reason": "no\ud800\nforged" + "!" * 1000}]}
    (lost,) = report_of(manifest, told, 0.0).lost
    assert lost.reason.startswith("no  forged!")
    assert len(lost.reason) == 500


def test_an_ambient_state_without_an_end_is_a_violation() -> None:
    """Not a fault of who takes it in, keeps it, or sends it again."""
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"x": deep}
    header = {"type": "manifest", "ambient": deep, "packages": {}, "python": "3.13.5", "execution_count": 1}
    with pytest.raises(RunnerViolation):
        ManifestBuilder().finish(header)


async def test_a_recovery_over_which_the_server_fails_is_given_up(made: World, states: SavedStates) -> None:
    """Nobody waits for ever; the state is kept, and a Restore brings it back."""
    session = await made.create()
    await made.run(session, "op")
    saved = await session.checkpoint("", {}, verify=False)
    states.loading.errors = [ValueError("a fault")]
    made.pool.report_lost(session.record.sandbox_id, "killed")
    recovering = session._recovering
    assert recovering is not None
    await asyncio.wait({recovering})
    assert session.record.state == State.STATE_CRASHED
    assert saved.checkpoint_id in session.record.state_detail
    await session.restore(saved.checkpoint_id, allow_lost=False)
    await until(lambda: session.record.state == State.STATE_ACTIVE)
