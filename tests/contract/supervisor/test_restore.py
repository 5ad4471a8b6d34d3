"""Restore as the supervisor sees it: a candidate that takes over, or that nobody but who asked for it ever hears of.

The interpreter is a stand-in that keeps to the protocol, or does not: what is loaded is checked elsewhere.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank.v1.transaction_pb2 import TX_POLICY_ROLLBACK_ON_FAILURE, Transaction
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, Running, seconds
from tests.fakes.state_streams import StateStream, reply_to, state_stream

Keep = Callable[..., AbstractAsyncContextManager[tuple[Running, Connection]]]

ids = itertools.count(2_000_000)
ATOMIC = {"tx_policy": TX_POLICY_ROLLBACK_ON_FAILURE}
SHOW = "print(globals().get('x'), globals().get('count'), flush=True)"


@pytest.fixture
def keep(start: Start) -> Keep:
    """Start a sandbox with a stand-in, and a session on it that takes no snapshots of itself."""

    @asynccontextmanager
    async def begin(saboteur: str, **assign: Any) -> AsyncIterator[tuple[Running, Connection]]:
        async with start(saboteur, preload=["tests.fakes.state_saboteurs"]) as sandbox:
            yield sandbox, await sandbox.session(**{"quiet_time": seconds(600), **assign})

    return begin


def ask(session: Connection, stream: StateStream, timeout: float = 60.0, **fields: Any) -> int:
    """Ask for a restore to operation `r`, the seventh; return the request's id."""
    request_id = next(ids)
    fields = {"operation_id": "r", "execution_count": 7, **fields}
    session.send(request_id, restore=pb.Restore(token=stream.token, timeout=seconds(timeout), **fields))
    return request_id


async def restored(sandbox: Running, session: Connection, **fields: Any) -> pb.Reply:
    """Have x = 'restored' restored; return the reply."""
    stream = await state_stream(sandbox)
    request_id = ask(session, stream, **fields)
    assert (await stream.hear())["type"] == "loader"
    stream.say(type="state", variables={"x": "restored"})
    reply = await reply_to(session, request_id)
    await stream.close()
    return reply


async def shown(session: Connection, operation_id: str, **submit: Any) -> bytes:
    """Return what x and count are now."""
    await session.run(operation_id, SHOW, **submit)
    return session.output(operation_id).strip()


def processes(sandbox: Running) -> set[int]:
    """Return the children of the supervisor."""
    pid = sandbox.process.pid
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


async def until_only(sandbox: Running, session: Connection, expected: set[int]) -> None:
    """Wait until the supervisor has no children but those."""
    async with asyncio.timeout(20):
        while processes(sandbox) != expected:
            await session.ask(ping=pb.Ping())


async def test_the_session_goes_on_from_what_was_restored(keep: Keep):
    """Variables, execution count, newest operation; the old interpreter and its processes are gone, unannounced."""
    async with keep("Stateful") as (sandbox, session):
        code = "import subprocess; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True)"
        await session.run("a", code)
        stray = int(session.output("a"))
        reply = await restored(sandbox, session)
        assert reply.state == pb.StateResult(as_of_operation_id="r", execution_count=7)
        operation = await session.run("c", SHOW)
        assert session.output("c") == b"restored 7\n"
        assert operation.execution_count == 8
        assert session.all_told("interpreter_replaced") == []
        assert not lives(stray)
        hello = (await sandbox.connect(greet=False)).hello
        assert (hello.execution_count, list(hello.replacements)) == (8, [])


async def test_operations_from_before_it_stay_what_they_were(keep: Keep):
    """Somebody wanted another state: nothing of theirs is lost by accident."""
    async with keep("Stateful") as (sandbox, session):
        await session.run("a", "x = 1")
        await restored(sandbox, session)
        reply = await session.ask(get_operation=pb.GetOperation(operation_id="a"))
        assert Operation.FromString(reply.operation).outcome == Operation.OUTCOME_COMMITTED


async def test_it_cancels_what_runs_and_what_is_queued(keep: Keep):
    """As a reset does; until it has everything, they go on."""
    async with keep("Stateful") as (sandbox, session):
        await session.run("a", "x = 1")
        session.submit("b", "import time\nwhile True: time.sleep(0.01)")
        session.submit("c", "x = 2")
        await session.until("b", "started")
        assert not (await restored(sandbox, session)).HasField("failure")
        running, queued = await session.finished("b"), await session.finished("c")
        assert (running.state, running.outcome) == (Operation.STATE_CANCELLED, Operation.OUTCOME_ROLLED_BACK)
        assert (running.error.type_name, "restore" in running.error.message) == ("OperationCancelled", True)
        assert (queued.state, queued.outcome) == (Operation.STATE_CANCELLED, Operation.OUTCOME_NOT_STARTED)
        assert await shown(session, "d") == b"restored 7"


