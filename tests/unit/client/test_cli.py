"""The command line against a server that can be told to misbehave."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from sandbank.cli import app
from sandbank.v1 import execution_pb2 as ex

from tests.fakes.api_server import FakeServer, HoldAfter, Refuse, events_of
from tests.unit.client.conftest import Run

PNG = b"\x89PNG not really"


@pytest.fixture
def program(server: FakeServer) -> str:
    """Code that prints, warns, draws, and has a value."""
    server.programs["job()"] = events_of(
        b"hello\n",
        ex.Output(stream=ex.OUTPUT_STREAM_STDERR, data=b"careful\n"),
        ex.Display(data={"image/png": PNG, "text/plain": b"<Figure>"}),
        ex.Display(data={"text/html": b"<b>", "text/plain": b"   a\n0  1"}),
        b"no line end",
        result={"text/plain": b"42", "application/json": b"42"},
    )
    server.programs["1/0"] = events_of(
        state=ex.Operation.STATE_FAILED,
        error=ex.ExecutionError(type_name="ZeroDivisionError", message="x", traceback_text="Traceback: 1/0"),
    )
    return "job()"


def test_exec_shows_output_figures_by_path_and_the_value(server: FakeServer, run: Run, program: str) -> None:
    """Everything in its order; the session ends with the command."""
    done = run("exec", program)
    (figure,) = Path("sandbank-figures").iterdir()
    assert figure.read_bytes() == PNG
    assert done.stdout.splitlines() == ["hello", f"[figure: {figure}]", "   a", "0  1", "no line end", "42"]
    assert done.stderr == "careful\n"
    assert done.exit_code == 0
    assert server.sessions == {}


def test_exec_as_json_is_one_object(run: Run, program: str) -> None:
    """For programs: nothing else on standard output."""
    done = run("exec", program, "--json", "--figures", "shown")
    data = json.loads(done.stdout)
    assert (data["value"], data["state"], data["stderr"]) == (42, "SUCCEEDED", "careful\n")
    assert data["stdout"] == "hello\nno line end"
    assert [Path(path).read_bytes() for path in data["figures"]] == [PNG]
    assert data["displays"][1] == {"text/html": "<b>", "text/plain": "   a\n0  1"}


def test_code_that_fails_exits_with_1_and_its_traceback(run: Run, program: str) -> None:
    """The user's error is on standard error."""
    done = run("exec", "1/0")
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "Traceback: 1/0\n")
    assert run("exec", "1/0", "--json").exit_code == 1


def test_run_takes_a_file_uploads_and_options(server: FakeServer, run: Run, program: str) -> None:
    """Files and directories go up under their own names; times and variables are handed on."""
    Path("job.py").write_text(program)
    Path("data/deep").mkdir(parents=True)
    Path("data/deep/a.csv").write_text("a\n1\n")
    done = run(
        "run", "job.py", "--upload", "data", "--timeout", "1.5", "--env", "A=b=c", "--template", "slim"
    )
    assert done.exit_code == 0, done.stderr
    assert server.files == {"data/deep/a.csv": b"a\n1\n"}
    assert server.called("Execute")[0].timeout.nanos == 500_000_000
    (created,) = server.called("CreateSession")
    assert (dict(created.env), created.template) == ({"A": "b=c"}, "slim")


def test_run_reads_standard_input(server: FakeServer, run: Run, program: str) -> None:
    """`-` is standard input."""
    assert run("run", "-", given=program).exit_code == 0
    assert server.runs == [program]


def test_a_session_can_be_kept_and_used_again(server: FakeServer, run: Run) -> None:
    """--keep says the id; --session runs in it and leaves it."""
    kept = run("exec", "1+1", "--keep")
    assert kept.stderr == "session s-1\n"
    assert run("exec", "1+1", "--session", "s-1").stdout == "2\n"
    assert list(server.sessions) == ["s-1"]
    refused = run("exec", "1+1", "--session", "s-1", "--template", "slim")
    assert refused.exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "missing.py"],
        ["exec"],
        ["exec", "1", "--timeout", "-1"],
        ["exec", "1", "--env", "novalue"],
        ["sessions", "list", "--state", "wrong"],
        ["pool", "resize", "--min-ready", "-1"],
        ["nonsense"],
        ["files", "upload", "s-1", "missing"],
    ],
)
def test_wrong_usage_exits_with_2(run: Run, arguments: list[str]) -> None:
    """With a message, and without a traceback."""
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_a_refusal_of_the_server_exits_with_3(server: FakeServer, run: Run) -> None:
    """The reason is shown; as JSON with all its parts."""
    done = run("sessions", "show", "none")
    assert (done.exit_code, "SESSION_NOT_FOUND" in done.stderr) == (3, True)
    error = json.loads(run("sessions", "show", "none", "--json").stderr)["error"]
    assert (error["code"], error["reason"]) == ("NOT_FOUND", "SESSION_NOT_FOUND")
    assert error["metadata"] == {"session_id": "none"}


