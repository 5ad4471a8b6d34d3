"""Checkpoints as the supervisor sees them: of what a writer is forked, and whatever becomes of it.

The interpreter is a stand-in that keeps to the protocol, or does not: what is written is checked elsewhere.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank.v1.transaction_pb2 import TX_POLICY_ROLLBACK_ON_FAILURE
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, Running, seconds
from tests.fakes.state_streams import StateStream, reply_to, state_stream

Keep = Callable[..., AbstractAsyncContextManager[tuple[Running, Connection]]]

ids = itertools.count(1_000_000)
WAIT = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)"
ATOMIC = {"tx_policy": TX_POLICY_ROLLBACK_ON_FAILURE}


@pytest.fixture
def keep(start: Start) -> Keep:
    """Start a sandbox with a stand-in, and a session on it that takes no snapshots of itself."""

    @asynccontextmanager
    async def begin(saboteur: str, **assign: Any) -> AsyncIterator[tuple[Running, Connection]]:
        async with start(saboteur, preload=["tests.fakes.state_saboteurs"]) as sandbox:
            yield sandbox, await sandbox.session(**{"quiet_time": seconds(600), **assign})

    return begin


def ask(
    session: Connection, stream: StateStream, checkpoint_id: str = "c", timeout: float = 60.0, **fields: Any
) -> int:
    """Ask for a checkpoint; return the request's id."""
    request_id = next(ids)
    checkpoint = pb.Checkpoint(
        token=stream.token, checkpoint_id=checkpoint_id, timeout=seconds(timeout), **fields
    )
    session.send(request_id, checkpoint=checkpoint)
    return request_id


async def written(
    sandbox: Running, session: Connection, checkpoint_id: str = "c"
) -> tuple[dict[str, Any], pb.StateResult]:
    """Have a checkpoint written; return its variables and the reply."""
    stream = await state_stream(sandbox)
    request_id = ask(session, stream, checkpoint_id)
    variables = (await stream.hear())["variables"]
    stream.say(type="stored")
    reply = await reply_to(session, request_id)
    assert not reply.HasField("failure"), reply.failure
    assert await stream.has_ended()
    return variables, reply.state


def as_of(state: pb.StateResult) -> tuple[str, int, bool]:
    """Return what a state has."""
    return state.as_of_operation_id, state.execution_count, state.stale


def children(sandbox: Running) -> set[int]:
    """Return the children of the supervisor."""
    pid = sandbox.process.pid
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


async def test_an_idle_session_is_written_by_a_fork_of_the_live_one(keep: Keep):
    """It has the newest state, and the live interpreter hears what became of it."""
    async with keep("Stateful") as (sandbox, session):
        await session.run("a", "x = 1")
        assert await written(sandbox, session) == (
            {"x": 1},
            pb.StateResult(as_of_operation_id="a", execution_count=1, state=1),
        )
        ended = pb.CheckpointEnded(checkpoint_id="c", durable=True)
        assert not (await session.ask(checkpoint_ended=ended)).HasField("failure")
        await session.run("b", "print(ended, flush=True)")
        assert session.output("b") == b"[['c', True]]\n"


async def test_a_pristine_session_can_be_written(keep: Keep):
    """It has nothing, of no operation."""
    async with keep("Stateful") as (sandbox, session):
        variables, state = await written(sandbox, session)
        assert (variables, as_of(state)) == ({}, ("", 0, False))


async def test_an_operation_that_runs_is_not_waited_for_nor_seen(keep: Keep):
    """The newest snapshot from before it is written; the operation goes on."""
    async with keep("Stateful") as (sandbox, session):
        await session.run("a", "x = 1")
        session.submit("b", f"x = 2\n{WAIT}", **ATOMIC)  # has a snapshot from before it
        await session.until("b", "started")
        variables, state = await written(sandbox, session)
        assert (variables, as_of(state)) == ({"x": 1}, ("a", 1, True))
        (sandbox.directory / "workspace/go").touch()
        assert (await session.finished("b")).outcome == Operation.OUTCOME_COMMITTED


