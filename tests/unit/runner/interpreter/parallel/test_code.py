"""Whatever a cell may be: awaiting, magic, wrong, hostile."""

from __future__ import annotations

import time

import pytest

from tests.unit.runner.interpreter.harness import SECONDS
from tests.unit.runner.interpreter.parallel.harness import Beside

AWAITING = {
    "sleep": ("import asyncio\nawait asyncio.sleep(0, 5)", "5"),
    "gather": ("import asyncio\nawait asyncio.gather(*(asyncio.sleep(0, i) for i in range(3)))", "[0, 1, 2]"),
    "async for": ("async def g():\n  yield 1\n  yield 2\n[x async for x in g()]", "[1, 2]"),
    "async with": (
        "import asyncio\nasync with asyncio.timeout(5): r = await asyncio.to_thread(lambda: 7)\nr",
        "7",
    ),
    "subprocess": (
        "import asyncio\np = await asyncio.create_subprocess_exec('true')\nawait p.wait()",
        "0",
    ),
    "asyncio.run": ("import asyncio\nasyncio.run(asyncio.sleep(0, 3))", "3"),
}


@pytest.mark.parametrize(("code", "text"), AWAITING.values(), ids=AWAITING)
def test_a_cell_can_await(beside: Beside, code: str, text: str) -> None:
    """In a loop of its own: several at once; no thread is left of it."""
    operations = [beside.begin(code) for _ in range(3)]
    for operation in operations:
        done = beside.finish(operation)
        assert done.ok, done.error
        assert done.text == text
    give_up = time.monotonic() + SECONDS
    while (
        beside.interpreter.thread_count() > 1
    ):  # asyncio's own, which waited for a child and is about to end
        assert time.monotonic() < give_up
        beside.interpreter.ok("1")
    assert beside.interpreter.ok("import asyncio\nawait asyncio.sleep(0, 1)").text == "1"


def test_tasks_end_with_their_cell(beside: Beside) -> None:
    """As with ``asyncio.run``: what is left is cancelled, and may clean up."""
    code = (
        "import asyncio\nasync def stay():\n  try:\n    await asyncio.sleep(600)\n  finally:\n    print('cancelled')\n"
        "task = asyncio.create_task(stay())\nawait asyncio.sleep(0)"
    )
    assert beside.ok(code).stdout == "cancelled\n"
    assert beside.interpreter.ok("task.cancelled()").text == "True"


