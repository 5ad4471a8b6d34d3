"""ISOLATION_NAMESPACE: several operations at once in one interpreter, each on its own copy of the names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank.v1.transaction_pb2 import (
    ISOLATION_NAMESPACE,
    TX_POLICY_COMMIT_ON_SUCCESS,
    TX_POLICY_EXPLICIT,
    TX_POLICY_NONE,
    TX_POLICY_ROLLBACK_ON_FAILURE,
    Transaction,
)
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, seconds

POLICIES = [TX_POLICY_NONE, TX_POLICY_COMMIT_ON_SUCCESS, TX_POLICY_ROLLBACK_ON_FAILURE]
NAMES = {"isolation": ISOLATION_NAMESPACE}
ASKING = {**NAMES, "allow_input": True}
STUBBORN = (
    "print('ready')\nwhile True:\n  try:\n    x = 1\n    while x: pass\n  except KeyboardInterrupt: pass"
)


@pytest.fixture
async def hasty(start: Start) -> AsyncIterator[Connection]:
    """A session that has little patience with what does not react to an interrupt."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(start())
        yield await sandbox.session(interrupt_grace=seconds(0.3), quiet_time=seconds(600))


async def answer(session: Connection, operation_id: str, text: str = "") -> None:
    """Wait for the question of an operation, and answer it."""
    request = (await session.until(operation_id, "input_request")).input_request
    reply = await session.ask(
        provide_input=pb.ProvideInput(operation_id=operation_id, input_id=request.input_id, text=text)
    )
    assert not reply.HasField("failure"), reply


@pytest.mark.parametrize("policy", POLICIES)
async def test_success_merges_and_failure_discards(session: Connection, policy: int):
    """Under every policy but EXPLICIT: COMMITTED, or ROLLED_BACK; what it bound is there, or not."""
    await session.run("before", "n = 1")
    done = await session.run("good", "n += 1\nn", tx_policy=policy, **NAMES)
    assert (done.state, done.outcome) == (Operation.STATE_SUCCEEDED, Operation.OUTCOME_COMMITTED)
    assert (done.isolation, done.tx_policy) == (ISOLATION_NAMESPACE, policy)
    assert done.result["text/plain"] == b"2"
    failed = await session.run("bad", "n += 1\n1 / 0", tx_policy=policy, **NAMES)
    assert (failed.state, failed.outcome) == (Operation.STATE_FAILED, Operation.OUTCOME_ROLLED_BACK)
    assert failed.error.frames[0].file_name == "<cell 3>"
    assert (await session.run("look", "n")).result["text/plain"] == b"2"
    assert session.all_told("interpreter_replaced") == []


async def test_several_run_at_once_and_are_told_apart(session: Connection):
    """Eight wait for input at the same time; output, answers, displays and results are each one's own."""
    code = "import sys\nfor i in range(20): print({k}, i)\ngot = input('{k}?')\nprint(got)\nprint({k}, file=sys.stderr)"
    for k in range(8):
        session.submit(f"op{k}", code.format(k=k) + f"\nr{k} = got\ndisplay({k})\n{k}", **ASKING)
    for k in reversed(range(8)):
        await answer(session, f"op{k}", f"answer {k}")
    for k in range(8):
        done = await session.finished(f"op{k}")
        assert done.state == Operation.STATE_SUCCEEDED
        if done.conflicting_names:  # all bind `i` and `got`: the first committer wins
            assert done.outcome == Operation.OUTCOME_ROLLED_BACK
        assert done.result["text/plain"] == str(k).encode()
        lines = "".join(f"{k} {i}\n" for i in range(20)) + f"answer {k}\n"
        assert session.output(f"op{k}") == lines.encode()
        assert session.output(f"op{k}", 2) == f"{k}\n".encode()
        assert (await session.until(f"op{k}", "display")).display.data["text/plain"] == str(k).encode()
        assert not any(event.output.unattributed for event in session.events[f"op{k}"])


