"""Explicit transactions: members, savepoints, their end by commit, rollback, idleness and death."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank.v1.transaction_pb2 import (
    TX_POLICY_COMMIT_ON_SUCCESS,
    TX_POLICY_EXPLICIT,
    TX_POLICY_ROLLBACK_ON_FAILURE,
    Transaction,
)
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, Running, seconds

STUCK = "sum(range(10**12))"


@pytest.fixture
async def sandbox(start: Start) -> AsyncIterator[Running]:
    """A sandbox whose sessions the test makes."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(start())


@pytest.fixture
async def hasty(sandbox: Running) -> Connection:
    """A session that has little patience with what does not react to an interrupt."""
    return await sandbox.session(interrupt_grace=seconds(0.2))


def begin(name: str = "t", idle: float = 60.0) -> pb.BeginTransaction:
    """Return the request."""
    return pb.BeginTransaction(transaction_id=name, idle_timeout=seconds(idle))


async def end(session: Connection, *, commit: bool, name: str = "t") -> pb.Reply:
    """End a transaction."""
    return await session.ask(end_transaction=pb.EndTransaction(transaction_id=name, commit=commit))


def transaction(reply: pb.Reply) -> Transaction:
    """Return the transaction of a reply that is no failure."""
    assert not reply.HasField("failure"), reply.failure
    return Transaction.FromString(reply.transaction)


async def outcome(session: Connection, operation_id: str) -> int:
    """Return an operation's outcome as it is now."""
    reply = await session.ask(get_operation=pb.GetOperation(operation_id=operation_id))
    return Operation.FromString(reply.operation).outcome


async def value(session: Connection, operation_id: str, expression: str, **submit: Any) -> str:
    """Return what an expression shows."""
    operation = await session.run(operation_id, expression, **submit)
    return operation.result["text/plain"].decode()


def changes(session: Connection) -> list[tuple[str, int, str]]:
    """Return (id, state, reason) of what was told of transactions."""
    return [
        (told.transaction_id, told.state, change.reason)
        for change in session.all_told("transaction_changed")
        for told in [Transaction.FromString(change.transaction)]
    ]


async def test_a_commit_keeps_what_members_did(session: Connection):
    """PENDING until then; COMMITTED, and PARTIAL for the one that raised."""
    await session.run("before", "x = [1]")
    opened = transaction(await session.ask(begin_transaction=begin()))
    assert (opened.state, opened.session_id) == (Transaction.STATE_OPEN, "s")
    a = await session.run("a", "x.append(2)", transaction_id="t")
    b = await session.run("b", "x.append(3); 1 / 0", transaction_id="t", tx_policy=TX_POLICY_EXPLICIT)
    assert (a.state, a.outcome, a.transaction_id) == (
        Operation.STATE_SUCCEEDED,
        Operation.OUTCOME_PENDING,
        "t",
    )
    assert (b.state, b.outcome) == (Operation.STATE_FAILED, Operation.OUTCOME_PENDING)
    closed = transaction(await end(session, commit=True))
    assert (closed.state, list(closed.operation_ids)) == (Transaction.STATE_COMMITTED, ["a", "b"])
    assert await outcome(session, "a") == Operation.OUTCOME_COMMITTED
    assert await outcome(session, "b") == Operation.OUTCOME_PARTIAL
    assert await value(session, "look", "x") == "[1, 2, 3]"
    assert changes(session) == [
        ("t", Transaction.STATE_OPEN, ""),
        ("t", Transaction.STATE_COMMITTED, "commit"),
    ]


async def test_a_rollback_takes_back_what_members_did(session: Connection):
    """All of them, and the execution count; nothing else is told as lost."""
    await session.run("before", "x = [1]")
    await session.ask(begin_transaction=begin())
    for name in ("a", "b", "c"):
        await session.run(name, "x.append(2)", transaction_id="t")
    closed = transaction(await end(session, commit=False))
    assert (closed.state, list(closed.operation_ids)) == (Transaction.STATE_ROLLED_BACK, ["a", "b", "c"])
    for name in ("a", "b", "c"):
        assert await outcome(session, name) == Operation.OUTCOME_ROLLED_BACK
    look = await session.run("look", "x")
    assert (look.result["text/plain"], look.execution_count) == (b"[1]", 2)
    assert await outcome(session, "before") == Operation.OUTCOME_COMMITTED
    assert session.all_told("interpreter_replaced") == []


