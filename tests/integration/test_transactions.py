"""Transactions, savepoints and rewinds through the whole path, on each runtime."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from google.protobuf.duration_pb2 import Duration
from sandbank import Client, Session
from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2

from tests.raw_api import Api, refused

Operation = execution_pb2.Operation
Transaction = transaction_pb2.Transaction
State = session_pb2.Session
EXPLICIT = transaction_pb2.TX_POLICY_EXPLICIT


@pytest.fixture
def session_id(session: Session) -> str:
    """The id of a fresh session."""
    return session.session_id


@pytest.fixture
def keeping(client: Client) -> Iterator[Session]:
    """A session that keeps earlier states."""
    with client.session(template="slim", history=8) as made:
        yield made


def begin(api: Api, session_id: str, **fields: object) -> str:
    """Begin a transaction and return its id."""
    request = execution_pb2.BeginTransactionRequest(session_id=session_id, **fields)
    return api.execution.BeginTransaction(request).transaction.transaction_id


def commit(api: Api, session_id: str, transaction_id: str) -> Transaction:
    """Commit one."""
    request = execution_pb2.CommitTransactionRequest(session_id=session_id, transaction_id=transaction_id)
    return api.execution.CommitTransaction(request).transaction


def roll_back(api: Api, session_id: str, transaction_id: str) -> Transaction:
    """Roll one back."""
    request = execution_pb2.RollbackTransactionRequest(session_id=session_id, transaction_id=transaction_id)
    return api.execution.RollbackTransaction(request).transaction


def run(api: Api, session_id: str, code: str, **fields: object) -> Operation:
    """Run code to its end."""
    request = execution_pb2.ExecuteRequest(session_id=session_id, code=code, **fields)
    return api.execution.Run(execution_pb2.RunRequest(execute=request)).operation


def value(api: Api, session_id: str, expression: str, **fields: object) -> str:
    """Return what an expression shows."""
    operation = run(api, session_id, expression, **fields)
    assert operation.state == Operation.STATE_SUCCEEDED, operation.error.message
    return operation.result["text/plain"].decode()


def outcome(session: Session, operation: Operation) -> str:
    """Return an operation's outcome as it is now."""
    now = session.operation(operation.operation_id).outcome
    return Operation.Outcome.Name(now).removeprefix("OUTCOME_")


def test_a_rollback_returns_the_whole_session(api: Api, session: Session, session_id: str) -> None:
    """Variables mutated in place, modules, random state, directory, environment, the execution count."""
    look = (
        "import os, random, sys, warnings\n"
        "[data, len(sys.path), os.getcwd(), os.environ.get('X'), 'json.tool' in sys.modules,"
        " len(warnings.filters), random.getstate()[1][:3]]"
    )
    run(
        api,
        session_id,
        "import os, random, sys, warnings\ndata = {'a': [1]}\nos.makedirs('d', exist_ok=True)",
    )
    before = value(api, session_id, look)
    count = session.refresh().execution_count
    transaction_id = begin(api, session_id)
    assert session.refresh().open_transaction_id == transaction_id
    change = (
        "data['a'].append(2); data['b'] = data\nsys.path.append('x'); os.chdir('d'); os.environ['X'] = 'y'\n"
        "import json.tool\nwarnings.simplefilter('error'); random.random()"
    )
    operation = run(api, session_id, change, transaction_id=transaction_id)
    assert (operation.state, operation.outcome) == (Operation.STATE_SUCCEEDED, Operation.OUTCOME_PENDING)
    assert operation.transaction_id == transaction_id
    assert value(api, session_id, "data['a']", transaction_id=transaction_id) == "[1, 2]"
    ended = roll_back(api, session_id, transaction_id)
    assert (ended.state, len(ended.operation_ids)) == (Transaction.STATE_ROLLED_BACK, 2)
    now = session.refresh()
    assert (now.execution_count, now.open_transaction_id) == (count, "")
    assert value(api, session_id, look) == before
    assert outcome(session, operation) == "ROLLED_BACK"
    assert not now.HasField("last_recovery")


