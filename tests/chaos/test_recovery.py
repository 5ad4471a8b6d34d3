"""Interpreters and sandboxes that die under sessions with checkpoints: what goes on, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbank import Client, NotFound, Session
from sandbank.v1 import execution_pb2, session_pb2

from tests.conftest import RUNTIMES
from tests.raw_api import connected
from tests.recoveries import die, lost, outcomes, running, submit, wait_crashed, wait_generation
from tests.sandboxes import kill_sandbox, wait_ready
from tests.server_process import ServerProcess, serving

Operation = execution_pb2.Operation
State = session_pb2.Session
DEATHS = {
    "segfault": "import ctypes; ctypes.string_at(0)",
    "exit": "import os; os._exit(3)",
    "kill": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "memory": "n = 'changed'\nhog = []\nwhile True: hog.append(bytearray(64 << 20))",
}


@pytest.fixture(scope="module", params=RUNTIMES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A control plane whose sandboxes are killed."""
    process = ServerProcess(
        request.param, tmp_path_factory.mktemp("server"), ("--min-ready", "slim=3,data=0")
    )
    with serving(process):
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    """A client, when there is a sandbox for the test and one to go on in."""
    with Client(server.address) as connected:
        wait_ready(connected, "slim", 2)
        yield connected


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("policy", ["synchronous", "none"])
def test_an_interpreter_that_dies_takes_only_its_operation_along(
    request: pytest.FixtureRequest, client: Client, policy: str, death: str
) -> None:
    """What was acknowledged is there, right after it too; the operation has no effect, and its id runs nothing."""
    if death == "memory" and "local" in request.node.callspec.id:
        pytest.skip("there is no limit of memory without containers")
    with client.session(template="slim", checkpoint_policy=policy) as session:
        session.run("n = 0")
        if policy == "none":
            session.checkpoint()
        session.run("n += 1", operation_id="first")
        if policy == "none":
            session.checkpoint()
        died = session.run(DEATHS[death], operation_id="dies", check=False).operation
        assert (died.state, died.outcome) == (Operation.STATE_CRASHED, Operation.OUTCOME_ROLLED_BACK)
        assert session.run("n").value == 1
        again = session.run(DEATHS[death], operation_id="dies", check=False).operation
        assert again.state == Operation.STATE_CRASHED
        session.run("n += 1", operation_id="first")
        assert session.run("n").value == 1
        assert outcomes(session, "first", "dies") == ["COMMITTED", "ROLLED_BACK"]
        assert lost(session.refresh().last_recovery)[0] == []


def test_without_snapshots_a_dead_interpreter_costs_what_no_checkpoint_has(client: Client) -> None:
    """Nothing can be woken, so the session goes on from the checkpoint, in another sandbox, and never empty."""
    with client.session(template="slim", snapshots=False, checkpoint_policy="none") as session:
        session.run("kept = [1]", operation_id="kept")
        session.checkpoint()
        session.run("kept.append(2); new = 1", operation_id="lost", report_changes=True)
        died = session.run("import os; os._exit(1)", operation_id="dies", check=False).operation
        assert (died.state, died.outcome) == (Operation.STATE_CRASHED, Operation.OUTCOME_ROLLED_BACK)
        wait_generation(session, 2)
        assert session.run("kept, 'new' in globals()").value == "([1], False)"
        assert outcomes(session, "kept", "lost", "dies") == ["COMMITTED", "LOST", "ROLLED_BACK"]
        assert lost(session.refresh().last_recovery) == (["lost"], ["kept", "new"], [])


