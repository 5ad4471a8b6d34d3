"""Transactions as a session knows them: refused at the door, opened, ended, remembered, whatever dies."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2
from sandbank_server.errors import (
    BadFieldError,
    DomainError,
    FilesTooLargeError,
    NoSuchTransactionError,
    OperationIdReusedError,
    OperationNotFoundError,
    OperationQueueFullError,
    SessionBusyError,
    SessionTerminatedError,
    SnapshotGoneError,
    SnapshotsDisabledError,
    ThreadsRunningError,
    TransactionOpenError,
)
from sandbank_server.sessions.life.session import Session

from tests.fakes.session_world import TENANT, World, collect, state_of, submission, until

Operation = execution_pb2.Operation
State = session_pb2.Session
Transaction = transaction_pb2.Transaction
EXPLICIT = transaction_pb2.TX_POLICY_EXPLICIT
SAVEPOINT = transaction_pb2.TX_POLICY_COMMIT_ON_SUCCESS
NAMESPACE = transaction_pb2.ISOLATION_NAMESPACE
PENDING = Operation.OUTCOME_PENDING


async def begin(session: Session, **fields: object) -> str:
    """Begin a transaction and return its id."""
    begun = await session.begin_transaction(300.0, include_files=bool(fields.get("include_files")))
    assert begun.state == Transaction.STATE_OPEN
    assert session.view().open_transaction_id == begun.transaction_id
    return begun.transaction_id


async def member(made: World, session: Session, name: str, transaction_id: str, **fields: object) -> None:
    """Run a member of a transaction to its end."""
    events = await made.submit(session, name, transaction_id=transaction_id)
    made.sandbox_of(session).run(name, outcome=PENDING, **fields)
    assert [each async for each in events]


async def outcomes(made: World, session: Session, *names: str) -> list[str]:
    """Return the outcomes of operations as they are now."""
    found = [await made.manager.get_operation(TENANT, session.session_id, name) for name in names]
    return [Operation.Outcome.Name(each.outcome).removeprefix("OUTCOME_") for each in found]


async def test_a_commit_settles_what_was_pending(made: World) -> None:
    """Members that succeeded are COMMITTED, those that raised PARTIAL; a replayed Finished stays as it was sent."""
    session = await made.create()
    transaction_id = await begin(session)
    await member(made, session, "good", transaction_id)
    await member(made, session, "bad", transaction_id, state=Operation.STATE_FAILED)
    assert await outcomes(made, session, "good", "bad") == ["PENDING", "PENDING"]
    ended = await session.end_transaction(transaction_id, commit=True)
    assert ended.state == Transaction.STATE_COMMITTED
    assert list(ended.operation_ids) == ["good", "bad"]
    assert session.view().open_transaction_id == ""
    assert await outcomes(made, session, "good", "bad") == ["COMMITTED", "PARTIAL"]
    replayed = await collect(session.operations.watch("good"))
    assert replayed[-1].finished.operation.outcome == PENDING
    assert made.observed.transactions == [(True, "commit")]


async def test_a_rollback_takes_the_members_and_the_count_back(made: World) -> None:
    """Members are ROLLED_BACK, the execution count is what it was before, and nothing is called a recovery."""
    session = await made.create()
    await made.run(session, "before")
    transaction_id = await begin(session)
    await member(made, session, "one", transaction_id)
    await member(made, session, "two", transaction_id)
    assert session.view().execution_count == 3
    ended = await session.end_transaction(transaction_id, commit=False)
    assert ended.state == Transaction.STATE_ROLLED_BACK
    assert session.view().execution_count == 1
    assert await outcomes(made, session, "before", "one", "two") == [
        "COMMITTED",
        "ROLLED_BACK",
        "ROLLED_BACK",
    ]
    assert not session.view().HasField("last_recovery")


async def test_ending_is_idempotent_and_never_both_ways(made: World) -> None:
    """The same again is answered alike; the other way round is NO_SUCH_TRANSACTION, as for an id that never was."""
    session = await made.create()
    committed = await begin(session)
    first = await session.end_transaction(committed, commit=True)
    asked = len(made.sandbox_of(session).asked)
    assert await session.end_transaction(committed, commit=True) == first
    assert len(made.sandbox_of(session).asked) == asked
    rolled_back = await begin(session)
    await session.end_transaction(rolled_back, commit=False)
    for name, commit in (
        (committed, False),
        (rolled_back, True),
        ("tx-unknown", True),
        ("tx-unknown", False),
    ):
        with pytest.raises(NoSuchTransactionError):
            await session.end_transaction(name, commit=commit)


async def test_an_ended_transaction_is_remembered_when_everything_else_is_gone(made: World) -> None:
    """After a restart, after the sandbox's death and after the session's end the log answers."""
    session = await made.create()
    committed, rolled_back = await begin(session), ""
    await session.end_transaction(committed, commit=True)
    rolled_back = await begin(session)
    await member(made, session, "op", rolled_back)
    await session.end_transaction(rolled_back, commit=False)
    manager = await made.restart()
    session_id = session.session_id

    async def check() -> None:
        for name, commit in ((committed, True), (rolled_back, False)):
            ended = await manager.end_transaction(TENANT, session_id, name, commit=commit)
            assert ended.transaction_id == name
            with pytest.raises(NoSuchTransactionError):
                await manager.end_transaction(TENANT, session_id, name, commit=not commit)

    await check()
    again = manager.live(TENANT, session_id)
    assert again is not None
    made.pool.report_lost(again.record.sandbox_id, "killed")
    assert again.view().state == State.STATE_CRASHED
    await check()
    await manager.delete(TENANT, session_id)
    await check()
    with pytest.raises(SessionTerminatedError):
        await manager.end_transaction(TENANT, session_id, "tx-unknown", commit=True)


async def test_who_is_no_member_is_refused_while_one_is_open(made: World) -> None:
    """Also another BeginTransaction, and an operation that would begin its own; nothing of it is recorded."""
    session = await made.create()
    transaction_id = await begin(session)
    for fields in ({}, {"tx_policy": EXPLICIT}, {"tx_policy": SAVEPOINT}, {"isolation": NAMESPACE}):
        with pytest.raises(TransactionOpenError) as caught:
            await session.execute(submission(session.session_id, "outside", **fields))
        assert caught.value.resource == transaction_id
    with pytest.raises(TransactionOpenError):
        await begin(session)
    for name in ("tx-another", "outside"):
        with pytest.raises(NoSuchTransactionError):
            await session.execute(submission(session.session_id, "op", transaction_id=name))
    assert len(session.operations.log) == 0
    await session.end_transaction(transaction_id, commit=True)
    with pytest.raises(NoSuchTransactionError, match="was committed"):
        await session.execute(submission(session.session_id, "op", transaction_id=transaction_id))
    await made.run(session, "outside")


async def test_an_operation_can_begin_its_transaction(made: World) -> None:
    """EXPLICIT without an id: the server makes one, shows it, and keeps others out from then on."""
    session = await made.create()
    events = await made.submit(session, "first", tx_policy=EXPLICIT)
    sandbox = made.sandbox_of(session)
    sent = sandbox.journal["first"].submit
    assert sent.begin.transaction_id == sent.transaction_id
    assert sent.begin.idle_timeout.seconds == 300
    assert session.view().open_transaction_id == ""
    with pytest.raises(TransactionOpenError):
        await session.execute(submission(session.session_id, "outside"))
    transaction_id = sandbox.start_transaction("first")
    sandbox.finish("first", outcome=PENDING)
    end = (await collect(events))[-1].finished.operation
    assert (end.transaction_id, end.outcome) == (transaction_id, PENDING)
    assert session.view().open_transaction_id == transaction_id
    repeated = await collect(
        await session.execute(submission(session.session_id, "first", tx_policy=EXPLICIT))
    )
    assert repeated[-1].finished.operation == end
    await member(made, session, "second", transaction_id)
    await session.end_transaction(transaction_id, commit=True)
    assert await outcomes(made, session, "first", "second") == ["COMMITTED", "COMMITTED"]


async def test_a_transaction_whose_first_operation_never_began_is_over(made: World) -> None:
    """Cancelled in the queue, or refused by the sandbox: the door is open again, also after a restart."""
    session = await made.create()
    events = await made.submit(session, "first", tx_policy=EXPLICIT)
    sandbox = made.sandbox_of(session)
    transaction_id = sandbox.journal["first"].submit.transaction_id
    sandbox.finish("first", Operation.STATE_FAILED, outcome=Operation.OUTCOME_NOT_STARTED)
    await collect(events)
    with pytest.raises(NoSuchTransactionError):
        await session.end_transaction(transaction_id, commit=True)
    assert (await session.end_transaction(transaction_id, commit=False)).operation_ids == []
    await made.run(session, "outside")
    manager = await made.restart()
    again = manager.live(TENANT, session.session_id)
    assert again is not None
    assert again.operations.log.transactions.current is None


async def test_the_request_covers_the_policy(made: World) -> None:
    """The same id with another policy is another request; spelling out a default is not."""
    session = await made.create()
    await made.run(session, "op")
    for fields in (
        {"tx_policy": transaction_pb2.TX_POLICY_NONE},
        {"isolation": transaction_pb2.ISOLATION_PROCESS},
        {"report_changes": True},
    ):
        assert await collect(await session.execute(submission(session.session_id, "op", **fields)))
    for fields in (
        {"tx_policy": SAVEPOINT},
        {"tx_policy": EXPLICIT},
        {"isolation": NAMESPACE},
        {"include_files": True},
        {"allow_input": True},
        {"transaction_id": "tx-1"},
        {"report_changes": False},
    ):
        with pytest.raises(OperationIdReusedError):
            await session.execute(submission(session.session_id, "op", **fields))
    transaction_id = await begin(session)
    await member(made, session, "member", transaction_id)
    plain = submission(session.session_id, "member", tx_policy=EXPLICIT, transaction_id=transaction_id)
    assert await collect(await session.execute(plain))


async def test_a_session_without_snapshots_says_so_at_the_door(made: World) -> None:
    """What only needs names is let through: a copy of the namespace is no snapshot."""
    session = await made.create(snapshots_disabled=True)
    for fields in (
        {"tx_policy": SAVEPOINT},
        {"tx_policy": EXPLICIT},
        {"tx_policy": EXPLICIT, "isolation": NAMESPACE},
    ):
        with pytest.raises(SnapshotsDisabledError):
            await session.execute(submission(session.session_id, "op", **fields))
    with pytest.raises(SnapshotsDisabledError):
        await begin(session)
    await made.submit(session, "op", tx_policy=SAVEPOINT, isolation=NAMESPACE)
    assert made.sandbox_of(session).assigned.snapshots_disabled


async def test_the_snapshot_policy_goes_along_to_the_next_sandbox(made: World) -> None:
    """It is the session's, not the sandbox's: a reset after a crash keeps it, also after a restart between."""
    session = await made.create(snapshot_history=7, quiet_time=timedelta(milliseconds=5))
    manager = await made.restart()
    again = manager.live(TENANT, session.session_id)
    assert again is not None
    again.sandbox_lost("killed")
    await again.reset(keep_files=False)
    assigned = made.sandbox_of(again).assigned
    assert assigned is not None
    assert (assigned.snapshot_history, assigned.quiet_time.ToMilliseconds()) == (7, 5)


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("THREADS_RUNNING", ThreadsRunningError),
        ("FILES_TOO_LARGE", FilesTooLargeError),
        ("OPERATION_QUEUE_FULL", OperationQueueFullError),
        ("BAD_CREDENTIALS", SessionBusyError),
    ],
)
async def test_what_the_sandbox_refuses_is_said_and_leaves_no_transaction(
    made: World, reason: str, error: type[DomainError]
) -> None:
    """Its reasons are those of the API and no others: it cannot speak for the control plane."""
    session = await made.create()

    def refuse(request, reply) -> bool:
        if request.HasField("begin_transaction"):
            reply.failure.reason = reason
            reply.failure.message = "because\nof x"
            reply.failure.names.extend(["one\n", "x" * 10_000])
        return True

    sandbox = made.sandbox_of(session)
    sandbox.answer, sandbox.opens = refuse, False
    with pytest.raises(error) as caught:
        await begin(session)
    expected = {"threads": f"one, {'x' * 100}"} if reason == "THREADS_RUNNING" else {}
    assert caught.value.metadata == expected
    assert session.operations.log.transactions.current is None
    await made.run(session, "op")


async def test_files_belong_to_the_whole_transaction(made: World) -> None:
    """A plain member cannot ask for what its transaction does not include; a savepoint can."""
    session = await made.create()
    transaction_id = await begin(session)
    with pytest.raises(BadFieldError):
        await session.execute(
            submission(session.session_id, "op", transaction_id=transaction_id, include_files=True)
        )
    await made.submit(session, "op", transaction_id=transaction_id, tx_policy=SAVEPOINT, include_files=True)
    assert made.sandbox_of(session).journal["op"].submit.include_files


async def test_an_idle_transaction_is_rolled_back_and_says_so(made: World) -> None:
    """The sandbox decides it; watchers see it, and whoever comes too late is told why."""
    session = await made.create()
    transaction_id = await begin(session)
    await member(made, session, "op", transaction_id)
    watch = session.watch(session.events.sequence)
    made.sandbox_of(session).transaction(transaction_id, Transaction.STATE_ROLLED_BACK, "idle for too long")
    async with asyncio.timeout(5):
        async for event in watch:
            if not event.session_changed.open_transaction_id:
                break
    assert await outcomes(made, session, "op") == ["ROLLED_BACK"]
    with pytest.raises(NoSuchTransactionError, match="idle for too long"):
        await session.end_transaction(transaction_id, commit=True)
    assert made.observed.transactions == [(False, "idle for too long")]


async def test_a_lost_sandbox_rolls_its_transaction_back(made: World) -> None:
    """Members are ROLLED_BACK and not LOST: they never were part of the state. Who waits for the commit is told."""
    session = await made.create()
    await made.run(session, "before")
    transaction_id = await begin(session)
    await member(made, session, "done", transaction_id)
    running = await made.submit(session, "runs", transaction_id=transaction_id)
    made.sandbox_of(session).start("runs")
    await until(lambda: session.operations.live["runs"].last == 1)
    sandbox = made.sandbox_of(session)
    sandbox.holds.add("end_transaction")
    committing = asyncio.create_task(session.end_transaction(transaction_id, commit=True))
    await until(lambda: bool(sandbox.held))
    made.pool.report_lost(sandbox.sandbox_id, "killed")
    with pytest.raises(NoSuchTransactionError):
        await committing
    await collect(running)
    assert await outcomes(made, session, "before", "done", "runs") == ["LOST", "ROLLED_BACK", "ROLLED_BACK"]
    assert list(session.view().last_recovery.lost_operation_ids) == ["before"]
    assert session.view().open_transaction_id == ""
    assert (
        await session.end_transaction(transaction_id, commit=False)
    ).state == Transaction.STATE_ROLLED_BACK


async def test_a_reset_ends_the_transaction(made: World) -> None:
    """Also where the sandbox forgot to say so: after a reset nothing of it can be open."""
    session = await made.create()
    transaction_id = await begin(session)
    await member(made, session, "op", transaction_id)
    await session.reset(keep_files=True)
    assert session.view().open_transaction_id == ""
    assert await outcomes(made, session, "op") == ["ROLLED_BACK"]
    with pytest.raises(NoSuchTransactionError, match="reset"):
        await session.end_transaction(transaction_id, commit=True)
    assert session.view().execution_count == 0


async def test_of_two_who_end_it_the_first_decides(made: World) -> None:
    """The other learns what became of it, and the sandbox is asked once."""
    session = await made.create()
    transaction_id = await begin(session)
    commit, rollback, again = await asyncio.gather(
        session.end_transaction(transaction_id, commit=True),
        session.end_transaction(transaction_id, commit=False),
        session.end_transaction(transaction_id, commit=True),
        return_exceptions=True,
    )
    assert isinstance(commit, Transaction)
    assert commit == again
    assert isinstance(rollback, NoSuchTransactionError)
    asked = [each for each in made.sandbox_of(session).asked if each.HasField("end_transaction")]
    assert len(asked) == 1


async def test_a_commit_goes_through_when_its_caller_leaves(made: World) -> None:
    """Once it was sent nobody can say that it was not."""
    session = await made.create()
    transaction_id = await begin(session)
    sandbox = made.sandbox_of(session)
    sandbox.holds.add("end_transaction")
    committing = asyncio.create_task(session.end_transaction(transaction_id, commit=True))
    await until(lambda: bool(sandbox.held))
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    sandbox.release()
    await until(lambda: session.operations.log.transactions.current is None)
    assert (await session.end_transaction(transaction_id, commit=True)).state == Transaction.STATE_COMMITTED


async def test_a_transaction_that_nobody_waits_for_any_more_is_rolled_back(made: World) -> None:
    """Who asked for it left before it opened and never learns its id: it would keep everybody out."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    sandbox.holds.add("begin_transaction")
    asking = asyncio.create_task(begin(session))
    await until(lambda: bool(sandbox.held))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    sandbox.release()
    await until(lambda: session.operations.log.transactions.current is None)
    await made.run(session, "op")