def test_a_commit_keeps_it_all(api: Api, session: Session, session_id: str) -> None:
    """What succeeded is COMMITTED, what raised PARTIAL: notebook semantics inside."""
    transaction_id = begin(api, session_id)
    good = run(api, session_id, "x = [1]", transaction_id=transaction_id)
    bad = run(api, session_id, "x.append(2)\n1 / 0", transaction_id=transaction_id)
    assert bad.outcome == Operation.OUTCOME_PENDING
    ended = commit(api, session_id, transaction_id)
    assert ended.state == Transaction.STATE_COMMITTED
    assert list(ended.operation_ids) == [good.operation_id, bad.operation_id]
    assert (outcome(session, good), outcome(session, bad)) == ("COMMITTED", "PARTIAL")
    assert value(api, session_id, "x") == "[1, 2]"
    replayed = list(
        api.execution.WatchOperation(
            execution_pb2.WatchOperationRequest(session_id=session_id, operation_id=good.operation_id)
        )
    )
    assert replayed[-1].finished.operation == good


def test_explicit_begins_its_own_transaction(api: Api, session: Session, session_id: str) -> None:
    """The same id again does not begin another."""
    first = run(api, session_id, "x = 1", operation_id="first", tx_policy=EXPLICIT)
    assert first.transaction_id == session.refresh().open_transaction_id != ""
    assert run(api, session_id, "x = 1", operation_id="first", tx_policy=EXPLICIT) == first
    with refused("ALREADY_EXISTS", "OPERATION_ID_REUSED"):
        run(api, session_id, "x = 1", operation_id="first")
    with refused("FAILED_PRECONDITION", "TRANSACTION_OPEN"):
        run(api, session_id, "x")
    with refused("FAILED_PRECONDITION", "TRANSACTION_OPEN"):
        begin(api, session_id)
    roll_back(api, session_id, first.transaction_id)
    assert value(api, session_id, "'x' in globals()") == "False"


def test_ending_is_idempotent(api: Api, session_id: str) -> None:
    """The same again is answered alike; the other way is refused, and so is a new member."""
    for end, other in ((commit, roll_back), (roll_back, commit)):
        transaction_id = begin(api, session_id)
        run(api, session_id, "x = 1", transaction_id=transaction_id)
        ended = end(api, session_id, transaction_id)
        assert end(api, session_id, transaction_id) == ended
        with refused("FAILED_PRECONDITION", "NO_SUCH_TRANSACTION"):
            other(api, session_id, transaction_id)
        with refused("FAILED_PRECONDITION", "NO_SUCH_TRANSACTION"):
            run(api, session_id, "x", transaction_id=transaction_id)


@pytest.mark.parametrize(
    "policy",
    [transaction_pb2.TX_POLICY_COMMIT_ON_SUCCESS, transaction_pb2.TX_POLICY_ROLLBACK_ON_FAILURE],
)
def test_a_savepoint_fails_alone(api: Api, session: Session, session_id: str, policy: int) -> None:
    """A member with a policy of its own is undone by itself; what came before it in the transaction stays."""
    run(api, session_id, "x = [0]")
    transaction_id = begin(api, session_id)
    run(api, session_id, "x.append(1)", transaction_id=transaction_id)
    failed = run(api, session_id, "x.append(2)\n1 / 0", transaction_id=transaction_id, tx_policy=policy)
    assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
    kept = run(api, session_id, "x.append(3)", transaction_id=transaction_id, tx_policy=policy)
    assert kept.outcome == Operation.OUTCOME_PENDING
    assert value(api, session_id, "x", transaction_id=transaction_id) == "[0, 1, 3]"
    commit(api, session_id, transaction_id)
    assert value(api, session_id, "x") == "[0, 1, 3]"
    assert (outcome(session, failed), outcome(session, kept)) == ("ROLLED_BACK", "COMMITTED")


def test_the_end_waits_for_what_runs(api: Api, session: Session, session_id: str) -> None:
    """A commit sent while a member runs comes after it."""
    transaction_id = begin(api, session_id)
    code = "import os, time\nx = 0\nprint('on')\nwhile not os.path.exists('go'): time.sleep(.005)\nx = 1"
    request = execution_pb2.ExecuteRequest(session_id=session_id, code=code, transaction_id=transaction_id)
    events = api.execution.Execute(request)
    for event in events:
        if event.output.data:
            break
    ended: list[Transaction] = []
    committing = threading.Thread(target=lambda: ended.append(commit(api, session_id, transaction_id)))
    committing.start()
    session.files.upload(b"", "go")
    assert list(events)[-1].finished.operation.outcome == Operation.OUTCOME_PENDING
    committing.join(30)
    assert ended[0].state == Transaction.STATE_COMMITTED
    assert value(api, session_id, "x") == "1"