async def test_an_operation_may_begin_its_transaction(session: Connection):
    """The change is told before its Finished; it is the first member."""
    await session.run("before", "x = 1")
    first = await session.run("a", "x = 2", tx_policy=TX_POLICY_EXPLICIT, transaction_id="t", begin=begin())
    assert first.outcome == Operation.OUTCOME_PENDING
    kinds = [message.WhichOneof("message") for message in session.told]
    assert kinds.index("transaction_changed") < len(kinds) - 1
    await session.run("b", "x = 3", transaction_id="t")
    assert list(transaction(await end(session, commit=False)).operation_ids) == ["a", "b"]
    assert await value(session, "look", "x") == "1"


async def test_an_end_is_answered_alike_however_often(session: Connection):
    """The other way it fails, and so does what is unknown."""
    await session.ask(begin_transaction=begin("kept"))
    assert transaction(await session.ask(begin_transaction=begin("kept"))).state == Transaction.STATE_OPEN
    for _ in range(2):
        assert transaction(await end(session, commit=True, name="kept")).state == Transaction.STATE_COMMITTED
    assert (await end(session, commit=False, name="kept")).failure.reason == "NO_SUCH_TRANSACTION"
    await session.ask(begin_transaction=begin("dropped"))
    for _ in range(2):
        rolled_back = transaction(await end(session, commit=False, name="dropped"))
        assert rolled_back.state == Transaction.STATE_ROLLED_BACK
    assert (await end(session, commit=True, name="dropped")).failure.reason == "NO_SUCH_TRANSACTION"
    assert (await end(session, commit=True, name="never")).failure.reason == "NO_SUCH_TRANSACTION"


async def test_begin_and_end_wait_for_what_came_before(session: Connection):
    """In the order of the queue: an operation before the begin is no member, one before the end is."""
    session.submit("before", "import time; time.sleep(0.3); x = 1")
    session.send(101, begin_transaction=begin())
    session.submit("a", "time.sleep(0.3); x = 2", transaction_id="t")
    session.send(102, end_transaction=pb.EndTransaction(transaction_id="t", commit=False))
    session.submit("after", "x")
    assert (await session.finished("after")).result["text/plain"] == b"1"
    assert (await session.finished("before")).outcome == Operation.OUTCOME_COMMITTED
    assert await outcome(session, "a") == Operation.OUTCOME_ROLLED_BACK
    order = [
        str(message.reply.request_id) if message.HasField("reply") else message.events.operation_id
        for message in session.told
        if message.HasField("reply") or (message.HasField("events") and message.events.finished)
    ]
    assert [each for each in order if each in ("before", "101", "a", "102", "after")] == [
        "before",
        "101",
        "a",
        "102",
        "after",
    ]


async def test_who_is_no_member_is_refused(session: Connection):
    """Finished, FAILED and NOT_STARTED, with the reason's name; likewise a member of what is not open."""
    await session.ask(begin_transaction=begin())
    stranger = await session.run("a", "x = 1")
    assert (stranger.state, stranger.outcome, stranger.error.type_name) == (
        Operation.STATE_FAILED,
        Operation.OUTCOME_NOT_STARTED,
        "TransactionOpen",
    )
    assert [event.WhichOneof("event") for event in session.events["a"]] == ["finished"]
    other = await session.run("b", "x = 1", transaction_id="other")
    assert (other.outcome, other.error.type_name) == (Operation.OUTCOME_NOT_STARTED, "NoSuchTransaction")
    assert (await session.ask(begin_transaction=begin("other"))).failure.reason == "TRANSACTION_OPEN"
    await end(session, commit=True)
    late = await session.run("c", "x = 1", transaction_id="t")
    assert (late.outcome, late.error.type_name) == (Operation.OUTCOME_NOT_STARTED, "NoSuchTransaction")
    assert "was committed" in late.error.message


@pytest.mark.parametrize("policy", [TX_POLICY_COMMIT_ON_SUCCESS, TX_POLICY_ROLLBACK_ON_FAILURE])
@pytest.mark.parametrize("code", ["1 / 0", STUCK, "import os; os._exit(3)"])
async def test_a_savepoint_goes_back_alone(hasty: Connection, policy: int, code: str):
    """A member with its own policy: its effects go, the transaction stays open with what it had."""
    await hasty.run("before", "x = [1]")
    await hasty.ask(begin_transaction=begin())
    await hasty.run("a", "x.append(2)", transaction_id="t")
    point = await hasty.run("b", f"x.append(3); {code}", transaction_id="t", tx_policy=policy, timeout=0.3)
    assert point.outcome == Operation.OUTCOME_ROLLED_BACK
    kept = await hasty.run("c", "x.append(4); x", transaction_id="t", tx_policy=policy)
    assert (kept.outcome, kept.result["text/plain"]) == (Operation.OUTCOME_PENDING, b"[1, 2, 4]")
    transaction(await end(hasty, commit=True))
    assert await outcome(hasty, "a") == await outcome(hasty, "c") == Operation.OUTCOME_COMMITTED
    assert await outcome(hasty, "b") == Operation.OUTCOME_ROLLED_BACK


