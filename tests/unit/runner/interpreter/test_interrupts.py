"""SIGINT ends user code, and nothing else."""

from __future__ import annotations

import os
import signal

import pytest
from sandbank_runner.walls.numbers import number_of
from sandbank_runner.walls.system_calls import system_call

from tests.unit.runner.interpreter.harness import Interpreter


def _send(interpreter: Interpreter) -> None:
    """Send SIGINT whatever it is doing: earlier or later than the supervisor would."""
    system_call(number_of("tgkill"), interpreter.pid, interpreter.pid, signal.SIGINT)


READY = "print('ready', flush=True)\n"

RUNNING = {
    "loop": READY + "while True: pass",
    "sleep": "import time\n" + READY + "time.sleep(60)",
    "await": "import asyncio\n" + READY + "await asyncio.sleep(60)",
    "await in a function": "import asyncio\nasync def f():\n    await asyncio.sleep(60)\n"
    + READY
    + "await f()",
    "loop in a coroutine": "async def f():\n    while True: pass\n" + READY + "await f()",
    "loop in a background task": "import asyncio\nasync def f():\n    print('ready')\n    while True: pass\n"
    "task = asyncio.create_task(f())\nawait asyncio.sleep(60)",
    "loop in a callback": "import asyncio\ndef f():\n    print('ready')\n    while True: pass\n"
    "asyncio.get_running_loop().call_soon(f)\nawait asyncio.sleep(60)",
    "asyncio.run": "import asyncio\n" + READY + "asyncio.run(asyncio.sleep(60))",
    "task group": "import asyncio\n"
    + READY
    + "async with asyncio.TaskGroup() as g:\n    g.create_task(asyncio.sleep(60))",
    "subprocess": "import subprocess\n" + READY + "subprocess.run(['sleep', '60'])",
    "lock": "import threading\n"
    + READY
    + "threading.Lock().acquire() and None\nl = threading.Lock(); l.acquire(); l.acquire()",
    "thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(0.3,)).start()\n"
    + READY
    + "while True: pass",
    "repr of the result": READY + "class R:\n    def __repr__(self):\n        while True: pass\nR()",
    "text of the error": READY
    + "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
    "display": READY + "class R:\n    def _repr_html_(self):\n        while True: pass\ndisplay(R())",
    "cleanup": "try:\n    print('ready')\n    while True: pass\nfinally:\n    print('cleaned', flush=True)",
    "reraised": READY
    + "try:\n    while True: pass\nexcept KeyboardInterrupt as e:\n    raise RuntimeError from e",
    "fork": "import os\npid = os.fork()\nif pid == 0: os._exit(0)\n" + READY + "while True: pass",
    "blocked pipe": "import os\nr, w = os.pipe()\n" + READY + "os.read(r, 1)",
}


@pytest.mark.parametrize("code", RUNNING.values(), ids=RUNNING)
def test_an_interrupt_ends_user_code(interpreter: Interpreter, code: str) -> None:
    """Wherever it is, and it says so; variables stay, and the next operation runs."""
    interpreter.ok("kept = 1")
    interpreter.start(code)
    interpreter.output_until("ready")
    interpreter.interrupt()
    done = interpreter.finish()
    assert done.header["interrupted"]
    assert done.error["type_name"] in ("KeyboardInterrupt", "RuntimeError", "E")
    assert "sandbank_runner" not in done.error["traceback_text"]
    if "cleaned" in code:
        assert done.stdout == "ready\ncleaned\n"
    for _ in range(3):
        done = interpreter.ok("kept")
        assert done.text == "1"
        assert not done.header["interrupted"]
    assert interpreter.ok("import asyncio\nawait asyncio.sleep(0, 2)").text == "2"


def test_the_error_names_the_line_that_ran(interpreter: Interpreter) -> None:
    """Also of an awaiting cell, which is cancelled in its sleep."""
    for code in (
        "import time\n\nwhile not print('ready'): time.sleep(60)",
        "import asyncio\n\nprint('ready'); await asyncio.sleep(60)",
    ):
        interpreter.start(code)
        interpreter.output_until("ready")
        interpreter.interrupt()
        done = interpreter.finish()
        assert done.error["frames"][0]["line_number"] == 3
        assert done.error["traceback_text"].rstrip().endswith("KeyboardInterrupt")


def test_a_late_interrupt_hits_nothing(interpreter: Interpreter) -> None:
    """Sent when the operation is over, it is dropped before the next begins."""
    for _ in range(300):
        _send(interpreter)
        assert interpreter.ok("sum(range(100))").text == "4950"