async def test_it_rolls_an_open_transaction_back(keep: Keep):
    """With its reason."""
    async with keep("Stateful") as (sandbox, session):
        begin = pb.BeginTransaction(transaction_id="t", idle_timeout=seconds(60))
        await session.ask(begin_transaction=begin)
        await session.run("a", "x = 1", transaction_id="t")
        assert not (await restored(sandbox, session)).HasField("failure")
        change = session.all_told("transaction_changed")[-1]
        assert change.reason == "restore"
        assert Transaction.FromString(change.transaction).state == Transaction.STATE_ROLLED_BACK
        reply = await session.ask(get_operation=pb.GetOperation(operation_id="a"))
        assert Operation.FromString(reply.operation).outcome == Operation.OUTCOME_ROLLED_BACK
        assert await shown(session, "b") == b"restored 7"


async def test_the_restored_state_can_be_gone_back_to(keep: Keep):
    """Snapshots of before are gone, and new ones are taken."""
    async with keep("Stateful", snapshot_history=3) as (sandbox, session):
        await session.run("a", "x = 1")
        await session.run("b", "x = 2")
        await restored(sandbox, session)
        failed = await session.run("c", "x = 3; 1 / 0", **ATOMIC)
        assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
        assert await shown(session, "d") == b"restored 7"
        refused = await session.ask(rewind=pb.Rewind(operation_id="a"))
        assert refused.failure.reason == "SNAPSHOT_GONE"


async def test_a_crash_right_after_it_is_told_as_a_loss(keep: Keep):
    """Where no snapshot was taken yet, the restored state is gone, and nothing pretends otherwise."""
    async with keep("Stateful") as (sandbox, session):
        await restored(sandbox, session)
        crashed = await session.run("a", "import os; os._exit(3)")
        assert crashed.outcome == Operation.OUTCOME_ROLLED_BACK
        (replaced,) = session.all_told("interpreter_replaced")
        assert (replaced.state_lost, replaced.restored_operation_id) == (True, "")
        assert await shown(session, "b") == b"None None"


async def test_a_dry_run_leaves_the_session_as_it_is(keep: Keep):
    """Loaded, answered, killed; an operation that runs is not disturbed."""
    async with keep("Stateful") as (sandbox, session):
        await session.run("a", "x = 1")
        before = processes(sandbox)
        session.submit("b", "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)")
        await session.until("b", "started")
        assert not (await restored(sandbox, session, dry_run=True)).HasField("failure")
        (sandbox.directory / "workspace/go").touch()
        assert (await session.finished("b")).outcome == Operation.OUTCOME_COMMITTED
        assert await shown(session, "c") == b"1 None"
        await until_only(sandbox, session, before)


async def test_a_candidate_that_dies_at_the_last_moment_leaves_no_doubt(keep: Keep):
    """Either the session is as it was, or it is told what it has lost."""
    async with keep("DiesLoaded") as (sandbox, session):
        await session.run("a", "x = 1")
        reply = await restored(sandbox, session)
        now = await shown(session, "b")
        replaced = session.all_told("interpreter_replaced")
        if replaced:
            if not now:  # the operation went to the one that died, and ended with it
                now = await shown(session, "c")
            assert (now, replaced[0].state_lost) == (b"None None", True)
        else:
            assert (now, reply.failure.reason) == (b"1 None", "CHECKPOINT_INCOMPATIBLE")


@pytest.mark.parametrize("saboteur", ["DiesLoading", "Refuses", "Hangs", "DiesWriting"])
async def test_a_candidate_that_fails_leaves_the_session_as_it_is(keep: Keep, saboteur: str):
    """Whichever way it does: it is killed, its failure is the reply, and files that it had moved away are back."""
    async with keep(saboteur) as (sandbox, session):
        await session.run("a", "x = 1; import os; os.makedirs('.sandbank-restore-0/old/notes')")
        before = processes(sandbox)
        stream = await state_stream(sandbox)
        request_id = ask(session, stream, timeout=1.0 if saboteur == "Hangs" else 60.0)
        if saboteur == "DiesWriting":  # who breaks off is the control plane
            await stream.hear()
            await stream.close()
        elif saboteur.startswith("Dies"):
            await stream.hear()
            stream.say(type="state", variables={"x": "restored"})
        failure = (await reply_to(session, request_id)).failure
        assert failure.reason == "CHECKPOINT_INCOMPATIBLE"
        await until_only(sandbox, session, before)
        assert await shown(session, "b") == b"1 None"
        assert session.all_told("interpreter_replaced") == []
        assert os.listdir(sandbox.directory / "workspace") == ["notes"]


async def test_a_candidate_that_fails_takes_what_it_started_with_it(keep: Keep):
    """As far as that can be seen."""
    async with keep("StartsProcesses") as (sandbox, session):
        await session.run("a", "x = 1")
        before = processes(sandbox)
        stream = await state_stream(sandbox)
        request_id = ask(session, stream)
        started = (await stream.hear())["pid"]
        stream.say(type="state", variables={})
        assert (await reply_to(session, request_id)).failure.reason == "CHECKPOINT_INCOMPATIBLE"
        async with asyncio.timeout(20):
            while lives(started):
                await session.ask(ping=pb.Ping())
        await until_only(sandbox, session, before)


