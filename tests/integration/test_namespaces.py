"""ISOLATION_NAMESPACE through the whole path, on each runtime: several operations of one session at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from google.protobuf.duration_pb2 import Duration
from sandbank import Session
from sandbank.v1 import execution_pb2 as ex
from sandbank.v1 import state_pb2
from sandbank.v1 import transaction_pb2 as tx

from tests.raw_api import Api

Operation = ex.Operation


def start(api: Api, session: Session, operation_id: str, code: str, **fields):  # type: ignore[no-untyped-def]
    """Call Execute; return its events, which are read as they are wanted."""
    request = ex.ExecuteRequest(
        session_id=session.session_id,
        operation_id=operation_id,
        code=code,
        isolation=tx.ISOLATION_NAMESPACE,
        allow_input=True,
        **fields,
    )
    return api.execution.Execute(request, timeout=60)


def until(events, kind: str) -> ex.OperationEvent:  # type: ignore[no-untyped-def]
    """Read up to an event of a kind."""
    event: ex.OperationEvent = next(each for each in events if each.WhichOneof("event") == kind)
    return event


def answer(api: Api, session: Session, event: ex.OperationEvent) -> None:
    """Answer a question with an empty line."""
    api.execution.ProvideInput(
        ex.ProvideInputRequest(
            session_id=session.session_id,
            operation_id=event.operation_id,
            input_id=event.input_request.input_id,
            text="",
        )
    )


def finished(events) -> Operation:  # type: ignore[no-untyped-def]
    """Read to the end."""
    operation: Operation = until(events, "finished").finished.operation
    return operation


def test_eight_at_once(api: Api, session: Session) -> None:
    """They run beside each other until all have written; each stream has its own operation's output alone."""
    session.run("import threading\nmeeting = threading.Barrier(8)")

    def run(k: int) -> tuple[bytes, Operation]:
        code = f"for i{k} in range(100): print({k}, i{k})\nmeeting.wait()\nprint('over')\nr{k} = {k}\nr{k}"
        written, operation = b"", Operation()
        for event in start(api, session, f"op{k}", code):
            written += event.output.data
            operation = event.finished.operation
        return written, operation

    with ThreadPoolExecutor(8) as pool:
        for k, (written, operation) in enumerate(pool.map(run, range(8))):
            assert written.decode() == "".join(f"{k} {i}\n" for i in range(100)) + "over\n"
            assert operation.outcome == Operation.OUTCOME_COMMITTED, operation
            assert operation.result["text/plain"] == str(k).encode()
    assert session.run("[r0, r1, r2, r3, r4, r5, r6, r7]").value == list(range(8))


def test_the_first_committer_wins(api: Api, session: Session) -> None:
    """The other has SUCCEEDED, is ROLLED_BACK and names what was in conflict."""
    session.run("n = 0; m = 0")
    slow = start(api, session, "slow", "input()\nn += 1\nm = 1")
    question = until(slow, "input_request")
    assert finished(start(api, session, "fast", "n += 1")).outcome == Operation.OUTCOME_COMMITTED
    answer(api, session, question)
    operation = finished(slow)
    assert (operation.state, operation.outcome) == (Operation.STATE_SUCCEEDED, Operation.OUTCOME_ROLLED_BACK)
    assert list(operation.conflicting_names) == ["n"]
    assert session.run("n, m").text == "(1, 0)"


def test_one_is_cancelled_and_one_times_out(api: Api, session: Session) -> None:
    """Each alone: what runs beside them goes on."""
    beside = start(api, session, "beside", "input()\nkept = 1")
    question = until(beside, "input_request")
    cancelled = start(api, session, "cancelled", "lost = 1\nprint('ready')\nimport time\ntime.sleep(600)")
    late = start(api, session, "late", "while True: pass", timeout=Duration(nanos=300_000_000))
    until(cancelled, "output")
    session.cancel("cancelled")
    assert finished(cancelled).state == Operation.STATE_CANCELLED
    assert finished(late).state == Operation.STATE_TIMED_OUT
    answer(api, session, question)
    assert finished(beside).outcome == Operation.OUTCOME_COMMITTED
    assert session.run("kept, 'lost' in globals()").text == "(1, False)"


def test_in_a_transaction_they_are_seen_by_its_members(api: Api, session: Session) -> None:
    """Not by anybody else until it commits."""
    name = session.session_id
    began = api.execution.BeginTransaction(
        ex.BeginTransactionRequest(session_id=name)
    ).transaction.transaction_id
    member = {"transaction_id": began, "tx_policy": tx.TX_POLICY_EXPLICIT}
    assert finished(start(api, session, "one", "x = 1", **member)).outcome == Operation.OUTCOME_PENDING

    def names(**fields: str) -> list[str]:
        request = state_pb2.ListVariablesRequest(session_id=name, **fields)
        return [variable.name for variable in api.state.ListVariables(request).variables]

    assert names(transaction_id=began) == ["x"]
    assert names() == []
    api.execution.CommitTransaction(ex.CommitTransactionRequest(session_id=name, transaction_id=began))
    assert names() == ["x"]
    request = ex.GetOperationRequest(session_id=name, operation_id="one")
    assert api.execution.GetOperation(request).operation.outcome == Operation.OUTCOME_COMMITTED