async def test_operations_go_on_while_it_is_written(keep: Keep):
    """What they do is not in it, and the reply says that it is stale."""
    async with keep("Stateful") as (sandbox, session):
        await session.run("a", "x = 1")
        stream = await state_stream(sandbox)
        request_id = ask(session, stream)
        assert (await stream.hear())["variables"] == {"x": 1}
        assert (await session.run("b", "x += 1; print(x, flush=True)")).outcome == Operation.OUTCOME_COMMITTED
        assert session.output("b") == b"2\n"
        stream.say(type="stored")
        assert as_of((await reply_to(session, request_id)).state) == ("a", 1, True)


async def test_without_a_snapshot_a_running_session_is_busy(keep: Keep):
    """There is no state that could be had without waiting."""
    async with keep("Stateful") as (sandbox, session):
        session.submit("a", WAIT)
        await session.until("a", "started")
        stream = await state_stream(sandbox)
        reply = await reply_to(session, ask(session, stream))
        assert reply.failure.reason == "SESSION_BUSY"
        assert await stream.has_ended()
        (sandbox.directory / "workspace/go").touch()
        await session.finished("a")


async def test_a_patient_one_is_written_of_a_moment_between_two_operations(keep: Keep):
    """However many wait: the next one begins when the fork is made, and its effects are not in it."""
    async with keep("Stateful") as (sandbox, session):
        session.submit("a", f"{WAIT}\nx = 1")
        await session.until("a", "started")
        session.submit("b", f"{WAIT}\nx += 1")
        session.submit("c", "x += 1; print(x, flush=True)")
        stream = await state_stream(sandbox)
        request_id = ask(session, stream, patience=seconds(60))
        await session.ask(ping=pb.Ping())  # what was asked before has been heard
        (sandbox.directory / "workspace/go").touch()
        assert (await stream.hear())["variables"] == {"x": 1}
        await session.finished("c")
        assert session.output("c") == b"3\n"
        stream.say(type="stored")
        assert as_of((await reply_to(session, request_id)).state) == ("a", 1, True)


async def test_patience_has_an_end(keep: Keep):
    """Then it is as for others: an older copy is written, where there is one."""
    async with keep("Stateful") as (sandbox, session):
        session.submit("a", f"{WAIT}\nx = 1")
        await session.until("a", "started")
        stream = await state_stream(sandbox)
        reply = await reply_to(session, ask(session, stream, patience=seconds(0.05)))
        assert reply.failure.reason == "SESSION_BUSY"
        (sandbox.directory / "workspace/go").touch()
        await session.finished("a")
        (sandbox.directory / "workspace/go").unlink()
        await session.run("b", "x = 2", **ATOMIC)  # has a snapshot from before it
        session.submit("c", WAIT)
        await session.until("c", "started")
        stream = await state_stream(sandbox)
        request_id = ask(session, stream, patience=seconds(0.05))
        assert (await stream.hear())["variables"] == {"x": 1}
        stream.say(type="stored")
        assert as_of((await reply_to(session, request_id)).state) == ("a", 1, True)
        (sandbox.directory / "workspace/go").touch()
        await session.finished("c")


async def test_patience_is_not_used_up_where_there_is_a_copy(keep: Keep):
    """One of the state right before the operation that runs is as good as can be."""
    async with keep("Stateful") as (sandbox, session):
        await session.run("a", "x = 1")
        session.submit("b", f"x = 2\n{WAIT}", **ATOMIC)
        await session.until("b", "started")
        stream = await state_stream(sandbox)
        request_id = ask(session, stream, patience=seconds(600))
        assert (await stream.hear())["variables"] == {"x": 1}
        stream.say(type="stored")
        assert as_of((await reply_to(session, request_id)).state) == ("a", 1, True)
        (sandbox.directory / "workspace/go").touch()
        await session.finished("b")


