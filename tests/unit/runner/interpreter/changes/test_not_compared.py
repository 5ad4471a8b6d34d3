"""What nobody can compare is reported as changed, with the reason: never silence."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.changes.observing import COULD_NOT, brief, changes
from tests.unit.runner.interpreter.harness import Interpreter

CASES = {
    "a database": (
        "import sqlite3\nx = sqlite3.connect(':memory:')",
        "x.execute('create table t (a)')",
        "~x",
    ),
    "a database that may have changed": ("import sqlite3\nx = sqlite3.connect(':memory:')", "pass", "~x"),
    "a cursor": (
        "import sqlite3\nx = [sqlite3.connect(':memory:').execute('select 1')]",
        "x[0].fetchone()",
        "~x",
    ),
    "a socket": ("import socket\nx = socket.socketpair()", "x[0].send(b'1')", "~x"),
    "memory behind a pointer": (
        (
            "import ctypes\nb = ctypes.create_string_buffer(8)\n"
            "x = ctypes.cast(ctypes.addressof(b), ctypes.POINTER(ctypes.c_char))"
        ),
        "x[0] = b'1'",
        "~b ~x",
    ),
    "an OrderedDict whose keys have hashes of the user's": (
        "from collections import OrderedDict\nclass K: pass\nx = OrderedDict({K(): 1, K(): 2})",
        "x.move_to_end(next(iter(x)))",
        "~x",
    ),
    "memory that a class lends by itself": (
        (
            "import ctypes, sys\nclass C(ctypes.Structure):\n    _fields_ = [('a', ctypes.c_int)]\n"
            "    def __buffer__(self, flags): return memoryview(b'1234')\nx = C()"
        ),
        "x.a = 1",
        "~x",
    ),
}


@pytest.mark.parametrize(("before", "code", "expected"), CASES.values(), ids=CASES)
def test_what_cannot_be_compared_is_told(plain: Interpreter, before: str, code: str, expected: str):
    """Whether it has changed or not, and why nobody knows."""
    found = changes(plain, before, code)
    assert brief(found) == expected
    assert found[-1]["detail"].startswith(COULD_NOT + ": ")
    assert len(found[-1]["detail"]) > len(COULD_NOT) + 10


def test_what_is_rebound_from_it_is_told_too(plain: Interpreter):
    """A name that was bound to something that cannot be compared may have been bound to an equal one."""
    found = changes(plain, "import sqlite3\nx = sqlite3.connect(':memory:')", "x = 1")
    assert brief(found) == "~x"
    assert found[0]["previous_type_name"] == "sqlite3.Connection"