def test_an_idle_transaction_is_rolled_back(api: Api, session: Session, session_id: str) -> None:
    """After its timeout the session goes on as before it, and says why."""
    run(api, session_id, "x = 1")
    transaction_id = begin(api, session_id, idle_timeout=Duration(nanos=200_000_000))
    member = run(api, session_id, "x = 2", transaction_id=transaction_id)
    for event in session.events():
        if event.HasField("session_changed") and not event.session_changed.open_transaction_id:
            break
    with refused("FAILED_PRECONDITION", "NO_SUCH_TRANSACTION") as caught:
        commit(api, session_id, transaction_id)
    assert "idle" in caught[0].message
    assert value(api, session_id, "x") == "1"
    assert outcome(session, member) == "ROLLED_BACK"


def test_an_interpreter_that_dies_takes_its_transaction_along(
    api: Api, session: Session, session_id: str
) -> None:
    """The members are ROLLED_BACK; what was committed before it stays."""
    run(api, session_id, "x = 1")
    transaction_id = begin(api, session_id)
    member = run(api, session_id, "x = 2", transaction_id=transaction_id)
    crashed = run(api, session_id, "import ctypes; ctypes.string_at(0)", transaction_id=transaction_id)
    assert (crashed.state, crashed.outcome) == (Operation.STATE_CRASHED, Operation.OUTCOME_ROLLED_BACK)
    now = session.refresh()
    assert (now.open_transaction_id, now.execution_count) == ("", 1)
    assert list(now.last_recovery.lost_operation_ids) == []
    assert outcome(session, member) == "ROLLED_BACK"
    assert value(api, session_id, "x") == "1"
    with refused("FAILED_PRECONDITION", "NO_SUCH_TRANSACTION"):
        commit(api, session_id, transaction_id)
    roll_back(api, session_id, transaction_id)


def test_a_cancelled_member_is_undone_alone(api: Api, session: Session, session_id: str) -> None:
    """Its own effects go, the transaction stays open."""
    transaction_id = begin(api, session_id)
    run(api, session_id, "x = [1]", transaction_id=transaction_id)
    for code in ("x.append(2)\nwhile True: pass", "x.append(2)\nsum(range(10**12))"):
        stopped = run(
            api, session_id, code, transaction_id=transaction_id, timeout=Duration(nanos=300_000_000)
        )
        assert (stopped.state, stopped.outcome) == (
            Operation.STATE_TIMED_OUT,
            Operation.OUTCOME_ROLLED_BACK,
        )
    assert value(api, session_id, "x", transaction_id=transaction_id) == "[1]"
    commit(api, session_id, transaction_id)
    assert not session.refresh().HasField("last_recovery")


def test_threads_are_refused_by_name(api: Api, session_id: str) -> None:
    """A transaction cannot begin beside them; an operation that needs one ends without having begun."""
    run(
        api,
        session_id,
        "import threading, time\nstop = False\n"
        "def work():\n    while not stop: time.sleep(.001)\n"
        "thread = threading.Thread(target=work, name='busy-one'); thread.start()",
    )
    with refused("FAILED_PRECONDITION", "THREADS_RUNNING") as caught:
        begin(api, session_id)
    assert "busy-one" in caught[0].message
    assert caught[0].metadata["threads"] == "busy-one"
    operation = run(api, session_id, "1", tx_policy=transaction_pb2.TX_POLICY_COMMIT_ON_SUCCESS)
    assert (operation.state, operation.outcome) == (
        Operation.STATE_FAILED,
        Operation.OUTCOME_NOT_STARTED,
    )
    assert operation.error.type_name == "ThreadsRunning"
    explicit = run(api, session_id, "1", tx_policy=EXPLICIT)
    assert explicit.outcome == Operation.OUTCOME_NOT_STARTED
    run(api, session_id, "stop = True; thread.join()")
    commit(api, session_id, begin(api, session_id))


def test_a_reset_ends_the_transaction(api: Api, session: Session, session_id: str) -> None:
    """A pristine interpreter has none."""
    transaction_id = begin(api, session_id)
    member = run(api, session_id, "x = 1", transaction_id=transaction_id)
    session.reset()
    assert session.refresh().open_transaction_id == ""
    assert outcome(session, member) == "ROLLED_BACK"
    with refused("FAILED_PRECONDITION", "NO_SUCH_TRANSACTION"):
        commit(api, session_id, transaction_id)
    assert value(api, session_id, "1 + 1") == "2"


