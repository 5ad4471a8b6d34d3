"""Every cell of the policy table, on each runtime: what an operation's end does to the session's state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.duration_pb2 import Duration
from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2

from tests.conftest import RUNTIMES
from tests.raw_api import Api, connected
from tests.rollback_cases import (
    CHANGES,
    ENDINGS,
    OUT_OF_MEMORY,
    POLICIES,
    SETUP,
    Ending,
    Operation,
    expected_outcome,
)
from tests.server_process import ServerProcess, serving

TxPolicy = transaction_pb2.TxPolicy
EXPLICIT = transaction_pb2.TX_POLICY_EXPLICIT
KEPT = (Operation.OUTCOME_COMMITTED, Operation.OUTCOME_PARTIAL, Operation.OUTCOME_PENDING)


@pytest.fixture(scope="module", params=RUNTIMES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A control plane that gives code little time to react to an interrupt."""
    process = ServerProcess(
        request.param,
        tmp_path_factory.mktemp("server"),
        ("--min-ready", "slim=2,data=0"),
        {"SANDBANK_LIMITS__INTERRUPT_GRACE": "0.3 s"},
    )
    with serving(process):
        yield process


@pytest.fixture
def api(server: ServerProcess) -> Iterator[Api]:
    """The bare stubs on :func:`server`."""
    with connected(server.address) as bare:
        yield bare


@pytest.fixture
def session_id(api: Api) -> Iterator[str]:
    """A session with a snapshot after each operation, so that a crash goes back to the operation before."""
    request = session_pb2.CreateSessionRequest(
        template="slim", snapshot_policy=session_pb2.SnapshotPolicy(history_count=2)
    )
    made = api.sessions.CreateSession(request).session.session_id
    yield made
    api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=made))


def run(
    api: Api,
    session_id: str,
    code: str,
    policy: TxPolicy = transaction_pb2.TX_POLICY_UNSPECIFIED,
    *,
    timeout: float = 30.0,
    transaction_id: str = "",
) -> Operation:
    """Run code to its end; fails where it could not be asked for."""
    request = execution_pb2.ExecuteRequest(
        session_id=session_id,
        code=code,
        tx_policy=policy,
        transaction_id=transaction_id,
        timeout=_duration(timeout),
    )
    operation = api.execution.Run(execution_pb2.RunRequest(execute=request)).operation
    assert isinstance(operation, Operation)
    return operation


def probe(api: Api, session_id: str, transaction_id: str = "") -> str:
    """Return all of the state in one line."""
    operation = run(api, session_id, "probe()", transaction_id=transaction_id)
    assert operation.state == Operation.STATE_SUCCEEDED, operation.error.traceback_text
    return operation.result["text/plain"].decode()


def prepare(api: Api, session_id: str) -> str:
    """Bind everything; return the state before."""
    done = run(api, session_id, SETUP)
    assert done.state == Operation.STATE_SUCCEEDED, done.error.traceback_text
    return probe(api, session_id)


def check_state(before: str, after: str, *, changed: bool) -> None:
    """Assert that all of the state is as it was, or that it is not."""
    assert (after != before) is changed, (before, after)


