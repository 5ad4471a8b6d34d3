"""Control planes killed between any two writes, and found by the next one with what was written by then.

What a session's log and its row say is cut off after each line that was written while something happened, with each row
that the catalog may have had at that moment. Whatever the next control plane finds, it comes to the same end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sandbank.v1 import execution_pb2, session_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.catalog.base import SessionRecord
from sandbank_server.errors import TooLargeError
from sandbank_server.sessions.life.session import Session

from tests.fakes.saved_states import SavedStates
from tests.fakes.session_world import TENANT, World, forget, until

State = session_pb2.Session
Operation = execution_pb2.Operation


@pytest.fixture
def states(made: World, monkeypatch: pytest.MonkeyPatch) -> SavedStates:
    """What the sandboxes save and load."""
    return SavedStates(made, monkeypatch)


@dataclass
class Row:
    """A row that was written: what was in the log when that was asked for, and when it was done."""

    record: SessionRecord
    asked_at: int
    done_at: float = float("inf")


class Recorder:
    """Notes what is written of one session, from now on."""

    def __init__(self, made: World, session: Session, patch: pytest.MonkeyPatch) -> None:
        self.path = Path(session.operations.log.path)
        self.rows = [Row(session.record, 0, 0)]
        self.begun_at = self.path.stat().st_size
        self._put, self._patch = made.catalog.put_session, patch
        patch.setattr(made.catalog, "put_session", self._note)

    async def _note(self, record: SessionRecord) -> None:
        row = Row(record, self.path.stat().st_size)
        self.rows.append(row)
        await self._put(record)
        row.done_at = self.path.stat().st_size

    def moments(self) -> list[tuple[bytes, SessionRecord]]:
        """Return what the next control plane may find: a log and a row."""
        self._patch.undo()
        written = self.path.read_bytes()
        ends = [self.begun_at]
        while ends[-1] < len(written):
            ends.append(written.index(b"\n", ends[-1]) + 1)
        found = []
        for end in ends:
            for row, following in zip(self.rows, [*self.rows[1:], None], strict=True):
                overwritten = following is not None and following.done_at < end
                if row.asked_at <= end and not overwritten:
                    found.append((written[:end], row.record))
        return found


async def at_rest(session: Session) -> None:
    """Wait until nothing is under way in a session."""
    await until(lambda: session._recovering is None or session._recovering.done())
    while session._tasks._tasks:
        await asyncio.gather(*session._tasks._tasks, return_exceptions=True)


def cut(path: Path, log: bytes) -> None:
    """Leave so much of a log."""
    path.write_bytes(log)


async def find(made: World, session_id: str, path: Path, log: bytes, record: SessionRecord) -> Session:
    """Return a session as the next control plane has it in the end, which finds that log and that row."""
    for each in made.manager._sessions.values():
        await forget(each)
    made.manager._sessions.clear()
    cut(path, log)
    await made.catalog.put_session(record)
    await made.restart()
    session = made.manager.live(TENANT, session_id)
    assert session is not None
    await at_rest(session)
    return session


def account(session: Session) -> dict[str, object]:
    """Return what must not depend on when somebody was killed."""
    log = session.operations.log
    told = State.FromString(session.view().SerializeToString()).last_recovery
    names = [name for name, _ in log.newest_first(1000, 1000)]
    return {
        "state": session.record.state,
        "outcomes": {name: Operation.Outcome.Name(log.operation(name).outcome) for name in names},
        "kept": log.kept_effects(),
        "begun with": (log.origin, log.origin_count),
        "latest": session.record.latest_checkpoint_id,
        "in it": sorted(log.covered_by(session.record.latest_checkpoint_id)),
        "sets": log.sets_missing_in(""),
        "uploads": sorted(log.uploaded),
        "lost operations": sorted(told.lost_operation_ids),
        "lost variables": sorted(told.lost_variables),
        "lost files": sorted(told.lost_files),
        "went on from": told.from_checkpoint_id,
    }


async def bind(session: Session, name: str, after: str, state: int, transaction_id: str = "") -> None:
    """Set a variable, as the sandbox answers it."""
    result = runner_pb2.StateResult(as_of_operation_id=after, state=state)
    await session.variable_set(name, result, transaction_id, session.served_by)


async def prepared(made: World, states: SavedStates) -> tuple[Session, list[str]]:
    """Return a session with two checkpoints that has gone on, and these."""
    session = await made.create()
    saved = []
    for number, name in enumerate(("first", "second"), 1):
        await made.run(session, name)
        await bind(session, f"set_after_{name}", name, 10 * number)
        session.operations.log.upload(f"{name}.csv")
        states.state = 10 * number
        saved.append((await session.checkpoint("", {}, verify=False)).checkpoint_id)
    begun = await session.begin_transaction(60.0, include_files=False)
    events = await made.submit(session, "in_transaction", transaction_id=begun.transaction_id)
    made.sandbox_of(session).run("in_transaction", outcome=Operation.OUTCOME_PENDING)
    assert [each async for each in events]
    await bind(session, "set_in_transaction", "in_transaction", 21, begun.transaction_id)
    await session.end_transaction(begun.transaction_id, commit=True)
    await made.run(session, "last")
    await bind(session, "set_at_last", "last", 25)
    session.operations.log.upload("last.csv")
    await made.submit(session, "running")
    made.sandbox_of(session).start("running")
    await until(lambda: session.operations.entry("running").started)
    return session, saved


Harm = Callable[[World, SavedStates, Session, list[str]], Awaitable[None]]


async def sandbox_dies(made: World, _states: SavedStates, session: Session, _saved: list[str]) -> None:
    """The newest checkpoint is the way back."""
    await made.sandbox_of(session).die()
    await until(lambda: session.record.generation == 2)


async def sandbox_dies_and_the_newest_is_damaged(
    made: World, states: SavedStates, session: Session, saved: list[str]
) -> None:
    """The one before it is the way back."""
    states.damaged = {saved[1]}
    await made.sandbox_of(session).die()
    await until(lambda: session.record.generation == 2)


async def sandbox_dies_and_all_are_damaged(
    made: World, states: SavedStates, session: Session, saved: list[str]
) -> None:
    """There is no way back."""
    states.damaged = set(saved)
    await made.sandbox_of(session).die()
    await until(lambda: session.record.state == State.STATE_CRASHED)


async def interpreter_dies(made: World, _states: SavedStates, session: Session, _saved: list[str]) -> None:
    """A snapshot is the way back: it has as much as the newest checkpoint."""
    sandbox = made.sandbox_of(session)
    sandbox.replace_interpreter(
        operation_id="running",
        restored_operation_id="second",
        lost_operation_ids=["in_transaction", "last"],
        restored_state=20,
        newest_state=26,
    )
    sandbox.finish("running", state=Operation.STATE_CRASHED)
    await until(lambda: not session.operations.live)


@pytest.mark.parametrize(
    "harm",
    [
        interpreter_dies,
        sandbox_dies,
        sandbox_dies_and_the_newest_is_damaged,
        sandbox_dies_and_all_are_damaged,
    ],
)
async def test_a_recovery_comes_to_the_same_end_whenever_it_is_killed(
    made: World, states: SavedStates, monkeypatch: pytest.MonkeyPatch, harm: Harm
) -> None:
    """Outcomes, what is named as lost, and what the session goes on with; nothing is told to be there and is not."""
    session, saved = await prepared(made, states)
    with monkeypatch.context() as patch:
        recorder = Recorder(made, session, patch)
        await harm(made, states, session, saved)
        await at_rest(session)
        expected = account(session)
        moments = recorder.moments()
    assert len(moments) > 2
    for number, (log, record) in enumerate(moments):
        again = await find(made, session.session_id, recorder.path, log, record)
        assert account(again) == expected, (number, log[recorder.begun_at :], record.generation)


async def move_by_restore(made: World, states: SavedStates, session: Session, saved: list[str]) -> None:
    """A restore that finds no room beside the state of now."""
    made.sandbox_of(session).finish("running")
    await until(lambda: not session.operations.live)
    states.loading.errors = [TooLargeError("not enough memory for both states at once")]
    await session.restore(saved[0], allow_lost=False)


async def move_by_reset(made: World, states: SavedStates, session: Session, saved: list[str]) -> None:
    """A session that has crashed gets a fresh sandbox."""
    await sandbox_dies_and_all_are_damaged(made, states, session, saved)
    await session.reset(keep_files=False)


@pytest.mark.parametrize("move", [move_by_restore, move_by_reset])
async def test_a_move_that_the_catalog_knows_of_has_happened(
    made: World, states: SavedStates, monkeypatch: pytest.MonkeyPatch, move: Harm
) -> None:
    """Whatever of it is in the log by then: the state there is what was planned."""
    session, saved = await prepared(made, states)
    before = session.record.generation
    with monkeypatch.context() as patch:
        recorder = Recorder(made, session, patch)
        await move(made, states, session, saved)
        await at_rest(session)
        expected = account(session)
        moments = [each for each in recorder.moments() if each[1].generation > before]
    assert len(moments) > 2
    for number, (log, record) in enumerate(moments):
        again = await find(made, session.session_id, recorder.path, log, record)
        assert account(again) == expected, (number, log[recorder.begun_at :])


async def test_a_row_is_never_put_back_behind_the_sandbox_that_it_named(
    made: World, states: SavedStates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever saves the session while it moves saves where it moves to; where it does not it is written again."""
    session, saved = await prepared(made, states)
    made.sandbox_of(session).finish("running")
    await until(lambda: not session.operations.live)
    with monkeypatch.context() as patch:
        recorder = Recorder(made, session, patch)
        states.loading.errors = [TooLargeError("not enough memory for both states at once")]
        made.catalog.gate.clear()
        moving = asyncio.ensure_future(session.restore(saved[0], allow_lost=False))
        await until(lambda: len(recorder.rows) == 2)
        meanwhile = asyncio.ensure_future(session.update({"a": "b"}, None, None))
        await until(lambda: len(recorder.rows) == 3)
        made.catalog.gate.set()
        await asyncio.gather(moving, meanwhile)
        assert [each.record.generation for each in recorder.rows] == [1, 2, 2]
        states.loading.errors = [TooLargeError("not enough memory for both states at once")]
        made.catalog.broken = True
        await asyncio.gather(session.restore(saved[0], allow_lost=False), return_exceptions=True)
        made.catalog.broken = False
        await session.save_if_possible()
        assert recorder.rows[-1].record.generation == 2
    assert session.record.labels == {"a": "b"}
