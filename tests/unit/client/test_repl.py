"""The prompt: at a real terminal, and with a script piped in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from sandbank.cli import app
from sandbank.v1 import execution_pb2 as ex
from typer.testing import CliRunner, Result

from tests.fakes.api_server import FakeServer, HoldAfter, Refuse, events_of
from tests.terminal import CONTROL_C, CONTROL_D, Terminal, at_terminal

Pipe = Callable[..., Result]


@pytest.fixture(autouse=True)
def programs(server: FakeServer) -> None:
    """Code that prints and is slow, that asks, and that fails; each has its number."""
    failing = events_of(
        state=ex.Operation.STATE_FAILED,
        error=ex.ExecutionError(type_name="ZeroDivisionError", traceback_text="ZeroDivisionError: 1/0"),
    )
    asking = events_of(
        b"hello ",
        ex.InputRequest(input_id="in-1", prompt="name? "),
        ex.InputRequest(input_id="in-2", prompt="key: ", password=True),
        result={"text/plain": b"'answered'"},
    )
    stopped = events_of(
        b"begun\n",
        b"stopped\n",
        state=ex.Operation.STATE_CANCELLED,
        error=ex.ExecutionError(type_name="KeyboardInterrupt"),
    )
    for code, program in {"1/0": failing, "ask()": asking, "slow()": stopped}.items():
        server.programs[code] = program


@pytest.fixture
def environment(server: FakeServer, tmp_path: Path) -> dict[str, str]:
    """Where the server and the history are."""
    return {"SANDBANK_ADDRESS": server.address, "XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[Terminal]:
    """A prompt at a terminal."""
    with at_terminal("repl", environment=environment) as opened:
        yield opened


@pytest.fixture
def pipe(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Pipe:
    """Pipes a script into the prompt."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def invoke(script: str, *arguments: str) -> Result:
        return CliRunner().invoke(app.build_app(["repl"]), ["repl", *arguments], input=script)

    return invoke


def test_the_prompt_shows_the_number_and_the_open_transaction(server: FakeServer, terminal: Terminal) -> None:
    """The number that the next execution will have, and `tx` until commit or rollback."""
    server.programs["1+1"][-1].finished.operation.execution_count = 1
    terminal.expect("[1] >>> ")
    terminal.line("1+1")
    terminal.expect("2\n[2] >>> ")
    terminal.line(":begin files")
    terminal.expect("began tx-1\n[2 tx] >>> ")
    terminal.line("1+1")
    terminal.expect("2\n[2 tx] >>> ")
    terminal.line(":rollback")
    terminal.expect("rolled back\n[1] >>> ")
    terminal.type(CONTROL_D)
    assert terminal.end() == 0
    assert server.transactions["tx-1"].include_files
    assert len(server.transactions["tx-1"].operation_ids) == 1
    assert server.sessions == {}


def test_control_c_cancels_what_runs_and_nothing_else(server: FakeServer, terminal: Terminal) -> None:
    """At the prompt it drops what was typed; twice it cancels twice."""
    server.sabotage["Execute"].append(HoldAfter(2))
    terminal.expect(">>> ")
    terminal.type("half a li")
    terminal.expect("half a li")
    terminal.interrupt(">>> ")
    terminal.line("slow()")
    terminal.expect("begun\n")
    server.sabotage["CancelOperation"].append(Refuse(grpc.StatusCode.INTERNAL, "BUG"))
    terminal.type(CONTROL_C)
    terminal.expect("could not cancel: BUG")
    terminal.type(CONTROL_C)
    terminal.expect("stopped\n")
    terminal.expect(">>> ")
    terminal.line("1+1")
    terminal.expect("2\n")
    terminal.expect(">>> ")
    terminal.line(":quit")
    assert terminal.end() == 0
    assert len(server.called("CancelOperation")) == 2


def test_who_does_not_want_to_wait_gets_the_prompt_back(server: FakeServer, terminal: Terminal) -> None:
    """A third Ctrl-C stops waiting, where the server does not stop the code."""
    server.sabotage["Execute"].append(HoldAfter(2))
    server.sabotage["CancelOperation"].extend([Refuse(grpc.StatusCode.INTERNAL, "BUG")] * 2)
    terminal.expect(">>> ")
    terminal.line("slow()")
    terminal.expect("begun\n")
    for _ in range(2):
        terminal.type(CONTROL_C)
        terminal.expect("could not cancel")
    terminal.type(CONTROL_C)
    terminal.expect("no longer waiting")
    terminal.expect(">>> ")
    terminal.type(CONTROL_D)
    assert terminal.end() == 0


