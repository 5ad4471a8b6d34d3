"""Control planes killed while a session goes to sleep and while it wakes: wherever it strikes, nothing is lost."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sandbank import Client, SandbankError
from sandbank.retrying import RetryPolicy
from sandbank.v1 import execution_pb2, session_pb2

from tests.server_process import ServerProcess, serving

pytestmark = pytest.mark.engine

State = session_pb2.Session
MOMENTS = (0.05, *(pytest.param(after, marks=pytest.mark.long) for after in (0.0, 0.02, 0.1, 0.3)))
"""Seconds from the call to the kill. What holds must hold wherever a kill strikes; these strike at different places."""

PROGRAM = "import os; kept = os.urandom(20_000_000); mark = hash(kept); open('f', 'w').write('x')"
CHECK = "(hash(kept) == mark, len(kept), open('f').read())"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A control plane of the test's own, to be killed."""
    process = ServerProcess("docker", tmp_path / "data", ("--min-ready", "slim=2,data=0"))
    with serving(process):
        yield process


def kill_during(
    server: ServerProcess, session_id: str, call: Callable[[Client], object], after: float
) -> None:
    """Begin a call, kill the control plane some time after that, and start another one."""
    begun = threading.Event()

    def attempt() -> None:
        with Client(server.address, retry=RetryPolicy(budget=0)) as client:
            client.attach(session_id).refresh()  # it is connected
            begun.set()
            with contextlib.suppress(SandbankError):
                call(client)

    caller = threading.Thread(target=attempt)
    caller.start()
    assert begun.wait(60)
    threading.Event().wait(after)
    server.kill()
    caller.join(60)
    server.start()


@pytest.mark.parametrize("after", MOMENTS)
def test_wherever_a_kill_strikes_the_session_is_awake_or_asleep_and_whole(
    server: ServerProcess, after: float
) -> None:
    """Its variables and files are there with its next use, no operation is lost, and it sleeps again."""
    with Client(server.address) as client:
        session_id = client.session(template="slim").session_id
        client.attach(session_id).run(PROGRAM, operation_id="made")
    kill_during(server, session_id, lambda client: client.attach(session_id).hibernate(), after)
    with Client(server.address) as client:
        session = client.attach(session_id)
        assert session.refresh().state in (State.STATE_ACTIVE, State.STATE_IDLE, State.STATE_HIBERNATED)
        assert session.run(CHECK).text == "(True, 20000000, 'x')"
        session.hibernate()
    kill_during(server, session_id, lambda client: client.attach(session_id).run(CHECK), after)
    with Client(server.address) as client:
        session = client.attach(session_id)
        assert session.run(CHECK).text == "(True, 20000000, 'x')"
        assert session.operation("made").outcome == execution_pb2.Operation.OUTCOME_COMMITTED
        assert not session.refresh().last_recovery.lost_operation_ids
    with Client(server.address) as client:
        client.attach(session_id).delete()