def test_interrupts_at_any_moment_leave_the_session_whole(interpreter: Interpreter) -> None:
    """Sent while it is at work, wherever: each operation ends once, well or interrupted, and state is kept."""
    interpreter.ok("n = 0")
    counted = 0
    for index in range(400):
        code = (
            "n += 1\nn",
            "n += 1\nraise ValueError(n)",
            "import asyncio\nn += 1\nawait asyncio.sleep(0)\nn",
        )[index % 3]
        interpreter.start(code)
        for _ in range(index % 7):
            _send(interpreter)
        done = interpreter.finish()
        if not done.ok and done.error["type_name"] != "ValueError":
            assert done.error["type_name"] == "KeyboardInterrupt"
            assert done.header["interrupted"]
        counted = interpreter.run("n").json
    assert 0 < counted <= 400


def test_code_that_swallows_the_interrupt_is_not_interrupted(interpreter: Interpreter) -> None:
    """Where it ends by itself, it has succeeded: the supervisor's grace decides how long it may take."""
    interpreter.start(
        "try:\n    print('ready')\n    while True: pass\nexcept KeyboardInterrupt:\n    pass\n'done'"
    )
    interpreter.output_until("ready")
    interpreter.interrupt()
    done = interpreter.finish()
    assert done.text == "'done'"
    assert not done.header["interrupted"]


HANDLERS = {
    "ignored": "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)",
    "own": "import signal\nsignal.signal(signal.SIGINT, lambda *a: None)",
    "default": "import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)",
    "blocked": "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])",
    "all blocked": "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    "loop's": "import asyncio, signal\nasyncio.get_running_loop().add_signal_handler(2, print)\nawait asyncio.sleep(0)",
    "asyncio.run": "import asyncio\nasyncio.run(asyncio.sleep(0))",
}


@pytest.mark.parametrize("code", HANDLERS.values(), ids=HANDLERS)
def test_the_next_operation_can_be_interrupted_again(interpreter: Interpreter, code: str) -> None:
    """Whatever user code made of SIGINT."""
    interpreter.ok(code)
    interpreter.start(READY + "while True: pass")
    interpreter.output_until("ready")
    interpreter.interrupt()
    assert interpreter.finish().header["interrupted"]


def test_signals_of_the_users_are_the_users(interpreter: Interpreter) -> None:
    """Handlers and mask last from one operation to the next; a signal that came in between is handed over then."""
    interpreter.ok("import os, signal\nseen = []\nsignal.signal(signal.SIGUSR1, lambda *a: seen.append(1));")
    os.kill(interpreter.pid, signal.SIGUSR1)
    assert interpreter.ok("seen").text == "[1]"
    interpreter.ok("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]);")
    assert interpreter.ok("os.kill(os.getpid(), signal.SIGUSR1)\nseen").text == "[1]"
    assert (
        interpreter.ok("signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])\nseen").text == "[1, 1]"
    )


def test_a_signal_handler_that_raises_ends_operations_only(interpreter: Interpreter) -> None:
    """A timer goes off all the time, between operations too: the runner's own code is spared."""
    interpreter.ok(
        "import signal\nclass Alarm(BaseException): pass\ndef alarm(*_): raise Alarm\n"
        "signal.signal(signal.SIGALRM, alarm);"
    )
    interpreter.run("signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)")
    for _ in range(200):
        done = interpreter.run("sum(range(1000))")
        assert done.ok or done.error["type_name"] == "Alarm"
    while not interpreter.run("signal.setitimer(signal.ITIMER_REAL, 0)").ok:
        pass
    assert interpreter.ok("1").text == "1"


def test_a_large_display_is_not_torn_by_an_interrupt(interpreter: Interpreter) -> None:
    """Its packets go out together or not at all; the next message is understood."""
    for delay in range(20):
        interpreter.start(READY + "while True: display({'image/png': b'x' * 900_000}, raw=True)")
        interpreter.output_until("ready")
        for _ in range(delay):
            interpreter._poll()
        interpreter.interrupt()
        done = interpreter.finish()
        assert done.header["interrupted"]
        assert all(len(bundle["image/png"]) == 900_000 for bundle in done.displays)


def test_threads_of_user_code_do_not_take_the_interrupt(interpreter: Interpreter) -> None:
    """With threads at work a signal may reach any of them; still it ends the operation, and only that."""
    interpreter.ok(
        "import threading, time\nfor _ in range(4): threading.Thread(target=time.sleep, args=(1.5,)).start()"
    )
    for _ in range(5):
        interpreter.start(READY + "while True: pass")
        interpreter.output_until("ready")
        interpreter.interrupt()
        assert interpreter.finish().header["interrupted"]
        _send(interpreter)
        assert interpreter.ok("1").text == "1"