def test_questions_are_asked_at_the_terminal(server: FakeServer, terminal: Terminal) -> None:
    """A password is not shown; Ctrl-D is the end of the input."""
    terminal.expect(">>> ")
    terminal.line("ask()")
    terminal.expect("hello name? ")
    terminal.line("Ada")
    terminal.expect("key: ")
    terminal.line("secret")
    terminal.expect("'answered'\n")
    terminal.expect(">>> ")
    terminal.line("ask()")
    terminal.expect("name? ")
    terminal.type(CONTROL_D)
    terminal.expect("key: ")
    terminal.line("")
    terminal.expect("'answered'\n")
    assert list(server.replies.values()) == ["Ada", "secret", None, ""]
    assert "secret" not in terminal.seen


def test_control_c_at_a_question_cancels_the_operation(server: FakeServer, terminal: Terminal) -> None:
    """It is not answered, and the prompt comes back when the code has ended."""
    terminal.expect(">>> ")
    terminal.line("ask()")
    terminal.expect("name? ")
    terminal.type("half a li")
    terminal.expect("half a li")
    terminal.interrupt(">>> ")
    assert server.replies == {}
    assert len(server.called("CancelOperation")) >= 1


def test_what_was_typed_is_remembered_and_answers_are_not(
    server: FakeServer, terminal: Terminal, environment: dict[str, str]
) -> None:
    """In a file that the next prompt reads; a key above brings the last line back."""
    terminal.expect(">>> ")
    terminal.line("ask()")
    terminal.expect("name? ")
    terminal.line("Ada")
    terminal.expect("key: ")
    terminal.line("secret")
    terminal.expect(">>> ")
    terminal.line("1+1")
    terminal.expect("2\n")
    terminal.expect(">>> ")
    terminal.line(":quit")
    assert terminal.end() == 0
    history = Path(environment["XDG_STATE_HOME"], "sandbank", "history").read_text()
    assert history.split() == ["ask()", "1+1", ":quit"]
    with at_terminal("repl", environment=environment) as again:
        again.expect(">>> ")
        again.type("\x10\x10\r")  # Ctrl-P: the line before
        again.expect("1+1")
        again.expect("2\n")
        again.expect(">>> ")
        again.type(CONTROL_D)
        assert again.end() == 0


def test_a_block_is_typed_until_an_empty_line(server: FakeServer, terminal: Terminal) -> None:
    """Continued lines stand below the code."""
    server.programs["if 1:\n    job()\n"] = events_of(b"in a block\n")
    terminal.expect("[1] >>> ")
    terminal.line("if 1:")
    terminal.expect("    ... ")
    terminal.line("    job()")
    terminal.expect("... ")
    terminal.line("")
    terminal.expect("in a block\n")


def test_a_script_that_is_piped_in_runs_without_prompts(server: FakeServer, pipe: Pipe) -> None:
    """Failing code does not end it; its last block needs no empty line, its questions read on in it."""
    server.programs["if 1:\n    job()"] = events_of(b"in a block\n")
    done = pipe("1+1\n1/0\nask()\nAda\nsecret\nif 1:\n    job()")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == ["2", "hello name? key: ", "'answered'", "in a block"]
    assert "ZeroDivisionError" in done.stderr
    assert list(server.replies.values()) == ["Ada", "secret"]
    assert not Path(os.environ["XDG_STATE_HOME"]).exists()


def test_transactions_are_begun_and_ended_by_command(server: FakeServer, pipe: Pipe) -> None:
    """Code goes into the open one; ending none is a mistake that is told."""
    done = pipe(":commit\n:begin\n:begin\n1+1\n:commit\n:rollback\n:begin nonsense\n1+1\n")
    assert done.exit_code == 0
    assert done.stderr.count("no transaction is open") == 2
    for told in ("TRANSACTION_OPEN", "began tx-1", "committed", "`files`"):
        assert told in done.stderr
    assert len(server.transactions["tx-1"].operation_ids) == 1
    assert done.stdout == "2\n2\n"


def test_a_transaction_that_is_gone_is_told_once(server: FakeServer, pipe: Pipe) -> None:
    """Idle for too long, or rolled back by a crash: the next code runs beside it again."""
    server.sabotage["Execute"].append(Refuse(grpc.StatusCode.FAILED_PRECONDITION, "NO_SUCH_TRANSACTION"))
    done = pipe(":begin\n1+1\n:commit\n:commit\n")
    assert done.stderr.count("the transaction was rolled back") == 1