async def test_a_member_is_refused_while_its_transaction_is_being_ended(made: World) -> None:
    """What comes after the commit cannot be part of it."""
    session = await made.create()
    transaction_id = await begin(session)
    sandbox = made.sandbox_of(session)
    sandbox.holds.add("end_transaction")
    committing = asyncio.create_task(session.end_transaction(transaction_id, commit=True))
    await until(lambda: bool(sandbox.held))
    with pytest.raises(NoSuchTransactionError, match="is being ended"):
        await session.execute(submission(session.session_id, "late", transaction_id=transaction_id))
    sandbox.release()
    assert (await committing).state == Transaction.STATE_COMMITTED


async def test_a_crash_of_the_interpreter_rolls_the_transaction_back(made: World) -> None:
    """The session goes on from before it; what was committed earlier stays."""
    session = await made.create()
    await made.run(session, "before")
    transaction_id = await begin(session)
    await member(made, session, "done", transaction_id)
    events = await made.submit(session, "crash", transaction_id=transaction_id)
    sandbox = made.sandbox_of(session)
    sandbox.start("crash")
    sandbox.replace_interpreter(
        "killed by SIGSEGV", "crash", restored_operation_id="before", lost_operation_ids=[]
    )
    sandbox.transaction(transaction_id, Transaction.STATE_ROLLED_BACK, "the interpreter died (SIGSEGV)")
    sandbox.finish("crash", Operation.STATE_CRASHED)
    assert (await collect(events))[-1].finished.operation.outcome == Operation.OUTCOME_ROLLED_BACK
    assert await outcomes(made, session, "before", "done", "crash") == [
        "COMMITTED",
        "ROLLED_BACK",
        "ROLLED_BACK",
    ]
    view = session.view()
    assert (view.state, view.execution_count, view.generation) == (State.STATE_ACTIVE, 1, 1)
    assert view.last_recovery.reason == "killed by SIGSEGV"
    assert list(view.last_recovery.lost_operation_ids) == []
    await made.run(session, "after")