def test_a_dead_sandbox_costs_exactly_what_is_listed(server: ServerProcess, client: Client) -> None:
    """Operations, variables, files since the checkpoint, and what it could not save; not what came and went."""
    with client.session(template="slim", checkpoint_policy="none") as session:
        session.run(
            "a = [1]; b = 2; old = 3; g = (i for i in 'ab')", operation_id="before", report_changes=True
        )
        session.run("open('kept', 'w').write('1')", operation_id="wrote")
        session.files.upload(b"1", "uploaded-before")
        session.checkpoint()
        session.run("a.append(2); del old; passing = 1", operation_id="one", report_changes=True)
        session.run(
            "del passing; c = 4; open('new', 'w').write('1')", operation_id="two", report_changes=True
        )
        session.run("b", operation_id="only-looks", report_changes=True)
        session.run("b = 5; 1 / 0", operation_id="partial", report_changes=True, check=False)
        session.run("b = 6", operation_id="back", on_failure="rollback")
        session.run("b = 7; 1 / 0", operation_id="rolled", on_failure="rollback", check=False)
        session.files.upload(b"2", "uploaded-after")
        with connected(server.address) as api, running(api, session.session_id, "runs"):
            die(server, session)
        recovery = session.refresh().last_recovery
        operations, variables, files = lost(recovery)
        assert operations == ["one", "two", "only-looks", "partial", "back"]
        assert sorted(variables) == ["a", "b", "c", "g", "old"]
        assert sorted(files) == ["new", "uploaded-after"]
        assert (recovery.generation, session.refresh().generation) == (2, 2)
        assert outcomes(session, "before", "wrote", "one", "runs") == [
            "COMMITTED",
            "COMMITTED",
            "LOST",
            "ROLLED_BACK",
        ]
        found = session.run("import os; a, b, old, sorted(os.listdir())").value
        assert found == "([1], 2, 3, ['kept', 'uploaded-before'])"


def test_effects_that_came_back_are_lost_with_the_next_death(server: ServerProcess, client: Client) -> None:
    """Dead twice: what the checkpoint has is there each time; what came between is told each time, and only then."""
    with client.session(template="slim", checkpoint_policy="none") as session:
        session.run("n = 1", operation_id="kept", report_changes=True)
        session.checkpoint()
        for number in range(2):
            session.run("n += 1", operation_id=f"lost-{number}", report_changes=True)
            die(server, session)
            assert lost(session.refresh().last_recovery) == ([f"lost-{number}"], ["n"], [])
            assert [each.preview for each in session.variables("n")] == ["1"]
            assert outcomes(session, "kept", f"lost-{number}") == ["COMMITTED", "LOST"]
        assert outcomes(session, "lost-0") == ["LOST"]


def test_nothing_acknowledged_is_lost_under_synchronous_whatever_it_was(
    server: ServerProcess, client: Client
) -> None:
    """Operations, uploads, deletions, commits, rewinds and resets: a kill right after each takes nothing away."""
    with client.session(template="slim", checkpoint_policy="synchronous", history=4) as session:
        session.files.upload(b"1", "up")
        session.run("n = 1", operation_id="one")
        die(server, session)
        assert session.run("n, open('up').read()").value == "(1, '1')"
        session.files.delete("up")
        with session.transaction() as transaction:
            transaction.run("n += 1", operation_id="member")
        die(server, session)
        assert session.run("import os; n, os.path.exists('up')", operation_id="mark").value == "(2, False)"
        session.run("n = 'undone'", operation_id="undone")
        session.rewind("mark")
        die(server, session)
        assert session.run("n").value == 2
        session.reset()
        die(server, session)
        assert session.run("'n' in globals()").value is False
        assert lost(session.refresh().last_recovery) == ([], [], [])
        assert "LOST" not in outcomes(session, "one", "member", "mark")


def test_an_end_is_told_only_when_its_own_effects_are_durable(server: ServerProcess, client: Client) -> None:
    """Also while the next operation runs already: no copy from before it is taken for it."""
    with client.session(template="slim", checkpoint_policy="synchronous") as session:
        session.run("n = 0")
        for number in range(3):
            with connected(server.address) as api:
                first = submit(api, session.session_id, f"counts-{number}", "n += 1")
                with running(api, session.session_id, f"runs-{number}"):
                    told = list(first)[-1].finished.operation
                    assert told.durable_checkpoint_id
                    die(server, session)
            assert session.run("n").value == number + 1