@pytest.mark.parametrize("code", ["while True: pass", STUCK])
@pytest.mark.parametrize("first", [True, False])
async def test_a_member_that_is_stopped_goes_back_alone(hasty: Connection, code: str, first: bool):
    """Softly or hard, as the first member too: the transaction stays open, and can still be rolled back as a whole."""
    await hasty.run("before", "x = [1]")
    await hasty.ask(begin_transaction=begin())
    if not first:
        await hasty.run("a", "x.append(2)", transaction_id="t")
    stopped = await hasty.run("b", f"x.append(3)\n{code}", transaction_id="t", timeout=0.3)
    assert (stopped.state, stopped.outcome) == (Operation.STATE_TIMED_OUT, Operation.OUTCOME_ROLLED_BACK)
    assert await value(hasty, "c", "x", transaction_id="t") == ("[1]" if first else "[1, 2]")
    await hasty.run("d", "x.append(5)", transaction_id="t")
    assert transaction(await end(hasty, commit=False)).state == Transaction.STATE_ROLLED_BACK
    assert await value(hasty, "look", "x") == "[1]"
    assert await outcome(hasty, "before") == Operation.OUTCOME_COMMITTED


async def test_the_interpreters_death_rolls_the_transaction_back(session: Connection):
    """The members of before are ROLLED_BACK with it, told before Finished; a commit comes too late."""
    await session.run("before", "x = [1]")
    await session.ask(begin_transaction=begin())
    await session.run("a", "x.append(2)", transaction_id="t")
    session.submit("b", "import ctypes; ctypes.string_at(0)", transaction_id="t")
    session.submit("c", "x.append(3)", transaction_id="t")
    session.send(77, end_transaction=pb.EndTransaction(transaction_id="t", commit=True))
    b, c = await session.finished("b"), await session.finished("c")
    assert (b.state, b.outcome) == (Operation.STATE_CRASHED, Operation.OUTCOME_ROLLED_BACK)
    assert (c.outcome, c.error.type_name) == (Operation.OUTCOME_NOT_STARTED, "NoSuchTransaction")
    assert changes(session)[-1] == (
        "t",
        Transaction.STATE_ROLLED_BACK,
        "the interpreter died (killed by SIGSEGV)",
    )
    assert await outcome(session, "a") == Operation.OUTCOME_ROLLED_BACK
    assert await value(session, "look", "x") == "[1]"
    (replaced,) = session.all_told("interpreter_replaced")
    assert (replaced.restored_operation_id, list(replaced.lost_operation_ids)) == ("before", [])
    replies = {message.reply.request_id: message.reply for message in session.told}
    assert replies[77].failure.reason == "NO_SUCH_TRANSACTION"


async def test_a_death_between_members_rolls_it_back_too(session: Connection):
    """A child that kills its parent while nothing runs."""
    await session.run("before", "x = [1]")
    await session.ask(begin_transaction=begin())
    kill = (
        "import os, time\nlive = os.getpid()\nif os.fork() == 0:\n    time.sleep(0.3)\n    os.kill(live, 9)"
    )
    await session.run("a", f"x.append(2)\n{kill}", transaction_id="t")
    replaced = await session.until_told("interpreter_replaced")
    assert (replaced.operation_id, replaced.reason) == ("", "killed by SIGKILL")
    assert (await end(session, commit=True)).failure.reason == "NO_SUCH_TRANSACTION"
    assert await value(session, "look", "x") == "[1]"
    assert await outcome(session, "a") == Operation.OUTCOME_ROLLED_BACK