@pytest.mark.parametrize("opens", [True, False])
async def test_a_begin_whose_answer_was_lost_is_rolled_back_over_the_next_link(
    made: World, opens: bool
) -> None:
    """Whether it had opened or not: its caller was told that it did not come to be."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    sandbox.opens = opens
    sandbox.answer = lambda request, _reply: not request.HasField("begin_transaction")
    asking = asyncio.create_task(begin(session))
    await until(lambda: any(each.HasField("begin_transaction") for each in sandbox.asked))
    await until(lambda: opens == bool(session.view().open_transaction_id))
    sandbox.answer = lambda _request, _reply: True
    old = session.operations.link
    sandbox.drop()
    with pytest.raises(SessionBusyError):
        await asking
    await until(lambda: session.operations.link not in (None, old))
    await until(lambda: session.operations.log.transactions.current is None)
    await made.run(session, "op")


@pytest.mark.parametrize("opens", [True, False])
async def test_a_begin_that_a_killed_control_plane_left_is_rolled_back_by_the_next(
    made: World, opens: bool
) -> None:
    """It was recorded that it was asked for, so its id is no surprise; nobody was ever told of it."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    sandbox.opens = False
    sandbox.answer = lambda request, _reply: not request.HasField("begin_transaction")
    asking = asyncio.create_task(begin(session))
    await until(lambda: any(each.HasField("begin_transaction") for each in sandbox.asked))
    sandbox.drop()
    if opens:
        (request,) = (each for each in sandbox.asked if each.HasField("begin_transaction"))
        sandbox.transaction(request.begin_transaction.transaction_id, Transaction.STATE_OPEN)
    sandbox.answer = lambda _request, _reply: True
    manager = await made.restart()
    await asyncio.gather(asking, return_exceptions=True)
    again = manager.live(TENANT, session.session_id)
    assert again is not None
    await until(lambda: again.operations.log.transactions.current is None)
    await made.run(again, "op")


