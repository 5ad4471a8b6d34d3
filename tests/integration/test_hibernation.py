"""Sessions that give their sandbox up and take another when they are used, through the whole path."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from google.protobuf.duration_pb2 import Duration
from sandbank.v1 import checkpoint_pb2, execution_pb2, file_pb2, pool_pb2, session_pb2, state_pb2

from tests.raw_api import Api, connected, refused
from tests.server_process import ServerProcess

Operation = execution_pb2.Operation
State = session_pb2.Session
HIBERNATED = State.STATE_HIBERNATED


@pytest.fixture
def session_id(api: Api) -> Iterator[str]:
    """A fresh session, of which nothing is saved unasked."""
    made = create(api, checkpoint_policy=session_pb2.CHECKPOINT_POLICY_NONE)
    yield made
    delete(api, made)


def create(api: Api, **fields: object) -> str:
    """Make a session."""
    request = session_pb2.CreateSessionRequest(template="slim", **fields)  # type: ignore[arg-type]
    return str(api.sessions.CreateSession(request).session.session_id)


def delete(api: Api, session_id: str) -> None:
    """End a session."""
    api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=session_id))


def run(api: Api, session_id: str, code: str, **fields: object) -> Operation:
    """Run code that succeeds."""
    request = execution_pb2.ExecuteRequest(session_id=session_id, code=code, **fields)  # type: ignore[arg-type]
    operation = api.execution.Run(execution_pb2.RunRequest(execute=request)).operation
    assert isinstance(operation, Operation)
    assert operation.state == Operation.STATE_SUCCEEDED, operation.error.traceback_text
    return operation


def text(api: Api, session_id: str, code: str) -> str:
    """Return the value of code as text."""
    return run(api, session_id, code).result["text/plain"].decode()


def get(api: Api, session_id: str) -> State:
    """Return a session as it is."""
    session = api.sessions.GetSession(session_pb2.GetSessionRequest(session_id=session_id)).session
    assert isinstance(session, State)
    return session


def hibernate(api: Api, session_id: str) -> State:
    """Send a session to sleep."""
    request = session_pb2.HibernateSessionRequest(session_id=session_id)
    session = api.sessions.HibernateSession(request).session
    assert isinstance(session, State)
    assert (session.state, session.sandbox_id) == (HIBERNATED, "")
    return session


def wait_for(api: Api, session_id: str, state: int) -> State:
    """Wait until a session is in a state, by what its watchers are told."""
    for event in api.sessions.WatchSession(session_pb2.WatchSessionRequest(session_id=session_id)):
        if event.session_changed.state == state:
            break
    return get(api, session_id)


def sandboxes_of(api: Api, session_id: str) -> list[str]:
    """Return the sandboxes that serve a session, of those that have not been given up."""
    every = api.pool.ListSandboxes(pool_pb2.ListSandboxesRequest(template="slim")).sandboxes
    assigned = pool_pb2.SANDBOX_STATE_ASSIGNED
    return [each.sandbox_id for each in every if each.session_id == session_id and each.state == assigned]


PROGRAM = """
import os
a = [1]; b = [a]
def bump():
    global n
    n += 1
    return n