async def test_an_idle_transaction_is_rolled_back(session: Connection):
    """After its time without an operation, and it says so; each operation begins the time anew."""
    await session.run("before", "x = [1]")
    await session.ask(begin_transaction=begin(idle=0.4))
    for number in range(3):
        member = f"import time; time.sleep(0.25); x.append({number}); x"
        assert (
            await session.run(f"a{number}", member, transaction_id="t")
        ).state == Operation.STATE_SUCCEEDED
    assert len(changes(session)) == 1
    while len(changes(session)) == 1:
        await session.take()
    assert changes(session)[-1] == ("t", Transaction.STATE_ROLLED_BACK, "idle for too long")
    assert await value(session, "look", "x") == "[1]"
    assert await outcome(session, "a0") == Operation.OUTCOME_ROLLED_BACK


async def test_an_idle_transaction_without_effects_just_ends(session: Connection):
    """There is nothing to go back from."""
    await session.run("before", "x = [1]")
    await session.ask(begin_transaction=begin(idle=0.1))
    while len(changes(session)) == 1:
        await session.take()
    assert await value(session, "look", "x") == "[1]"


async def test_a_long_member_is_no_idleness(session: Connection):
    """The time counts while nothing runs."""
    await session.ask(begin_transaction=begin(idle=0.2))
    slow = await session.run("a", "import time; time.sleep(0.8)", transaction_id="t")
    assert slow.outcome == Operation.OUTCOME_PENDING
    assert transaction(await end(session, commit=True)).state == Transaction.STATE_COMMITTED


async def test_a_reset_ends_it(session: Connection):
    """Rolled back, with the reason; what waits for its turn is answered."""
    await session.ask(begin_transaction=begin())
    await session.run("a", "x = 1", transaction_id="t")
    session.submit("b", STUCK, transaction_id="t")
    session.send(55, end_transaction=pb.EndTransaction(transaction_id="t", commit=True))
    await session.until("b", "started")
    await session.ask(reset=pb.Reset())
    assert changes(session)[-1] == ("t", Transaction.STATE_ROLLED_BACK, "reset")
    assert await outcome(session, "a") == Operation.OUTCOME_ROLLED_BACK
    assert (await session.finished("b")).state == Operation.STATE_CANCELLED
    (reply,) = [message.reply for message in session.told if message.reply.request_id == 55]
    assert reply.failure.reason == "NO_SUCH_TRANSACTION"
    assert (await session.run("c", "'x' in globals()")).result["text/plain"] == b"False"


async def test_hello_tells_of_transactions_and_settled_outcomes(sandbox: Running):
    """A control plane that was away learns what ended meanwhile, and what is open."""
    session = await sandbox.session()
    await session.ask(begin_transaction=begin("one"))
    await session.run("a", "x = 1", transaction_id="one")
    await end(session, commit=True, name="one")
    await session.ask(begin_transaction=begin("two"))
    await session.run("b", "x = 2", transaction_id="two")
    await session.run("c", "x = 3", transaction_id="two", tx_policy=TX_POLICY_ROLLBACK_ON_FAILURE)
    again = await sandbox.connect()
    told = [Transaction.FromString(change.transaction) for change in again.hello.transactions]
    assert [(each.transaction_id, each.state) for each in told] == [
        ("one", Transaction.STATE_OPEN),
        ("one", Transaction.STATE_COMMITTED),
        ("two", Transaction.STATE_OPEN),
    ]
    assert [change.number for change in again.hello.transactions] == [1, 2, 3]
    assert {each.operation_id: each.outcome for each in again.hello.operations} == {
        "a": Operation.OUTCOME_COMMITTED,
        "b": Operation.OUTCOME_PENDING,
        "c": Operation.OUTCOME_PENDING,
    }


async def test_a_commit_races_the_death(session: Connection):
    """Whichever comes first, outcomes and state agree."""
    for number in range(10):
        name = f"t{number}"
        await session.run(f"before{number}", "x = 1")
        await session.ask(begin_transaction=begin(name))
        die = "import os, threading\nthreading.Timer(0.01, os._exit, (1,)).start()\nx = 2"
        await session.run(f"a{number}", die, transaction_id=name)
        reply = await end(session, commit=True, name=name)
        if reply.HasField("failure"):
            assert reply.failure.reason == "NO_SUCH_TRANSACTION"
            assert await outcome(session, f"a{number}") == Operation.OUTCOME_ROLLED_BACK
        else:  # the commit came first; what died later took the effects along
            while await outcome(session, f"a{number}") == Operation.OUTCOME_COMMITTED:
                await session.take()
            assert await outcome(session, f"a{number}") == Operation.OUTCOME_LOST
        assert await value(session, f"look{number}", "x") == "1"
