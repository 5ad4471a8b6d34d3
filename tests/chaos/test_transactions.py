"""Kills in the middle of transactions: what is told of them afterwards is what became of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbank import Client, NoSuchTransaction, Session
from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2

from tests.conftest import RUNTIMES
from tests.raw_api import connected, refused
from tests.sandboxes import kill_sandbox
from tests.server_process import ServerProcess, serving

Operation = execution_pb2.Operation
Transaction = transaction_pb2.Transaction
State = session_pb2.Session
WAITING = "import os, time\nprint('on', flush=True)\nwhile not os.path.exists('go'): time.sleep(.005)\n"


@pytest.fixture(params=RUNTIMES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A control plane of the test's own, to be killed."""
    process = ServerProcess(
        request.param, tmp_path_factory.mktemp("server"), ("--min-ready", "slim=1,data=0")
    )
    with serving(process):
        yield process


@pytest.fixture
def session_id(server: ServerProcess) -> str:
    """A session with something committed in it."""
    with Client(server.address) as client:
        session = client.session(template="slim")
        session.run("x = 1", operation_id="before")
        return session.session_id


def restart(server: ServerProcess) -> None:
    """Kill the control plane and start the next one."""
    server.kill()
    server.start()


def outcomes(session: Session, *names: str) -> list[str]:
    """Return the outcomes of operations as they are now."""
    return [
        Operation.Outcome.Name(session.operation(name).outcome).removeprefix("OUTCOME_") for name in names
    ]


def start(server: ServerProcess, session_id: str, operation_id: str, code: str, **fields: object) -> None:
    """Start code; return, and leave, once it has written something."""
    request = execution_pb2.ExecuteRequest(
        session_id=session_id, operation_id=operation_id, code=code, **fields
    )
    with connected(server.address) as api:
        for event in api.execution.Execute(request):
            if event.output.data:
                return
    raise AssertionError("it ended without a word")


def test_a_transaction_outlives_the_control_plane(server: ServerProcess, session_id: str) -> None:
    """Members of before and after, and one that ran meanwhile: all are committed as one."""
    with Client(server.address) as client:
        transaction = client.attach(session_id).transaction()
        name = transaction.transaction_id
        transaction.run("x += 1", operation_id="early")
    start(server, session_id, "meanwhile", WAITING + "x += 1", transaction_id=name)
    restart(server)
    with Client(server.address) as client:
        session = client.attach(session_id)
        assert session.refresh().open_transaction_id == name
        with connected(server.address) as api, refused("FAILED_PRECONDITION", "TRANSACTION_OPEN"):
            list(api.execution.Execute(execution_pb2.ExecuteRequest(session_id=session_id, code="x")))
        session.files.upload(b"", "go")
        assert session.watch("meanwhile").result().operation.outcome == Operation.OUTCOME_PENDING
        again = session.attach_transaction(name)
        again.run("x += 1", operation_id="late")
        assert outcomes(session, "early", "meanwhile", "late") == ["PENDING"] * 3
        ended = again.commit()
        assert list(ended.operation_ids) == ["early", "meanwhile", "late"]
    restart(server)
    with Client(server.address) as client:
        session = client.attach(session_id)
        assert outcomes(session, "before", "early", "meanwhile", "late") == ["COMMITTED"] * 4
        assert session.attach_transaction(name).commit().state == Transaction.STATE_COMMITTED
        assert session.run("x").value == 4
        assert session.refresh().execution_count == 5


def test_what_became_of_it_while_nobody_listened_is_learned(server: ServerProcess, session_id: str) -> None:
    """It was idle for too long while the control plane was dead: rolled back, with every member of it."""
    with Client(server.address) as client:
        transaction = client.attach(session_id).transaction(idle_timeout=0.5)
        transaction.run("x = 2", operation_id="member")
    server.kill()
    server.start()
    with Client(server.address) as client:
        session = client.attach(session_id)
        for event in session.events():
            if event.HasField("session_changed") and not event.session_changed.open_transaction_id:
                break
        assert outcomes(session, "before", "member") == ["COMMITTED", "ROLLED_BACK"]
        again = session.attach_transaction(transaction.transaction_id)
        with pytest.raises(NoSuchTransaction, match="idle"):
            again.commit()
        again.rollback()
        assert session.run("x").value == 1
        assert session.refresh().execution_count == 2
        assert not session.refresh().HasField("last_recovery")


def test_an_interpreter_that_died_unheard_took_its_transaction_along(
    server: ServerProcess, session_id: str
) -> None:
    """The member ended CRASHED while the control plane was dead; retried, its id replays that."""
    with Client(server.address) as client:
        transaction = client.attach(session_id).transaction()
        name = transaction.transaction_id
        transaction.run("x = 2", operation_id="member")
    code = WAITING + "import ctypes; ctypes.string_at(0)"
    start(server, session_id, "crash", code, transaction_id=name)
    with Client(server.address) as client:
        client.attach(session_id).files.upload(b"", "go")
    restart(server)
    with Client(server.address) as client:
        session = client.attach(session_id)
        crashed = session.watch("crash").result(check=False).operation
        assert (crashed.state, crashed.outcome) == (Operation.STATE_CRASHED, Operation.OUTCOME_ROLLED_BACK)
        assert outcomes(session, "before", "member", "crash") == ["COMMITTED", "ROLLED_BACK", "ROLLED_BACK"]
        again = session.run(code, operation_id="crash", transaction_id=name, check=False)
        assert again.operation.state == Operation.STATE_CRASHED
        now = session.refresh()
        assert (now.open_transaction_id, list(now.last_recovery.lost_operation_ids)) == ("", [])
        assert session.run("x").value == 1


@pytest.mark.parametrize("first", ["sandbox", "control plane"])
def test_a_killed_sandbox_rolls_its_transaction_back(server: ServerProcess, first: str) -> None:
    """Whoever dies first: members ROLLED_BACK, what was committed before LOST, and nothing runs again."""
    with Client(server.address) as client:
        session = client.session(template="slim", checkpoint_policy="none")
        session_id = session.session_id
        session.run("x = 1", operation_id="before")
        committed = session.transaction()
        committed.run("x = 2", operation_id="in-the-first")
        committed.commit()
        transaction = session.transaction()
        name = transaction.transaction_id
        transaction.run("x = 3", operation_id="member")
        sandbox_id = session.refresh().sandbox_id
    start(server, session_id, "runs", WAITING, transaction_id=name)
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
        assert outcomes(session, "before", "in-the-first", "member", "runs") == [
            "LOST",
            "LOST",
            "ROLLED_BACK",
            "ROLLED_BACK",
        ]
        now = session.refresh()
        assert list(now.last_recovery.lost_operation_ids) == ["before", "in-the-first"]
        assert now.open_transaction_id == ""
        assert session.attach_transaction(name).rollback().state == Transaction.STATE_ROLLED_BACK
        with pytest.raises(NoSuchTransaction):
            session.attach_transaction(name).commit()
        assert (
            session.attach_transaction(committed.transaction_id).commit().state == Transaction.STATE_COMMITTED
        )
        session.reset()
        with session.transaction() as fresh:
            fresh.run("x = 'fresh'")
        assert session.run("x").value == "fresh"
