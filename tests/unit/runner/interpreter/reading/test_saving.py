"""Listings tell what a checkpoint would do with each variable: it is tried."""

from __future__ import annotations

import time

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.reading.harness import listing, value


def reasons(interpreter: Interpreter) -> dict[str, str]:
    """Return what is said of each variable."""
    return {name: item["unsavable"] for name, item in listing(interpreter).items.items()}


def test_what_can_be_saved_has_no_reason(interpreter: Interpreter):
    """Functions, classes and instances of the session among them."""
    interpreter.ok(
        "import math, weakref\nclass K: pass\ndef f(): return K\n"
        "k = K(); a = [1]; b = [a, k, f, math]; w = weakref.ref(k)"
    )
    assert set(reasons(interpreter).values()) == {""}


def test_what_cannot_says_why(interpreter: Interpreter):
    """The same reasons as a checkpoint's; what needs a class that cannot be saved cannot be saved either."""
    interpreter.ok(
        "import threading\ng = (i for i in 'ab'); d = {'x': [g]}\nclass K: lock = threading.Lock()\nk = [K()]; a = 1"
    )
    assert reasons(interpreter) == {
        "a": "",
        "threading": "",
        "g": "a generator cannot be saved",
        "d": "a generator cannot be saved",
        "K": "a lock cannot be saved",
        "k": "it needs K, which cannot be saved: a lock cannot be saved",
    }


def test_code_that_does_not_end_is_left(interpreter: Interpreter):
    """It costs half a second, and the variables after it are tried."""
    interpreter.ok("class H:\n    def __reduce__(self):\n        while True: pass\na, h, z = 1, H(), [1]")
    found = reasons(interpreter)
    assert (found["a"], found["z"]) == ("", "")
    assert "takes too long" in found["h"]


def test_a_graph_without_end_is_left(interpreter: Interpreter):
    """Looking for code of the user's costs time too, and that is bounded likewise."""
    # The module at its beginning keeps it from being pickled as plain data, which takes less than the time allowed.
    interpreter.ok("import math; a = [math]; a += [[n] for n in range(5_000_000)]; b = [1]")
    answer = listing(interpreter)
    assert (answer.status, answer.items["b"]["unsavable"]) == (0, "")
    assert "not tried to its end" in answer.items["a"]["unsavable"]
    interpreter.ok("del a")


def test_a_thousand_large_variables_are_described_in_time(interpreter: Interpreter):
    """Of those for which none is left, less is known; what trying them took is given back."""
    interpreter.start(
        "class K: pass\nk = K(); large = [k] * 100; large += [[n] for n in range(100_000)]\n"
        "globals().update({f'v{n:04}': [large] for n in range(1000)})",
        report_changes=False,
    )
    interpreter.finish()
    begin = time.monotonic()
    answer = listing(interpreter, prefix="v", limit=1000)
    assert time.monotonic() - begin < 30  # where nothing bounds it, each takes a while
    assert (answer.status, len(answer.items)) == (0, 1000)
    assert "not tried to its end" in answer.items["v0999"]["unsavable"]


def test_whose_code_was_to_be_left_alone_is_not_tried(interpreter: Interpreter):
    """Nor any, where the reader is to be bare."""
    interpreter.ok("class K: pass\na, k = 1, K()")
    assert listing(interpreter, skip=["k"]).items["k"]["unsavable"] is None
    assert listing(interpreter, bare=True).items["a"]["unsavable"] is None


def test_it_is_said_before_that_code_may_run(interpreter: Interpreter):
    """A list is quiet, but what is in it may not be."""
    interpreter.ok("import os\nclass K:\n    def __reduce__(self): os._exit(0)\na = [K()]; b = [1]")
    answer = listing(interpreter)
    assert {each["name"] for each in answer.at} & {"a", "b"} == {"a"}
    assert not answer.last


def test_a_single_variable_is_tried_too(interpreter: Interpreter):
    """Before its value is written down."""
    interpreter.ok("g = (i for i in 'ab')")
    assert value(interpreter, "g").items["g"]["unsavable"] == "a generator cannot be saved"
