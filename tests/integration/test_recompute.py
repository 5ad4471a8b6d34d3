"""Variables that no checkpoint can save, made anew: for sessions that ask for it, through the whole path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbank.v1 import checkpoint_pb2, execution_pb2, session_pb2, state_pb2

from tests.raw_api import Api
from tests.sandboxes import kill_sandbox
from tests.server_process import ServerProcess

EXACT, RECOMPUTED, LOST = (
    checkpoint_pb2.FIDELITY_EXACT,
    checkpoint_pb2.FIDELITY_RECOMPUTED,
    checkpoint_pb2.FIDELITY_LOST,
)


@pytest.fixture
def session_id(api: Api) -> Iterator[str]:
    """A session that has asked for it, with something of each fidelity."""
    request = session_pb2.CreateSessionRequest(template="slim", recompute=True)
    made = api.sessions.CreateSession(request).session.session_id
    for code in (
        "xs = [1, 2, 3]",
        "doubled = (x * 2 for x in xs)",
        "import threading",
        "lock = threading.Lock()",
        "import random",
        "drawn = (x for x in [random.random()])",
    ):
        run(api, made, code)
    yield made
    api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=made))


def run(api: Api, session_id: str, code: str) -> execution_pb2.Operation:
    """Run code that succeeds."""
    request = execution_pb2.ExecuteRequest(session_id=session_id, code=code)
    operation = api.execution.Run(execution_pb2.RunRequest(execute=request)).operation
    assert isinstance(operation, execution_pb2.Operation)
    assert operation.state == execution_pb2.Operation.STATE_SUCCEEDED, operation.error.traceback_text
    return operation


def save(api: Api, session_id: str, **fields: object) -> checkpoint_pb2.Checkpoint:
    """Make a checkpoint."""
    request = state_pb2.CheckpointRequest(session_id=session_id, **fields)  # type: ignore[arg-type]
    saved = api.state.Checkpoint(request).checkpoint
    assert isinstance(saved, checkpoint_pb2.Checkpoint)
    return saved


def goes_on(api: Api, session_id: str) -> None:
    """The session has what was made anew, says so once, and does not have what was lost."""
    operation = run(api, session_id, "list(doubled), lock.locked(), 'drawn' in globals()")
    assert operation.result["text/plain"] == b"([2, 4, 6], False, False)"
    assert [(each.code, list(each.names)) for each in operation.warnings] == [
        ("RECOMPUTED", ["doubled", "lock"])
    ]
    assert not run(api, session_id, "1").warnings


def test_what_could_not_be_saved_is_made_anew(api: Api, session_id: str) -> None:
    """The checkpoint says so, verified or not; the restore says so, in the same session and in a new one."""
    saved = save(api, session_id, verify=True)
    assert saved.verified, [(v.name, v.fidelity, v.reason) for v in saved.variables]
    assert {each.name: each.fidelity for each in saved.variables} == {
        "xs": EXACT,
        "doubled": RECOMPUTED,
        "threading": EXACT,
        "lock": RECOMPUTED,
        "random": EXACT,
        "drawn": LOST,
    }
    request = session_pb2.CreateSessionRequest(from_checkpoint_id=saved.checkpoint_id, recompute=True)
    made = api.sessions.CreateSession(request)
    assert [each.name for each in made.restore_report.recomputed] == ["doubled", "lock"]
    assert all("<cell" in each.reason for each in made.restore_report.recomputed)
    assert [each.name for each in made.restore_report.lost] == ["drawn"]
    assert made.restore_report.restored_count == 3
    goes_on(api, made.session.session_id)
    api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=made.session.session_id))

    run(api, session_id, "next(doubled); lock.acquire()")
    report = api.state.Restore(
        state_pb2.RestoreRequest(session_id=session_id, checkpoint_id=saved.checkpoint_id)
    ).report
    assert [each.name for each in report.recomputed] == ["doubled", "lock"]
    goes_on(api, session_id)


def test_who_has_not_asked_for_it_gets_nothing_run(api: Api, session_id: str) -> None:
    """A session of a checkpoint decides for itself; a fork is like its source."""
    saved = save(api, session_id)
    made = api.sessions.CreateSession(
        session_pb2.CreateSessionRequest(from_checkpoint_id=saved.checkpoint_id)
    )
    assert [each.name for each in made.restore_report.lost] == ["doubled", "drawn", "lock"]
    assert not made.restore_report.recomputed
    api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=made.session.session_id))

    forked = api.sessions.ForkSession(session_pb2.ForkSessionRequest(session_id=session_id, count=1))
    goes_on(api, forked.sessions[0].session_id)
    api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=forked.sessions[0].session_id))


def test_a_recovery_says_what_was_made_anew(api: Api, server: ServerProcess, session_id: str) -> None:
    """Beside what is lost."""
    saved = save(api, session_id)
    before = api.sessions.GetSession(session_pb2.GetSessionRequest(session_id=session_id)).session
    kill_sandbox(server, before.sandbox_id)
    for event in api.sessions.WatchSession(session_pb2.WatchSessionRequest(session_id=session_id)):
        if event.HasField("recovery") or event.session_changed.generation > 1:
            break
    goes_on(api, session_id)
    session = api.sessions.GetSession(session_pb2.GetSessionRequest(session_id=session_id)).session
    recovery = session.last_recovery
    assert recovery.from_checkpoint_id == saved.checkpoint_id
    assert list(recovery.recomputed) == ["doubled", "lock"]
    assert list(recovery.lost_variables) == ["drawn"]
