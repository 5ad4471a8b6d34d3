"""State that outlives its sandbox, through the whole path and on each runtime."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbank import Client
from sandbank.v1 import checkpoint_pb2, execution_pb2, session_pb2, state_pb2

from tests.raw_api import Api, refused
from tests.sandboxes import kill_sandbox, wait_ready
from tests.server_process import ServerProcess

Operation = execution_pb2.Operation
State = session_pb2.Session

PROGRAM = """
import math as m, os
from collections import namedtuple
Point = namedtuple('Point', 'x y')
class Box:
    count = 0
    def __init__(self, value): self.value = value; Box.count += 1
a = [1]; b = [a]; loop = []; loop.append(loop)
box = Box(a); point = Point(1, 2)
counter = 0
def bump():
    global counter
    counter += 1
    return counter
buffer = bytearray(3_000_000); view = memoryview(buffer)
generator = (n for n in range(3))
os.environ['SANDBANK_TEST'] = 'kept'
open('notes.txt', 'w').write('hello')
"""
CHECK = """
[b[0] is a, loop[0] is loop, box.value is a, type(box) is Box, Box.count, point.x, m.pi > 3, bump(), counter,
 'generator' in globals(), os.environ['SANDBANK_TEST'], open('notes.txt').read(), len(buffer), view.obj is buffer]