def test_a_rollback_with_files_returns_the_workspace(api: Api, session: Session, session_id: str) -> None:
    """Created, changed, deleted: all is as it was; without `include_files` it stays, and a warning says so."""
    run(api, session_id, "open('kept', 'w').write('old'); open('gone', 'w').write('x')")
    change = "import os\nopen('kept', 'a').write('new'); os.remove('gone'); open('made', 'w').write('y')"
    look = "import os; [sorted(os.listdir()), open('kept').read()]"
    with_files = begin(api, session_id, include_files=True)
    changed = run(api, session_id, change, transaction_id=with_files)
    assert {each.path for each in changed.files_changed} == {"kept", "gone", "made"}
    roll_back(api, session_id, with_files)
    assert value(api, session_id, look) == "[['gone', 'kept'], 'old']"
    policy = transaction_pb2.TX_POLICY_ROLLBACK_ON_FAILURE
    failed = run(api, session_id, f"{change}\n1 / 0", tx_policy=policy, include_files=True)
    assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
    assert value(api, session_id, look) == "[['gone', 'kept'], 'old']"
    failed = run(api, session_id, f"{change}\n1 / 0", tx_policy=policy)
    assert "FILES_NOT_ROLLED_BACK" in {warning.code for warning in failed.warnings}
    assert value(api, session_id, look) == "[['kept', 'made'], 'oldnew']"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"include_files": True}, "execute.include_files"),
        ({"include_files": True, "tx_policy": EXPLICIT, "isolation": 2}, "execute.include_files"),
        ({"transaction_id": "tx-1", "tx_policy": 2, "isolation": 2}, "execute.tx_policy"),
        ({"tx_policy": 17}, "execute.tx_policy"),
        ({"isolation": 17}, "execute.isolation"),
    ],
)
def test_what_does_not_go_together_is_refused(
    api: Api, session_id: str, fields: dict[str, object], path: str
) -> None:
    """The field at fault is named, and nothing is recorded."""
    with refused("INVALID_ARGUMENT", "BAD_FIELD", path):
        run(api, session_id, "1", **fields)
    with refused("INVALID_ARGUMENT", "BAD_ID", "execute.transaction_id"):
        run(api, session_id, "1", transaction_id="no id")
    with refused("INVALID_ARGUMENT", "BAD_FIELD", "idle_timeout"):
        begin(api, session_id, idle_timeout=Duration(seconds=10**9))
    listed = api.execution.ListOperations(execution_pb2.ListOperationsRequest(session_id=session_id))
    assert not listed.operations


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        (session_pb2.SnapshotPolicy(history_count=10_000), "snapshot_policy.history_count"),
        (session_pb2.SnapshotPolicy(history_count=-1), "snapshot_policy.history_count"),
        (session_pb2.SnapshotPolicy(history_count=1, disabled=True), "snapshot_policy.history_count"),
        (session_pb2.SnapshotPolicy(quiet_time=Duration(seconds=10**6)), "snapshot_policy.quiet_time"),
        (session_pb2.SnapshotPolicy(quiet_time=Duration(seconds=-1)), "snapshot_policy.quiet_time"),
    ],
)
def test_snapshot_policies_are_bounded(api: Api, policy: session_pb2.SnapshotPolicy, path: str) -> None:
    """Each copy costs memory; a quiet time that never ends would be none."""
    with refused("INVALID_ARGUMENT", "BAD_FIELD", path):
        api.sessions.CreateSession(session_pb2.CreateSessionRequest(template="slim", snapshot_policy=policy))


def test_rewinding_goes_back_to_right_after_an_operation(api: Api, keeping: Session) -> None:
    """What came after it is ROLLED_BACK, not lost; what was rewound behind cannot be gone back to."""
    operations = [keeping.run(f"x = {number}").operation for number in range(5)]
    session_id = keeping.session_id
    keeping.rewind(operations[2].operation_id)
    now = keeping.refresh()
    assert (now.execution_count, now.HasField("last_recovery")) == (3, False)
    assert [outcome(keeping, each) for each in operations] == ["COMMITTED"] * 3 + ["ROLLED_BACK"] * 2
    assert value(api, session_id, "x") == "2"
    for unable in (operations[4].operation_id,):
        with refused("FAILED_PRECONDITION", "SNAPSHOT_GONE"):
            api.sessions.RewindSession(
                session_pb2.RewindSessionRequest(session_id=session_id, operation_id=unable)
            )
    with refused("NOT_FOUND", "OPERATION_NOT_FOUND"):
        api.sessions.RewindSession(
            session_pb2.RewindSessionRequest(session_id=session_id, operation_id="nobody")
        )
    keeping.rewind(operations[0].operation_id)
    assert value(api, session_id, "x") == "0"