async def test_a_rewind_takes_back_what_came_later(made: World) -> None:
    """Those operations are ROLLED_BACK, the count is that of the operation, watchers are told, nothing is lost."""
    session = await made.create(snapshot_history=4)
    for name in ("kept", "one", "two"):
        await made.run(session, name)
    sandbox = made.sandbox_of(session)

    def go_back(request, _reply) -> bool:
        if request.HasField("rewind"):
            sandbox.replace_interpreter(
                "rewind", restored_operation_id="kept", lost_operation_ids=["one", "two"], rewound=True
            )
        return True

    sandbox.answer = go_back
    sequence = session.events.sequence
    await session.rewind("kept")
    assert await outcomes(made, session, "kept", "one", "two") == ["COMMITTED", "ROLLED_BACK", "ROLLED_BACK"]
    view = session.view()
    assert (view.execution_count, view.HasField("last_recovery")) == (1, False)
    assert session.events.sequence > sequence
    assert (made.observed.rollbacks, made.observed.crashes) == (["rewind"], [])
    for name in ("one", "two"):
        with pytest.raises(SnapshotGoneError):
            await session.rewind(name)
    with pytest.raises(OperationNotFoundError):
        await session.rewind("never")


async def test_a_rewind_says_what_the_sandbox_says(made: World) -> None:
    """No snapshot of it is kept any more; and while it goes on nothing else begins."""
    session = await made.create()
    await made.run(session, "op")
    sandbox = made.sandbox_of(session)

    def gone(request, reply) -> bool:
        if request.HasField("rewind"):
            reply.failure.reason = "SNAPSHOT_GONE"
        return True

    sandbox.answer = gone
    sandbox.holds.add("rewind")
    rewinding = asyncio.create_task(session.rewind("op"))
    await until(lambda: bool(sandbox.held))
    with pytest.raises(SessionBusyError):
        await session.execute(submission(session.session_id, "meanwhile"))
    with pytest.raises(SessionBusyError):
        await begin(session)
    sandbox.release()
    with pytest.raises(SnapshotGoneError):
        await rewinding
    await made.run(session, "meanwhile")


