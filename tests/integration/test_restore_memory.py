"""A restore where both states do not fit into one sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbank.v1 import execution_pb2, session_pb2, state_pb2

from tests.raw_api import Api, connected
from tests.server_process import ServerProcess, serving

pytestmark = pytest.mark.engine


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """The bare stubs on a control plane with containers, which alone have a limit."""
    process = ServerProcess("docker", tmp_path, ("--min-ready", "slim=2,data=0"))
    with serving(process), connected(process.address) as bare:
        yield bare


def text(api: Api, session_id: str, code: str) -> str:
    """Return the value of code as text."""
    request = execution_pb2.RunRequest(execute=execution_pb2.ExecuteRequest(session_id=session_id, code=code))
    operation = api.execution.Run(request).operation
    assert operation.state == execution_pb2.Operation.STATE_SUCCEEDED, operation.error.traceback_text
    return str(operation.result["text/plain"].decode())


def test_where_both_states_do_not_fit_the_session_goes_on_in_another_sandbox(api: Api) -> None:
    """The interpreter that was to take over is what dies; the next sandbox has room for the checkpoint's state."""
    made = api.sessions.CreateSession(session_pb2.CreateSessionRequest(template="slim")).session
    session_id = made.session_id
    text(api, session_id, "import os; x = bytearray(os.urandom(1_000_000)) * 150; z = 1; z")
    saved = api.state.Checkpoint(state_pb2.CheckpointRequest(session_id=session_id)).checkpoint
    text(api, session_id, "y = bytearray(os.urandom(1_000_000)) * 230; z = 2; z")
    request = state_pb2.RestoreRequest(session_id=session_id, checkpoint_id=saved.checkpoint_id)
    restored = api.state.Restore(request)
    assert not restored.report.lost
    session = restored.session
    assert (session.state, session.generation) == (session_pb2.Session.STATE_ACTIVE, made.generation + 1)
    assert session.sandbox_id != made.sandbox_id
    assert session.last_recovery.reason == ""  # nothing was lost
    assert text(api, session_id, "len(x), 'y' in globals(), z") == "(150000000, False, 1)"
    api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=session_id))
