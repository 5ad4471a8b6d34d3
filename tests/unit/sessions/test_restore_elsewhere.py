"""A restore that finds no room beside the state of now, against everything that can come between."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sandbank.v1 import execution_pb2, session_pb2
from sandbank_server.errors import (
    CheckpointIncompatibleError,
    CheckpointNotFoundError,
    SessionBusyError,
    StoreUnavailableError,
    TooLargeError,
    WorkspaceFullError,
)
from sandbank_server.sessions.life.session import Session

from tests.fakes.saved_states import SavedStates
from tests.fakes.session_world import TENANT, World, until

State = session_pb2.Session
NO_ROOM = TooLargeError("not enough memory for both states at once")


@pytest.fixture
def states(made: World, monkeypatch: pytest.MonkeyPatch) -> SavedStates:
    """What the sandboxes save and load."""
    return SavedStates(made, monkeypatch)


async def with_checkpoint(made: World) -> tuple[Session, str]:
    """Return a session that went on after a checkpoint, and that."""
    session = await made.create()
    await made.run(session, "before")
    saved = await session.checkpoint("", {}, verify=False)
    await made.run(session, "after")
    return session, saved.checkpoint_id


@pytest.mark.parametrize("first", [NO_ROOM, WorkspaceFullError("not enough room for both workspaces")])
async def test_the_next_sandbox_is_the_session_s_and_the_old_one_is_given_up(
    made: World, states: SavedStates, first: Exception
) -> None:
    """With a transaction that was open there: rolled back. What ran before the checkpoint is still known to have."""
    session, checkpoint_id = await with_checkpoint(made)
    begun = await session.begin_transaction(60.0, include_files=False)
    old = session.record.sandbox_id
    states.loading.errors = [first]
    await session.restore(checkpoint_id, allow_lost=False)
    assert (session.record.generation, session.record.state) == (2, State.STATE_ACTIVE)
    assert made.pool.states[old] == "retired"
    assert made.pool.states[session.record.sandbox_id] == "confirmed"
    ended = session.operations.log.transactions.get(begun.transaction_id)
    assert ended is not None
    assert ended.ended
    assert session.open_transaction_id == ""
    told = await made.manager.get_operation(TENANT, session.session_id, "before")
    assert told.outcome == execution_pb2.Operation.OUTCOME_COMMITTED
    await made.run(session, "next")


@pytest.mark.parametrize(
    "second", [NO_ROOM, CheckpointIncompatibleError("no package"), SessionBusyError("died")]
)
async def test_where_it_cannot_be_loaded_there_either_the_session_is_as_it_was(
    made: World, states: SavedStates, second: Exception
) -> None:
    """In the sandbox that it had; the other one is given up. A lack of memory is said to be the template's."""
    session, checkpoint_id = await with_checkpoint(made)
    before, link = session.record, session.operations.link
    states.loading.errors = [NO_ROOM, second]
    with pytest.raises(type(second)) as caught:
        await session.restore(checkpoint_id, allow_lost=False)
    if second is NO_ROOM:
        assert "template slim" in str(caught.value)
    assert (session.record.sandbox_id, session.record.generation) == (before.sandbox_id, 1)
    assert session.operations.link is link
    assert sorted(made.pool.states.values()) == ["confirmed", "retired"]
    await made.run(session, "next")


async def test_a_record_that_cannot_be_written_leaves_the_session_where_it_is(
    made: World, states: SavedStates
) -> None:
    """After a kill the new sandbox would not be known as the session's: so it is not taken."""
    session, checkpoint_id = await with_checkpoint(made)
    old = session.record.sandbox_id
    states.loading.errors = [NO_ROOM]
    made.catalog.broken = True
    with pytest.raises(StoreUnavailableError):
        await session.restore(checkpoint_id, allow_lost=False)
    made.catalog.broken = False
    assert session.record.sandbox_id == old
    await made.run(session, "next")


async def test_a_kill_while_the_other_sandbox_is_filled_changes_nothing(
    made: World, states: SavedStates
) -> None:
    """The next control plane finds the session in the sandbox that it had, with its state of now."""
    session, checkpoint_id = await with_checkpoint(made)
    old = session.record.sandbox_id
    states.loading.errors = [NO_ROOM]
    states.loading.hold_at = 2
    restoring = asyncio.ensure_future(session.restore(checkpoint_id, allow_lost=False))
    await until(lambda: states.loading.count == 2)
    await made.restart()
    await asyncio.gather(restoring, return_exceptions=True)
    again = made.manager.live(TENANT, session.session_id)
    assert again is not None
    assert (again.record.sandbox_id, again.record.generation) == (old, 1)
    await made.run(again, "next")


async def test_a_session_that_is_made_of_a_checkpoint_that_is_too_large_is_not_made(
    made: World, states: SavedStates
) -> None:
    """Its own sandbox was empty: no other one is tried."""
    _, checkpoint_id = await with_checkpoint(made)
    states.loading.errors = [NO_ROOM]
    with pytest.raises(TooLargeError):
        await made.create(from_checkpoint_id=checkpoint_id)
    assert states.loading.count == 1
    assert sorted(made.pool.states.values()) == ["confirmed", "retired"]


async def test_what_a_session_is_just_being_brought_back_from_is_not_thinned_out(
    made: World, states: SavedStates
) -> None:
    """It is nobody's newest yet; when the restore has failed nobody needs it any more."""
    session, older = await with_checkpoint(made)
    await session.checkpoint("", {}, verify=False, automatic=True)
    other = await made.create()
    library = made.library
    assert library is not None
    old = await library.get(TENANT, older)
    await library.update(replace(old, automatic=True))
    states.loading.close()
    restoring = asyncio.ensure_future(other.restore(older, allow_lost=False))
    await states.loading.reached.wait()
    await library.thin_out(TENANT, session.session_id, keep=1)
    states.loading.errors = [SessionBusyError("gone")]
    states.loading.gate.set()
    with pytest.raises(SessionBusyError):
        await restoring
    assert (await library.get(TENANT, older)).checkpoint_id == older
    await library.thin_out(TENANT, session.session_id, keep=1)
    with pytest.raises(CheckpointNotFoundError):
        await library.get(TENANT, older)
