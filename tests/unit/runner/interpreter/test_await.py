"""Cells that await, and the session's event loop."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.harness import Interpreter

AWAITING = [
    ("import asyncio\nawait asyncio.sleep(0, 5)", "5"),
    ("import asyncio\nx = await asyncio.sleep(0, 6)\nx", "6"),
    ("import asyncio\nawait asyncio.sleep(0, 7);", None),
    ("async def f(): return 8\n[await f() for _ in range(2)]", "[8, 8]"),
    ("async def g():\n    yield 9\n[x async for x in g()]", "[9]"),
    (
        "import contextlib\n@contextlib.asynccontextmanager\nasync def c(): yield 1\nasync with c() as x: pass\nx",
        "1",
    ),
    ("async def g():\n    yield 2\nasync for x in g(): pass\nx", "2"),
    ("import asyncio\nasync def f(): return 3\nasyncio.run(f())", "3"),
    ("import asyncio\nasync def f(): return 4\nasyncio.new_event_loop().run_until_complete(f())", "4"),
    ("async def f(): return 1\nf()", "<coroutine object f at"),
    ("import asyncio\nawait asyncio.to_thread(lambda: 5)", "5"),
    (
        "import asyncio\np = await asyncio.create_subprocess_exec('echo', 'x', stdout=-1)\n(await p.communicate())[0]",
        "b'x\\n'",
    ),
]


@pytest.mark.parametrize(("code", "text"), AWAITING)
def test_cells_may_await(interpreter: Interpreter, code: str, text: str | None) -> None:
    """At the top level, in any construct; plain cells have no running loop, so asyncio.run works in them."""
    found = interpreter.run(code)
    assert found.ok, found.error["traceback_text"]
    assert (found.text or "").startswith(text or "")
    assert (found.text is None) == (text is None)
    assert interpreter.ok("import asyncio\nasyncio.run(asyncio.sleep(0, 1))").text == "1"
    assert interpreter.ok("await asyncio.sleep(0, 2)").text == "2"


def test_background_tasks_go_on_while_a_later_cell_awaits(interpreter: Interpreter) -> None:
    """One loop for the session, whatever asyncio.run did in between; between cells it stands still."""
    interpreter.ok(
        "import asyncio\nticks = []\nasync def tick():\n    while True:\n        ticks.append(len(ticks))\n"
        "        await asyncio.sleep(0.001)\ntask = asyncio.create_task(tick())\nawait asyncio.sleep(0)"
    )
    first = interpreter.ok("len(ticks)").json
    assert interpreter.ok("import time\ntime.sleep(0.02)\nlen(ticks)").json == first
    interpreter.ok("asyncio.run(asyncio.sleep(0.01))")
    assert interpreter.ok("await asyncio.sleep(0.05)\nlen(ticks)").json > first
    assert (
        interpreter.ok("task.get_loop() is asyncio.get_running_loop() and await asyncio.sleep(0, 1)").text
        == "1"
    )
    assert interpreter.ok("task.done()").text == "False"


def test_context_variables_live_on(interpreter: Interpreter) -> None:
    """Set in a plain or in an awaiting cell, seen in both, and in a task of a later one."""
    interpreter.ok("import asyncio, contextvars, decimal\nv = contextvars.ContextVar('v')\nv.set(1)")
    assert interpreter.ok("await asyncio.sleep(0)\nv.get()").text == "1"
    interpreter.ok("await asyncio.sleep(0)\nv.set(2)\ndecimal.getcontext().prec = 5;")
    assert interpreter.ok("v.get(), decimal.getcontext().prec").text == "(2, 5)"
    assert interpreter.ok("async def f(): return v.get()\nawait asyncio.create_task(f())").text == "2"


def test_a_closed_loop_is_replaced(interpreter: Interpreter) -> None:
    """User code that closes the session's loop gets a new one with the next cell that awaits."""
    interpreter.ok("import asyncio\nawait asyncio.sleep(0)\nloop = asyncio.get_running_loop()")
    interpreter.ok("loop.close()")
    assert interpreter.ok("await asyncio.sleep(0, 3)").text == "3"


def test_what_a_task_leaves_unhandled_is_on_stderr(interpreter: Interpreter) -> None:
    """A failed background task is asyncio's to complain of; the cell's own is not."""
    done = interpreter.run("import asyncio\nawait asyncio.sleep(0)\n1/0")
    assert done.error["type_name"] == "ZeroDivisionError"
    done = interpreter.ok("import gc\ngc.collect();")
    assert done.stderr == ""
    code = "async def f(): 1/0\ntask = asyncio.create_task(f())\nawait asyncio.sleep(0.001)\ndel task\ngc.collect();"
    assert "Task exception was never retrieved" in interpreter.ok(code).stderr


def test_an_exit_in_a_background_task_ends_the_cell(interpreter: Interpreter) -> None:
    """It breaks out of the loop; the cell's task is ended with it, and the next cell awaits as ever."""
    code = "import asyncio\nasync def f(): raise SystemExit(5)\nt = asyncio.create_task(f())\nawait asyncio.sleep(30)"
    assert interpreter.run(code).error["type_name"] == "SystemExit"
    assert interpreter.ok("await asyncio.sleep(0, 1)").text == "1"


def test_asyncio_is_imported_only_when_a_cell_awaits(interpreter: Interpreter) -> None:
    """A light process: nothing of it before."""
    names = "('asyncio', 'IPython', 'numpy', 'grpc', 'google', 'multiprocessing')"
    interpreter.ok("1 + 1")
    assert interpreter.ok(f"import sys\n[m for m in {names} if m in sys.modules]").text == "[]"
    assert interpreter.thread_count() == 1
