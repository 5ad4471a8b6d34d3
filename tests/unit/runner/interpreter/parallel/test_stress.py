"""Thousands of operations beside each other, of all kinds, some interrupted: nothing is left of them."""

from __future__ import annotations

import os
import random

import pytest

from tests.unit.runner.interpreter.parallel.harness import Beside

CODES = [
    "x{k} = {k}",
    "import time\ntime.sleep({pause})",
    "for i{k} in range(20000): pass",
    "def f{k}(): return x{k}\nclass K{k}:\n  def m(self): return f{k}()",
    "print('a' * {k})",
    "1/0",
    "import threading\nt = threading.Thread(target=print, args=({k},)); t.start(); t.join()",
    "import asyncio\nawait asyncio.sleep({pause})",
    "def g{k}():\n  yield {k}\nheld = g{k}()\nnext(held)",
    "raise KeyboardInterrupt",
    "while True: pass",
    "shared.append({k})",
    "display({k})",
    "%time q{k} = 1",
]
ERRORS = ("KeyboardInterrupt", "ZeroDivisionError", "CancelledError")
OPERATIONS = 3_000


def _kilobytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_left_of_thousands(rich_beside: Beside, seed: int) -> None:
    """No thread, no descriptor, no memory that grows; every operation ends once, and as it can end."""
    interpreter, chance = rich_beside.interpreter, random.Random(seed)
    interpreter.ok("shared = []")
    running: list[str] = []
    sizes = []

    def end(operation: str) -> None:
        done = rich_beside.finish(operation)
        assert done.ok or done.error["type_name"] in ERRORS, done.error

    for number in range(OPERATIONS):
        code = chance.choice(CODES).format(k=chance.randrange(50), pause=chance.random() * 0.01)
        running.append(rich_beside.begin(code))
        if "while True" in code or chance.random() < 0.2:
            rich_beside.interrupt(running[-1])
        while len(running) > chance.randrange(8):
            end(running.pop(chance.randrange(len(running))))
        if number % (OPERATIONS // 3) == OPERATIONS // 3 - 1:
            while running:
                end(running.pop())
            assert interpreter.thread_count() == 1
            interpreter.ok("import gc; shared.clear(); gc.collect();")
            sizes.append((_kilobytes(interpreter.pid), len(os.listdir(f"/proc/{interpreter.pid}/fd"))))
    assert sizes[-1][0] - sizes[0][0] < 4_000
    assert sizes[-1][1] == sizes[0][1]
