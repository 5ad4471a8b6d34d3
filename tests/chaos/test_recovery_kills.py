"""Control planes that are killed, and stores that cannot be reached, in the middle of what keeps a session's state."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from sandbank import Client, Session
from sandbank.v1 import execution_pb2, session_pb2, state_pb2

from tests.conftest import RUNTIMES
from tests.raw_api import connected, refused
from tests.recoveries import die, lost, outcomes, running, submit, wait_crashed, wait_generation, wait_state
from tests.s3_server import Line, make_bucket, s3_server
from tests.sandboxes import kill_sandbox, wait_ready
from tests.server_process import ServerProcess, serving

Operation = execution_pb2.Operation
State = session_pb2.Session


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A store that outlives the control planes."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def line(s3: str) -> Iterator[Line]:
    """What leads to it."""
    made = Line(int(s3.rpartition(":")[2]))
    yield made
    made.close()


@pytest.fixture(scope="module", params=RUNTIMES)
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, s3: str, line: Line
) -> Iterator[ServerProcess]:
    """A control plane that keeps its checkpoints there."""
    environment = {
        "SANDBANK_CHECKPOINTS__STORE": f"s3://{make_bucket(s3)}/here",
        "SANDBANK_CHECKPOINTS__S3_ENDPOINT": f"http://127.0.0.1:{line.port}",
        "SANDBANK_CHECKPOINTS__S3_ACCESS_KEY_ID": "key",
        "SANDBANK_CHECKPOINTS__S3_SECRET_ACCESS_KEY": "secret",
    }
    path = tmp_path_factory.mktemp("server")
    process = ServerProcess(request.param, path, ("--min-ready", "slim=2,data=0"), environment)
    with serving(process):
        yield process


@pytest.fixture
def server(installation: ServerProcess, line: Line) -> Iterator[ServerProcess]:
    """The same, up and with its store at the beginning of each test."""
    if installation.process is None:
        installation.start()
    yield installation
    line.mend()


def restart(server: ServerProcess) -> None:
    """Kill the control plane and start the next one."""
    server.kill()
    server.start()


def prepared(server: ServerProcess, **options: object) -> str:
    """Return a session with `n = 1` in a checkpoint and `n = 2` after it."""
    with Client(server.address) as client:
        session = client.session(template="slim", checkpoint_policy="none", **options)
        session.run("n = 1", operation_id="one")
        session.files.upload(b"1", "file-1")
        session.checkpoint(labels={"is": "the one"})
        session.run("n = 2", operation_id="two", report_changes=True)
        session.files.upload(b"2", "file-2")
        wait_ready(client, "slim", 1)
        return session.session_id


def call_and_kill(server: ServerProcess, line: Line, call, request: object) -> None:
    """Kill the control plane in the middle of a call: while it waits for the store."""
    line.block()
    with connected(server.address) as api, ThreadPoolExecutor(1) as threads:
        called = threads.submit(call(api), request)
        assert line.waiting.wait(60)
        server.kill()
        with pytest.raises(grpc.RpcError):
            called.result(60)
    line.mend()
    server.start()


def check_recovers_from_the_one(server: ServerProcess, session: Session) -> None:
    """The session's sandbox dies, and it goes on from the checkpoint of :func:`prepared`."""
    die(server, session)
    assert session.run("import os; n, sorted(os.listdir())").value == "(1, ['file-1'])"
    assert lost(session.refresh().last_recovery) == (["two"], ["n"], ["file-2"])
    assert outcomes(session, "one", "two") == ["COMMITTED", "LOST"]


def test_killed_in_the_middle_of_a_checkpoint(server: ServerProcess, line: Line) -> None:
    """There is none, nor half of one; the session is as it was, and can be saved."""
    session_id = prepared(server)
    request = state_pb2.CheckpointRequest(session_id=session_id, request_id="again")
    call_and_kill(server, line, lambda api: api.state.Checkpoint, request)
    with Client(server.address) as client:
        session = client.attach(session_id)
        assert [dict(each.labels) for each in session.checkpoints()] == [{"is": "the one"}]
        check_recovers_from_the_one(server, session)
        assert session.checkpoint(request_id="again", verify=True).verified


def test_killed_in_the_middle_of_a_restore(server: ServerProcess, line: Line) -> None:
    """All or nothing: it was nothing. The same restore works then."""
    session_id = prepared(server)
    with Client(server.address) as client:
        (saved,) = client.attach(session_id).checkpoints()
    request = state_pb2.RestoreRequest(session_id=session_id, checkpoint_id=saved.checkpoint_id)
    call_and_kill(server, line, lambda api: api.state.Restore, request)
    with Client(server.address) as client:
        session = client.attach(session_id)
        assert session.run("n").value == 2
        session.restore(saved.checkpoint_id)
        assert session.run("import os; n, sorted(os.listdir())").value == "(1, ['file-1'])"
        assert outcomes(session, "one", "two") == ["COMMITTED", "COMMITTED"]