def test_an_absent_server_exits_with_3_and_a_hint(
    server: FakeServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has not started one is told how."""
    from sandbank.cli import command
    from sandbank.retrying import RetryPolicy

    monkeypatch.setattr(command, "RetryPolicy", lambda budget: RetryPolicy(budget=0))
    server.stop()
    done = run("info")
    assert done.exit_code == 3
    assert "sandbank serve" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["sessions", "list"], ["s-1", "ACTIVE", "data"]),
        (["sessions", "list", "--state", "active", "--label", "a=b"], ["s-1"]),
        (["sessions", "show", "s-1"], ["s-1", "ACTIVE"]),
        (["sessions", "reset", "s-1", "--keep-files"], ["s-1"]),
        (["sessions", "watch", "s-1"], ["ACTIVE"]),
        (["pool", "list"], ["data", "slim", "HEALTHY", "2/2"]),
        (["pool", "show", "slim"], ["slim", "2 of 2"]),
        (["pool", "resize", "data", "--min-ready", "5", "--max-total", "9"], ["2 of 5", "9"]),
        (["pool", "sandboxes"], ["sb-1", "READY"]),
        (["pool", "watch"], ["as it is"]),
        (["files", "upload", "s-1", "up.txt", "in/up.txt"], ["in/up.txt", "5 B"]),
        (["files", "list", "s-1"], ["here.txt"]),
        (["files", "stat", "s-1", "here.txt"], ["here.txt", "sha256"]),
        (["files", "mkdir", "s-1", "new"], ["new", "directory"]),
        (["info"], ["0.1.0", "local", "execute, files", "slim", "code_bytes", "1.0 MiB"]),
    ],
)
def test_every_command_shows_its_result_and_has_json(
    server: FakeServer, run: Run, arguments: list[str], shown: list[str]
) -> None:
    """Readable for people, and for programs."""
    Path("up.txt").write_text("hello")
    server.files["here.txt"] = b"content"
    run("exec", "1+1", "--keep")
    done = run(*arguments)
    assert done.exit_code == 0, done.stderr
    assert [text for text in shown if text not in done.stdout] == []
    as_json = run(*arguments, "--json")
    assert as_json.exit_code == 0
    assert json.loads(as_json.stdout)


def test_deleting_needs_no_output(server: FakeServer, run: Run) -> None:
    """Sessions and files are gone afterwards."""
    server.files["f"] = b""
    run("exec", "1+1", "--keep")
    assert run("files", "delete", "s-1", "f").exit_code == 0
    assert run("sessions", "delete", "s-1").exit_code == 0
    assert (server.files, server.sessions) == ({}, {})


def test_a_download_lands_in_this_directory_whatever_its_path(server: FakeServer, run: Run) -> None:
    """A path in a sandbox cannot choose where it goes here; `-` is standard output."""
    server.files["../../etc/evil"] = b"content"
    run("exec", "1+1", "--keep")
    assert run("files", "download", "s-1", "../../etc/evil").exit_code == 0
    assert Path("evil").read_bytes() == b"content"
    assert run("files", "download", "s-1", "../../etc/evil", "-").stdout_bytes == b"content"


def test_the_repl_runs_blocks_commands_and_survives_errors(
    server: FakeServer, run: Run, program: str
) -> None:
    """Multi-line input, `:` commands, failing code, refusals; leaving ends the session."""
    server.programs["if 1:\n    job()\n"] = events_of(result={"text/plain": b"in a block"})
    server.files["here.txt"] = b"x"
    typed = "1+1\n1/0\nif 1:\n    job()\n\nunknown\n:files\n:session\n:reset\n:nope\n:help me\n\n:quit\n"
    done = run("repl", given=typed)
    assert done.exit_code == 0, done.stderr
    for shown in ("2\n", "in a block", "here.txt", "ACTIVE", ":files [PATH]"):
        assert shown in done.stdout
    for told in ("Traceback: 1/0", "BAD_FIELD", "no such command", "pristine"):
        assert told in done.stderr
    assert server.runs == ["1+1", "1/0", "if 1:\n    job()\n"]
    assert server.sessions == {}


def test_the_repl_ends_when_its_session_has(server: FakeServer, run: Run) -> None:
    """There is nothing left to type into."""
    server.sabotage["Execute"].append(Refuse(grpc.StatusCode.FAILED_PRECONDITION, "SESSION_TERMINATED"))
    assert run("repl", given="1+1\n1+1\n").exit_code == 3
    assert server.runs == []


def test_control_d_leaves_the_repl(run: Run) -> None:
    """The end of input is a way out."""
    assert run("repl", given="").exit_code == 0


def test_control_c_cancels_the_operation_and_exits_with_130(server: FakeServer, tmp_path: Path) -> None:
    """The operation is cancelled, its last output is shown, and the session is ended."""
    server.programs["slow()"] = events_of(
        b"begun\n",
        b"cleaned up\n",
        state=ex.Operation.STATE_CANCELLED,
        error=ex.ExecutionError(type_name="KeyboardInterrupt"),
    )
    server.sabotage["Execute"].append(HoldAfter(2))
    environment = {**os.environ, "SANDBANK_ADDRESS": server.address, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "sandbank", "exec", "slow()"]
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (out, process.returncode) == ("cleaned up\n", 130)
    assert "CANCELLED" in err
    assert "Traceback" not in err
    assert server.sessions == {}


def test_server_commands_say_what_is_missing_where_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without sandbank-server the commands exist and explain themselves."""
    monkeypatch.setattr(app, "SERVER_MODULE", "sandbank_server_absent.cli")
    for name in ("serve", "config", "templates"):
        done = run(name)
        assert (done.exit_code, "sandbank-server" in done.stderr) == (2, True)


def test_server_commands_are_the_servers_where_it_is_installed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its typer application's commands and groups become ours."""
    import types

    import typer

    theirs, group = typer.Typer(), typer.Typer()
    theirs.command("serve")(lambda: typer.echo("serving"))
    group.command("list")(lambda: typer.echo("templates listed"))
    group.command("build")(lambda: typer.echo("built"))
    theirs.add_typer(group, name="templates")
    module = types.ModuleType("served.cli")
    module.app = theirs  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "served", types.ModuleType("served"))
    monkeypatch.setitem(sys.modules, "served.cli", module)
    monkeypatch.setattr(app, "SERVER_MODULE", "served.cli")
    assert run("serve").stdout == "serving\n"
    assert run("templates", "list").stdout == "templates listed\n"