WRONG = {
    "syntax": ("x = = 1", "SyntaxError"),
    "not UTF-8 text": ("a = '\ud800'", "SyntaxError"),
    "exit": ("raise SystemExit(3)", "SystemExit"),
    "keyboard interrupt of its own": ("raise KeyboardInterrupt('mine')", "KeyboardInterrupt"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "error that cannot be told": ("class E(Exception):\n  def __str__(self): 1/0\nraise E", "E"),
    "await that is rejected": ("async def f(): raise ValueError('x')\nawait f()", "ValueError"),
    "signal handler": ("import signal\nsignal.signal(2, signal.SIG_IGN)", "ValueError"),
    "memory": ("x = [0] * (1 << 60)", "MemoryError"),
}


@pytest.mark.parametrize(("code", "name"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told(beside: Beside, code: str, name: str) -> None:
    """As in an operation alone, and never as an interrupt."""
    beside.interpreter.count += 10
    done = beside.run(code)
    assert done.error["type_name"] == name
    assert not done.header["interrupted"]
    assert "sandbank_runner" not in done.error["traceback_text"]
    for frame in done.error["frames"]:
        assert frame["file_name"] == "<cell 11>"
    if done.error["syntax_error"]:
        assert done.error["syntax_error"]["line"] == 1
    assert beside.ok("1").text == "1"


def test_lines_of_cells_beside_each_other_are_kept_apart(beside: Beside) -> None:
    """Tracebacks through functions of several cells show each its own lines."""
    operations = [beside.begin(f"def f{k}():\n    raise ValueError  # line of {k}") for k in range(8)]
    for operation in operations:
        assert beside.finish(operation).ok
    operations = [beside.begin(f"f{k}()") for k in range(8)]
    for k, operation in enumerate(operations):
        frames = beside.finish(operation).error["frames"]
        assert [frame["source_line"] for frame in frames] == [f"f{k}()", f"raise ValueError  # line of {k}"]


MAGICS = {
    "command": ("!echo hello", "hello\n", None),
    "captured command": ("out = !echo hello\nlist(out)", "", "['hello']"),
    "command with a name": ("word = 'there'\n!echo {word}", "there\n", None),
    "time": ("%time made = 5", None, None),
    "timed cell": ("%%time\nmade = 5\nmade", None, "5"),
    "timeit": ("%timeit -n1 -r1 pass", None, None),
    "capture": ("%%capture held\nprint('inside')", "", None),
    "who": ("%who_ls int", "", "['base']"),
    "script": ("%%bash\necho $((1 + 1))", "2\n", None),
    "help": ("base?", "", None),
    "pip": ("%pip install x", None, "error"),
}


@pytest.mark.parametrize(("code", "stdout", "text"), MAGICS.values(), ids=MAGICS)
def test_magics_work_on_its_own_names(
    rich_beside: Beside, code: str, stdout: str | None, text: str | None
) -> None:
    """What they print is its own, what they bind is merged with it, and dropped with it."""
    rich_beside.interpreter.ok("base = 1")
    done = rich_beside.run(code)
    if text == "error":
        assert done.error["type_name"] == "UsageError"
        return
    assert done.ok, done.error["traceback_text"]
    assert done.header["conflicts"] == []
    if stdout is not None:
        assert done.stdout == stdout
    assert done.text == text
    assert rich_beside.raw == []
    if "made" in code:
        assert rich_beside.interpreter.ok("made").text == "5"
        assert not rich_beside.run(code.replace("5", "6") + "\n1/0").ok
        assert rich_beside.interpreter.ok("made").text == "5"
    names = "sorted(set(globals()) - {'base', 'made', 'out', 'held', 'word'} - {n for n in globals() if n[:2] == '__'})"
    assert set(rich_beside.interpreter.ok(names).json) <= {"_", "_dh", "_exit_code"}


def test_magics_beside_each_other(rich_beside: Beside) -> None:
    """The shell is one, and its first use may be that of several at once."""
    operations = [rich_beside.begin(f"%time m{k} = {k}\n!echo {k}") for k in range(6)]
    for k, operation in enumerate(operations):
        done = rich_beside.finish(operation)
        assert done.ok, done.error["traceback_text"]
        assert done.header["conflicts"] == []
        assert done.stdout.endswith(f"\n{k}\n")
    assert rich_beside.interpreter.ok("m0, m1, m2, m3, m4, m5").text == "(0, 1, 2, 3, 4, 5)"


HOSTILE = {
    "closed stdout": "import sys\nsys.stdout.close()",
    "no stdout": "import sys\nsys.stdout = sys.stderr = None",
    "redirected stdout": "import sys, io\nsys.stdout = io.StringIO()",
    "trace function": "import sys\nsys.settrace(lambda *a: 1/0)",
    "profile function": "import sys\nsys.setprofile(lambda *a: 1/0)",
    "trace function that raises KeyboardInterrupt": (
        "import sys\ndef trace(*a): raise KeyboardInterrupt\nsys.settrace(trace)"
    ),
    "low recursion limit": "import sys\nsys.setrecursionlimit(60)",
    "builtins": "import builtins\nfor n in ('len', 'isinstance', 'list', 'dict', 'getattr'): delattr(builtins, n)",
    "globals emptied": "globals().clear()",
    "globals without builtins": "__builtins__ = {}",
    "threading": "import threading\nthreading._active = None\nthreading.current_thread = None",
    "time": "import time\ntime.sleep = time.monotonic = None",
    "main module": "import sys\nsys.modules['__main__'] = None",
    "main module's class": "import __main__\ntry: __main__.__class__ = int\nexcept TypeError: pass",
    "linecache": "import linecache\nlinecache.cache.clear()\nlinecache.getline = None",
    "asyncio": "import asyncio\nasyncio.new_event_loop = None",
    "names that are no strings": "globals()[1] = 2",
    "object that fights its end": "class O:\n  def __del__(self): raise ValueError\no = O()\ndel o",
    "descriptors": "import os\nos.close(1); os.close(2)",
    "context variables": "import contextvars\nfor v in contextvars.copy_context(): v.set(None)",
    "forked": "import os\nif os.fork() == 0: raise RuntimeError('child')\nos.wait();",
    "fork that exits": "import os, sys\nif os.fork() == 0: sys.exit(0)\nos.wait();",
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("ending", ["", "\n1/0"], ids=["well", "badly"])
def test_the_runner_survives_what_it_does(beside: Beside, code: str, ending: str) -> None:
    """One beside it ends well, and so do those that come after it, of both isolations."""
    other = beside.begin("input()\nmine = 1", allow_input=True)
    question = beside.message().header
    beside.run(code + ending)
    beside.interpreter.send(
        {"type": "input", "operation": other, "input_id": question["input_id"], "text": ""}
    )
    done = beside.finish(other)
    assert "mine" in done.header["conflicts"] or done.ok or "builtins" in code or "__builtins__" in code
    if "builtins.len" not in code and "delattr" not in code:
        assert beside.ok("print('after')\n1").stdout == "after\n"
    assert beside.interpreter.ok("print('alone')\n2").stdout == "alone\n"
    assert beside.interpreter.thread_count() == 1


def test_an_audit_hook_that_forbids_everything_costs_the_operation_only(beside: Beside) -> None:
    """It cannot be taken off again; but each operation is told an end."""
    beside.interpreter.ok(
        "import sys\narmed = [False]\ndef hook(event, _):\n"
        "    if armed[0] and not event.startswith(('import', 'open', 'exec', 'compile')): raise RuntimeError(event)\n"
        "sys.addaudithook(hook)"
    )
    beside.interpreter.ok("armed[0] = True")
    for code in ("1", "def f(): return 1", "1/0", "import time; time.sleep(0)"):
        beside.run(code)
    beside.interpreter.ok("armed[0] = False")
    assert beside.ok("2").text == "2"


def test_end_of_objects_is_part_of_the_operation(beside: Beside) -> None:
    """What they write when they are replaced or dropped is its own."""
    beside.interpreter.ok("class O:\n  def __del__(self): print('gone')\no = O()")
    assert beside.ok("o = 1").stdout == "gone\n"
    assert beside.run("p = O()\n1/0").stdout == "gone\n"


def test_processor_time_is_that_of_its_thread(beside: Beside) -> None:
    """Of two beside each other, the one that slept has used next to none."""
    busy = beside.begin("import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass")
    idle = beside.begin("import time\ntime.sleep(0.2)")
    assert beside.finish(busy).header["cpu_seconds"] > 0.1
    assert beside.finish(idle).header["cpu_seconds"] < 0.1


def test_a_forked_child_has_nothing_to_complain_of(beside: Beside) -> None:
    """What the standard library mends in it goes through: nothing is written before it has lost its say."""
    beside.begin("input()", allow_input=True)
    assert beside.message().header["type"] == "input_request"
    done = beside.run(
        "import os, sys, threading\nheard, mouth = os.pipe()\n"
        "sys.unraisablehook = lambda told: os.write(mouth, repr(told).encode())\n"
        "if os.fork() == 0:\n    lock = threading.Condition()\n    with lock: lock.wait(0.001)\n    os._exit(7)\n"
        "status = os.wait()[1]; os.close(mouth)\nos.waitstatus_to_exitcode(status), os.read(heard, 1000)"
    )
    assert done.text == "(7, b'')"
