"""While code waits for an answer it can be interrupted, from the main thread and beside others that wait."""

from __future__ import annotations

import os

import pytest

from tests.unit.runner.interpreter.harness import Done, Interpreter
from tests.unit.runner.interpreter.input.dialogue import answer, converse, question

WAITING = {
    "input": "input('? ')",
    "readline": "import sys\nsys.stdin.readline()",
    "iteration": "import sys\nfor line in sys.stdin: pass",
    "getpass": "import getpass\ngetpass.getpass()",
    "in a coroutine": "async def f(): return input()\nawait f()",
    "in a callback": "import asyncio\nasyncio.get_running_loop().call_soon(input)\nawait asyncio.sleep(60)",
    "awaited thread": "import asyncio\nawait asyncio.to_thread(input)",
}


@pytest.mark.parametrize("code", WAITING.values(), ids=WAITING)
def test_an_interrupt_ends_the_wait(interpreter: Interpreter, code: str) -> None:
    """It says so, the late answer is dropped, and the session goes on and may ask again."""
    interpreter.ok("kept = 1")
    interpreter.start(code, allow_input=True)
    asked = question(interpreter)
    interpreter.interrupt()
    if "sleep" not in code and "to_thread" not in code:
        assert interpreter.receive("input_withdrawn").header["input_id"] == asked["input_id"]
    done = _finish(interpreter)
    assert done.header["interrupted"]
    assert done.error["type_name"] == "KeyboardInterrupt"
    assert "sandbank_runner" not in done.error["traceback_text"]
    answer(interpreter, asked, "late")
    for text in ("a", "b"):
        assert converse(interpreter, "input(), kept", text).text == f"('{text}', 1)"


def _finish(interpreter: Interpreter) -> Done:
    """Wait for the end of an operation that was interrupted, whatever it asks or withdraws until then."""
    while (message := interpreter.receive_any()).header["type"] != "done":
        assert message.header["type"] in ("input_request", "input_withdrawn")
    interpreter.stop_interrupting()
    return Done(message.header, {}, [])


def test_code_that_catches_the_interrupt_may_ask_anew(interpreter: Interpreter) -> None:
    """The answer to the question that was interrupted is not taken for that of the next."""
    interpreter.start(
        "try:\n    input('one')\nexcept KeyboardInterrupt:\n    again = input('two')\nagain", allow_input=True
    )
    first = question(interpreter)
    interpreter.interrupt()
    assert interpreter.receive("input_withdrawn").header["input_id"] == first["input_id"]
    second = question(interpreter)
    answer(interpreter, first, "wrong")
    answer(interpreter, second, "right")
    assert interpreter.finish().json == "right"


def test_a_signal_handler_may_end_the_wait(interpreter: Interpreter) -> None:
    """As programs do that give a person some seconds; what the person types later is nobody's."""
    code = (
        "import signal\nclass Late(Exception): pass\ndef late(*_): raise Late\n"
        "signal.signal(signal.SIGALRM, late)\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\n"
        "try:\n    input('quick!')\nexcept Late:\n    got = 'late'\ngot, input('slow')"
    )
    interpreter.start(code, allow_input=True)
    first = question(interpreter)
    assert interpreter.receive("input_withdrawn").header["input_id"] == first["input_id"]
    answer(interpreter, first, "too late")
    answer(interpreter, question(interpreter), "in time")
    assert interpreter.finish().text == "('late', 'in time')"


def test_a_signal_handler_may_ask_itself(interpreter: Interpreter) -> None:
    """While the main thread waits for an answer, without a deadlock."""
    code = (
        "import signal\ngot = []\nsignal.signal(signal.SIGALRM, lambda *_: got.append(input('inner')))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05)\ngot.append(input('outer'))\ngot"
    )
    interpreter.start(code, allow_input=True)
    outer, inner = question(interpreter), question(interpreter)
    assert (outer["prompt"], inner["prompt"]) == ("outer", "inner")
    answer(interpreter, inner, "b")
    answer(interpreter, outer, "a")
    assert interpreter.finish().text == "['b', 'a']"


def test_threads_ask_beside_each_other(interpreter: Interpreter) -> None:
    """Each gets its own answer, in whatever order they come, while the main thread computes or asks too."""
    code = (
        "import threading\ngot = {}\n"
        "def ask(n): got[n] = input(str(n))\n"
        "threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]\n"
        "for t in threads: t.start()\nask('main')\nfor t in threads: t.join()\n"
        "got == {n: f'to {n}' for n in [*range(8), 'main']}"
    )
    interpreter.start(code, allow_input=True)
    asked = [question(interpreter) for _ in range(9)]
    assert len({each["input_id"] for each in asked}) == 9
    for each in reversed(asked):
        answer(interpreter, each, f"to {each['prompt']}")
    assert interpreter.finish().json is True