async def test_a_session_that_ends_rolls_its_transaction_back(made: World) -> None:
    """Nothing stays PENDING for ever."""
    session = await made.create()
    transaction_id = await begin(session)
    await member(made, session, "op", transaction_id)
    await made.manager.delete(TENANT, session.session_id)
    assert await outcomes(made, session, "op") == ["ROLLED_BACK"]
    ended = await made.manager.end_transaction(TENANT, session.session_id, transaction_id, commit=False)
    assert ended.state == Transaction.STATE_ROLLED_BACK


@pytest.mark.parametrize(
    "forge",
    [
        lambda sandbox, name: sandbox.transaction("tx-never", Transaction.STATE_OPEN),
        lambda sandbox, name: sandbox.transaction(name, Transaction.STATE_OPEN),
        lambda sandbox, name: sandbox.transaction(name, Transaction.STATE_UNSPECIFIED),
        lambda sandbox, name: sandbox.transaction(
            name, Transaction.STATE_COMMITTED, operation_ids=["outside"]
        ),
        lambda sandbox, name: sandbox.transaction(name, 17),
        lambda sandbox, name: sandbox.tell(transaction_changed={"transaction": b"\xff", "number": 99}),
        lambda sandbox, name: sandbox.tell(transaction_changed=sandbox.changes[0]),
        lambda sandbox, name: (
            sandbox.replace_interpreter("x", lost_operation_ids=["nobody"])
            if "nobody" in sandbox.journal
            else sandbox.tell(interpreter_replaced={"number": 1, "lost_operation_ids": ["nobody"]})
        ),
        lambda sandbox, name: sandbox.tell(
            interpreter_replaced={"number": 1, "restored_operation_id": "nobody"}
        ),
        lambda sandbox, name: sandbox.tell(interpreter_replaced={"number": 2**40}),
        lambda sandbox, name: sandbox.run("outside", outcome=PENDING),
        lambda sandbox, name: sandbox.finish("outside", outcome=Operation.OUTCOME_LOST),
    ],
)
async def test_what_cannot_follow_from_what_was_asked_ends_the_sandbox(made: World, forge) -> None:
    """A transaction out of nowhere, one that is taken back, members that are not, numbers that grow too fast."""
    session = await made.create()
    await made.submit(session, "outside")
    transaction_id = await begin(session)
    forge(made.sandbox_of(session), transaction_id)
    await state_of(session, State.STATE_CRASHED)
    assert "protocol" in session.view().state_detail
