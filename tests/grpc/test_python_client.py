"""The Python client and the command line against the real server, on each runtime."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sandbank import AsyncClient, Client, ExecutionFailed, Session, reasons
from sandbank.events import Display, Finished, Output, Started
from sandbank.v1 import execution_pb2, session_pb2

from tests.server_process import ServerProcess

# A real picture of one pixel, so that nothing need be installed in the session to show it.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SHOW_PIXEL = f"""
import base64
class Pixel:
    def _repr_png_(self): return base64.b64decode({PIXEL!r})
    def __repr__(self): return '<Pixel>'
"""


def test_the_example_of_the_package_works(server: ServerProcess) -> None:
    """What the package's first lines promise."""
    with Client(server.address) as client, client.session(template="slim") as session:
        assert session.run("1 + 1").value == 2


async def test_the_async_client_does_what_the_sync_one_does(server: ServerProcess) -> None:
    """Run, stream, files, list and delete."""
    async with AsyncClient(server.address) as client:
        async with client.session(template="slim", labels={"kind": "async"}) as session:
            assert (await session.run("print('hi'); 6 * 7")).value == 42
            kinds = [type(event) async for event in session.stream("print(1)")]
            assert (kinds[0], kinds[-1], Output in kinds) == (Started, Finished, True)
            await session.files.upload(b"a,b\n1,2\n", "deep/table.csv")
            assert (await session.run("open('deep/table.csv').read()")).value == "a,b\n1,2\n"
            assert await session.files.download("deep/table.csv", offset=4) == b"1,2\n"
            listed = [s.session_id async for s in client.sessions(labels={"kind": "async"})]
            assert listed == [session.session_id]
        ended = await client.get_session(session.session_id)
        assert ended.state == session_pb2.Session.STATE_TERMINATED
        with pytest.raises(reasons.SessionTerminated):
            await session.run("1")


def test_failing_code_carries_its_operation(session: Session) -> None:
    """The error has the user's own lines; the session goes on."""
    with pytest.raises(ExecutionFailed, match="ZeroDivisionError") as caught:
        session.run("kept = 5\ndef f():\n    return 1 / 0\nf()")
    operation = caught.value.operation
    assert operation.outcome == execution_pb2.Operation.OUTCOME_PARTIAL
    assert operation.error.frames[-1].source_line.strip() == "return 1 / 0"
    assert session.run("kept").value == 5


def test_callbacks_and_result_tell_the_same(session: Session) -> None:
    """Streaming and the answer in one piece have the same content."""
    code = "import sys\nprint('out ü')\nprint('err', file=sys.stderr)\n'last'"
    out: list[str] = []
    err: list[str] = []
    streamed = session.run(code, on_stdout=out.append, on_stderr=err.append)
    whole = session.run(code)
    assert "".join(out) == streamed.stdout == whole.stdout == "out ü\n"
    assert "".join(err) == streamed.stderr == whole.stderr == "err\n"
    assert streamed.value == whole.value == "last"


def test_figures_come_as_pictures(session: Session, tmp_path: Path) -> None:
    """Shown or as the value; saved on request."""
    shown: list[Display] = []
    result = session.run(SHOW_PIXEL + "display(Pixel())\nPixel()", on_display=shown.append)
    assert [display.text for display in shown] == ["<Pixel>"]
    assert len(result.figures) == 2
    assert result.save_figures(tmp_path)[1].read_bytes().startswith(b"\x89PNG")


def test_the_same_operation_id_runs_once(session: Session) -> None:
    """Whoever repeats gets the first answer again; with other code it is an error."""
    session.run("count = 0")
    for _ in range(3):
        assert session.run("count += 1; count", operation_id="once").value == 1
    assert session.run("count").value == 1
    with pytest.raises(reasons.OperationIdReused):
        session.run("count += 2", operation_id="once")


def test_an_operation_can_be_watched_again_from_any_event(session: Session) -> None:
    """Each watcher sees what it has not seen, and no event twice."""
    first = list(session.execute("for i in range(3): print(i, flush=True)", operation_id="chatty"))
    for after in range(len(first)):
        assert list(session.watch("chatty", after_sequence=after)) == first[after:]
    assert [operation.operation_id for operation in session.operations()] == ["chatty"]
    assert session.operation("chatty").state == execution_pb2.Operation.STATE_SUCCEEDED


def test_cancelling_ends_only_the_operation(session: Session) -> None:
    """The session keeps what it had."""
    session.run("before = 1")
    execution = session.execute("print('begun', flush=True)\nwhile True: pass")
    for event in execution:
        if isinstance(event, Output):
            execution.cancel()
    result = execution.result(check=False)
    assert result.state == "CANCELLED"
    assert session.run("before").value == 1


