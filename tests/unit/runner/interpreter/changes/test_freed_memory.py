"""Memory that was given back under what shows it: a report does not read it, and the session goes on."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.changes.observing import brief, execute, forget, not_compared
from tests.unit.runner.interpreter.harness import Interpreter

SIZE = f"n = {1 << 26}\n"
"""Of memory that the C library gives back to the kernel at once."""
FILL = "z0 = 0; z1, z2, z3, z4, z5, z6, z7, z8 = 1, 'a', [1], {'b': 2}, (3,), {4}, [[5]], b'6'\n"
LOOKS = 3
_NUMPY = "import numpy as np\nfrom array import array\n"
_ARROW = (
    "import pyarrow as pa\nwith open('f', 'wb') as f: f.write(bytes(1 << 16))\n"
    "m = pa.memory_map('f').read_buffer()\n"
)
_COLUMN = "x = pa.chunked_array([pa.Array.from_buffers(pa.uint8(), 1 << 16, [None, m])])\ndel m\n"
_CUT_OFF = "open('f', 'wb').close()"
_C = (
    "import ctypes\nc = ctypes.CDLL(None)\nc.malloc.restype = ctypes.c_void_p\nc.malloc.argtypes = [ctypes.c_size_t]\n"
    "c.free.argtypes = [ctypes.c_void_p]\np = c.malloc(n)\n"
)

CASES = {
    "a view of an array that was made smaller": (
        "b = np.zeros(n, 'u1'); x = b[5:]", "b.resize(n >> 4, refcheck=False)", "~b ~x"),
    "a view that lies apart of an array that was made smaller": (
        "b = np.zeros(n, 'u1'); x = b[n - 9:: 2]", "b.resize(n >> 4, refcheck=False)", "~b ~x"),
    "a small view of an array that was made smaller": (
        "b = np.zeros(n, 'u1'); x = b[-5:]", "b.resize(n >> 4, refcheck=False)", "~b ~x"),
    "a view of an array that has become empty": (
        "b = np.zeros((2, n // 2), 'u1'); x = b[1]", "b.resize(0, refcheck=False)", "~b ~x"),
    "a view of an array of objects that was made smaller": (
        "b = np.zeros(10, object); x = b[5:]", "b.resize(2, refcheck=False)", "~b ~x"),
    "a table whose array was made smaller": (
        "import pandas as pd\nb = np.zeros((n >> 3, 1)); x = pd.DataFrame(b, copy=False)",
        "b.resize((n >> 7, 1), refcheck=False)", "~b ~x"),
    "an array over a bytearray that was cleared": (
        "b = bytearray(n); x = np.ndarray(n, 'u1', b)", "b.clear()", "~b ~x"),
    "an array over an array that was cleared": (
        "b = array('B', bytes(n)); x = np.ndarray(n, 'u1', b)", "del b[:]", "~b ~x"),
    "an array over a view that was released": (
        "b = bytearray(n); x = np.frombuffer(b, 'u1')", "x.base.release(); b.clear()", "~b ~x"),
    "a memory view of an array that was made smaller": (
        "b = np.zeros(n, 'u1'); x = memoryview(b)", "b.resize(n >> 4, refcheck=False)", "~b ~x"),
    "a column over a file that was cut off": (_ARROW + _COLUMN, _CUT_OFF, "~x"),
    "texts over a file that was cut off": (
        _ARROW + "x = pa.chunked_array([pa.Array.from_buffers(pa.string(), 9, [None, m, m])]); del m", _CUT_OFF, "~x"),
    "a table over a file that was cut off": (_ARROW + _COLUMN + "x = pa.table({'a': x})", _CUT_OFF, "~x"),
    "a buffer over a file that was cut off": (_ARROW + "x = m; del m", _CUT_OFF, "~x"),
    "a frame over a file that was cut off": (
        _ARROW + _COLUMN + "import pandas as pd\nx = pd.Series(x, dtype=pd.ArrowDtype(pa.uint8()))", _CUT_OFF, "~x"),
    "a ctypes array of memory that was freed": (
        _C + "x = (ctypes.c_char * n).from_address(p)", "c.free(p)", "~x"),
}  # fmt: skip


@pytest.mark.parametrize("is_calm", [False, True], ids=["at once", "after a while"])
@pytest.mark.parametrize(("before", "code", "expected"), CASES.values(), ids=CASES)
def test_memory_that_was_given_back_is_not_read(
    numeric: Interpreter, before: str, code: str, expected: str, is_calm: bool
) -> None:
    """What shows it is told of with the reason, at once and in each later report; nobody asks twice."""
    forget(numeric)
    execute(numeric, _NUMPY + SIZE + before, report=True)
    execute(numeric, FILL, report=True)
    for _ in range(LOOKS if is_calm else 0):
        execute(numeric, "pass", report=True)
    found = execute(numeric, code, report=True).header["changes"]
    assert brief(found) == expected
    assert "x" in not_compared(found)
    assert "x" in not_compared(execute(numeric, "pass", report=True).header["changes"])
