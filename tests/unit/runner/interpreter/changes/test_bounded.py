"""What reports remember from one operation to the next is bounded by what the session holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.unit.runner.interpreter.changes.observing import execute
from tests.unit.runner.interpreter.harness import Interpreter

SESSION = """
import gc
gc.collect()
class C:
    def __init__(self, n): self.n, self.parts = n, [n] * 10
"""
TURN = """
n = {turn}
globals()[f'list{{n % 50}}'] = [n, str(n), {{n: [n]}}]
globals()[f'object{{n % 50}}'] = C(n)
globals()[f'gone{{n}}'] = (n, [n])
globals().pop(f'gone{{n - 20}}', None)
class D:
    number = n
    def method(self): return {turn}
def function(x, y=[{turn}]): return lambda: (x, y)
closure = function(n)
table = [str(n + m) for m in range(6_000)] if n % 10 == 0 else table
buffer = bytearray(200_000 + n % 7) if n % 5 == 0 else buffer
"""
WARM, TURNS = 150, 500
SOURCE_BYTES = 3_000
"""What is kept of each cell for tracebacks, its code among it, and what its classes leave in the caches of types."""


def test_memory_does_not_grow_with_operations(start: Callable[..., Interpreter]) -> None:
    """Names that come and go, classes and functions defined anew, tables and buffers made anew: with reports of all.

    The same operations without reports, in another interpreter, say what is none of the reports'.
    """
    grown = {}
    for report in (False, True):
        interpreter = start()
        execute(interpreter, SESSION, report=report)
        for turn in range(TURNS):
            if turn == WARM:
                before = _anonymous_bytes(interpreter.pid)
            execute(interpreter, TURN.format(turn=turn), report=report)
        execute(interpreter, "gc.collect()", report=report)
        grown[report] = _anonymous_bytes(interpreter.pid) - before
    assert grown[True] < grown[False] + 1_000_000, grown
    assert grown[True] < 3_000_000 + SOURCE_BYTES * (TURNS - WARM), grown


def _anonymous_bytes(pid: int) -> int:
    found = re.search(r"^Anonymous: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
