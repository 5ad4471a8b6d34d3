"""What is known and what goes on when the control plane, a sandbox, or both are killed."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from sandbank import Client, Session
from sandbank.v1 import execution_pb2, session_pb2

from tests.conftest import RUNTIMES
from tests.raw_api import Api, connected, refused
from tests.sandboxes import kill_sandbox, wait_ready
from tests.server_process import ServerProcess, serving

Operation = execution_pb2.Operation
State = session_pb2.Session

COUNTING = """
import os, time
done = 0
for number in range(400):
    print(number, flush=True)
    done += 1
    if number == 200:
        while not os.path.exists('go'): time.sleep(.005)
done
"""


@pytest.fixture(params=RUNTIMES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A control plane of the test's own, to be killed."""
    process = ServerProcess(
        request.param, tmp_path_factory.mktemp("server"), ("--min-ready", "slim=2,data=0")
    )
    with serving(process):
        yield process


def _create(server: ServerProcess) -> str:
    with Client(server.address) as client:
        return client.session(template="slim").session_id


def _begin(server: ServerProcess, session_id: str, operation_id: str, code: str, until: bytes) -> list:
    """Start code and return the events up to the output ``until``; the call is dropped then."""
    request = execution_pb2.ExecuteRequest(session_id=session_id, operation_id=operation_id, code=code)
    seen = []
    with connected(server.address) as api:
        for event in api.execution.Execute(request):
            seen.append(event)
            if until in event.output.data.split():
                return seen
    raise AssertionError(f"ended before {until!r}")


def _queue(api: Api, session: Session, operation_id: str, code: str) -> grpc.Call:
    """Send code behind what runs, and return the stream once the server has recorded it."""
    request = execution_pb2.ExecuteRequest(
        session_id=session.session_id, operation_id=operation_id, code=code
    )
    stream = api.execution.Execute(request)
    while operation_id not in {each.operation_id for each in session.operations()}:
        assert stream.is_active(), stream.code()
    return stream


def _watch(server: ServerProcess, session_id: str, operation_id: str, after: int) -> list:
    request = execution_pb2.WatchOperationRequest(
        session_id=session_id, operation_id=operation_id, after_sequence=after
    )
    with connected(server.address) as api:
        return list(api.execution.WatchOperation(request))


def _restart(server: ServerProcess) -> None:
    server.kill()
    server.start()


def test_a_running_operation_survives_the_control_plane_and_no_event_is_lost_or_twice(
    server: ServerProcess,
) -> None:
    """Killed in the middle of an operation; its events before and after the restart join without a seam."""
    session_id = _create(server)
    seen = _begin(server, session_id, "op", COUNTING, b"200")
    _restart(server)
    with Client(server.address) as client:
        session = client.attach(session_id)
        assert session.refresh().state == State.STATE_ACTIVE
        assert session.operation("op").state == Operation.STATE_RUNNING
        session.files.upload(b"", "go")
        seen += _watch(server, session_id, "op", seen[-1].sequence)
        assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
        text = b"".join(event.output.data for event in seen).split()
        assert text == [b"%d" % number for number in range(400)]
        last = seen[-1].finished.operation
        assert (last.state, last.outcome) == (Operation.STATE_SUCCEEDED, Operation.OUTCOME_COMMITTED)
        assert session.run("done").value == 400
        assert _watch(server, session_id, "op", 0) == seen


def test_what_finished_while_the_control_plane_was_dead_is_known_after(server: ServerProcess) -> None:
    """Result and events are fetched from the journal; the log is brought up to date."""
    session_id = _create(server)
    code = (
        "import os, time\nprint('on', flush=True)\nwhile not os.path.exists('go'): time.sleep(.005)\n40 + 2"
    )
    _begin(server, session_id, "first", code, b"on")
    with Client(server.address) as client:
        session = client.attach(session_id)
        with connected(server.address) as api:
            _queue(api, session, "second", "'queued'").cancel()
        session.files.upload(b"", "go")
    server.kill()
    server.start()
    with Client(server.address) as client:
        session = client.attach(session_id)
        first = session.watch("first").result()
        assert (first.value, first.stdout) == (42, "on\n")
        assert session.watch("second").result().value == "queued"
        assert session.operation("first").outcome == Operation.OUTCOME_COMMITTED
        assert session.refresh().execution_count == 2


def test_the_same_id_does_not_run_twice_across_a_restart(server: ServerProcess) -> None:
    """A retry after the restart replays."""
    session_id = _create(server)
    with Client(server.address) as client:
        session = client.attach(session_id)
        session.run("n = 0")
        session.run("n += 1", operation_id="once")
    _restart(server)
    with Client(server.address) as client:
        session = client.attach(session_id)
        session.run("n += 1", operation_id="once")
        assert session.run("n").value == 1