def test_a_session_without_a_checkpoint_is_crashed_and_never_silently_empty(
    server: ServerProcess, client: Client
) -> None:
    """Everything that it had is listed; nothing runs until it is reset."""
    with client.session(template="slim", checkpoint_policy="none") as session:
        session.run("a = 1", operation_id="one", report_changes=True)
        session.run("del a; b = 1; open('file', 'w')", operation_id="two", report_changes=True)
        kill_sandbox(server, session.refresh().sandbox_id)
        crashed = wait_crashed(session)
        assert lost(crashed.last_recovery) == (["one", "two"], ["b"], ["file"])
        assert "lost" in crashed.state_detail
        with pytest.raises(Exception, match="SESSION_CRASHED"):
            session.run("1")


def test_a_session_that_is_not_to_be_recovered_waits_for_a_restore(
    server: ServerProcess, client: Client
) -> None:
    """RECOVERY_POLICY_MANUAL: CRASHED, what no checkpoint has is listed, and Restore brings the rest back."""
    with client.session(template="slim", recovery_policy="manual", checkpoint_policy="none") as session:
        session.run("n = 1", operation_id="kept")
        saved = session.checkpoint()
        session.run("n = 2", operation_id="lost", report_changes=True)
        kill_sandbox(server, session.refresh().sandbox_id)
        crashed = wait_crashed(session)
        assert saved.checkpoint_id in crashed.state_detail
        assert lost(crashed.last_recovery) == (["lost"], ["n"], [])
        assert outcomes(session, "kept", "lost") == ["COMMITTED", "LOST"]
        session.restore(saved.checkpoint_id)
        assert session.run("n").value == 1
        assert outcomes(session, "kept", "lost") == ["COMMITTED", "LOST"]
        assert session.refresh().generation == 2


def test_a_fork_that_crashes_goes_back_to_what_it_was_made_of(client: Client) -> None:
    """The operations that made its state are another session's: its own interpreter may die all the same."""
    with client.session(template="slim") as session:
        session.run("n = 1")
        session.run("n += 1")
        (fork,) = session.fork()
        with fork:
            for options in (
                {"on_failure": "rollback"},
                {},
            ):  # with a snapshot of what it began with, and without
                died = fork.run("import os; os._exit(1)", check=False, **options).operation
                assert died.state == Operation.STATE_CRASHED
                assert [each.preview for each in fork.variables("n")] == ["2"]
                assert fork.refresh().execution_count == 2
            assert fork.run("n").value == 2
            assert fork.refresh().execution_count == 3


def test_an_operation_that_never_runs_again_has_run_once(server: ServerProcess, client: Client) -> None:
    """Its id, sent again after each death, replays; the counter that it moves says how often it ran."""
    with client.session(template="slim", checkpoint_policy="synchronous") as session:
        session.run("n = 0")
        session.run("n += 1", operation_id="once")
        for _ in range(2):
            die(server, session)
            session.run("n += 1", operation_id="once")
        assert session.run("n").value == 1


def test_a_checkpoint_that_was_deleted_is_no_way_back(server: ServerProcess, client: Client) -> None:
    """The one before it is; what came between is lost, and it is said why."""
    with client.session(template="slim", checkpoint_policy="none") as session:
        session.run("n = 1", operation_id="one")
        older = session.checkpoint()
        session.run("n = 2", operation_id="two", report_changes=True)
        newer = session.checkpoint()
        client.delete_checkpoint(newer.checkpoint_id)
        with pytest.raises(NotFound):
            client.checkpoint(newer.checkpoint_id)
        die(server, session)
        recovery = session.refresh().last_recovery
        assert recovery.from_checkpoint_id == older.checkpoint_id
        assert newer.checkpoint_id in recovery.reason
        assert lost(recovery) == (["two"], ["n"], [])
        assert session.run("n").value == 1


def test_several_sessions_die_at_once_and_all_go_on(server: ServerProcess, client: Client) -> None:
    """More of them than there are sandboxes ready: they wait for each other's."""
    sessions: list[Session] = [client.session(template="slim") for _ in range(3)]
    for number, session in enumerate(sessions):
        session.run(f"n = {number}")
        session.checkpoint()
    for session in sessions:
        kill_sandbox(server, session.refresh().sandbox_id)
    for number, session in enumerate(sessions):
        wait_generation(session, 2)
        assert session.run("n").value == number
        session.delete()