def test_a_rewind_ends_the_transaction(api: Api, keeping: Session) -> None:
    """It goes behind its beginning: the transaction is rolled back, and so is each member."""
    first = keeping.run("x = 1").operation
    session_id = keeping.session_id
    transaction_id = begin(api, session_id)
    member = run(api, session_id, "x = 2", transaction_id=transaction_id)
    keeping.rewind(first.operation_id)
    assert keeping.refresh().open_transaction_id == ""
    assert (outcome(keeping, first), outcome(keeping, member)) == ("COMMITTED", "ROLLED_BACK")
    with refused("FAILED_PRECONDITION", "NO_SUCH_TRANSACTION"):
        commit(api, session_id, transaction_id)
    assert value(api, session_id, "x") == "1"


def test_a_rewind_cancels_what_runs_and_what_waits(api: Api, keeping: Session) -> None:
    """Both end on their streams; the session goes on from the state that was asked for."""
    first = keeping.run("x = 1").operation
    session_id = keeping.session_id
    request = execution_pb2.ExecuteRequest(session_id=session_id, code="x = 2\nprint(x)\nwhile True: pass")
    running = api.execution.Execute(request)
    for event in running:
        if event.output.data:
            break
    waiting = api.execution.Execute(execution_pb2.ExecuteRequest(session_id=session_id, code="x = 3"))
    while len(list(keeping.operations())) < 3:
        pass
    keeping.rewind(first.operation_id)
    ends = [list(stream)[-1].finished.operation for stream in (running, waiting)]
    assert [end.state for end in ends] == [Operation.STATE_CANCELLED] * 2
    assert [end.outcome for end in ends] == [Operation.OUTCOME_ROLLED_BACK, Operation.OUTCOME_NOT_STARTED]
    assert value(api, session_id, "x") == "1"


def test_names_can_be_changed_beside_each_other(api: Api, session: Session, session_id: str) -> None:
    """Two at once, each waiting for the other: what both changed is merged once, and the other is told of it."""
    run(api, session_id, "n = 0")
    code = (
        "import os, time\nopen('{me}', 'w').close()\nn = '{me}'; {me} = 1\n"
        "while not os.path.exists('{other}'): time.sleep(.002)\n"
    )
    streams = [
        api.execution.Execute(
            execution_pb2.ExecuteRequest(
                session_id=session_id,
                code=code.format(me=me, other=other),
                isolation=transaction_pb2.ISOLATION_NAMESPACE,
                timeout=Duration(seconds=30),
            )
        )
        for me, other in (("one", "two"), ("two", "one"))
    ]
    ends = [list(stream)[-1].finished.operation for stream in streams]
    assert {end.state for end in ends} == {Operation.STATE_SUCCEEDED}
    first, second = sorted(ends, key=lambda end: end.outcome)
    assert (first.outcome, second.outcome) == (
        Operation.OUTCOME_COMMITTED,
        Operation.OUTCOME_ROLLED_BACK,
    )
    assert "n" in second.conflicting_names
    assert (
        value(api, session_id, "[n in globals(), ('one' in globals()) + ('two' in globals())]") == "[True, 1]"
    )
    transaction_id = begin(api, session_id)
    member = run(
        api,
        session_id,
        "n = 'member'",
        transaction_id=transaction_id,
        isolation=transaction_pb2.ISOLATION_NAMESPACE,
    )
    assert member.outcome == Operation.OUTCOME_PENDING
    roll_back(api, session_id, transaction_id)
    assert value(api, session_id, "n != 'member'") == "True"
    assert outcome(session, member) == "ROLLED_BACK"


def test_a_session_without_snapshots_says_so(api: Api, client: Client) -> None:
    """What needs them is refused by name; everything else works."""
    made = api.sessions.CreateSession(
        session_pb2.CreateSessionRequest(
            template="slim", snapshot_policy=session_pb2.SnapshotPolicy(disabled=True)
        )
    ).session
    with client.attach(made.session_id) as session:
        first = run(api, session.session_id, "x = 1")
        with refused("FAILED_PRECONDITION", "SNAPSHOTS_DISABLED"):
            begin(api, session.session_id)
        for policy in (EXPLICIT, transaction_pb2.TX_POLICY_ROLLBACK_ON_FAILURE):
            with refused("FAILED_PRECONDITION", "SNAPSHOTS_DISABLED"):
                run(api, session.session_id, "1", tx_policy=policy)
        with refused("FAILED_PRECONDITION", "SNAPSHOTS_DISABLED"):
            api.sessions.RewindSession(
                session_pb2.RewindSessionRequest(
                    session_id=session.session_id, operation_id=first.operation_id
                )
            )
        session.delete()