def test_killed_in_the_middle_of_a_recovery(server: ServerProcess, line: Line) -> None:
    """The next control plane begins it anew; what was lost is told as it would have been."""
    session_id = prepared(server)
    line.block()
    with Client(server.address) as client:
        kill_sandbox(server, client.get_session(session_id).sandbox_id)
    assert line.waiting.wait(60)
    server.kill()
    line.mend()
    server.start()
    with Client(server.address) as client:
        session = client.attach(session_id)
        wait_generation(session, 2)
        assert lost(session.refresh().last_recovery) == (["two"], ["n"], ["file-2"])
        assert outcomes(session, "one", "two") == ["COMMITTED", "LOST"]
        assert session.run("import os; n, sorted(os.listdir())").value == "(1, ['file-1'])"


def test_killed_before_an_end_was_durable(server: ServerProcess, line: Line) -> None:
    """SYNCHRONOUS: nobody was told; the next control plane makes it durable, and tells. It ran once."""
    with Client(server.address) as client:
        session_id = client.session(template="slim", checkpoint_policy="synchronous").session_id
        client.attach(session_id).run("n = 0")
    line.block()
    with connected(server.address) as api:
        stream = submit(api, session_id, "once", "n += 1")
        assert line.waiting.wait(60)
        server.kill()
        with pytest.raises(grpc.RpcError):
            list(stream)
    line.mend()
    server.start()
    with Client(server.address) as client:
        session = client.attach(session_id)
        told = session.watch("once").result().operation
        assert (told.outcome, bool(told.durable_checkpoint_id)) == (Operation.OUTCOME_COMMITTED, True)
        session.run("n += 1", operation_id="once")
        die(server, session)
        assert session.run("n").value == 1
        assert lost(session.refresh().last_recovery)[0] == []


@pytest.mark.parametrize("first", ["sandbox", "control plane"])
def test_both_killed_between_dispatch_and_finished(server: ServerProcess, first: str) -> None:
    """Recovered from what was acknowledged; what ran is rolled back and never runs again."""
    with Client(server.address) as client, connected(server.address) as api:
        session = client.session(template="slim", checkpoint_policy="synchronous")
        session_id = session.session_id
        session.files.upload(b"1", "file")
        session.run("n = 1", operation_id="kept")
        sandbox_id = session.refresh().sandbox_id
        code = "n += 1\nprint('on', flush=True)\nimport time; time.sleep(60)"
        with running(api, session_id, "runs", code):
            if first == "sandbox":
                kill_sandbox(server, sandbox_id)
                server.kill()
            else:
                server.kill()
                kill_sandbox(server, sandbox_id)
    server.start()
    with Client(server.address) as client:
        session = client.attach(session_id)
        wait_generation(session, 2)
        assert session.run("n, open('file').read()").value == "(1, '1')"
        again = session.run(code, operation_id="runs", check=False).operation
        assert (again.state, again.outcome) == (Operation.STATE_CRASHED, Operation.OUTCOME_ROLLED_BACK)
        assert session.run("n").value == 1
        assert lost(session.refresh().last_recovery) == ([], [], [])


def test_a_store_that_is_gone_for_a_while_is_waited_for(server: ServerProcess, line: Line) -> None:
    """The session runs on, and SYNCHRONOUS says what is not durable; a recovery waits, and calls wait for it."""
    with Client(server.address) as client:
        session = client.session(template="slim", checkpoint_policy="synchronous")
        session.run("n = 1", operation_id="kept")
        line.cut()
        told = session.run("n = 2", operation_id="lost", report_changes=True).operation
        assert (told.outcome, told.durable_checkpoint_id) == (Operation.OUTCOME_COMMITTED, "")
        assert [each.code for each in told.warnings] == ["CHECKPOINT_FAILED"]
        with connected(server.address) as api, refused("UNAVAILABLE", "STORE_UNAVAILABLE"):
            api.state.Checkpoint(state_pb2.CheckpointRequest(session_id=session.session_id))
        kill_sandbox(server, session.refresh().sandbox_id)
        wait_state(session, lambda now: "being recovered" in now.state_detail)
        line.mend()
        assert session.run("n").value == 1
        assert lost(session.refresh().last_recovery) == (["lost"], ["n"], [])


def test_a_store_that_is_gone_for_too_long_leaves_the_session_crashed(
    server: ServerProcess, line: Line
) -> None:
    """It says why, and Restore brings the session back once the store is there again, also after a restart."""
    server.kill()
    server.environment = {**server.environment, "SANDBANK_CHECKPOINTS__RECOVERY_WAIT": "1 s"}
    server.start()
    session_id = prepared(server)
    with Client(server.address) as client:
        session = client.attach(session_id)
        (saved,) = session.checkpoints()
        line.cut()
        kill_sandbox(server, session.refresh().sandbox_id)
        crashed = wait_crashed(session)
        assert "cannot be reached" in crashed.state_detail
        assert saved.checkpoint_id in crashed.state_detail
        assert lost(crashed.last_recovery) == (["two"], ["n"], ["file-2"])
    restart(server)
    line.mend()
    with Client(server.address) as client:
        session = client.attach(session_id)
        session.restore(saved.checkpoint_id)
        assert session.run("import os; n, sorted(os.listdir())").value == "(1, ['file-1'])"
        assert outcomes(session, "one", "two") == ["COMMITTED", "LOST"]
