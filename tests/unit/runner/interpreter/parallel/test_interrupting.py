"""An interrupt ends the operation that it is meant for, and nothing else."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.parallel.harness import Beside

READY = "print('ready')\n"

RUNNING = {
    "loop": READY + "while True: pass",
    "sleep": "import time\n" + READY + "time.sleep(60)",
    "sleep of the session": READY + "nap(60)",
    "function of the session": READY + "spin()",
    "await": "import asyncio\n" + READY + "await asyncio.sleep(60)",
    "loop in a coroutine": "async def f():\n    while True: pass\n" + READY + "await f()",
    "asyncio.run": "import asyncio\n" + READY + "asyncio.run(asyncio.sleep(60))",
    "input": READY + "input()",
    "event": "import threading\n" + READY + "threading.Event().wait()",
    "queue": "import queue\n" + READY + "queue.Queue().get()",
    "condition with a timeout": "import threading\nc = threading.Condition()\nwith c:\n    "
    + READY
    + "    c.wait(60)",
    "future": "from concurrent.futures import Future\n" + READY + "Future().result()",
    "repr of the result": READY + "class R:\n    def __repr__(self):\n        while True: pass\nR()",
    "text of the error": READY
    + "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
    "display": READY + "class R:\n    def _repr_html_(self):\n        while True: pass\ndisplay(R())",
    "printing": READY + "while True: print('x' * 100)",
    "cleanup": "try:\n    print('ready')\n    while True: pass\nfinally:\n    print('cleaned')",
    "reraised": READY
    + "try:\n    while True: pass\nexcept KeyboardInterrupt as e:\n    raise RuntimeError from e",
    "task that is left": "import asyncio\nasync def stay():\n    while True: await asyncio.sleep(0)\n"
    "t = asyncio.create_task(stay())\n" + READY + "await t",
}


@pytest.mark.parametrize("code", RUNNING.values(), ids=RUNNING)
def test_an_interrupt_ends_its_operation_alone(beside: Beside, code: str) -> None:
    """Wherever it is; the one beside it goes on, and what it bound is dropped."""
    beside.interpreter.ok("from time import sleep as nap\nkept = 1\ndef spin():\n    while True: pass")
    sibling = beside.begin("print('beside')\ninput()\nmore = 2", allow_input=True)
    beside.output_until(sibling, "beside")
    question = beside.message().header
    operation = beside.begin(f"kept = 2\n{code}", allow_input=True)
    beside.output_until(operation, "ready")
    beside.interrupt(operation)
    done = beside.finish(operation)
    assert done.header["interrupted"], done.error
    assert done.error["type_name"] in ("KeyboardInterrupt", "RuntimeError", "E")
    assert "sandbank_runner" not in done.error["traceback_text"]
    if "cleaned" in code:
        assert done.stdout == "ready\ncleaned\n"
    assert not beside.has_ended(sibling)
    beside.interpreter.send(
        {"type": "input", "operation": sibling, "input_id": question["input_id"], "text": ""}
    )
    assert beside.finish(sibling).ok
    assert beside.interpreter.ok("kept, more").text == "(1, 2)"
    assert beside.interpreter.thread_count() == 1


def test_the_error_names_the_line_that_ran(beside: Beside) -> None:
    """As in an operation alone."""
    operation = beside.begin("import time\n\nwhile not print('ready'): time.sleep(60)")
    beside.output_until(operation, "ready")
    beside.interrupt(operation)
    done = beside.finish(operation)
    assert done.error["frames"][0]["line_number"] == 3
    assert done.error["traceback_text"].rstrip().endswith("KeyboardInterrupt")


def test_a_late_interrupt_hits_nothing(beside: Beside) -> None:
    """Sent at any moment, also when the operation is over: every operation ends once, well or interrupted."""
    beside.interpreter.ok("import sys\nn = 0")
    ended = 0
    for index in range(300):
        operation = beside.begin("n += 1\nn" if index % 2 else "n += 1\nraise ValueError(n)")
        beside.interpreter.send({"type": "interrupt", "operation": operation})
        done = beside.finish(operation)
        beside.interpreter.send({"type": "interrupt", "operation": operation})
        if not done.ok:
            # The interrupt may have come while the error was being told.
            assert done.error["type_name"] == "ValueError" or done.header["interrupted"]
        ended += done.ok
        assert beside.interpreter.ok("n").json == ended
    assert beside.interpreter.thread_count() == 1


def test_interrupts_beside_each_other_hit_who_they_are_meant_for(beside: Beside) -> None:
    """Of eight, every second is interrupted."""
    beside.interpreter.ok("import threading\ngo = threading.Event()")
    operations = [
        beside.begin(READY + ("while True: pass" if k % 2 else f"go.wait()\nr{k} = {k}")) for k in range(8)
    ]
    for operation in operations:
        beside.output_until(operation, "ready")
    for operation in operations[1::2]:
        beside.interrupt(operation)
    for operation in operations[1::2]:
        assert beside.finish(operation).header["interrupted"]
    assert not any(map(beside.has_ended, operations[::2]))
    assert beside.ok("go.set()").ok
    for operation in operations[::2]:
        assert beside.finish(operation).ok
    assert beside.interpreter.ok("r0, r2, r4, r6").text == "(0, 2, 4, 6)"


def test_code_that_swallows_the_interrupt_is_not_interrupted(beside: Beside) -> None:
    """Where it ends by itself, it has succeeded."""
    code = (
        "try:\n    print('ready')\n    while True: pass\nexcept KeyboardInterrupt:\n    pass\nx = 1\n'done'"
    )
    operation = beside.begin(code)
    beside.output_until(operation, "ready")
    beside.interrupt(operation)
    done = beside.finish(operation)
    assert done.text == "'done'"
    assert not done.header["interrupted"]
    assert beside.interpreter.ok("x").text == "1"


def test_conditions_work_as_ever(beside: Beside) -> None:
    """Between threads of an operation, between operations, with timeouts, and beyond the end of one."""
    beside.interpreter.ok(
        "import queue, threading\nq, e, c = queue.Queue(), threading.Event(), threading.Condition()"
    )
    getting = beside.begin("first = q.get()\nprint(first)\nq.put('back')\ne.wait()\nfirst")
    assert beside.ok("q.put('there')").ok
    beside.output_until(getting, "there")
    assert beside.ok("q.get()").text == "'back'"
    assert beside.ok("e.wait(0.01), e.set()").text == "(False, None)"
    assert beside.finish(getting).text == "'there'"
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(3) as p: r = list(p.map(str, range(9)))\n"
        "b = threading.Barrier(2)\nt = threading.Thread(target=b.wait)\nt.start()\nb.wait()\nt.join()\n''.join(r)"
    )
    assert beside.ok(code).text == "'012345678'"
    assert beside.interpreter.ok("q.put(1)\nq.get(), e.wait(), b.n_waiting").text == "(1, True, 0)"


def test_the_next_process_operation_is_interrupted_as_ever(beside: Beside) -> None:
    """By the signal."""
    beside.ok("1")
    beside.interpreter.start(READY + "while True: pass")
    beside.interpreter.output_until("ready")
    beside.interpreter.interrupt()
    assert beside.interpreter.finish().header["interrupted"]


def test_signal_handlers_of_the_users_wait(beside: Beside) -> None:
    """They run in the main thread, which is the runner's meanwhile: with the next process operation."""
    beside.interpreter.ok(
        "import os, signal\nseen = []\n"
        "def handler(*_):\n    seen.append(1)\n    raise RuntimeError\nsignal.signal(signal.SIGUSR1, handler);"
    )
    done = beside.ok("os.kill(os.getpid(), signal.SIGUSR1)\nfor _ in range(1000): pass\nlen(seen)")
    assert done.text == "0"
    assert beside.interpreter.run("1").error["type_name"] == "RuntimeError"
    assert beside.interpreter.ok("seen").text == "[1]"


def test_children_have_the_signals_of_user_code(beside: Beside) -> None:
    """They can be terminated: nothing is blocked in them that is not in a child of a process operation."""
    code = "import subprocess\np = subprocess.Popen(['sleep', '60'])\np.terminate()\np.wait()"
    assert beside.ok(code).text == "-15"