n = 0; bump()
lost = (i for i in range(3))
open('notes.txt', 'w').write('kept')
os.environ['MARK'] = 'kept'
"""
CHECK = "[b[0] is a, bump(), 'lost' in globals(), open('notes.txt').read(), os.environ['MARK']]"


def test_a_hibernated_session_has_no_sandbox_and_goes_on_in_another_when_it_is_used(
    api: Api, session_id: str
) -> None:
    """The state is that of before but for what has no pickle: that is named when it sleeps and when it wakes."""
    last = run(api, session_id, PROGRAM)
    before = get(api, session_id)
    slept = hibernate(api, session_id)
    assert slept.generation == before.generation
    assert "lost" in slept.state_detail
    assert slept.latest_checkpoint_id
    assert sandboxes_of(api, session_id) == []
    assert hibernate(api, session_id) == slept  # idempotent
    assert text(api, session_id, CHECK) == "[True, 2, False, 'kept', 'kept']"
    woken = get(api, session_id)
    assert (woken.state, woken.generation) == (State.STATE_ACTIVE, before.generation + 1)
    assert woken.execution_count == 2
    assert sandboxes_of(api, session_id) == [woken.sandbox_id] != [before.sandbox_id]
    assert list(woken.last_recovery.lost_variables) == ["lost"]
    assert not woken.last_recovery.lost_operation_ids
    told = api.execution.GetOperation(
        execution_pb2.GetOperationRequest(session_id=session_id, operation_id=last.operation_id)
    ).operation
    assert (told.outcome, told.durable_checkpoint_id) == (
        Operation.OUTCOME_COMMITTED,
        slept.latest_checkpoint_id,
    )


def test_whatever_needs_the_interpreter_wakes_a_session_and_nothing_else_does(
    api: Api, session_id: str
) -> None:
    """Reads, files, transactions, checkpoints; not the record, the operations, labels."""
    made = run(api, session_id, "x = 41").operation_id
    named = {"session_id": session_id}
    quiet: list[Callable[[], object]] = [
        lambda: api.sessions.GetSession(session_pb2.GetSessionRequest(**named)),
        lambda: api.sessions.UpdateSession(session_pb2.UpdateSessionRequest(**named, labels={"a": "b"})),
        lambda: api.execution.ListOperations(execution_pb2.ListOperationsRequest(**named)),
        lambda: api.execution.CancelOperation(
            execution_pb2.CancelOperationRequest(**named, operation_id=made)
        ),
        lambda: api.state.ListCheckpoints(state_pb2.ListCheckpointsRequest(**named)),
    ]
    hibernate(api, session_id)
    for call in quiet:
        call()
        assert get(api, session_id).state == HIBERNATED
    loud: list[Callable[[], object]] = [
        lambda: api.state.GetVariable(
            state_pb2.GetVariableRequest(**named, name="x", format=state_pb2.VALUE_FORMAT_JSON)
        ),
        lambda: api.files.ListFiles(file_pb2.ListFilesRequest(**named)),
        lambda: api.state.Checkpoint(state_pb2.CheckpointRequest(**named)),
        lambda: api.sessions.ResetSession(session_pb2.ResetSessionRequest(**named, keep_files=True)),
        lambda: list(
            api.execution.Interact(
                iter(
                    [
                        execution_pb2.InteractRequest(
                            execute=execution_pb2.ExecuteRequest(**named, operation_id="one", code="y = 1")
                        )
                    ]
                )
            )
        ),
    ]
    generation = get(api, session_id).generation
    for call in loud:
        call()
        generation += 1
        assert get(api, session_id).generation == generation
        hibernate(api, session_id)
    begun = api.execution.BeginTransaction(execution_pb2.BeginTransactionRequest(**named)).transaction
    with refused("FAILED_PRECONDITION", "TRANSACTION_OPEN"):
        hibernate(api, session_id)
    api.execution.RollbackTransaction(
        execution_pb2.RollbackTransactionRequest(**named, transaction_id=begun.transaction_id)
    )
    hibernate(api, session_id)


def test_a_session_that_sleeps_is_forked_without_being_woken(api: Api, session_id: str) -> None:
    """Its state, its files, its execution count; a repeated request gets the same also when it has been woken since."""
    run(api, session_id, "x = [1]; open('f', 'w').write('kept')")
    slept = hibernate(api, session_id)
    request = session_pb2.ForkSessionRequest(session_id=session_id, request_id="forks", count=2)
    made = api.sessions.ForkSession(request)
    forks = [each.session_id for each in made.sessions]
    assert [each.restored_count > 0 for each in made.restore_reports] == [True, True]
    assert get(api, session_id) == slept
    for each in forks:
        assert text(api, each, "x, open('f').read()") == "([1], 'kept')"
    run(api, session_id, "x.append(2)")
    assert [each.session_id for each in api.sessions.ForkSession(request).sessions] == forks
    assert text(api, forks[0], "x") == "[1]"
    for each in forks:
        delete(api, each)


def test_a_session_in_use_is_not_sent_to_sleep(api: Api, session_id: str) -> None:
    """An operation runs: SESSION_BUSY; when it has ended it works. A session that ended has nothing to save."""
    code = "print('on', flush=True); input()"
    request = execution_pb2.ExecuteRequest(
        session_id=session_id, operation_id="waits", code=code, allow_input=True
    )
    events = api.execution.Execute(request)
    asked = next(event.input_request for event in events if event.HasField("input_request"))
    with refused("UNAVAILABLE", "SESSION_BUSY"):
        hibernate(api, session_id)
    api.execution.ProvideInput(
        execution_pb2.ProvideInputRequest(
            session_id=session_id, operation_id="waits", input_id=asked.input_id, text="go"
        )
    )
    assert [event for event in events if event.HasField("finished")]
    hibernate(api, session_id)
    delete(api, session_id)
    with refused("FAILED_PRECONDITION", "SESSION_TERMINATED"):
        hibernate(api, session_id)


def test_an_idle_session_hibernates_unless_it_is_to_end(api: Api) -> None:
    """HIBERNATE is the default at `idle_timeout`; its life ends at `max_lifetime` all the same."""
    second = Duration(seconds=1)
    sleeps = create(api, idle_timeout=second)
    ends = create(api, idle_timeout=second, idle_action=session_pb2.IDLE_ACTION_TERMINATE)
    dies = create(api, idle_timeout=second, max_lifetime=Duration(seconds=4))
    run(api, sleeps, "x = 1")
    assert wait_for(api, ends, State.STATE_TERMINATED).state_detail == "it was idle for too long"
    assert wait_for(api, sleeps, HIBERNATED).sandbox_id == ""
    assert wait_for(api, dies, State.STATE_TERMINATED).state_detail == "its lifetime is over"
    assert text(api, sleeps, "x") == "1"
    delete(api, sleeps)


def test_a_hibernated_session_outlives_the_control_plane(server: ServerProcess) -> None:
    """`kill -9`, and it wakes after that; `secret_env` is saved nowhere and is gone then, which it says."""
    with connected(server.address) as api:
        session_id = create(api, env={"PLAIN": "1"}, secret_env={"SECRET": "2"})
        run(api, session_id, "import os; x = 5")
        hibernate(api, session_id)
        assert text(api, session_id, "os.environ['SECRET'], os.environ['PLAIN'], x") == "('2', '1', 5)"
        slept = hibernate(api, session_id)
        manifest = api.state.GetCheckpoint(
            state_pb2.GetCheckpointRequest(checkpoint_id=slept.latest_checkpoint_id)
        ).checkpoint
        assert {each.fidelity for each in manifest.variables} == {checkpoint_pb2.FIDELITY_EXACT}
    server.kill()
    server.start()
    with connected(server.address) as api:
        assert get(api, session_id).state == HIBERNATED
        assert text(api, session_id, "os.environ.get('SECRET'), os.environ['PLAIN'], x") == "(None, '1', 5)"
        assert "secret_env" in get(api, session_id).state_detail
        delete(api, session_id)


def test_deleting_the_checkpoint_that_a_session_sleeps_on_wakes_it(api: Api, session_id: str) -> None:
    """Its state is not deleted with it; asleep again, it has another one."""
    run(api, session_id, "x = 1")
    slept = hibernate(api, session_id)
    api.state.DeleteCheckpoint(state_pb2.DeleteCheckpointRequest(checkpoint_id=slept.latest_checkpoint_id))
    assert get(api, session_id).generation == slept.generation + 1
    assert hibernate(api, session_id).latest_checkpoint_id != slept.latest_checkpoint_id
    assert text(api, session_id, "x") == "1"


def test_a_session_that_is_deleted_while_it_sleeps_stays_ended(api: Api, session_id: str) -> None:
    """Its operations can be read; using it does not wake it."""
    run(api, session_id, "x = 1")
    hibernate(api, session_id)
    delete(api, session_id)
    began = time.monotonic()
    with refused("FAILED_PRECONDITION", "SESSION_TERMINATED"):
        run(api, session_id, "x")
    assert time.monotonic() - began < 10
    assert get(api, session_id).state == State.STATE_TERMINATED