@pytest.mark.parametrize("policy", POLICIES, ids=TxPolicy.Name)
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_state_and_outcome_follow_the_table(
    api: Api, session_id: str, ending: Ending, policy: TxPolicy
) -> None:
    """The operation's outcome is the table's, and the state is what that outcome says; the next operation runs."""
    before = prepare(api, session_id)
    operation = run(api, session_id, CHANGES + ending.code, policy, timeout=ending.timeout)
    assert operation.state == ending.state, operation
    outcome = expected_outcome(policy, ending)
    assert operation.outcome == outcome, operation
    transaction_id = operation.transaction_id
    assert bool(transaction_id) is (policy == EXPLICIT)
    session = api.sessions.GetSession(session_pb2.GetSessionRequest(session_id=session_id)).session
    still_open = policy == EXPLICIT and not ending.dies
    assert session.open_transaction_id == (transaction_id if still_open else "")
    inside = transaction_id if still_open else ""
    check_state(before, probe(api, session_id, inside), changed=outcome in KEPT)
    if still_open:
        rollback = execution_pb2.RollbackTransactionRequest(
            session_id=session_id, transaction_id=transaction_id
        )
        ended = api.execution.RollbackTransaction(rollback).transaction
        assert ended.state == transaction_pb2.Transaction.STATE_ROLLED_BACK
        check_state(before, probe(api, session_id), changed=False)
        assert now(api, session_id, operation).outcome == Operation.OUTCOME_ROLLED_BACK
    else:
        assert now(api, session_id, operation).outcome == outcome


def now(api: Api, session_id: str, operation: Operation) -> Operation:
    """Return an operation as it is now."""
    request = execution_pb2.GetOperationRequest(session_id=session_id, operation_id=operation.operation_id)
    found = api.execution.GetOperation(request).operation
    assert isinstance(found, Operation)
    return found


@pytest.mark.parametrize("policy", POLICIES, ids=TxPolicy.Name)
def test_out_of_memory_follows_the_table(
    api: Api, server: ServerProcess, session_id: str, policy: TxPolicy
) -> None:
    """Memory without bound costs the operation, never the state before it. Only containers have a limit."""
    if server.runtime != "docker":
        return
    before = prepare(api, session_id)
    operation = run(api, session_id, CHANGES + OUT_OF_MEMORY.code, policy, timeout=60)
    assert operation.state == Operation.STATE_CRASHED, operation
    assert operation.outcome == Operation.OUTCOME_ROLLED_BACK
    assert "memory" in operation.error.message
    check_state(before, probe(api, session_id), changed=False)


@pytest.mark.parametrize("how", ["commit", "rollback"])
def test_a_transaction_over_many_operations_ends_whole(api: Api, session_id: str, how: str) -> None:
    """What its members did, failures included, stays or goes together."""
    before = prepare(api, session_id)
    begin = execution_pb2.BeginTransactionRequest(session_id=session_id)
    transaction_id = api.execution.BeginTransaction(begin).transaction.transaction_id
    first = run(api, session_id, "number = 10", transaction_id=transaction_id)
    failed = run(api, session_id, "items.append(5); raise ValueError", transaction_id=transaction_id)
    saved = run(
        api,
        session_id,
        "table.clear(); raise ValueError",
        transaction_pb2.TX_POLICY_ROLLBACK_ON_FAILURE,
        transaction_id=transaction_id,
    )
    inside = run(api, session_id, "[number, items[-1], len(table)]", transaction_id=transaction_id)
    assert inside.result["text/plain"] == b"[10, 5, 1]"
    outcomes = [each.outcome for each in (first, failed, saved, inside)]
    pending, gone = Operation.OUTCOME_PENDING, Operation.OUTCOME_ROLLED_BACK
    assert outcomes == [pending, pending, gone, pending]
    fields = {"session_id": session_id, "transaction_id": transaction_id}
    if how == "commit":
        ended = api.execution.CommitTransaction(execution_pb2.CommitTransactionRequest(**fields)).transaction
        expected = [Operation.OUTCOME_COMMITTED, Operation.OUTCOME_PARTIAL, gone, Operation.OUTCOME_COMMITTED]
    else:
        ended = api.execution.RollbackTransaction(
            execution_pb2.RollbackTransactionRequest(**fields)
        ).transaction
        expected = [gone] * 4
    members = (first, failed, saved, inside)
    assert list(ended.operation_ids) == [each.operation_id for each in members]
    assert [now(api, session_id, each).outcome for each in members] == expected
    check_state(before, probe(api, session_id), changed=how == "commit")


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMicroseconds(int(seconds * 1e6))
    return duration