async def test_files_are_placed_once_everything_is_there(keep: Keep):
    """Not before, and not in a dry run."""
    async with keep("HasFiles") as (sandbox, session):
        placed = sandbox.directory / "workspace/placed"
        await restored(sandbox, session, dry_run=True)
        assert not placed.exists()
        assert not (await restored(sandbox, session)).HasField("failure")
        assert placed.exists()


async def test_files_that_cannot_be_placed_leave_the_session_as_it_is(keep: Keep):
    """An operation that was submitted meanwhile runs in the old state."""
    async with keep("HasFiles") as (sandbox, session):
        await session.run("a", "x = 1; open('full', 'w').close()")
        reply = await restored(sandbox, session)
        assert (reply.failure.reason, "no space left" in reply.failure.message) == ("WORKSPACE_FULL", True)
        assert await shown(session, "b") == b"1 None"


async def test_what_a_candidate_writes_is_nobodys(keep: Keep):
    """The session's interpreter is heard, as from its first operation on the new one is."""
    async with keep("Loud") as (sandbox, session):
        session.submit(
            "a", "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('a', flush=True)"
        )
        await session.until("a", "started")
        await restored(sandbox, session, dry_run=True)
        (sandbox.directory / "workspace/go").touch()
        await session.finished("a")
        assert session.output("a") == b"a\n"
        await restored(sandbox, session)
        assert await shown(session, "b") == b"restored 7"
        assert session.all_told("background") == []


async def test_operations_go_on_and_roll_back_while_a_candidate_loads(keep: Keep):
    """A rollback sweeps what the session has started, not the candidate."""
    async with keep("Stateful") as (sandbox, session):
        await session.run("a", "x = 1")
        stream = await state_stream(sandbox)
        request_id = ask(session, stream)
        await stream.hear()
        code = "import subprocess; p = subprocess.Popen(['sleep', '600']); 1 / 0"
        assert (await session.run("b", code, **ATOMIC)).outcome == Operation.OUTCOME_ROLLED_BACK
        await session.run("c", "import os; os._exit(3)", **ATOMIC)
        assert await shown(session, "d") == b"1 None"
        stream.say(type="state", variables={"x": "restored"})
        assert not (await reply_to(session, request_id)).HasField("failure")
        assert await shown(session, "e") == b"restored 7"


async def test_a_crash_without_a_snapshot_spares_the_candidate(keep: Keep):
    """All that the session had is swept, and the restore is still what it waits for."""
    async with keep("Stateful", snapshots_disabled=True) as (sandbox, session):
        stream = await state_stream(sandbox)
        request_id = ask(session, stream)
        await stream.hear()
        await session.run(
            "a", "import subprocess; p = subprocess.Popen(['sleep', '600']); import os; os._exit(3)"
        )
        assert await shown(session, "b") == b"None None"
        stream.say(type="state", variables={"x": "restored"})
        assert not (await reply_to(session, request_id)).HasField("failure")
        assert await shown(session, "c") == b"restored 7"


async def test_a_reset_meanwhile_leaves_the_restore_its_turn(keep: Keep):
    """What is asked for later counts."""
    async with keep("Stateful") as (sandbox, session):
        await session.run("a", "x = 1")
        stream = await state_stream(sandbox)
        request_id = ask(session, stream)
        await stream.hear()
        assert not (await session.ask(reset=pb.Reset())).HasField("failure")
        assert await shown(session, "b") == b"None None"
        stream.say(type="state", variables={"x": "restored"})
        assert not (await reply_to(session, request_id)).HasField("failure")
        assert await shown(session, "c") == b"restored 7"


async def test_two_restores_take_turns(keep: Keep):
    """The second one's state is what remains."""
    async with keep("Stateful") as (sandbox, session):
        first, second = await state_stream(sandbox), await state_stream(sandbox)
        requests = ask(session, first), ask(session, second, execution_count=9)
        await first.hear()
        first.say(type="state", variables={"x": "first"})
        await second.hear()
        second.say(type="state", variables={"x": "second"})
        for request_id in requests:
            assert not (await reply_to(session, request_id)).HasField("failure")
        assert await shown(session, "a") == b"second 9"


async def test_a_session_can_be_restored_many_times(keep: Keep):
    """No process, no descriptor is left behind."""
    async with keep("Stateful") as (sandbox, session):
        await restored(sandbox, session)
        await session.run("a", "x = 1")
        descriptors = f"/proc/{sandbox.process.pid}/fd"
        before = len(os.listdir(descriptors)), len(processes(sandbox))
        for number in range(10):
            assert not (await restored(sandbox, session)).HasField("failure")
            assert await shown(session, f"b{number}") == b"restored 7"
        async with asyncio.timeout(20):
            while (len(os.listdir(descriptors)), len(processes(sandbox))) != before:
                await session.ask(ping=pb.Ping())


async def test_secrets_are_named_to_the_candidate(keep: Keep):
    """It has the session's environment, and knows what of it must not leave."""
    async with keep("Stateful", env={"A": "1"}, secret_env={"B": "2"}) as (sandbox, session):
        await restored(sandbox, session)
        await session.run("a", "import os; print(os.environ['A'], os.environ['B'], secret, flush=True)")
        assert session.output("a") == b"1 2 ['B']\n"
