"""Operations on names of their own ask beside each other; the main loop hands the answers over."""

from __future__ import annotations

from typing import Any

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.input.dialogue import answer, converse, question


def _start(interpreter: Interpreter, code: str, **options: Any) -> str:
    return interpreter.start(code, isolation="namespace", allow_input=True, **options)


def _done(interpreter: Interpreter) -> dict[str, Any]:
    """Wait for the end of one of them."""
    while (message := interpreter.receive_any()).header["type"] != "done":
        assert message.header["type"] in ("output", "input_withdrawn"), message
    header: dict[str, Any] = message.header
    header["value"] = message.blobs[0].decode() if message.blobs else None
    return header


def test_several_wait_at_once(interpreter: Interpreter) -> None:
    """Each gets its own answer, whatever the order; those that do not ask run and end meanwhile."""
    started = [_start(interpreter, f"got = input('{number}')\ngot") for number in range(5)]
    asked = {each["operation"]: each for each in [question(interpreter) for _ in started]}
    assert set(asked) == set(started)
    quick = _start(interpreter, "'quick'")
    assert _done(interpreter)["operation"] == quick
    for name in reversed(started):
        answer(interpreter, asked[name], f"to {name}")
        done = _done(interpreter)
        assert (done["operation"], done["value"]) == (name, repr(f"to {name}"))


def test_threads_and_tasks_ask_for_their_operation(interpreter: Interpreter) -> None:
    """What an operation starts belongs to it."""
    code = (
        "import threading\ngot = []\nthread = threading.Thread(target=lambda: got.append(input('thread')))\n"
        "thread.start()\nthread.join()\ngot"
    )
    name = _start(interpreter, code)
    other = _start(interpreter, "input('other')")
    asked = {each["prompt"]: each for each in (question(interpreter), question(interpreter))}
    assert (asked["thread"]["operation"], asked["other"]["operation"]) == (name, other)
    answer(interpreter, asked["thread"], "x")
    assert _done(interpreter)["value"] == "['x']"
    answer(interpreter, asked["other"], "y")
    assert _done(interpreter)["value"] == "'y'"


def test_the_stream_is_each_operations_own(interpreter: Interpreter) -> None:
    """Half a line that one has read is not given to another."""
    _start(interpreter, "import sys\nfirst = sys.stdin.read(2)\nfirst, sys.stdin.readline()")
    asked = question(interpreter)
    _start(interpreter, "import sys\nsys.stdin.readline()")
    other = question(interpreter)
    answer(interpreter, asked, "abcd")
    assert _done(interpreter)["value"] == "('ab', 'cd\\n')"
    answer(interpreter, other, "mine")
    assert _done(interpreter)["value"] == "'mine\\n'"


def test_one_that_may_not_ask_beside_one_that_may(interpreter: Interpreter) -> None:
    """It gets the end of file, not the other's answer."""
    _start(interpreter, "input()")
    asked = question(interpreter)
    interpreter.start("input()", isolation="namespace")
    assert _done(interpreter)["error"]["type_name"] == "EOFError"
    answer(interpreter, asked, "x")
    assert _done(interpreter)["value"] == "'x'"


def test_an_interrupt_ends_one_wait_and_no_other(interpreter: Interpreter) -> None:
    """It looks up from its wait, and what is raised in it is the interrupt."""
    first, second = _start(interpreter, "input('first')"), _start(interpreter, "input('second')")
    asked = {each["operation"]: each for each in (question(interpreter), question(interpreter))}
    interpreter.send({"type": "interrupt", "operation": first})
    done = _done(interpreter)
    assert (done["operation"], done["error"]["type_name"]) == (first, "KeyboardInterrupt")
    assert done["interrupted"]
    answer(interpreter, asked[first], "late")
    answer(interpreter, asked[second], "x")
    done = _done(interpreter)
    assert (done["operation"], done["value"]) == (second, "'x'")
    assert converse(interpreter, "input()", "alone").json == "alone"


def test_a_thread_left_waiting_is_sent_away(interpreter: Interpreter) -> None:
    """When its operation ends it gets the end of file; the next operation's answers are not for it."""
    code = (
        "import threading\nended = threading.Event()\ndef ask():\n    try:\n        input('thread')\n"
        "    except EOFError:\n        ended.set()\nthreading.Thread(target=ask).start()\ninput('own')"
    )
    _start(interpreter, code)
    asked = {each["prompt"]: each for each in (question(interpreter), question(interpreter))}
    answer(interpreter, asked["own"], "")
    assert _done(interpreter)["ok"]
    answer(interpreter, asked["thread"], "late")
    assert interpreter.ok("ended.wait(20)").json is True
