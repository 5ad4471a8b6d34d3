"""Operations that ask, and whoever answers them, on each runtime."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from sandbank import Client, Session
from sandbank.v1 import execution_pb2 as ex
from sandbank.v1 import transaction_pb2

from tests.raw_api import Api, refused
from tests.server_process import ServerProcess

Operation = ex.Operation


def start(api: Api, session_id: str, operation_id: str, code: str, **fields):  # type: ignore[no-untyped-def]
    """Call Execute with leave to ask; return its events, which are read as they are wanted."""
    request = ex.ExecuteRequest(
        session_id=session_id, operation_id=operation_id, code=code, allow_input=True, **fields
    )
    return api.execution.Execute(request, timeout=60)


def until(events, kind: str) -> ex.OperationEvent:  # type: ignore[no-untyped-def]
    """Read up to an event of a kind."""
    event: ex.OperationEvent = next(each for each in events if each.WhichOneof("event") == kind)
    return event


def provide(api: Api, session_id: str, operation_id: str, input_id: str, **reply) -> None:  # type: ignore[no-untyped-def]
    """Call ProvideInput."""
    api.execution.ProvideInput(
        ex.ProvideInputRequest(session_id=session_id, operation_id=operation_id, input_id=input_id, **reply)
    )


def test_a_question_and_its_answer(api: Api, session: Session) -> None:
    """The prompt comes as an event, the answer by another call; meanwhile the operation waits."""
    name = session.session_id
    events = start(api, name, "a", "print('hi')\ninput('name? ') + '!'")
    asked = until(events, "input_request").input_request
    assert (asked.prompt, asked.password) == ("name? ", False)
    request = ex.GetOperationRequest(session_id=name, operation_id="a")
    assert api.execution.GetOperation(request).operation.state == Operation.STATE_WAITING_FOR_INPUT
    provide(api, name, "a", asked.input_id, text="Ada ä€")
    operation = until(events, "finished").finished.operation
    assert operation.result["text/plain"].decode() == "'Ada ä€!'"
    with refused("FAILED_PRECONDITION", "NOT_WAITING_FOR_INPUT"):
        provide(api, name, "a", asked.input_id, text="again")


def test_the_end_of_file(api: Api, session: Session) -> None:
    """EOFError in the code."""
    events = start(api, session.session_id, "a", "import sys\nrest = sys.stdin.read()\nrest, input()")
    for reply in ({"text": "one"}, {"text": ""}, {"end_of_file": True}, {"end_of_file": True}):
        provide(api, session.session_id, "a", until(events, "input_request").input_request.input_id, **reply)
    operation = until(events, "finished").finished.operation
    assert operation.error.type_name == "EOFError"
    assert session.run("rest").value == "one\n\n"


def test_a_password_is_marked(api: Api, session: Session) -> None:
    """So that it is not shown while it is typed."""
    events = start(api, session.session_id, "a", "from getpass import getpass\ngetpass('key: ')")
    asked = until(events, "input_request").input_request
    assert (asked.prompt, asked.password) == ("key: ", True)
    provide(api, session.session_id, "a", asked.input_id, text="s3cret")
    assert until(events, "finished").finished.operation.result["text/plain"] == b"'s3cret'"


def test_answers_are_checked(api: Api, session: Session) -> None:
    """Ids, the reply, its length; the question stays open."""
    name = session.session_id
    events = start(api, name, "a", "len(input())")
    asked = until(events, "input_request").input_request
    with refused("INVALID_ARGUMENT", "BAD_FIELD", "reply"):
        provide(api, name, "a", asked.input_id)
    with refused("INVALID_ARGUMENT", "BAD_FIELD", "end_of_file"):
        provide(api, name, "a", asked.input_id, end_of_file=False)
    with refused("INVALID_ARGUMENT", "BAD_FIELD", "text"):
        provide(api, name, "a", asked.input_id, text="x" * ((1 << 20) + 1))
    with refused("INVALID_ARGUMENT", "BAD_ID", "input_id"):
        provide(api, name, "a", "", text="")
    with refused("INVALID_ARGUMENT", "BAD_ID", "operation_id"):
        provide(api, name, "a b", asked.input_id, text="")
    with refused("NOT_FOUND", "OPERATION_NOT_FOUND"):
        provide(api, name, "b", asked.input_id, text="")
    with refused("NOT_FOUND", "SESSION_NOT_FOUND"):
        provide(api, "nonesuch", "a", asked.input_id, text="")
    with refused("FAILED_PRECONDITION", "NOT_WAITING_FOR_INPUT"):
        provide(api, name, "a", "77", text="")
    provide(api, name, "a", asked.input_id, text="x" * (1 << 20))
    assert until(events, "finished").finished.operation.result["text/plain"] == b"1048576"


def test_without_leave_input_is_at_its_end(session: Session) -> None:
    """EOFError at once, and nothing is asked."""
    assert session.run("input('? ')", check=False).operation.error.type_name == "EOFError"


def test_a_cancel_and_a_timeout_end_the_wait(api: Api, session: Session) -> None:
    """By the soft interrupt: the session keeps its state."""
    name = session.session_id
    events = start(api, name, "a", "x = 1\ninput()")
    until(events, "input_request")
    api.execution.CancelOperation(ex.CancelOperationRequest(session_id=name, operation_id="a"))
    assert until(events, "finished").finished.operation.state == Operation.STATE_CANCELLED
    events = start(api, name, "b", "x += 1\ninput()", timeout=Duration(nanos=300_000_000))
    asked = until(events, "input_request").input_request
    assert until(events, "finished").finished.operation.state == Operation.STATE_TIMED_OUT
    with refused("FAILED_PRECONDITION", "NOT_WAITING_FOR_INPUT"):
        provide(api, name, "b", asked.input_id, text="late")
    assert session.run("x").value == 2


def test_questions_of_an_ended_session(api: Api, client: Client) -> None:
    """Their operations have ended with it."""
    with client.session(template="slim") as session:
        events = start(api, session.session_id, "a", "input()")
        asked = until(events, "input_request").input_request
    assert until(events, "finished").finished.operation.state == Operation.STATE_CANCELLED
    with refused("FAILED_PRECONDITION", "NOT_WAITING_FOR_INPUT"):
        provide(api, session.session_id, "a", asked.input_id, text="")


def test_several_operations_wait_at_once(api: Api, session: Session) -> None:
    """Beside each other on names of their own: each is asked, answered, cancelled for itself."""
    name = session.session_id
    beside = {"isolation": transaction_pb2.ISOLATION_NAMESPACE}
    calls = {f"o{n}": start(api, name, f"o{n}", f"got{n} = input('{n}')\ngot{n}", **beside) for n in range(4)}
    asked = {each: until(events, "input_request").input_request for each, events in calls.items()}
    assert [asked[f"o{n}"].prompt for n in range(4)] == ["0", "1", "2", "3"]
    api.execution.CancelOperation(ex.CancelOperationRequest(session_id=name, operation_id="o1"))
    cancelled = until(calls["o1"], "finished").finished.operation
    assert (cancelled.state, cancelled.outcome) == (
        Operation.STATE_CANCELLED,
        Operation.OUTCOME_ROLLED_BACK,
    )
    for operation_id in ("o3", "o0", "o2"):
        provide(api, name, operation_id, asked[operation_id].input_id, text=f"to {operation_id}")
        operation = until(calls[operation_id], "finished").finished.operation
        assert operation.result["text/plain"].decode() == repr(f"to {operation_id}")
    assert session.run("[n for n in range(4) if f'got{n}' in globals()]").value == [0, 2, 3]


def test_a_wait_that_ends_is_rolled_back_where_that_was_asked_for(api: Api, session: Session) -> None:
    """Timeout and cancel while waiting are failures like any other."""
    name = session.session_id
    session.run("x = 1")
    policy = {"tx_policy": transaction_pb2.TX_POLICY_ROLLBACK_ON_FAILURE}
    events = start(api, name, "a", "x = 2\ninput()", **policy)
    until(events, "input_request")
    api.execution.CancelOperation(ex.CancelOperationRequest(session_id=name, operation_id="a"))
    operation = until(events, "finished").finished.operation
    assert (operation.state, operation.outcome) == (
        Operation.STATE_CANCELLED,
        Operation.OUTCOME_ROLLED_BACK,
    )
    events = start(api, name, "b", "x = 3\ninput()", timeout=Duration(nanos=200_000_000), **policy)
    operation = until(events, "finished").finished.operation
    assert (operation.state, operation.outcome) == (
        Operation.STATE_TIMED_OUT,
        Operation.OUTCOME_ROLLED_BACK,
    )
    events = start(api, name, "c", "seen = x\nx = int(input())\nseen", **policy)
    provide(api, name, "c", until(events, "input_request").input_request.input_id, text="4")
    operation = until(events, "finished").finished.operation
    assert operation.result["text/plain"] == b"1"
    assert session.run("x").value == 4


@pytest.mark.parametrize("how", ["cancel", "deadline", "drop"])
@pytest.mark.parametrize("rpc", ["Execute", "Run"])
def test_cancel_on_disconnect(server: ServerProcess, api: Api, session: Session, rpc: str, how: str) -> None:
    """A call that is cancelled, runs out of time or loses its connection takes its operation with it, if so wished.

    Without the wish the operation goes on.
    """
    for operation_id, wished in (("goes", True), ("stays", False)):
        request = ex.ExecuteRequest(
            session_id=session.session_id,
            operation_id=operation_id,
            code="print('on')\nimport os, time\nwhile not os.path.exists('go'): time.sleep(0.01)",
            cancel_on_disconnect=wished,
        )
        with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            bare = Api(channel)
            timeout = 1.0 if how == "deadline" else 60.0
            if rpc == "Execute":
                call = bare.execution.Execute(request, timeout=timeout)
            else:
                call = bare.execution.Run.future(ex.RunRequest(execute=request), timeout=timeout)
            watch = _watch(api, session, operation_id)
            until(watch, "output")
            if how == "cancel":
                call.cancel()
            elif how == "deadline":
                with pytest.raises(grpc.RpcError):
                    list(call) if rpc == "Execute" else call.result()
        if not wished:
            session.files.upload(b"", "go")
        state = until(watch, "finished").finished.operation.state
        assert state == (Operation.STATE_CANCELLED if wished else Operation.STATE_SUCCEEDED)


def _watch(api: Api, session: Session, operation_id: str):  # type: ignore[no-untyped-def]
    """Watch an operation that another call is about to submit."""
    while True:
        request = ex.WatchOperationRequest(session_id=session.session_id, operation_id=operation_id)
        events = api.execution.WatchOperation(request, timeout=60)
        try:
            first = next(events)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
        else:
            assert first.WhichOneof("event") == "started"
            return events
