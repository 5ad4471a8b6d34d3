"""The command line's part of transactions, policies, variables and input."""

from __future__ import annotations

import json

import pytest
from sandbank.cli.tables import lasting
from sandbank.v1 import execution_pb2 as ex
from sandbank.v1 import session_pb2
from sandbank.v1.transaction_pb2 import Transaction

from tests.fakes.api_server import FakeServer, events_of
from tests.unit.client.conftest import Run


def test_what_becomes_of_failed_code_is_an_option(server: FakeServer, run: Run) -> None:
    """It is sent, and that the effects are gone is told."""
    program = events_of(
        state=ex.Operation.STATE_FAILED,
        error=ex.ExecutionError(type_name="ValueError", traceback_text="ValueError"),
    )
    program[-1].finished.operation.outcome = ex.Operation.OUTCOME_ROLLED_BACK
    server.programs["fail()"] = program
    done = run("exec", "fail()", "--on-failure", "rollback", "--include-files", "--isolation", "namespace")
    assert (done.exit_code, done.stderr) == (1, "ValueError\nrolled back\n")
    (sent,) = server.called("Execute")
    assert (sent.tx_policy, sent.include_files, sent.isolation) == (3, True, 2)
    assert json.loads(run("exec", "fail()", "--json").stdout)["outcome"] == "ROLLED_BACK"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--on-failure", "explode"],
        ["--policy", "maybe"],
        ["--on-failure", "keep", "--policy", "none"],
        ["--history", "-1"],
        ["--isolation", "total"],
    ],
)
def test_what_does_not_exist_is_wrong_usage(server: FakeServer, run: Run, arguments: list[str]) -> None:
    """Exit code 2, and nothing has run."""
    done = run("exec", "1+1", *arguments)
    assert (done.exit_code, bool(done.stderr), server.runs) == (2, True, [])


def test_a_conflict_is_a_failure(server: FakeServer, run: Run) -> None:
    """The code succeeded, its effects are nowhere."""
    program = events_of()
    program[-1].finished.operation.outcome = ex.Operation.OUTCOME_ROLLED_BACK
    program[-1].finished.operation.conflicting_names.append("total")
    server.programs["total += 1"] = program
    done = run("exec", "total += 1", "--isolation", "namespace")
    assert (done.exit_code, "another operation had changed total" in done.stderr) == (1, True)


def test_a_transaction_spans_commands(server: FakeServer, run: Run) -> None:
    """Begun, used by its id, ended by its id or as the open one."""
    run("exec", "1+1", "--keep")
    begun = run("transaction", "begin", "s-1", "--include-files", "--idle-timeout", "7")
    assert begun.stdout == "tx-1\n"
    assert server.called("BeginTransaction")[0].idle_timeout.seconds == 7
    assert run("exec", "1+1", "--session", "s-1").exit_code == 3
    assert run("exec", "1+1", "--session", "s-1", "--transaction", "tx-1").exit_code == 0
    assert run("transaction", "commit", "s-1").exit_code == 0
    assert server.transactions["tx-1"].state == Transaction.STATE_COMMITTED
    assert run("transaction", "commit", "s-1").exit_code == 2
    assert json.loads(run("transaction", "begin", "s-1", "--json").stdout)["transaction_id"] == "tx-2"
    ended = json.loads(run("transaction", "rollback", "s-1", "tx-2", "--json").stdout)
    assert ended["state"] == "STATE_ROLLED_BACK"


def test_a_session_can_be_read_and_rewound(server: FakeServer, run: Run) -> None:
    """Its operations with their outcomes, its variables, one value."""
    server.variables.update(data=[1, 2], kinds={1}, _private=0)
    run("exec", "1+1", "--keep", "--history", "4")
    assert server.called("CreateSession")[0].snapshot_policy.history_count == 4
    (listed,) = json.loads(run("sessions", "operations", "s-1", "--json").stdout)
    assert "COMMITTED" in run("sessions", "operations", "s-1").stdout
    assert run("sessions", "rewind", "s-1", listed["operation_id"]).exit_code == 0
    assert run("sessions", "rewind", "s-1", "never").exit_code == 3
    shown = run("sessions", "vars", "s-1").stdout
    assert ("data" in shown, "_private" in shown) == (True, False)
    assert "_private" in run("sessions", "vars", "s-1", "--private").stdout
    assert [v["name"] for v in json.loads(run("sessions", "vars", "s-1", "k", "--json").stdout)] == ["kinds"]
    assert run("sessions", "get", "s-1", "data").stdout == "[1, 2]\n"
    assert run("sessions", "get", "s-1", "kinds").stdout == "{1}\n"
    assert run("sessions", "get", "s-1", "data", "--format", "arrow").exit_code == 2
    read = json.loads(run("sessions", "get", "s-1", "data", "--json").stdout)
    assert (read["value"], read["as_of"]) == ([1, 2], {"operation_id": "op-last", "stale": True})
    assert run("sessions", "get", "s-1", "none").exit_code == 3


def test_questions_are_answered_from_standard_input(server: FakeServer, run: Run) -> None:
    """As any program takes its input; with --json the question goes to standard error."""
    server.programs["ask()"] = events_of(
        ex.InputRequest(input_id="in-1", prompt="a? "), ex.InputRequest(input_id="in-2", prompt="b? ")
    )
    assert run("exec", "ask()", given="one\n").stdout == "a? b? \n"
    assert list(server.replies.values()) == ["one", None]
    as_json = run("exec", "ask()", "--json", given="one\ntwo")
    assert json.loads(as_json.stdout)["state"] == "SUCCEEDED"
    assert "a? " in as_json.stderr
    run("run", "-", given="1+1")
    assert [request.allow_input for request in server.called("Execute")] == [True, True, False]


def test_what_a_death_cost_is_shown(server: FakeServer, run: Run) -> None:
    """By name, of very many the first; nothing is said of what was not lost."""
    run("exec", "1+1", "--keep")
    server.sessions["s-1"].last_recovery.CopyFrom(
        session_pb2.Recovery(
            reason="killed by SIGKILL",
            from_checkpoint_id="ck-1",
            lost_operation_ids=[f"op-{number}" for number in range(23)],
            lost_variables=["prices"],
        )
    )
    shown = run("sessions", "show", "s-1").stdout
    for told in ("killed by SIGKILL", "ck-1", "op-0, op-1,", "op-19 and 3 more", "prices"):
        assert told in shown
    assert "lost files" not in shown


@pytest.mark.parametrize(
    ("milliseconds", "told"),
    [(0, "0 ms"), (50, "50 ms"), (1500, "1500 ms"), (2000, "2 s"), (90_000, "90 s"), (900_000, "15 min")],
)
def test_durations_are_told_exactly(milliseconds: int, told: str) -> None:
    """In the largest unit that has them whole."""
    assert lasting(milliseconds) == told


def test_a_new_session_may_begin_with_a_saved_state(server: FakeServer, run: Run) -> None:
    """Of one that exists it is wrong usage."""
    assert run("exec", "1+1", "--from-checkpoint", "ck-1").exit_code == 0
    assert server.called("CreateSession")[0].from_checkpoint_id == "ck-1"
    assert run("exec", "1+1", "--session", "s-1", "--from-checkpoint", "ck-1").exit_code == 2


def test_a_missing_file_is_told_in_words(run: Run) -> None:
    """Without the system's number for it."""
    done = run("run", "missing.py")
    assert (done.exit_code, done.stderr) == (2, "missing.py: No such file or directory\n")