"""
EXPECTED = "[True, True, True, True, 1, 1, True, 1, 1, False, 'kept', 'hello', 3000000, True]"


@pytest.fixture
def session_id(api: Api) -> Iterator[str]:
    """A fresh session that has those checkpoints only that a test makes."""
    made = create(api, checkpoint_policy=session_pb2.CHECKPOINT_POLICY_NONE)
    yield made
    api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=made))


def create(api: Api, **fields: object) -> str:
    """Make a session."""
    request = session_pb2.CreateSessionRequest(template="slim", **fields)  # type: ignore[arg-type]
    return str(api.sessions.CreateSession(request).session.session_id)


def run(api: Api, session_id: str, code: str) -> Operation:
    """Run code that succeeds."""
    request = execution_pb2.ExecuteRequest(session_id=session_id, code=code)
    operation = api.execution.Run(execution_pb2.RunRequest(execute=request)).operation
    assert isinstance(operation, Operation)
    assert operation.state == Operation.STATE_SUCCEEDED, operation.error.traceback_text
    return operation


def text(api: Api, session_id: str, code: str) -> str:
    """Return the value of code as text."""
    return run(api, session_id, code).result["text/plain"].decode()


def save(api: Api, session_id: str, **fields: object) -> checkpoint_pb2.Checkpoint:
    """Make a checkpoint."""
    request = state_pb2.CheckpointRequest(session_id=session_id, **fields)  # type: ignore[arg-type]
    saved = api.state.Checkpoint(request).checkpoint
    assert isinstance(saved, checkpoint_pb2.Checkpoint)
    return saved


def get(api: Api, session_id: str) -> State:
    """Return a session as it is."""
    session = api.sessions.GetSession(session_pb2.GetSessionRequest(session_id=session_id)).session
    assert isinstance(session, State)
    return session


def test_a_checkpoint_says_what_it_holds_and_what_it_could_not_save(api: Api, session_id: str) -> None:
    """Each variable with its fidelity; files too; verified in a fresh process."""
    last = run(api, session_id, PROGRAM)
    saved = save(api, session_id, labels={"a": "b"}, verify=True)
    assert saved.verified
    assert saved.last_operation_id == last.operation_id
    found = {each.name: each for each in saved.variables}
    assert found["generator"].fidelity == checkpoint_pb2.FIDELITY_LOST
    assert found["generator"].reason
    exact = {name for name, each in found.items() if each.fidelity == checkpoint_pb2.FIDELITY_EXACT}
    assert exact >= {
        "a",
        "b",
        "box",
        "Box",
        "bump",
        "counter",
        "buffer",
        "view",
        "loop",
        "point",
        "Point",
        "m",
    }
    assert found["a"].group_id == found["b"].group_id == found["box"].group_id
    assert [(each.path, each.size_bytes) for each in saved.files] == [("notes.txt", 5)]
    listed = api.state.ListCheckpoints(state_pb2.ListCheckpointsRequest(session_id=session_id)).checkpoints
    assert [each.checkpoint_id for each in listed] == [saved.checkpoint_id]
    assert get(api, session_id).latest_checkpoint_id == saved.checkpoint_id


HOT = """
import os, subprocess, sys
open('quiet', 'w').write('quiet'); open('hot', 'wb').write(bytes(64 << 20))
code = "import os; f = os.open('hot', os.O_RDWR)\\nwhile True: os.pwrite(f, os.urandom(8), 0)"
pid = subprocess.Popen([sys.executable, '-c', code]).pid
"""


def test_a_large_file_that_never_holds_still_costs_only_itself(api: Api, session_id: str) -> None:
    """Said with the checkpoint, with a restore, while the session sleeps, and when it has woken."""
    run(api, session_id, HOT)
    saved = save(api, session_id)
    found = {each.path: each for each in saved.files}
    assert found["quiet"].fidelity == checkpoint_pb2.FIDELITY_EXACT
    assert found["hot"].fidelity == checkpoint_pb2.FIDELITY_LOST
    assert "written to" in found["hot"].reason
    assert (found["hot"].size_bytes, found["hot"].sha256, found["quiet"].reason) == (64 << 20, "", "")
    asleep = api.sessions.HibernateSession(session_pb2.HibernateSessionRequest(session_id=session_id)).session
    assert "hot" in asleep.state_detail
    assert text(api, session_id, "open('quiet').read(), os.path.exists('hot')") == "('quiet', False)"
    assert list(get(api, session_id).last_recovery.lost_files) == ["hot"]
    request = state_pb2.RestoreRequest(session_id=session_id, checkpoint_id=saved.checkpoint_id)
    report = api.state.Restore(request).report
    assert [(each.path, each.reason) for each in report.lost_files] == [("hot", found["hot"].reason)]


def test_what_is_restored_is_what_was_saved(api: Api, session_id: str) -> None:
    """Aliases, cycles, classes, functions bound to the session, views, files and the environment."""
    run(api, session_id, PROGRAM)
    saved = save(api, session_id)
    run(api, session_id, "a.append(2); del box; counter = 50; os.remove('notes.txt'); new = 1")
    request = state_pb2.RestoreRequest(session_id=session_id, checkpoint_id=saved.checkpoint_id)
    report = api.state.Restore(request).report
    assert [each.name for each in report.lost] == ["generator"]
    assert text(api, session_id, CHECK) == EXPECTED
    assert text(api, session_id, "a, 'new' in globals()") == "([1], False)"


def test_a_new_session_begins_with_a_checkpoint(api: Api, session_id: str) -> None:
    """As a fork does, twice; neither sees what the other does."""
    run(api, session_id, PROGRAM)
    saved = save(api, session_id)
    other = create(api, from_checkpoint_id=saved.checkpoint_id)
    fork = session_pb2.ForkSessionRequest(session_id=session_id, request_id="again", count=2)
    forks = [each.session_id for each in api.sessions.ForkSession(fork).sessions]
    assert [each.session_id for each in api.sessions.ForkSession(fork).sessions] == forks
    for each in (other, *forks):
        assert text(api, each, CHECK) == EXPECTED
    run(api, forks[0], "a.append('mine')")
    assert text(api, forks[1], "a") == text(api, session_id, "a") == "[1]"
    for each in (other, *forks):
        api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=each))


def test_a_second_checkpoint_costs_what_has_changed(api: Api, session_id: str) -> None:
    """Of a hundred large variables one was changed: its bytes are new, the others' are not."""
    run(
        api,
        session_id,
        "import os\nfor i in range(20): globals()[f'big{i}'] = bytearray(os.urandom(1_000_000))",
    )
    first = save(api, session_id)
    assert first.new_bytes > 19_000_000
    run(api, session_id, "big7[5] ^= 1")
    second = save(api, session_id)
    assert second.size_bytes >= first.size_bytes - 1000
    assert 900_000 < second.new_bytes < 1_150_000
    assert second.parent_checkpoint_id == first.checkpoint_id