def test_threads_get_long_answers_whole(interpreter: Interpreter) -> None:
    """Packets of one answer go through the hands of several threads."""
    code = (
        "import threading\ngot = {}\ndef ask(n): got[n] = input(str(n))\n"
        "threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]\n"
        "for t in threads: t.start()\nfor t in threads: t.join()\n"
        "all(got[n] == str(n) * 300_000 for n in range(4))"
    )
    interpreter.start(code, allow_input=True)
    for each in [question(interpreter) for _ in range(4)]:
        answer(interpreter, each, each["prompt"] * 300_000)
    assert interpreter.finish().json is True


def test_a_thread_that_still_waits_at_the_end_is_sent_away(interpreter: Interpreter) -> None:
    """It gets the end of file, takes nothing of what comes for the next operation, and its question is over."""
    code = (
        "import threading\nended = threading.Event()\ndef ask():\n    try:\n        input()\n"
        "    except EOFError:\n        ended.set()\nthreading.Thread(target=ask).start()\ninput('main')"
    )
    for _ in range(20):
        interpreter.start(code, allow_input=True)
        asked = {each["prompt"]: each for each in (question(interpreter), question(interpreter))}
        answer(interpreter, asked["main"], "")
        assert interpreter.finish().ok
        answer(interpreter, asked[""], "late")
        assert interpreter.ok("ended.wait(20)").json is True


def test_a_thread_that_asks_after_the_end_gets_the_end_of_file(interpreter: Interpreter) -> None:
    """There is no operation that it could belong to."""
    interpreter.start(
        "import os, threading\nr, w = os.pipe()\ngot = threading.Event()\ndef ask():\n    os.read(r, 1)\n"
        "    try:\n        input()\n    except EOFError:\n        got.set()\n"
        "threading.Thread(target=ask).start()\nthreading.Timer(0.1, os.write, (w, b'.')).start()",
        allow_input=True,
    )
    assert interpreter.finish().ok
    assert interpreter.ok("got.wait(20)").json is True


def test_too_many_threads_are_refused(interpreter: Interpreter) -> None:
    """128 may wait at once; one more gets an error and disturbs nobody."""
    code = (
        "import threading\nerrors = []\ndef ask():\n    try:\n        input()\n    except RuntimeError as e:\n"
        "        errors.append(str(e))\n        print('refused')\n"
        "threads = [threading.Thread(target=ask) for n in range(129)]\n"
        "for t in threads: t.start()\nfor t in threads: t.join()\nerrors"
    )
    interpreter.start(code, allow_input=True)
    questions = [question(interpreter) for _ in range(128)]
    interpreter.output_until("refused")
    for asked in questions:
        answer(interpreter, asked, "")
    assert interpreter.finish().text == "['128 threads wait for input already']"


def test_interrupts_at_any_moment_leave_the_channel_whole(interpreter: Interpreter) -> None:
    """Sent while answers of many packets arrive: whatever becomes of the operation, the next message is understood."""
    for index in range(60):
        interpreter.start("a = input()\nb = input()\nlen(a)", allow_input=True)
        asked = question(interpreter)
        interpreter.send(
            {
                "type": "input",
                "operation": asked["operation"],
                "input_id": asked["input_id"],
                "text": "x" * 10**6,
            }
        )
        for _ in range(index % 5):
            os.sched_yield()
        interpreter.interrupt()
        assert _finish(interpreter).header["interrupted"]
        assert interpreter.ok("1 + 1").text == "2"


def test_descriptors_are_given_back(interpreter: Interpreter) -> None:
    """However often it asks, is interrupted, or a thread is sent away."""
    count = "import os\nlen(os.listdir('/proc/self/fd'))"
    before = interpreter.ok(count).json
    for _ in range(50):
        converse(interpreter, "input()", "")
    for _ in range(5):
        interpreter.start("input()", allow_input=True)
        question(interpreter)
        interpreter.interrupt()
        _finish(interpreter)
    code = "import threading\nt = threading.Thread(target=lambda: input())\nt.start()\ninput('main')"
    interpreter.start(code, allow_input=True)
    asked = {each["prompt"]: each for each in (question(interpreter), question(interpreter))}
    answer(interpreter, asked["main"], "")
    interpreter.finish()
    assert interpreter.ok(f"t.join()\n{count}").json == before