def test_files_of_many_chunks_keep_their_hash(session: Session, tmp_path: Path) -> None:
    """Up and down, in memory and on disk; a stat agrees."""
    content = os.urandom(3_000_000)
    digest = hashlib.sha256(content).hexdigest()
    assert session.files.upload(content, "big.bin").size_bytes == len(content)
    assert session.files.stat("big.bin").sha256 == digest
    session.files.download("big.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == content
    code = "import hashlib; hashlib.sha256(open('big.bin', 'rb').read()).hexdigest()"
    assert session.run(code).value == digest
    session.files.mkdir("a/b")
    assert [file.path for file in session.files.list("a")] == ["a/b"]
    with pytest.raises(reasons.DirectoryNotEmpty):
        session.files.delete("a")
    session.files.delete("a", recursive=True)
    with pytest.raises(reasons.FileNotFound):
        session.files.stat("a")


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "link/x", ""])
def test_paths_out_of_the_workspace_are_refused(session: Session, path: str) -> None:
    """Whatever links lie there."""
    session.run("import os; os.path.lexists('link') or os.symlink('/tmp', 'link')")
    with pytest.raises((reasons.BadField, reasons.FileNotFound)):
        session.files.download(path)


def test_what_happens_to_a_session_can_be_watched(client: Client) -> None:
    """From its state now to its end."""
    with client.session(template="slim") as session:
        events = session.events()
        first = next(iter(events))
        assert first.session_changed.session_id == session.session_id
        session.delete()
        states = [e.session_changed.state for e in events if e.HasField("session_changed")]
    assert states[-1] == session_pb2.Session.STATE_TERMINATED


def test_resetting_forgets_names_and_keeps_files_on_request(session: Session) -> None:
    """A pristine interpreter in the same container."""
    session.run("x = 1; open('kept', 'w').write('1')")
    sandbox = session.refresh().sandbox_id
    assert session.reset(keep_files=True).sandbox_id == sandbox
    assert session.run("import os; ('x' in globals(), os.path.exists('kept'))").text == "(False, True)"
    session.reset()
    assert list(session.files.list()) == []


def test_operators_see_pools_sandboxes_and_the_server(client: Client, session: Session) -> None:
    """The session's sandbox is among the assigned ones."""
    assert client.pool("slim").assigned_count >= 1
    assert "slim" in {pool.template for pool in client.pools()}
    assigned = {sandbox.session_id: sandbox.sandbox_id for sandbox in client.sandboxes("slim")}
    assert assigned[session.session_id] == session.info.sandbox_id
    assert next(iter(client.watch_pool("slim"))).pool.template == "slim"
    assert client.info().api_version == "sandbank.v1"
    assert client.template("slim").name == "slim"


def sandbank(server: ServerProcess, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would."""
    environment = {**os.environ, "SANDBANK_ADDRESS": server.address}
    command = [sys.executable, "-m", "sandbank", *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60, **options
    )


def test_the_command_line_runs_a_file_and_shows_its_figures(server: ServerProcess, tmp_path: Path) -> None:
    """Output, an uploaded file, a figure by path, the value, exit code 0."""
    (tmp_path / "in.txt").write_text("forty-two")
    (tmp_path / "job.py").write_text(SHOW_PIXEL + "print(open('in.txt').read())\ndisplay(Pixel())\n6 * 7\n")
    done = sandbank(server, "run", "job.py", "--upload", "in.txt", "--template", "slim", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("forty-two", "42")
    path = lines[1].removeprefix("[figure: ").removesuffix("]")
    assert (tmp_path / path).read_bytes().startswith(b"\x89PNG")


def test_the_command_line_tells_failing_code_from_a_failing_call(server: ServerProcess) -> None:
    """Exit codes 1 and 3; the traceback has the user's line."""
    failed = sandbank(server, "exec", "1/0", "--template", "slim")
    assert (failed.returncode, "ZeroDivisionError" in failed.stderr) == (1, True)
    refused = sandbank(server, "exec", "1", "--session", "none", "--json")
    assert refused.returncode == 3
    assert json.loads(refused.stderr)["error"]["reason"] == "SESSION_NOT_FOUND"


def test_the_command_line_cancels_on_control_c(server: ServerProcess) -> None:
    """Only the operation is ended, and at once; exit code 130."""
    environment = {**os.environ, "SANDBANK_ADDRESS": server.address}
    code = "print('begun', flush=True)\nwhile True: pass"
    command = [sys.executable, "-m", "sandbank", "exec", code, "--template", "slim"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "KeyboardInterrupt" in err


def test_the_repl_keeps_its_session_between_lines(server: ServerProcess) -> None:
    """Names, blocks, errors, and a cancelled nothing."""
    typed = "x = 20\ndef f(n):\n    return n + 1\n\n1/0\nf(x) * 2\n:files\n:quit\n"
    done = sandbank(server, "repl", "--template", "slim", input=typed)
    assert done.returncode == 0, done.stderr
    assert "42" in done.stdout
    assert "ZeroDivisionError" in done.stderr