async def test_first_committer_wins(session: Connection):
    """The later one has SUCCEEDED and is ROLLED_BACK, with the names."""
    await session.run("before", "n = 0; m = 0")
    session.submit("first", "input()\nn += 1\nm = 1", **ASKING)
    await session.until("first", "input_request")
    second = await session.run("second", "n += 1", **NAMES)
    assert (second.outcome, list(second.conflicting_names)) == (Operation.OUTCOME_COMMITTED, [])
    await answer(session, "first")
    first = await session.finished("first")
    assert (first.state, first.outcome) == (Operation.STATE_SUCCEEDED, Operation.OUTCOME_ROLLED_BACK)
    assert list(first.conflicting_names) == ["n"]
    assert (await session.run("look", "n, m")).result["text/plain"] == b"(1, 0)"


async def test_process_operations_wait_for_their_turn(session: Connection):
    """Behind all that run beside each other; and what comes after them waits behind them."""
    session.submit("one", "input()\na = 1", **ASKING)
    session.submit("two", "input()\nb = 2", **ASKING)
    session.submit("alone", "seen = sorted(set(globals()) & {'a', 'b', 'c'})\nseen")
    session.submit("three", "c = 3", **NAMES)
    await answer(session, "two")
    await session.finished("two")
    for waiting in ("alone", "three"):
        reply = await session.ask(get_operation=pb.GetOperation(operation_id=waiting))
        assert Operation.FromString(reply.operation).state == Operation.STATE_PENDING
    await answer(session, "one")
    assert (await session.finished("alone")).result["application/json"] == b'["a","b"]'
    assert (await session.finished("three")).outcome == Operation.OUTCOME_COMMITTED


async def test_more_than_the_bound_wait(session: Connection):
    """Sixteen run at once; the seventeenth begins when one has ended."""
    for k in range(17):
        session.submit(f"op{k}", f"input()\nr{k} = 1", **ASKING)
    for k in range(16):
        await session.until(f"op{k}", "input_request")
    reply = await session.ask(get_operation=pb.GetOperation(operation_id="op16"))
    assert Operation.FromString(reply.operation).state == Operation.STATE_PENDING
    for k in range(17):
        await answer(session, f"op{k}")
        assert (await session.finished(f"op{k}")).outcome == Operation.OUTCOME_COMMITTED


async def test_bytes_on_the_descriptors_are_unattributed_while_several_run(session: Connection):
    """They go to the oldest; where only one runs, they are its own."""
    await session.run("alone", "import os\nos.write(1, b'mine')", **NAMES)
    assert [event.output.unattributed for event in session.events["alone"] if event.HasField("output")] == [
        False
    ]
    session.submit("oldest", "input()", **ASKING)
    await session.until("oldest", "input_request")
    done = await session.run("writer", "import os\nprint('named')\nos.write(2, b'raw')", **NAMES)
    assert done.output_bytes == len(b"named\n")
    assert session.output("writer") == b"named\n"
    assert session.output("oldest", 2) == b"raw"
    (event,) = [event for event in session.events["oldest"] if event.HasField("output")]
    assert event.output.unattributed
    await answer(session, "oldest")
    await session.finished("oldest")


async def test_output_is_bounded_for_each(session: Connection):
    """What is beyond its own bound is dropped and counted."""
    session.submit("much", "input()\nprint('x' * 100_000)", max_output_bytes=1000, **ASKING)
    await session.until("much", "input_request")
    session.submit("little", "input()\nprint('y' * 500)", max_output_bytes=1000, **ASKING)
    await answer(session, "little")
    await answer(session, "much")
    much, little = await session.finished("much"), await session.finished("little")
    assert (much.output_bytes, much.dropped_output_bytes) == (1000, 99_001)
    assert (little.output_bytes, little.dropped_output_bytes) == (501, 0)


