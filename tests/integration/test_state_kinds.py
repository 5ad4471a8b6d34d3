"""The zoo in containers: what a fresh one loads is what was saved in another, kind by kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbank.v1 import checkpoint_pb2, execution_pb2, session_pb2, state_pb2

from tests.raw_api import Api, connected
from tests.server_process import ServerProcess, serving
from tests.unit.runner.interpreter.checkpoints.zoo import DATA, DATA_LOST, EXACT, LOST
from tests.unit.runner.interpreter.checkpoints.zoo.together import looking, making, name_of, parts

Operation = execution_pb2.Operation
pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A control plane with sandboxes of both templates."""
    directory: Path = tmp_path_factory.mktemp("server")
    with (
        serving(ServerProcess("docker", directory, ("--min-ready", "slim=2,data=2"))) as server,
        connected(server.address) as bare,
    ):
        yield bare


def create(api: Api, **fields: object) -> str:
    """Make a session."""
    request = session_pb2.CreateSessionRequest(**fields)  # type: ignore[arg-type]
    return str(api.sessions.CreateSession(request).session.session_id)


def text(api: Api, session_id: str, code: str) -> str:
    """Run code that succeeds; return its value as text."""
    request = execution_pb2.ExecuteRequest(session_id=session_id, code=code)
    operation = api.execution.Run(execution_pb2.RunRequest(execute=request)).operation
    assert operation.state == Operation.STATE_SUCCEEDED, operation.error.traceback_text
    return str(operation.result["text/plain"].decode())


def save(api: Api, session_id: str, *, verify: bool = False) -> checkpoint_pb2.Checkpoint:
    """Make a checkpoint."""
    request = state_pb2.CheckpointRequest(session_id=session_id, verify=verify)
    saved = api.state.Checkpoint(request).checkpoint
    assert isinstance(saved, checkpoint_pb2.Checkpoint)
    return saved


def lost(saved: checkpoint_pb2.Checkpoint) -> dict[str, str]:
    """Return the variables that are lost, and why."""
    return {
        each.name: each.reason for each in saved.variables if each.fidelity == checkpoint_pb2.FIDELITY_LOST
    }


def test_kinds_of_the_data_libraries(api: Api) -> None:
    """All in one session; a fresh container has them as they were, and says what is lost."""
    original = create(api, template="data")
    gone = {kind: (make, "") for kind, (make, _) in DATA_LOST.items()}
    for some in parts(DATA):
        text(api, original, making(some))
        assert text(api, original, looking(some)) == "[]"
    for some in parts(gone):
        text(api, original, making(some))
    saved = save(api, original, verify=True)
    assert saved.verified
    reasons = lost(saved)
    for kind, (_, reason) in DATA_LOST.items():
        assert reason in reasons.pop(name_of(kind, "v"))
    assert not {name for name in reasons if any(name.startswith(name_of(kind, "")) for kind in DATA)}
    copy = create(api, from_checkpoint_id=saved.checkpoint_id)
    for some in parts(DATA):
        assert text(api, copy, looking(some)) == "[]"
    for each in (original, copy):
        api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=each))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_all_other_kinds(api: Api) -> None:
    """One after the other: made in one container, restored into a session of another one."""
    source, target = create(api, template="slim"), create(api, template="slim")
    for kind, (make, holds) in EXACT.items():
        api.sessions.ResetSession(session_pb2.ResetSessionRequest(session_id=source))
        text(api, source, make)
        saved = save(api, source)
        assert lost(saved) == {}, kind
        api.state.Restore(state_pb2.RestoreRequest(session_id=target, checkpoint_id=saved.checkpoint_id))
        assert text(api, target, f"bool({holds})") == "True", kind
    for kind, (make, reason) in LOST.items():
        api.sessions.ResetSession(session_pb2.ResetSessionRequest(session_id=source))
        text(api, source, make)
        saved = save(api, source)
        assert reason in lost(saved)["v"], kind
        request = state_pb2.RestoreRequest(session_id=target, checkpoint_id=saved.checkpoint_id)
        assert "v" in {each.name for each in api.state.Restore(request).report.lost}, kind
        assert text(api, target, "'v' in globals()") == "False", kind
    for each in (source, target):
        api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=each))
