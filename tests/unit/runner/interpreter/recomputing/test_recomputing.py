"""What a checkpoint cannot save is made anew where that is known to be safe, and is lost otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.runner.interpreter.checkpoints.plane import Loaded, Manifest, Plane
from tests.unit.runner.interpreter.harness import Interpreter

Start = Callable[..., Interpreter]

MADE_ANEW = {
    "an expression that generates": (["xs = [1, 2, 3]", "g = (x * 2 for x in xs)"], "list(g)", "[2, 4, 6]"),
    "a generator that has begun in its cell": (
        ["def f(n):\n    while True:\n        yield n\n        n += 1", "g = f(5); _first = next(g)\ndel _first"],
        "", ""),
    "a generator of a function": (
        ["def f(n):\n    for i in range(n): yield i * i", "g = f(4)"], "list(g)", "[0, 1, 4, 9]"),
    "functions that call functions": (
        ["k = 3", "def a(n): return n * k", "def f(n):\n    for i in range(n): yield a(i)", "g = f(3)"],
        "list(g)", "[0, 3, 6]"),
    "a closure that generates": (
        ["def make(n):\n    def f():\n        for i in range(n): yield i\n    return f", "f = make(2)", "g = f()"],
        "list(g)", "[0, 1]"),
    "a lock": (["import threading", "g = threading.Lock()"], "g.locked()", "False"),
    "a lock that is imported with it": (["from threading import Lock\ng = Lock()"], "g.locked()", "False"),
    "an event": (["import threading as t", "g = t.Event()"], "g.is_set()", "False"),
    "a hash": (
        ["import hashlib", "b = b'abc'", "g = hashlib.sha256(b)\ng.update(b'd')"], "g.hexdigest()[:8]", "'88d4266f'"),
    "what was made of what is made anew": (
        ["xs = [1, 2]", "h = (x for x in xs)", "g = map(lambda x: x + 1, h)"], "list(g), list(h)", "([2, 3], [])"),
    "two that belong together": (
        ["import itertools", "g, h = itertools.tee((x for x in [1, 2]))"],
        "next(g), list(h), list(g)", "(1, [1, 2], [2])"),
    "a coroutine": (["async def f(): return 7", "g = f()"], "await g", "7"),
    "what was made with a name that is something else since": (
        ["from threading import Lock\ng = Lock()", "Lock = 5"], "g.locked(), Lock", "(False, 5)"),
    "an alias of it": (["g = (x for x in [1, 2])", "h = g"], "g is h", "True"),
    "a list that holds it": (["h = (x for x in [1, 2])", "g = [h, 1]"], "g[0] is h", "True"),
}  # fmt: skip

LOST = {
    "one that was used since": (["g = (x for x in [1, 2])", "next(g)"], "g"),
    "one whose input has changed since": (["xs = [1]", "g = (x for x in xs)", "xs.append(2)"], "g"),
    "one whose input has another name since": (["xs = [1]", "g = (x for x in xs)", "ys = xs; xs = [1, 2]"], "g"),
    "one whose input is gone": (["xs = [1]", "g = (x for x in xs)", "del xs"], "g"),
    "one whose function has changed since": (
        ["def f():\n    yield 1", "g = f()", "def f():\n    yield 2"], "g"),
    "one whose function's global has changed since": (
        ["k = 1", "def f():\n    yield k", "g = f()", "k = 2"], "g"),
    "one that was bound to its own successor": (
        ["g = (x for x in [1, 2])", "g = map(lambda x: x, g)"], "g"),
    "one that came with data": (["xs = [1]; g = (x for x in xs)"], "g"),
    "one that was made by changing something": (["xs = [1]", "xs.append(2); g = (x for x in xs)"], "g"),
    "randomness": (["import random", "g = (x for x in [random.random()])"], "g"),
    "the time": (["import time", "g = (x for x in [time.time()])"], "g"),
    "a file that was read": (["open('f', 'w').close()", "g = (x for x in open('f'))"], "g"),
    "a file that was written": (["g = (x for x in [open('f', 'w').close()])"], "g"),
    "a file": (["g = open('f', 'w')"], "g"),
    "output": (["g = (x for x in [print('once')])"], "g"),
    "a function that prints": (
        ["def f():\n    print('once')\n    return [1]", "g = (x for x in f())"], "g"),
    "a function that prints when it is called later": (
        ["def f():\n    yield print('once')", "g = f()"], "g"),
    "an address": (["g = (x for x in [id(1)])"], "g"),
    "a hash of a text": (["g = (x for x in [hash('a')])"], "g"),
    "the order of a set": (["s = {'a', 'b'}", "g = (x for x in s)"], "g"),
    "the order of a set in the code": (["g = (x for x in {'a', 'b', 'c', 'd'})"], "g"),
    "an object of the user's": (
        ["class C:\n    def __iter__(self): return iter([1])", "c = C()", "g = (x for x in c)"], "g"),
    "a builtin of the user's": (
        ["import builtins; builtins.sorted = lambda xs: print('no') or xs", "g = (x for x in sorted([1]))"], "g"),
    "a module that was patched": (
        ["import itertools; itertools.count = lambda: print('no') or [1]", "g = (x for x in itertools.count())"], "g"),
    "an unknown module": (["import csv", "g = csv.reader(['a'])"], "g"),
    "an unknown method": (["import threading", "g = threading.Lock(); g.acquire()"], "g"),
    "code that fails": (["g = (x for x in [1]); 1 / 0"], "g"),
    "code that sets a global": (
        ["def f():\n    global n\n    n = 1\n    yield 1", "g = f()"], "g"),
    "code that catches errors": (["def f():\n    try: yield 1\n    except ValueError: yield 2", "g = f()"], "g"),
    "what eval makes": (["g = eval('(x for x in [1])')"], "g"),
    "what a method by name makes": (["g = getattr((x for x in [1]), '__iter__')()"], "g"),
    "a thread's": (
        ["import threading\ndone = threading.Event()\nt = threading.Thread(target=done.wait, daemon=True)\nt.start()",
         "g = (x for x in [1])"], "g"),
    "an attribute that was set": (["def f():\n    yield 1\nf.n = 1", "g = f(); f.n = 2"], "g"),
    "a database": (["import sqlite3", "g = sqlite3.connect(':memory:')"], "g"),
    "one that was made with what has changed since": (
        ["import itertools", "g, h = itertools.tee((x for x in [1, 2]))", "h = 5"], "g"),
    "a coroutine that awaits": (["async def f(g): await g", "async def h(): pass", "g = f(h())"], "g"),
}  # fmt: skip


class Pair:
    """A session that recomputes, and one that takes over from it."""

    def __init__(self, start: Start, plane: Plane, *, recompute: bool = True) -> None:
        self.plane = plane
        self._start = start
        self._recompute = recompute
        self.first = self.fresh()

    def fresh(self) -> Interpreter:
        """Return another interpreter, set up alike."""
        interpreter = self._start()
        interpreter.send({"type": "setup", "env": {}, "secret": [], "recompute": self._recompute})
        interpreter.receive("setup_done")
        return interpreter

    def run(self, cells: list[str]) -> None:
        """Run operations that report their changes; they may fail."""
        for cell in cells:
            self.first.start(cell, report_changes=True)
            self.first.finish()

    def carry(self, checkpoint_id: str = "one") -> tuple[Manifest, Interpreter, Loaded]:
        """Checkpoint, and load in a fresh interpreter."""
        manifest = self.plane.checkpoint(self.first, checkpoint_id)
        target = self.fresh()
        loaded = self.plane.load(target, manifest, checkpoint_id=checkpoint_id)
        assert loaded.ok, loaded
        return manifest, target, loaded


def fidelity(manifest: Manifest) -> dict[str, str]:
    """Return that of each variable."""
    return {name: each["fidelity"] for name, each in manifest.variables.items()}


@pytest.fixture
def pair(start: Start) -> Pair:
    """A fresh pair."""
    return Pair(start, Plane())


@pytest.mark.parametrize(("cells", "question", "answer"), MADE_ANEW.values(), ids=MADE_ANEW)
def test_what_is_known_to_be_safe_is_made_anew(pair: Pair, cells: list[str], question: str, answer: str):
    """It is told as such, in the checkpoint and at the restore, and is what it was."""
    pair.run(cells)
    manifest, target, loaded = pair.carry()
    if not question:
        assert fidelity(manifest)["g"] == "LOST"
        return
    assert fidelity(manifest)["g"] == "RECOMPUTED"
    assert not loaded.lost
    assert "g" in loaded.said["recomputed"]
    done = target.ok(question)
    assert done.text == answer
    assert [(each["code"], each["names"]) for each in done.header["warnings"]] == [
        ("RECOMPUTED", sorted(loaded.said["recomputed"]))
    ]
    assert not target.ok("1").header["warnings"]
    assert pair.first.ok(question).text == answer


@pytest.mark.parametrize(("cells", "name"), LOST.values(), ids=LOST)
def test_what_is_not_known_to_be_safe_is_lost(pair: Pair, cells: list[str], name: str):
    """Nothing is run again, and nobody is told that it could be."""
    pair.run(cells)
    manifest, target, loaded = pair.carry()
    assert fidelity(manifest)[name] == "LOST"
    assert name in loaded.lost
    done = target.ok("1")
    assert not done.header["warnings"]
    assert not done.stdout
    assert not target.run(name).ok


def test_it_is_asked_for(start: Start):
    """A session that does not want it loses what it would lose."""
    pair = Pair(start, Plane(), recompute=False)
    pair.run(["g = (x for x in [1, 2])"])
    manifest, _, loaded = pair.carry()
    assert fidelity(manifest) == {"g": "LOST"}
    assert "recompute" not in manifest.rest["ambient"]
    assert set(loaded.lost) == {"g"}


def test_a_session_that_does_not_want_it_runs_nothing(pair: Pair, start: Start):
    """Also where the checkpoint is of one that does."""
    pair.run(["g = (x for x in [1, 2])"])
    manifest = pair.plane.checkpoint(pair.first)
    loaded = pair.plane.load(start(), manifest)
    assert loaded.ok
    assert set(loaded.lost) == {"g"}


def test_what_was_made_anew_is_in_the_next_checkpoint(pair: Pair):
    """And in the one after, as long as it is what it was; and what has changed since is lost then."""
    pair.run(["xs = [1, 2]", "g = (x for x in xs)", "h = (x for x in xs)"])
    _, target, _ = pair.carry()
    pair.first = target
    pair.run(["y = 1"])
    manifest, target, loaded = pair.carry("two")
    assert fidelity(manifest) == {"xs": "EXACT", "g": "RECOMPUTED", "h": "RECOMPUTED", "y": "EXACT"}
    pair.first = target
    pair.run(["next(g)"])
    manifest, _, loaded = pair.carry("three")
    assert fidelity(manifest) == {"xs": "EXACT", "g": "LOST", "h": "RECOMPUTED", "y": "EXACT"}
    assert set(loaded.lost) == {"g"}


def test_an_increment_does_not_keep_what_its_input_has_left_behind(pair: Pair):
    """A checkpoint is told as a difference: but what is made anew depends on more than itself."""
    pair.run(["xs = [1, 2]", "g = (x for x in xs)"])
    assert fidelity(pair.plane.checkpoint(pair.first, "one"))["g"] == "RECOMPUTED"
    assert fidelity(pair.plane.checkpoint(pair.first, "two"))["g"] == "RECOMPUTED"
    pair.run(["xs.append(3)"])
    assert fidelity(pair.plane.checkpoint(pair.first, "three"))["g"] == "LOST"


def test_operations_that_report_nothing_are_not_run_again(pair: Pair):
    """What they have done is not known; nor is what came before them."""
    pair.run(["xs = [1]", "g = (x for x in xs)"])
    pair.first.start("xs.append(2)", report_changes=False)
    pair.first.finish()
    pair.first.start("h = (x for x in [1])", report_changes=False)
    pair.first.finish()
    assert fidelity(pair.plane.checkpoint(pair.first)) == {"xs": "EXACT", "g": "LOST", "h": "LOST"}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("code", "g = (x for x in [print('no')])", "print"),
        ("code", "g = [", "never closed"),
        ("code", "h = (x for x in [1])", "does not make g any more"),
        ("code", "g = [1]", "does not make g any more"),
        ("code", "g = (x for x in [1 // 0])", "ZeroDivisionError"),
        pytest.param(
            "code", "g = (x for x in [n for n in range(10 ** 9)])", "took too long", marks=pytest.mark.long
        ),
        ("code", "g = (x for x in ys)", "ys"),
        ("reads", ["ys"], "ys is not there"),
        ("makes", ["h"], "how is not known"),
    ],
)
def test_a_recipe_that_fails_costs_what_it_makes(pair: Pair, field: str, value: Any, reason: str):
    """What a manifest says is looked at again where it would run; all else is restored, and nothing is left behind."""
    pair.run(["xs = [1, 2]", "g = (x for x in xs)", "k = (x for x in xs)"])
    manifest = pair.plane.checkpoint(pair.first)
    manifest.rest["ambient"]["recompute"][0][field] = value
    target = pair.fresh()
    loaded = pair.plane.load(target, manifest)
    assert loaded.ok
    assert reason in loaded.lost["g"]
    done = target.ok("xs, list(k), sorted(n for n in globals() if len(n) == 1 and n != '_')")
    assert done.text == "([1, 2], [1, 2], ['k'])"
    assert not done.stdout