def test_an_open_transaction_is_joined(server: FakeServer, pipe: Pipe) -> None:
    """Attached to a session that has one, the prompt is in it, and leaves it open."""
    pipe(":begin\n", "--keep")
    done = pipe("1+1\n", "--session", "s-1")
    assert (done.stdout, "in transaction tx-1" in done.stderr) == ("2\n", True)
    assert list(server.sessions) == ["s-1"]
    assert server.sessions["s-1"].open_transaction_id == "tx-1"


def test_a_rewind_goes_to_an_execution_an_operation_or_one_back(server: FakeServer, pipe: Pipe) -> None:
    """By the number of the prompt, by id, or alone before the last; what was rolled back does not count."""
    for number in (1, 2, 3):
        server.programs[f"{number}"] = events_of()
        server.programs[f"{number}"][-1].finished.operation.execution_count = number
    server.programs["3"][-1].finished.operation.outcome = ex.Operation.OUTCOME_ROLLED_BACK
    done = pipe(":rewind\n1\n2\n3\n:rewind\n:rewind 2\n:rewind 7\n:rewind nonsense\n:rewind 1 2\n")
    assert done.stderr.count("as after execution 1\n") == 1
    assert done.stderr.count("as after execution 2\n") == 1
    for told in (
        "nothing before",
        "there is no execution 7",
        "OPERATION_NOT_FOUND",
        ":rewind: it takes something else",
    ):
        assert told in done.stderr
    (created,) = server.called("CreateSession")
    assert created.snapshot_policy.history_count == 10


def test_variables_are_listed(server: FakeServer, pipe: Pipe) -> None:
    """By prefix, private ones when the prefix says so, of the open transaction."""
    server.variables.update(apple=[1], banana="yellow", _core=0)
    done = pipe(":vars\n:vars b\n:vars _\n:begin\n:vars c\n")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["apple", "list", "28", "B", "[1]"] in lines
    assert lines.count(["banana", "str", "28", "B", "'yellow'"]) == 2
    assert ["_core", "int", "28", "B", "0"] in lines
    assert done.stdout.endswith("no variables\n")
    assert server.called("ListVariables")[-1].transaction_id == "tx-1"


def test_tab_completes_by_what_the_session_knows(server: FakeServer, terminal: Terminal) -> None:
    """Within a block too; on a line that has nothing yet it indents; commands complete to themselves."""
    server.variables.update(depth=3, other=1)
    server.programs["depth"] = events_of(result={"text/plain": b"3"})
    server.programs["if 1:\n    depth\n"] = events_of(b"in a block\n")
    terminal.expect("[1] >>> ")
    terminal.line("dep\t")
    terminal.expect("depth\n3\n")
    terminal.expect(">>> ")
    terminal.line("if 1:")
    terminal.expect("... ")
    terminal.line("\tdep\t")
    terminal.expect("depth\n")
    terminal.expect("... ")
    terminal.line("")
    terminal.expect("in a block\n")
    terminal.expect(">>> ")
    terminal.type(":beg\t\r")
    terminal.expect("began tx-1\n")
    terminal.expect(">>> ")
    terminal.line("dep\t")
    terminal.expect("depth\n3\n")
    assert [(request.code, request.transaction_id) for request in server.called("Complete")] == [
        ("dep", ""),
        ("if 1:\n    dep", ""),
        ("dep", "tx-1"),
    ]


def test_tab_is_harmless_where_nothing_completes(server: FakeServer, terminal: Terminal) -> None:
    """The server refuses, the match would steer the terminal, or code asks a question."""
    server.sabotage["Complete"].append(Refuse(grpc.StatusCode.INTERNAL, "BUG"))
    server.variables["dep\x1b[2J"] = 1
    terminal.expect("[1] >>> ")
    terminal.line("1+\t1")
    terminal.expect("2\n")
    terminal.expect(">>> ")
    server.programs["dep"] = events_of(b"as it was\n")
    terminal.line("dep\t")
    terminal.expect("as it was\n")
    terminal.expect(">>> ")
    terminal.line("ask()")
    terminal.expect("name? ")
    terminal.line("A\tda")
    terminal.expect("key: ")
    terminal.line("")
    terminal.expect("'answered'\n")
    assert list(server.replies.values()) == ["Ada", ""]
    assert len(server.called("Complete")) == 2


def test_things_are_described_by_command(server: FakeServer, pipe: Pipe) -> None:
    """In words; what the session says of itself steers no terminal."""
    server.variables.update(depth=3)
    done = pipe(":doc depth\n:doc :tea:\n:doc\n:dock\n")
    assert done.stdout.startswith("3\nnothing is known of :tea:\n")
    assert ":doc: it takes something else" in done.stderr
    assert ":dock: there is no such command" in done.stderr