def test_a_killed_sandbox_ends_its_operations_and_is_replaced(server: ServerProcess) -> None:
    """The running one is CRASHED and rolled back, queued ones never started, earlier effects LOST; the id is burnt."""
    with (
        Client(server.address) as client,
        connected(server.address) as api,
        client.session(template="slim", checkpoint_policy="none") as session,
    ):
        session.files.upload(b"1", "uploaded.txt")
        session.run("kept = 1", operation_id="earlier")
        running = session.execute(
            "import time\nprint('on', flush=True)\ntime.sleep(60)", operation_id="running"
        )
        events = iter(running)
        while getattr(next(events), "data", b"") != b"on\n":
            pass
        queued = _queue(api, session, "queued", "kept = 2")
        before = session.refresh()
        watched = session.events()
        kill_sandbox(server, before.sandbox_id)
        crashed = running.result(check=False).operation
        assert (crashed.state, crashed.outcome) == (Operation.STATE_CRASHED, Operation.OUTCOME_ROLLED_BACK)
        never = list(queued)[-1].finished.operation
        assert (never.state, never.outcome) == (Operation.STATE_CRASHED, Operation.OUTCOME_NOT_STARTED)
        for event in watched:
            if event.session_changed.state == State.STATE_CRASHED:
                break
        assert session.operation("earlier").outcome == Operation.OUTCOME_LOST
        after = session.refresh()
        assert list(after.last_recovery.lost_operation_ids) == ["earlier"]
        assert list(after.last_recovery.lost_files) == ["uploaded.txt"]
        request = execution_pb2.ExecuteRequest(session_id=session.session_id, operation_id="new", code="1")
        with refused("FAILED_PRECONDITION", "SESSION_CRASHED"):
            list(api.execution.Execute(request))
        again = session.run("kept = 2", operation_id="queued", check=False)
        assert again.operation.outcome == Operation.OUTCOME_NOT_STARTED
        session.reset()
        fresh = session.refresh()
        assert fresh.generation == before.generation + 1
        assert fresh.sandbox_id not in ("", before.sandbox_id)
        assert session.run("'kept' in globals()").value is False
        replayed = session.run("kept = 2", operation_id="queued", check=False)
        assert replayed.operation.outcome == Operation.OUTCOME_NOT_STARTED
        assert session.run("'kept' in globals()").value is False
        wait_ready(client, "slim", 2)


@pytest.mark.parametrize("first", ["sandbox", "control plane"])
def test_both_killed_between_dispatch_and_finished(server: ServerProcess, first: str) -> None:
    """In either order: the log knows that it was dispatched; it is never run again."""
    session_id = _create(server)
    code = "import time\nprint('on', flush=True)\ntime.sleep(60)"
    _begin(server, session_id, "op", code, b"on")
    with Client(server.address) as client:
        sandbox_id = client.get_session(session_id).sandbox_id
    if first == "sandbox":
        kill_sandbox(server, sandbox_id)
        server.kill()
    else:
        server.kill()
        kill_sandbox(server, sandbox_id)
    server.start()
    with Client(server.address) as client:
        session = client.attach(session_id)
        for event in session.events():
            if event.session_changed.state == State.STATE_CRASHED:
                break
        told = session.operation("op")
        assert (told.state, told.outcome) == (Operation.STATE_CRASHED, Operation.OUTCOME_ROLLED_BACK)
        again = session.run(code, operation_id="op", check=False).operation
        assert again.state == Operation.STATE_CRASHED
        session.reset()
        assert session.run("1 + 1").value == 2


def test_ready_sandboxes_are_adopted_and_strays_removed(server: ServerProcess) -> None:
    """A restart starts no sandbox that is there already, and leaves none that nobody knows."""
    with Client(server.address) as client:
        wait_ready(client, "slim", 2)
        ready = {each.sandbox_id for each in client.sandboxes("slim")}
    _restart(server)
    with Client(server.address) as client:
        wait_ready(client, "slim", 2)
        assert ready <= {each.sandbox_id for each in client.sandboxes("slim")}


def test_a_stop_leaves_sessions_running_for_the_next_start(server: ServerProcess) -> None:
    """SIGTERM drains; who watches a session is sent away; variables are there after the next start."""
    session_id = _create(server)
    with Client(server.address) as client, connected(server.address) as api:
        client.attach(session_id).run("x = 'kept'")
        watch = api.sessions.WatchSession(session_pb2.WatchSessionRequest(session_id=session_id))
        next(watch)
        assert server.stop() == 0
        with refused("UNAVAILABLE", "DRAINING"):
            list(watch)
    server.start()
    with Client(server.address) as client:
        assert client.attach(session_id).run("x").value == "kept"
        events = client.attach(session_id).events()
        first = next(iter(events))
        assert first.session_changed.state == State.STATE_ACTIVE