@pytest.mark.parametrize("how", ["cancel", "timeout"])
@pytest.mark.parametrize("code", ["while True: pass", "import time\ntime.sleep(600)", "input()"])
async def test_one_is_stopped_and_the_others_go_on(session: Connection, how: str, code: str):
    """Softly, in its thread; what it bound is dropped."""
    session.submit("beside", "input()\nkept = 1", **ASKING)
    await session.until("beside", "input_request")
    bounds = {"timeout": 0.3} if how == "timeout" else {}
    session.submit("stopped", f"lost = 1\nprint('ready')\n{code}", **bounds, **ASKING)
    await session.until("stopped", "output")
    if how == "cancel":
        await session.ask(cancel=pb.Cancel(operation_id="stopped"))
    stopped = await session.finished("stopped")
    expected = Operation.STATE_TIMED_OUT if how == "timeout" else Operation.STATE_CANCELLED
    assert (stopped.state, stopped.outcome) == (expected, Operation.OUTCOME_ROLLED_BACK)
    assert stopped.error.type_name == "KeyboardInterrupt"
    await answer(session, "beside")
    assert (await session.finished("beside")).outcome == Operation.OUTCOME_COMMITTED
    assert (await session.run("look", "kept, 'lost' in globals()")).result["text/plain"] == b"(1, False)"
    assert session.all_told("interpreter_replaced") == []


@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_a_hard_kill_ends_those_beside_it_too(hasty: Connection, how: str):
    """CRASHED and ROLLED_BACK with the cause; the session goes on from before all of them."""
    await hasty.run("before", "n = 1")
    await hasty.run("point", "pass", tx_policy=TX_POLICY_ROLLBACK_ON_FAILURE)
    hasty.submit("beside", "n = 2\ninput()", **ASKING)
    await hasty.until("beside", "input_request")
    finished = await hasty.run("merged", "m = 1", **NAMES)
    assert finished.outcome == Operation.OUTCOME_COMMITTED
    hasty.submit("stubborn", STUBBORN, timeout=0.5 if how == "timeout" else 60.0, **NAMES)
    await hasty.until("stubborn", "output")
    if how == "cancel":
        await hasty.ask(cancel=pb.Cancel(operation_id="stubborn"))
    stubborn, beside = await hasty.finished("stubborn"), await hasty.finished("beside")
    expected = Operation.STATE_TIMED_OUT if how == "timeout" else Operation.STATE_CANCELLED
    assert (stubborn.state, stubborn.outcome) == (expected, Operation.OUTCOME_ROLLED_BACK)
    assert (beside.state, beside.outcome) == (Operation.STATE_CRASHED, Operation.OUTCOME_ROLLED_BACK)
    assert "operation stubborn beside it" in beside.error.message
    (replaced,) = hasty.all_told("interpreter_replaced")
    assert (replaced.operation_id, list(replaced.lost_operation_ids)) == ("stubborn", ["point", "merged"])
    assert (await hasty.run("look", "n, 'm' in globals()")).result["text/plain"] == b"(1, False)"


async def test_a_crash_ends_all_of_them(session: Connection):
    """Each is CRASHED and ROLLED_BACK; the next one runs."""
    session.submit("beside", "input()", **ASKING)
    await session.until("beside", "input_request")
    crashed = await session.run("crash", "import os\nos._exit(3)", **NAMES)
    beside = await session.finished("beside")
    for operation in (crashed, beside):
        assert (operation.state, operation.outcome) == (
            Operation.STATE_CRASHED,
            Operation.OUTCOME_ROLLED_BACK,
        )
        assert "exited with code 3" in operation.error.message
    assert (await session.run("next", "1", **NAMES)).outcome == Operation.OUTCOME_COMMITTED


async def test_members_of_a_transaction_are_pending_until_its_end(session: Connection):
    """They see each other's names, and so do members of the other isolation; the commit keeps all."""
    await session.run("before", "n = 1")
    await session.ask(begin_transaction=pb.BeginTransaction(transaction_id="t", idle_timeout=seconds(60)))
    member = {"transaction_id": "t", "tx_policy": TX_POLICY_EXPLICIT}
    one = await session.run("one", "n += 1", **member, **NAMES)
    assert (one.state, one.outcome) == (Operation.STATE_SUCCEEDED, Operation.OUTCOME_PENDING)
    two = await session.run("two", "n += 1\nn", **member)
    assert (two.result["text/plain"], two.outcome) == (b"3", Operation.OUTCOME_PENDING)
    failed = await session.run("failed", "n = 100\n1 / 0", **member, **NAMES)
    assert (failed.state, failed.outcome) == (Operation.STATE_FAILED, Operation.OUTCOME_ROLLED_BACK)
    reply = await session.ask(end_transaction=pb.EndTransaction(transaction_id="t", commit=True))
    assert Transaction.FromString(reply.transaction).state == Transaction.STATE_COMMITTED
    now = await session.ask(get_operation=pb.GetOperation(operation_id="one"))
    assert Operation.FromString(now.operation).outcome == Operation.OUTCOME_COMMITTED
    assert (await session.run("look", "n")).result["text/plain"] == b"3"