@pytest.mark.parametrize("how", ["crash", "reset"])
async def test_a_moment_comes_also_after_an_interpreter_was_replaced(keep: Keep, how: str):
    """The next operation waits for the copy of the new one, and runs then."""
    async with keep("Stateful") as (sandbox, session):
        session.submit("a", f"{WAIT}\nimport os; os._exit(3)")
        await session.until("a", "started")
        stream = await state_stream(sandbox)
        request_id = ask(session, stream, patience=seconds(60))
        if how == "reset":
            await session.ask(reset=pb.Reset())
        else:
            session.submit("b", "x = 1")
            await session.ask(ping=pb.Ping())
            (sandbox.directory / "workspace/go").touch()
        assert (await stream.hear())["variables"] == {}
        stream.say(type="stored")
        assert not (await reply_to(session, request_id)).HasField("failure")
        if how == "crash":
            await session.finished("b")
        assert (await session.run("c", "y = 1")).outcome == Operation.OUTCOME_COMMITTED


async def test_what_is_not_committed_is_not_written(keep: Keep):
    """In a transaction it is the state before it; after its end the one it left."""
    async with keep("Stateful") as (sandbox, session):
        await session.run("a", "x = 1")
        begin = pb.BeginTransaction(transaction_id="t", idle_timeout=seconds(60))
        await session.ask(begin_transaction=begin)
        await session.run("b", "x = 2", transaction_id="t")
        variables, state = await written(sandbox, session)
        assert (variables, as_of(state)) == ({"x": 1}, ("a", 1, True))
        await session.ask(end_transaction=pb.EndTransaction(transaction_id="t", commit=True))
        variables, state = await written(sandbox, session, "d")
        assert (variables, as_of(state)) == ({"x": 2}, ("b", 2, False))


async def test_one_is_written_at_a_time(keep: Keep):
    """The second one waits for the first, and has the state of its own time."""
    async with keep("Stateful") as (sandbox, session):
        await session.run("a", "x = 1")
        first, second = await state_stream(sandbox), await state_stream(sandbox)
        requests = ask(session, first, "c"), ask(session, second, "d")
        await first.hear()
        await session.run("b", "x = 2")
        first.say(type="stored")
        assert as_of((await reply_to(session, requests[0])).state) == ("a", 1, True)
        assert (await second.hear())["variables"] == {"x": 2}
        second.say(type="stored")
        assert as_of((await reply_to(session, requests[1])).state) == ("b", 2, False)


async def test_a_rollback_leaves_a_writer_alone(keep: Keep):
    """What it writes is still the session's: the interpreter goes back to no earlier state."""
    async with keep("Stateful") as (sandbox, session):
        await session.run("a", "x = 1")
        await session.run("b", "x = 2", **ATOMIC)
        stream = await state_stream(sandbox)
        request_id = ask(session, stream)
        await stream.hear()
        code = "import subprocess; subprocess.Popen(['sleep', '60']); 1 / 0"
        failed = await session.run("c", code, **ATOMIC)
        assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
        stream.say(type="stored")
        assert as_of((await reply_to(session, request_id)).state) == ("b", 2, False)


@pytest.mark.parametrize("how", ["rewind", "reset", "crash"])
async def test_a_state_that_the_session_loses_is_written_no_further(keep: Keep, how: str):
    """A checkpoint must not become durable that has what was undone or lost."""
    async with keep("Stateful", snapshot_history=1 if how == "rewind" else 0) as (sandbox, session):
        await session.run("a", "x = 1")
        await session.run("b", "x = 2", **ATOMIC)  # before it: a snapshot, and none after
        stream = await state_stream(sandbox)
        request_id = ask(session, stream)
        assert (await stream.hear())["variables"] == {"x": 2}
        if how == "rewind":
            await session.ask(rewind=pb.Rewind(operation_id="a"))
        elif how == "reset":
            await session.ask(reset=pb.Reset())
        else:
            await session.run("c", "import os; os._exit(3)")
        reply = await reply_to(session, request_id)
        assert (reply.failure.reason, await stream.has_ended()) == ("SESSION_BUSY", True)
        assert "went back" in reply.failure.message


async def test_a_writer_that_dies_costs_the_checkpoint_only(keep: Keep):
    """The reply says how it died, and the session goes on."""
    async with keep("DiesWriting") as (sandbox, session):
        await session.run("a", "x = 1")
        stream = await state_stream(sandbox)
        request_id = ask(session, stream)
        await stream.hear()
        assert await stream.has_ended()
        failure = (await reply_to(session, request_id)).failure
        assert (failure.reason, "killed by SIGSEGV" in failure.message) == ("SESSION_BUSY", True)
        assert (await session.run("b", "x += 1")).outcome == Operation.OUTCOME_COMMITTED
        assert session.all_told("interpreter_replaced") == []


