"""Snapshots kept and lost: the safety snapshot, the history for Rewind, and what happens when there are none."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank.v1.transaction_pb2 import (
    TX_POLICY_COMMIT_ON_SUCCESS,
    TX_POLICY_ROLLBACK_ON_FAILURE,
    Transaction,
)
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, Running, seconds

CRASH = "import os; os._exit(3)"
ATOMIC = {"tx_policy": TX_POLICY_ROLLBACK_ON_FAILURE}


@pytest.fixture
async def sandbox(start: Start) -> AsyncIterator[Running]:
    """A sandbox whose sessions the test makes."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(start())


def sleepers(sandbox: Running) -> list[int]:
    """Return the living snapshots, oldest first: interpreters that are not the newest to have run an operation."""
    pid = sandbox.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    named = [int(child) for child in children if _lives(child) and _name(child) == "interpreter"]
    return sorted(named)


def _name(pid: str) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _lives(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until what nobody tells of is so."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - another process has nothing to wait on
            await asyncio.sleep(0.01)


async def outcome(session: Connection, operation_id: str) -> int:
    """Return an operation's outcome as it is now."""
    reply = await session.ask(get_operation=pb.GetOperation(operation_id=operation_id))
    return Operation.FromString(reply.operation).outcome


async def value(session: Connection, operation_id: str, expression: str, **submit: Any) -> str:
    """Return what an expression shows."""
    operation = await session.run(operation_id, expression, **submit)
    return operation.result["text/plain"].decode()


async def rewind(session: Connection, operation_id: str) -> str:
    """Go back to the state right after an operation; return the reason where that failed."""
    return (await session.ask(rewind=pb.Rewind(operation_id=operation_id))).failure.reason


async def test_a_safety_snapshot_is_taken_when_it_is_quiet(sandbox: Running):
    """A crash then loses the effects of its own operation only, and the count goes back with it."""
    session = await sandbox.session(quiet_time=seconds(0.02))
    assert len(sleepers(sandbox)) == 1
    await session.run("a", "x = [1]")
    await eventually(lambda: len(sleepers(sandbox)) == 2)
    crashed = await session.run("b", f"x.append(2); {CRASH}")
    assert (crashed.state, crashed.outcome) == (Operation.STATE_CRASHED, Operation.OUTCOME_ROLLED_BACK)
    assert "the session is as it was before the operation" in crashed.error.message
    (replaced,) = session.all_told("interpreter_replaced")
    assert (replaced.restored_operation_id, list(replaced.lost_operation_ids), replaced.state_lost) == (
        "a",
        [],
        False,
    )
    look = await session.run("c", "x")
    assert (look.result["text/plain"], look.execution_count) == (b"[1]", 2)
    assert await outcome(session, "a") == Operation.OUTCOME_COMMITTED


async def test_operations_faster_than_the_snapshot_are_lost_with_a_crash_and_listed(sandbox: Running):
    """Each one since the restore point, none left out: in the message, in GetOperation and in Hello."""
    session = await sandbox.session(quiet_time=seconds(600))
    await session.run("a", "x = [1]")
    await session.run("point", "x.append(2)", **ATOMIC)  # has a snapshot taken before it
    for name in ("c", "d"):
        await session.run(name, "x.append(3)")
    await session.run("e", "x.append(4); 1 / 0")
    await session.run("f", CRASH)
    (replaced,) = session.all_told("interpreter_replaced")
    assert (replaced.operation_id, replaced.restored_operation_id) == ("f", "a")
    assert list(replaced.lost_operation_ids) == ["point", "c", "d", "e"]
    assert await value(session, "look", "x") == "[1]"
    hello = (await sandbox.connect()).hello
    assert {each.operation_id: each.outcome for each in hello.operations} == {
        "a": Operation.OUTCOME_COMMITTED,
        "point": Operation.OUTCOME_LOST,
        "c": Operation.OUTCOME_LOST,
        "d": Operation.OUTCOME_LOST,
        "e": Operation.OUTCOME_LOST,
        "f": Operation.OUTCOME_ROLLED_BACK,
        "look": Operation.OUTCOME_COMMITTED,
    }
    assert [each.effects_lost for each in hello.operations] == [False, True, True, True, True, False, False]
    assert list(hello.replacements) == [replaced] == [hello.last_replaced]


async def test_back_to_back_operations_leave_no_process_behind(sandbox: Running):
    """After a hundred transactions, half of them rolled back, there are the live one and one snapshot."""
    session = await sandbox.session()
    await session.run("before", "x = []")
    for number in range(100):
        failing = "; 1 / 0" if number % 2 else ""
        await session.run(f"o{number}", f"x.append({number}){failing}", **ATOMIC)
    assert await value(session, "look", "x == list(range(0, 100, 2))") == "True"
    await eventually(lambda: len(sleepers(sandbox)) == 2)


async def test_only_one_snapshot_and_the_base_of_a_transaction_are_kept(sandbox: Running):
    """However many members there are."""
    session = await sandbox.session()
    await session.run("before", "x = []")
    begin = pb.BeginTransaction(transaction_id="t", idle_timeout=seconds(60))
    await session.ask(begin_transaction=begin)
    for number in range(10):
        await session.run(f"o{number}", f"x.append({number})", transaction_id="t")
    await eventually(lambda: len(sleepers(sandbox)) == 3)
    await session.ask(end_transaction=pb.EndTransaction(transaction_id="t", commit=True))
    await eventually(lambda: len(sleepers(sandbox)) == 2)


KILL_NEWEST = """
import os, signal, time
from pathlib import Path
own, parent = os.getpid(), os.getppid()
named = [int(each) for each in Path(f'/proc/{parent}/task/{parent}/children').read_text().split()
         if Path(f'/proc/{each}/comm').read_text().strip() == 'interpreter']
os.kill(max(each for each in named if each != own), signal.SIGKILL)
time.sleep(0.2)
"""


async def test_snapshots_that_were_killed_are_noticed(sandbox: Running):
    """The way back is then the next older one; what else went is listed."""
    session = await sandbox.session(quiet_time=seconds(600), snapshot_history=3)
    for number in range(3):
        await session.run(f"o{number}", f"x = {number}")
    crashed = await session.run("f", KILL_NEWEST + CRASH)
    assert crashed.outcome == Operation.OUTCOME_ROLLED_BACK
    assert "as it was after operation o1" in crashed.error.message
    (replaced,) = session.all_told("interpreter_replaced")
    assert (replaced.restored_operation_id, list(replaced.lost_operation_ids)) == ("o1", ["o2"])
    assert await value(session, "look", "x") == "1"
    assert await outcome(session, "o2") == Operation.OUTCOME_LOST


async def test_an_atomic_operation_whose_snapshot_is_killed_says_so(sandbox: Running):
    """It is rolled back all the same, further than wanted: SNAPSHOT_GONE, and what else went is listed."""
    session = await sandbox.session(quiet_time=seconds(600), snapshot_history=1)
    await session.run("a", "x = [1]")
    await session.run("b", "x.append(2)")
    failed = await session.run("c", f"{KILL_NEWEST}1 / 0", **ATOMIC)
    assert (failed.state, failed.outcome) == (Operation.STATE_FAILED, Operation.OUTCOME_ROLLED_BACK)
    assert failed.error.type_name == "ZeroDivisionError"
    (warning,) = [each for each in failed.warnings if each.code == "SNAPSHOT_GONE"]
    assert "as it was after operation a" in warning.message
    (replaced,) = session.all_told("interpreter_replaced")
    assert (replaced.restored_operation_id, list(replaced.lost_operation_ids)) == ("a", ["b"])
    assert await value(session, "look", "x") == "[1]"


async def test_a_member_whose_snapshot_is_killed_takes_its_transaction_along(sandbox: Running):
    """A transaction is all or nothing: half of it cannot stay."""
    session = await sandbox.session(quiet_time=seconds(600))
    await session.run("a", "x = [1]")
    begin = pb.BeginTransaction(transaction_id="t", idle_timeout=seconds(60))
    await session.ask(begin_transaction=begin)
    await session.run("b", "x.append(2)", transaction_id="t")
    failed = await session.run("c", f"{KILL_NEWEST}1 / 0", transaction_id="t", **ATOMIC)
    assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
    assert [each.code for each in failed.warnings] == ["SNAPSHOT_GONE"]
    changed = session.all_told("transaction_changed")[-1]
    assert Transaction.FromString(changed.transaction).state == Transaction.STATE_ROLLED_BACK
    assert changed.reason == "the snapshot before operation c was gone"
    assert await outcome(session, "b") == Operation.OUTCOME_ROLLED_BACK
    assert await value(session, "look", "x") == "[1]"


async def test_without_any_snapshot_left_the_interpreter_is_fresh(sandbox: Running):
    """And that is told: the state is lost."""
    session = await sandbox.session(quiet_time=seconds(0.02))
    live = int(await value(session, "a", "import os; x = 1; os.getpid()"))
    await eventually(lambda: len(sleepers(sandbox)) == 2)
    (asleep,) = [pid for pid in sleepers(sandbox) if pid != live]
    session.submit("b", f"import os; os.kill({asleep}, 9); os.kill({live}, 9)")
    await session.finished("b")
    (replaced,) = session.all_told("interpreter_replaced")
    assert replaced.state_lost
    assert await outcome(session, "a") == Operation.OUTCOME_LOST
    assert await value(session, "look", "'x' in globals()") == "False"


async def test_the_next_snapshot_comes_after_a_loss(sandbox: Running):
    """Killed while nothing happens: the session takes another when it has run something."""
    session = await sandbox.session(quiet_time=seconds(0.02))
    live = int(await value(session, "a", "import os; x = 1; os.getpid()"))
    await eventually(lambda: len(sleepers(sandbox)) == 2)
    (asleep,) = [pid for pid in sleepers(sandbox) if pid != live]
    os.kill(asleep, signal.SIGKILL)
    await eventually(lambda: asleep not in sleepers(sandbox))
    await session.run("b", "y = 2")
    await eventually(lambda: len(sleepers(sandbox)) == 2)
    await session.run("c", CRASH)
    assert await value(session, "look", "[x, y]") == "[1, 2]"


async def test_threads_at_work_allow_no_snapshot(sandbox: Running):
    """Process transactions say so, with a warning; NONE goes on; once they have ended all is well."""
    session = await sandbox.session(quiet_time=seconds(0.02))
    work = (
        "import threading\ngo = threading.Event()\nthreading.Thread(target=go.wait, name='busy-bee').start()"
    )
    await session.run("a", work)
    refused = await session.run("b", "x = 1", **ATOMIC)
    assert (refused.state, refused.outcome, refused.error.type_name) == (
        Operation.STATE_FAILED,
        Operation.OUTCOME_NOT_STARTED,
        "ThreadsRunning",
    )
    assert [(warning.code, list(warning.names)) for warning in refused.warnings] == [
        ("THREADS", ["busy-bee"])
    ]
    begin = pb.BeginTransaction(transaction_id="t", idle_timeout=seconds(60))
    failure = (await session.ask(begin_transaction=begin)).failure
    assert (failure.reason, list(failure.names)) == ("THREADS_RUNNING", ["busy-bee"])
    assert (await session.run("c", "x = 1")).outcome == Operation.OUTCOME_COMMITTED
    await session.run("d", "go.set()\nfor thread in threading.enumerate()[1:]: thread.join()")
    assert (await session.run("e", "x = 2", **ATOMIC)).outcome == Operation.OUTCOME_COMMITTED


async def test_a_session_without_snapshots_says_so(sandbox: Running):
    """What depends on them is refused; the rest works as ever."""
    session = await sandbox.session(snapshots_disabled=True, quiet_time=seconds(0.02))
    await session.run("a", "x = 1")
    refused = await session.run("b", "x = 2", tx_policy=TX_POLICY_COMMIT_ON_SUCCESS)
    assert (refused.outcome, refused.error.type_name) == (
        Operation.OUTCOME_NOT_STARTED,
        "SnapshotsDisabled",
    )
    begin = pb.BeginTransaction(transaction_id="t", idle_timeout=seconds(60))
    assert (await session.ask(begin_transaction=begin)).failure.reason == "SNAPSHOTS_DISABLED"
    assert await rewind(session, "a") == "SNAPSHOTS_DISABLED"
    await session.run("c", CRASH)
    assert session.all_told("interpreter_replaced")[0].state_lost
    await session.run("d", "1")
    assert len(sleepers(sandbox)) == 1


async def test_a_rewind_goes_back_to_right_after_an_operation(sandbox: Running):
    """What went is ROLLED_BACK, not lost; the count goes back; older states stay within reach."""
    session = await sandbox.session(snapshot_history=5, quiet_time=seconds(0.02))
    for number in range(4):
        await session.run(f"o{number}", f"x = {number}")
    assert await rewind(session, "o1") == ""
    (replaced,) = session.all_told("interpreter_replaced")
    assert (replaced.rewound, replaced.restored_operation_id, replaced.state_lost) == (True, "o1", False)
    assert list(replaced.lost_operation_ids) == ["o2", "o3"]
    look = await session.run("look", "x")
    assert (look.result["text/plain"], look.execution_count) == (b"1", 3)
    assert await outcome(session, "o3") == Operation.OUTCOME_ROLLED_BACK
    assert await outcome(session, "o1") == Operation.OUTCOME_COMMITTED
    assert await rewind(session, "o3") == "SNAPSHOT_GONE"
    assert await rewind(session, "o0") == ""
    assert await value(session, "again", "x") == "0"
    assert await rewind(session, "unknown") == "OPERATION_NOT_FOUND"


async def test_a_rewind_to_the_state_as_it_is_changes_nothing(sandbox: Running):
    """Nothing ran since."""
    session = await sandbox.session()
    await session.run("a", "x = 1")
    assert await rewind(session, "a") == ""
    assert await value(session, "look", "x") == "1"
    assert session.all_told("interpreter_replaced") == []


async def test_a_rewind_cancels_what_runs_and_what_waits(sandbox: Running):
    """CANCELLED and ROLLED_BACK, NOT_STARTED; what comes later runs in the state of before."""
    session = await sandbox.session(quiet_time=seconds(0.02))
    await session.run("a", "x = 1")
    await eventually(lambda: len(sleepers(sandbox)) == 2)
    session.submit("b", "x = 2\nsum(range(10**12))")
    session.submit("c", "x = 3")
    await session.until("b", "started")
    session.send(9, rewind=pb.Rewind(operation_id="a"))
    session.submit("d", "x")
    d = await session.finished("d")
    b, c = await session.finished("b"), await session.finished("c")
    assert (b.state, b.outcome) == (Operation.STATE_CANCELLED, Operation.OUTCOME_ROLLED_BACK)
    assert "rewind" in b.error.message
    assert (c.state, c.outcome) == (Operation.STATE_CANCELLED, Operation.OUTCOME_NOT_STARTED)
    assert d.result["text/plain"] == b"1"
    (replaced,) = session.all_told("interpreter_replaced")
    assert (replaced.operation_id, replaced.rewound, list(replaced.lost_operation_ids)) == ("b", True, [])


async def test_a_rewind_that_cannot_be_cancels_nothing(sandbox: Running):
    """The snapshot is gone: what runs goes on."""
    session = await sandbox.session(quiet_time=seconds(600))
    await session.run("a", "x = 1")
    await session.run("b", "x = 2")
    session.submit("c", "import time; print('go', flush=True); time.sleep(0.3); x")
    await session.until("c", "output")
    assert await rewind(session, "a") == "SNAPSHOT_GONE"
    assert (await session.finished("c")).result["text/plain"] == b"2"


async def test_a_rewind_ends_the_transaction(sandbox: Running):
    """Rolled back, with the reason; into the middle of one there is no way."""
    session = await sandbox.session(quiet_time=seconds(0.02))
    await session.run("a", "x = 1")
    begin = pb.BeginTransaction(transaction_id="t", idle_timeout=seconds(60))
    await session.ask(begin_transaction=begin)
    await session.run("b", "x = 2", transaction_id="t")
    await session.run("c", "x = 3", transaction_id="t")
    assert await rewind(session, "b") == "SNAPSHOT_GONE"
    assert await rewind(session, "a") == ""
    (_, changed) = session.all_told("transaction_changed")
    ended = Transaction.FromString(changed.transaction)
    assert (ended.state, changed.reason) == (Transaction.STATE_ROLLED_BACK, "rewind")
    for name in ("b", "c"):
        assert await outcome(session, name) == Operation.OUTCOME_ROLLED_BACK
    assert await value(session, "look", "x") == "1"


async def test_the_history_is_bounded(sandbox: Running):
    """So many states beside the newest: the oldest go first."""
    session = await sandbox.session(snapshot_history=2, quiet_time=seconds(600))
    for number in range(6):
        await session.run(f"o{number}", f"x = {number}")
    await eventually(lambda: len(sleepers(sandbox)) == 4)  # the live one, o4 as the newest, o3 and o2
    assert await rewind(session, "o1") == "SNAPSHOT_GONE"
    assert await rewind(session, "o2") == ""
    assert await value(session, "look", "x") == "2"


def scores(sandbox: Running) -> list[int]:
    """Return how readily the kernel kills the interpreters and snapshots when memory runs out."""
    return sorted(int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in sleepers(sandbox))


async def test_the_newest_snapshot_outlives_the_live_interpreter(sandbox: Running):
    """Out of memory, older snapshots die first, then the live one; the newest and a transaction's base survive."""
    session = await sandbox.session(snapshot_history=2, quiet_time=seconds(0.02))
    for number in range(3):
        await session.run(f"o{number}", f"x = {number}")
    await eventually(lambda: scores(sandbox) == [300, 600, 900, 900])
    begin = pb.BeginTransaction(transaction_id="t", idle_timeout=seconds(60))
    await session.ask(begin_transaction=begin)
    for number in range(2):
        await session.run(f"m{number}", "x = 5", transaction_id="t")
    await eventually(lambda: scores(sandbox) == [300, 300, 600, 900])
    await session.ask(end_transaction=pb.EndTransaction(transaction_id="t", commit=False))
    for number in range(3):  # how many older ones the transaction has left is not said
        await session.run(f"after-{number}", "y = 1")
    await eventually(lambda: scores(sandbox) == [300, 600, 900, 900])


async def test_after_a_reset_there_is_no_way_back(sandbox: Running):
    """To no earlier state, by rewind or by crash; and what was reset away is not lost."""
    session = await sandbox.session(snapshot_history=5, quiet_time=seconds(0.02))
    await session.run("a", "x = 1")
    await session.run("b", "x = 2")
    await session.ask(reset=pb.Reset())
    assert await rewind(session, "a") == "SNAPSHOT_GONE"
    assert await rewind(session, "b") == "SNAPSHOT_GONE"
    await session.run("c", CRASH)
    assert await value(session, "look", "'x' in globals()") == "False"
    assert await outcome(session, "a") == Operation.OUTCOME_COMMITTED
    await eventually(lambda: len(sleepers(sandbox)) == 2)


async def test_children_of_before_live_on_and_later_ones_do_not(sandbox: Running):
    """A rollback ends what the rolled-back operation started, and nothing else."""
    session = await sandbox.session()
    start = "import subprocess; {name} = subprocess.Popen(['sleep', '600']); {name}.pid"
    old = int(await value(session, "a", start.format(name="old")))
    failed = await session.run("b", start.format(name="new") + "\nprint(new.pid)\n1 / 0", **ATOMIC)
    assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
    new = int(session.output("b"))
    assert _lives(str(old))
    assert not _lives(str(new))
    await session.ask(reset=pb.Reset())
    assert not _lives(str(old))


async def test_output_of_what_is_rolled_back_is_all_there(sandbox: Running):
    """It happened: what was written before the error, by children too, comes before Finished."""
    session = await sandbox.session()
    failed = await session.run(
        "a",
        "import subprocess\nprint('one')\nsubprocess.run(['echo', 'two'])\nprint('three')\n1 / 0",
        **ATOMIC,
    )
    assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
    assert session.output("a") == b"one\ntwo\nthree\n"
    assert (await session.run("b", "print('four')")).state == Operation.STATE_SUCCEEDED
    assert session.output("b") == b"four\n"


async def test_cancels_hit_their_operation_only(sandbox: Running):
    """Twice, late, while it is being rolled back, in the queue: the operation after it runs undisturbed."""
    session = await sandbox.session(interrupt_grace=seconds(0.2))
    await session.run("before", "x = 0")
    for number in range(20):
        session.submit(f"a{number}", "x += 1\nwhile True: pass", **ATOMIC)
        session.submit(f"b{number}", "x += 1; x")
        await session.until(f"a{number}", "started")
        for _ in range(2):
            session.send(cancel=pb.Cancel(operation_id=f"a{number}"))
        a = await session.finished(f"a{number}")
        session.send(cancel=pb.Cancel(operation_id=f"a{number}"))
        b = await session.finished(f"b{number}")
        assert (a.state, a.outcome) == (Operation.STATE_CANCELLED, Operation.OUTCOME_ROLLED_BACK)
        assert (b.state, b.result["text/plain"]) == (Operation.STATE_SUCCEEDED, str(number + 1).encode())
