"""The whole data directory is on a disk that fills up: it is said, nothing acknowledged is lost, and it goes on."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from sandbank import Client
from sandbank.v1 import execution_pb2, file_pb2, session_pb2, state_pb2

from tests.conftest import RUNTIMES
from tests.raw_api import Api, connected, refusal
from tests.sandboxes import wait_ready
from tests.server_process import ServerProcess, serving

Operation = execution_pb2.Operation
REFUSED = {
    ("UNAVAILABLE", "STORE_UNAVAILABLE"),
    ("UNAVAILABLE", "POOL_DEGRADED"),
    ("UNAVAILABLE", "POOL_TIMEOUT"),
    ("UNAVAILABLE", "SANDBOX_LOST_BEFORE_START"),
    ("RESOURCE_EXHAUSTED", "WORKSPACE_FULL"),
}
LINES = 300
"""Operations tried on a full disk: what is left of the operation log's last block takes no more than some of them."""


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 48 MiB."""
    path = tmp_path_factory.mktemp("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture(params=RUNTIMES)
def server(request: pytest.FixtureRequest, disk: Path) -> Iterator[ServerProcess]:
    """A control plane with all that it keeps on that disk: catalog, operation logs, checkpoints, its own log."""
    process = ServerProcess(request.param, disk / "data", ("--min-ready", "slim=2,data=0"))
    with serving(process):
        try:
            yield process
        finally:
            make_room(disk)


def fill(disk: Path) -> None:
    """Take all the room there is, to the last byte."""
    with (disk / "filler").open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass


def make_room(disk: Path) -> None:
    """Give it back."""
    (disk / "filler").unlink(missing_ok=True)


def create(api: Api, **fields: object) -> str:
    """Make a session."""
    request = session_pb2.CreateSessionRequest(template="slim", **fields)  # type: ignore[arg-type]
    return str(api.sessions.CreateSession(request).session.session_id)


def run(api: Api, session_id: str, operation_id: str, code: str) -> Operation:
    """Run code, whatever it comes to."""
    request = execution_pb2.ExecuteRequest(
        session_id=session_id, operation_id=operation_id, code=code, timeout=Duration(seconds=30)
    )
    return api.execution.Run(execution_pb2.RunRequest(execute=request)).operation


def count(api: Api, session_id: str, operation_id: str) -> int:
    """Return how often the session has counted."""
    return int(run(api, session_id, operation_id, "n").result["text/plain"])


def is_refused(call: Callable[[], object]) -> bool:
    """Make a call; tell whether it was refused, which must be in words that callers can act upon."""
    try:
        call()
    except grpc.RpcError as error:
        told = refusal(error)
        assert (told.code.name, told.reason) in REFUSED, told
        assert told.message
        return True
    return False


def test_a_full_disk_is_said_and_costs_nothing_that_was_acknowledged(
    server: ServerProcess, disk: Path
) -> None:
    """What is refused never ran and can be tried again under the same id; reads go on; a restart knows all of it."""
    with connected(server.address) as api, Client(server.address) as client:
        wait_ready(client, "slim", 2)
        session_id = create(api)
        synchronous = create(api, checkpoint_policy=session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS)
        run(api, session_id, "first", "n = 0")
        durable = run(api, synchronous, "first", "n = 0")
        assert durable.durable_checkpoint_id
        fill(disk)
        done, refused = [], []
        for number in range(LINES):
            operation_id = f"op-{number}"
            went = is_refused(lambda name=operation_id: done.append(run(api, session_id, name, "n += 1")))  # type: ignore[misc]
            if went:
                refused.append(operation_id)
            if len(refused) == 3:
                break
        assert len(refused) == 3
        assert {each.state for each in done} <= {Operation.STATE_SUCCEEDED}
        assert is_refused(lambda: create(api, request_id="later"))
        assert is_refused(
            lambda: api.state.Checkpoint(
                state_pb2.CheckpointRequest(session_id=session_id, request_id="later")
            )
        )
        told = []
        while not is_refused(lambda: told.append(run(api, synchronous, f"s-{len(told)}", "n += 1"))):
            assert len(told) < LINES
            assert not told[-1].durable_checkpoint_id
            assert "CHECKPOINT_FAILED" in {each.code for each in told[-1].warnings}
        # What needs no room goes on.
        view = api.sessions.GetSession(session_pb2.GetSessionRequest(session_id=session_id)).session
        assert view.state == session_pb2.Session.STATE_ACTIVE
        value = state_pb2.GetVariableRequest(
            session_id=session_id, name="n", format=state_pb2.VALUE_FORMAT_JSON
        )
        assert api.state.GetVariable(value).variable.name == "n"
        api.files.ListFiles(file_pb2.ListFilesRequest(session_id=session_id))
        make_room(disk)
        done += [run(api, session_id, operation_id, "n += 1") for operation_id in refused]
        assert count(api, session_id, "count") == len(done)
        saved = api.state.Checkpoint(
            state_pb2.CheckpointRequest(session_id=session_id, request_id="later")
        ).checkpoint
        assert saved.last_operation_id == "count"
        assert run(api, synchronous, "after", "n += 1").durable_checkpoint_id
        wait_ready(client, "slim", 1)  # the pool has found that it can start sandboxes again
        create(api, request_id="later")
        names = [each.operation_id for each in done]
    server.kill()
    server.start()
    with connected(server.address) as api:
        for name in names:
            request = execution_pb2.GetOperationRequest(session_id=session_id, operation_id=name)
            operation = api.execution.GetOperation(request).operation
            assert operation.outcome == Operation.OUTCOME_COMMITTED
        assert count(api, session_id, "again") == len(names)
        assert count(api, synchronous, "again") == len(told) + 1


def test_a_server_that_is_killed_on_a_full_disk_loses_nothing_that_was_acknowledged(
    server: ServerProcess, disk: Path
) -> None:
    """Where what was told could not be written, the sandbox still knows it when the next server comes."""
    with connected(server.address) as api, Client(server.address) as client:
        wait_ready(client, "slim", 1)
        session_id = create(api)
        run(api, session_id, "first", "n = 0")
        fill(disk)
        done: list[Operation] = []
        while not is_refused(lambda: done.append(run(api, session_id, f"op-{len(done)}", "n += 1"))):
            assert len(done) < LINES
    server.kill()
    make_room(disk)
    server.start()
    with connected(server.address) as api:
        for each in done:
            request = execution_pb2.GetOperationRequest(session_id=session_id, operation_id=each.operation_id)
            operation = api.execution.GetOperation(request).operation
            assert (operation.state, operation.outcome) == (each.state, each.outcome)
        assert count(api, session_id, "count") == len(done)
        assert os.listdir(disk) == ["data"]