async def test_a_rollback_takes_members_beside_each_other_with_it(session: Connection):
    """What they merged is gone with the transaction; one in conflict was gone before."""
    await session.run("before", "n = 1")
    await session.ask(begin_transaction=pb.BeginTransaction(transaction_id="t", idle_timeout=seconds(60)))
    member = {"transaction_id": "t", **ASKING}
    session.submit("slow", "input()\nn += 10", **member)
    await session.until("slow", "input_request")
    assert (await session.run("fast", "n += 1", **member)).outcome == Operation.OUTCOME_PENDING
    await answer(session, "slow")
    slow = await session.finished("slow")
    assert (slow.outcome, list(slow.conflicting_names)) == (Operation.OUTCOME_ROLLED_BACK, ["n"])
    await session.ask(end_transaction=pb.EndTransaction(transaction_id="t", commit=False))
    now = await session.ask(get_operation=pb.GetOperation(operation_id="fast"))
    assert Operation.FromString(now.operation).outcome == Operation.OUTCOME_ROLLED_BACK
    assert (await session.run("look", "n")).result["text/plain"] == b"1"


async def test_they_need_no_snapshots(start: Start):
    """With snapshots disabled they are all-or-nothing all the same."""
    async with start() as sandbox:
        session = await sandbox.session(snapshots_disabled=True)
        await session.run("before", "n = 1")
        bad = await session.run("bad", "n = 2\n1 / 0", tx_policy=TX_POLICY_ROLLBACK_ON_FAILURE, **NAMES)
        assert bad.outcome == Operation.OUTCOME_ROLLED_BACK
        assert (await session.run("look", "n")).result["text/plain"] == b"1"


async def test_a_snapshot_follows_them(session: Connection):
    """When the last has ended there is one thread again: a process transaction goes back to what they left."""
    for round_ in range(10):
        for k in range(4):
            session.submit(f"op{round_}-{k}", f"r{k} = {round_}", **NAMES)
        failed = await session.run(
            f"failed{round_}", "r0 = 'lost'\n1 / 0", tx_policy=TX_POLICY_ROLLBACK_ON_FAILURE
        )
        assert failed.outcome == Operation.OUTCOME_ROLLED_BACK, failed
        look = await session.run(f"look{round_}", "[r0, r1, r2, r3]")
        assert look.result["application/json"] == f"[{round_},{round_},{round_},{round_}]".encode()


async def test_warnings_reach_the_operation(session: Connection):
    """A shared object that was changed in place, and a method that saw the session's names."""
    await session.run("before", "n = 1\nitems = []\nclass K:\n  def see(self): return n\nk = K()")
    done = await session.run("warned", "n = 2\nitems.append(k.see())\n1 / 0", **NAMES)
    found = {warning.code: list(warning.names) for warning in done.warnings}
    assert found == {"SHARED_OBJECT_MUTATED": ["items"], "NAMES_NOT_REBOUND": ["K.see"]}


async def test_a_cancel_of_one_that_waits_leaves_those_that_run(session: Connection):
    """It never began."""
    session.submit("running", "input()", **ASKING)
    session.submit("alone", "1")
    session.submit("waiting", "2", **NAMES)
    await session.until("running", "input_request")
    await session.ask(cancel=pb.Cancel(operation_id="waiting"))
    assert (await session.finished("waiting")).outcome == Operation.OUTCOME_NOT_STARTED
    await session.ask(cancel=pb.Cancel(operation_id="alone"))
    assert (await session.run("another", "3", **NAMES)).outcome == Operation.OUTCOME_COMMITTED
    await answer(session, "running")
    assert (await session.finished("running")).outcome == Operation.OUTCOME_COMMITTED
