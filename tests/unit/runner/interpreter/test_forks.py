"""Processes that user code forks."""

from __future__ import annotations

import os

import pytest

from tests.unit.runner.interpreter.harness import Interpreter

ENDINGS = [
    ("pass", 0, "", ""),
    ("print('child')", 0, "child\n", ""),
    ("raise SystemExit(7)", 7, "", ""),
    ("raise SystemExit", 0, "", ""),
    ("raise SystemExit('text')", 1, "", "text\n"),
    ("1/0", 1, "", "ZeroDivisionError: division by zero"),
    ("os._exit(9)", 9, "", ""),
    ("display('shown')", 0, "'shown'\n", ""),
    ("import asyncio; asyncio.run(asyncio.sleep(0))", 0, "", ""),
]


@pytest.mark.parametrize(("code", "status", "out", "err"), ENDINGS)
def test_a_child_ends_with_its_cell(
    interpreter: Interpreter, code: str, status: int, out: str, err: str
) -> None:
    """As a script would; it never speaks to the supervisor, and its parent goes on."""
    cell = (
        "import os\npid = os.fork()\nif pid == 0:\n"
        f"    {code}\nelse:\n    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n'value'"
    )
    done = interpreter.ok(cell)
    assert done.text == "'value'"
    assert interpreter.ok("status").text == str(status)
    assert (done.stdout, err in done.stderr) == (out, True)
    assert bool(err) == bool(done.stderr)


def test_a_child_of_an_awaiting_cell_ends_with_it(interpreter: Interpreter) -> None:
    """Also from within the event loop."""
    cell = "import os, asyncio\nawait asyncio.sleep(0)\npid = os.fork()\nif pid: os.waitpid(pid, 0)\n'end'"
    assert interpreter.ok(cell).text == "'end'"
    assert interpreter.ok("await asyncio.sleep(0, 1)").text == "1"


def test_a_child_has_no_channel(interpreter: Interpreter) -> None:
    """It is closed in what Python forks, and not inherited by what is executed."""
    fork = (
        "import os\npid = os.fork()\nif pid == 0:\n    print(os.path.exists('/proc/self/fd/250'), flush=True)\n"
        "    os._exit(0)\nos.waitpid(pid, 0);"
    )
    assert interpreter.ok(fork).stdout == "False\n"
    run = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', {!r}], close_fds=False);".format(
        "import os; print(*os.listdir('/proc/self/fd'))"
    )
    # Whatever else there is came from who started the tests: it is the runner's descriptors that must not be there.
    found = {int(descriptor) for descriptor in interpreter.ok(run).stdout.split()}
    assert {0, 1, 2} <= found
    assert not found & set(range(240, 256))


def test_a_child_that_c_code_forked_ends_too(interpreter: Interpreter) -> None:
    """It has the channel, and does not use it at the end of the cell."""
    cell = "import ctypes, os\npid = ctypes.CDLL(None).fork()\nif pid: os.waitpid(pid, 0)\npid > 0"
    assert interpreter.ok(cell).text == "True"
    assert interpreter.ok("1").text == "1"


def test_a_child_lives_on_after_its_operation(interpreter: Interpreter) -> None:
    """What it writes later reaches the pipe."""
    interpreter.ok(
        "import os\nr, w = os.pipe()\npid = os.fork()\nif pid == 0:\n    os.close(w)\n    os.read(r, 1)\n"
        "    print('later')\n    os._exit(0)"
    )
    assert interpreter.ok("os.close(w)\nos.waitpid(pid, 0);").stdout == "later\n"


def test_many_forks_leave_one_interpreter(interpreter: Interpreter) -> None:
    """Children of children, each at the end of the cell."""
    cell = "import os\nfor _ in range(4): os.fork()\n'end'"
    assert interpreter.ok(cell).text == "'end'"
    interpreter.ok("import os\ntry:\n    while True: os.wait()\nexcept ChildProcessError: pass")
    assert os.path.exists(f"/proc/{interpreter.pid}")
    assert interpreter.ok("1").text == "1"