def test_a_killed_sandbox_costs_what_came_after_the_checkpoint(server: ServerProcess, api: Api) -> None:
    """The session goes on in another, generation + 1; what was lost is listed, and nothing else."""
    session_id = create(api, checkpoint_policy=session_pb2.CHECKPOINT_POLICY_NONE)
    kept = run(api, session_id, PROGRAM)
    saved = save(api, session_id)
    lost = run(api, session_id, "counter = 50")
    with Client(server.address) as client:
        wait_ready(client, "slim", 2)
    before = get(api, session_id)
    kill_sandbox(server, before.sandbox_id)
    wait_recovered(api, session_id)
    assert text(api, session_id, CHECK) == EXPECTED
    after = get(api, session_id)
    assert after.generation == before.generation + 1
    assert after.sandbox_id != before.sandbox_id
    assert list(after.last_recovery.lost_operation_ids) == [lost.operation_id]
    assert after.last_recovery.from_checkpoint_id == saved.checkpoint_id
    outcomes = [
        api.execution.GetOperation(
            execution_pb2.GetOperationRequest(session_id=session_id, operation_id=each.operation_id)
        ).operation.outcome
        for each in (kept, lost)
    ]
    assert outcomes == [Operation.OUTCOME_COMMITTED, Operation.OUTCOME_LOST]
    api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=session_id))


def test_nothing_acknowledged_is_lost_under_synchronous(server: ServerProcess, api: Api) -> None:
    """Operations, commits and uploads: a kill right after each was answered takes nothing away."""
    session_id = create(api, checkpoint_policy=session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS)
    run(api, session_id, "n = 0")
    for _ in range(5):
        assert run(api, session_id, "n += 1").durable_checkpoint_id
    begin = execution_pb2.BeginTransactionRequest(session_id=session_id)
    transaction_id = api.execution.BeginTransaction(begin).transaction.transaction_id
    member = execution_pb2.ExecuteRequest(session_id=session_id, code="n += 1", transaction_id=transaction_id)
    api.execution.Run(execution_pb2.RunRequest(execute=member))
    fields = {"session_id": session_id, "transaction_id": transaction_id}
    api.execution.CommitTransaction(execution_pb2.CommitTransactionRequest(**fields))
    with Client(server.address) as client:
        wait_ready(client, "slim", 2)
        client.attach(session_id).files.upload(b"up", "uploaded")
    kill_sandbox(server, get(api, session_id).sandbox_id)
    wait_recovered(api, session_id)
    assert text(api, session_id, "[n, open('uploaded').read()]") == "[6, 'up']"
    recovery = get(api, session_id).last_recovery
    assert (list(recovery.lost_operation_ids), list(recovery.lost_files)) == ([], [])
    api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=session_id))


def test_changes_are_saved_in_the_background(api: Api) -> None:
    """AFTER_CHANGE: without being asked, a checkpoint covers the operation before long."""
    session_id = create(api, checkpoint_policy=session_pb2.CHECKPOINT_POLICY_AFTER_CHANGE)
    watched = api.sessions.WatchSession(session_pb2.WatchSessionRequest(session_id=session_id))
    done = run(api, session_id, "n = 1")
    for event in watched:
        if event.session_changed.latest_checkpoint_id:
            break
    watched.cancel()
    request = execution_pb2.GetOperationRequest(session_id=session_id, operation_id=done.operation_id)
    assert api.execution.GetOperation(request).operation.durable_checkpoint_id
    api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=session_id))


def test_a_restore_that_cannot_be_changes_nothing(api: Api, session_id: str) -> None:
    """An unknown checkpoint, a deleted one, and one during an operation."""
    run(api, session_id, "n = 1")
    saved = save(api, session_id)
    with refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND"):
        api.state.Restore(state_pb2.RestoreRequest(session_id=session_id, checkpoint_id="cp-none"))
    running = api.execution.Execute(
        execution_pb2.ExecuteRequest(
            session_id=session_id, operation_id="runs", code="import time; time.sleep(60)"
        )
    )
    next(iter(running))
    with refused("UNAVAILABLE", "SESSION_BUSY"):
        api.state.Restore(state_pb2.RestoreRequest(session_id=session_id, checkpoint_id=saved.checkpoint_id))
    api.execution.CancelOperation(
        execution_pb2.CancelOperationRequest(session_id=session_id, operation_id="runs")
    )
    list(running)
    api.state.DeleteCheckpoint(state_pb2.DeleteCheckpointRequest(checkpoint_id=saved.checkpoint_id))
    with refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND"):
        api.state.Restore(state_pb2.RestoreRequest(session_id=session_id, checkpoint_id=saved.checkpoint_id))
    assert text(api, session_id, "n") == "1"


def wait_recovered(api: Api, session_id: str) -> None:
    """Wait until a session goes on in another sandbox."""
    watched = api.sessions.WatchSession(session_pb2.WatchSessionRequest(session_id=session_id))
    for _event in watched:
        if get(api, session_id).generation > 1:
            break
    watched.cancel()