async def test_a_writer_that_hangs_is_killed_in_time(keep: Keep):
    """The connection is cut, the process gone, and the next one may write."""
    async with keep("Hangs") as (sandbox, session):
        await session.run("a", "x = 1")
        before = children(sandbox)
        stream = await state_stream(sandbox)
        failure = (await reply_to(session, ask(session, stream, timeout=0.3))).failure
        assert (failure.reason, "within 0.3 s" in failure.message) == ("SESSION_BUSY", True)
        assert await stream.has_ended()
        async with asyncio.timeout(20):
            while children(sandbox) - before:
                await session.ask(ping=pb.Ping())
        assert (await session.run("b", "x += 1")).outcome == Operation.OUTCOME_COMMITTED


@pytest.mark.parametrize("how", ["asked for again", "ended"])
async def test_a_writer_that_nobody_listens_to_keeps_no_other_waiting(keep: Keep, how: str):
    """Stuck as it is it would not notice: it is killed when its checkpoint is asked for again, or given up."""
    async with keep("Hangs") as (sandbox, session):
        await session.run("a", "x = 1")
        before = children(sandbox)
        stream, again = await state_stream(sandbox), await state_stream(sandbox)
        request_id = ask(session, stream, "c")
        async with asyncio.timeout(20):
            while not children(sandbox) - before:
                await session.ask(ping=pb.Ping())
        first = children(sandbox) - before
        if how == "ended":
            await session.ask(checkpoint_ended=pb.CheckpointEnded(checkpoint_id="c"))
        else:
            ask(session, again, "c", timeout=0.3)
        failure = (await reply_to(session, request_id)).failure
        assert (failure.reason, "given up" in failure.message) == ("SESSION_BUSY", True)
        async with asyncio.timeout(20):
            while children(sandbox) & first:
                await session.ask(ping=pb.Ping())


async def test_a_refusal_is_passed_on(keep: Keep):
    """In bounds, and as text that can be sent."""
    async with keep("Refuses") as (sandbox, session):
        stream = await state_stream(sandbox)
        failure = (await reply_to(session, ask(session, stream))).failure
        assert (failure.reason, len(failure.message)) == ("SESSION_BUSY", 500)


async def test_a_pid_that_cannot_be_a_writer_is_not_believed(keep: Keep):
    """Nobody is killed on an interpreter's word."""
    async with keep("LiesAboutWriters") as (sandbox, session):
        for _ in range(4):
            stream = await state_stream(sandbox)
            assert (
                await reply_to(session, ask(session, stream, timeout=20))
            ).failure.reason == "SESSION_BUSY"
            await stream.close()
        assert (await session.run("a", "x = 1")).outcome == Operation.OUTCOME_COMMITTED
        assert session.all_told("interpreter_replaced") == []


async def test_what_nobody_asked_for_is_dropped(keep: Keep):
    """The answer is the one that was waited for."""
    async with keep("TalksOfForks") as (sandbox, session):
        await session.run("a", "x = 1")
        assert (await written(sandbox, session))[0] == {"x": 1}


async def test_a_connection_that_breaks_off_fails_the_checkpoint(keep: Keep):
    """The writer ends without having been told that all is stored."""
    async with keep("Stateful") as (sandbox, session):
        await session.run("a", "x = 1")
        stream = await state_stream(sandbox)
        request_id = ask(session, stream)
        await stream.hear()
        await stream.close()
        assert (await reply_to(session, request_id)).failure.reason == "SESSION_BUSY"
        assert (await written(sandbox, session))[0] == {"x": 1}


async def test_an_end_of_a_checkpoint_is_told_to_whoever_lives(keep: Keep):
    """Also where it failed, and where nobody knows of it."""
    async with keep("Stateful") as (_, session):
        await session.ask(checkpoint_ended=pb.CheckpointEnded(checkpoint_id="never", durable=False))
        await session.run("a", "print(ended, flush=True)")
        assert session.output("a") == b"[['never', False]]\n"
