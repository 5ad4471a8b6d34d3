"""Variables that have not changed for a while are only glanced at, and that sees all that a walk would."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from sandbank_runner.interpreter.changes import glance
from sandbank_runner.interpreter.changes import tracker as tracker_module
from sandbank_runner.interpreter.changes.states import state_of
from sandbank_runner.interpreter.changes.tracker import Tracker

from tests.unit.runner.interpreter.changes.cases import (
    FOUND,
    NOT_REPORTED,
    NUMERIC_FOUND,
    NUMERIC_NOT_REPORTED,
)
from tests.unit.runner.interpreter.changes.observing import brief, execute, forget, not_compared
from tests.unit.runner.interpreter.harness import Interpreter

FILL = "\nz0 = 0; z1, z2, z3, z4, z5, z6, z7, z8 = 1, 'a', [1], {'b': 2}, (3,), {4}, [[5]], b'6'"
"""Enough of them are glanced at as soon as they did not change in two looks."""
LOOKS = 3


def after_a_while(interpreter: Interpreter, before: str, code: str) -> list[dict[str, Any]]:
    """Return the changes that an operation reports when nothing has changed for some operations before it."""
    forget(interpreter)
    execute(interpreter, before + FILL, report=True)
    for _ in range(LOOKS):
        execute(interpreter, "pass", report=True)
    changes: list[dict[str, Any]] = execute(interpreter, code, report=True).header["changes"]
    return changes


@pytest.mark.parametrize(("before", "code", "expected"), FOUND.values(), ids=FOUND)
def test_what_changes_after_a_while_is_told(
    plain: Interpreter, before: str, code: str, expected: str
) -> None:
    """All of it, and nothing else; and it is known, not guessed."""
    found = after_a_while(plain, before, code)
    assert brief(found) == expected
    assert not not_compared(found)


@pytest.mark.parametrize(("before", "code"), NOT_REPORTED.values(), ids=NOT_REPORTED)
def test_what_is_no_change_is_not_told_after_a_while(plain: Interpreter, before: str, code: str) -> None:
    """A glance that finds a difference has the variable walked, which finds none."""
    assert brief(after_a_while(plain, before, code)) == ""


@pytest.mark.parametrize(("before", "code", "expected"), NUMERIC_FOUND.values(), ids=NUMERIC_FOUND)
def test_what_changes_in_arrays_and_tables_after_a_while_is_told(
    numeric: Interpreter, before: str, code: str, expected: str
) -> None:
    """Likewise, of libraries in C."""
    found = after_a_while(numeric, before, code)
    assert brief(found) == expected
    assert not not_compared(found)


@pytest.mark.parametrize(("before", "code"), NUMERIC_NOT_REPORTED.values(), ids=NUMERIC_NOT_REPORTED)
def test_what_is_no_change_of_arrays_and_tables_is_not_told_after_a_while(
    numeric: Interpreter, before: str, code: str
) -> None:
    """Likewise, of libraries in C."""
    assert brief(after_a_while(numeric, before, code)) == ""


SESSION = """
import colorsys
class P:
    shared = [1]
    def __init__(self, *parts): self.a, self.b = parts, list(parts)
    def method(self, n=[2]): return n
class Q(P):
    __slots__ = ("x", "y")
class R:
    __slots__ = ("u", "v")
def make(n):
    kept = [n]
    def inner(m, k=[3], *, l={}): return kept, m, k, l
    return inner
"""


class World:
    """A session's names, and things to do to them at random."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names: dict[str, Any] = {"__name__": "__main__"}
        exec(SESSION, self.names)
        for number in range(40):
            self.names[f"v{number}"] = self.value()

    def value(self, depth: int = 0) -> Any:
        """Return something new, or something that is there already."""
        pick, names = self.random.randrange, self.names
        kind = pick(18 if depth < 3 else 5)
        if kind < 4:
            return [pick(9), str(pick(9)), float(pick(9)), None][kind]
        if kind == 4:
            return names.get(f"v{pick(40)}")
        parts = [self.value(depth + 1) for _ in range(pick(4))]
        if kind == 14:
            made = names["R"]()
            made.u = parts
            return made
        if kind == 15:
            return names["make"](parts)
        if kind == 16:
            return names["Q"](*parts).method
        makers: list[Callable[[], Any]] = [
            lambda: parts, lambda: tuple(parts), lambda: dict(enumerate(parts)), lambda: {"k": parts, "l": parts},
            lambda: names["P"](*parts), lambda: names["Q"](*parts), lambda: {1, "a", pick(9)},
            lambda: frozenset([pick(9)]), lambda: property(names["make"](parts)), lambda: [parts, parts],
        ]  # fmt: skip
        return makers[(kind - 5) % 9 if kind != 17 else 9]()

    def step(self) -> None:
        """Do something."""
        pick, names = self.random.randrange, self.names
        name = f"v{pick(40)}"
        kind = pick(12)
        if kind == 0:
            names[name] = self.value()
        elif kind == 1:
            names.pop(name, None)
        elif kind == 2:
            names[name] = names.get(f"v{pick(40)}")
        elif kind == 3:
            names["P"].shared.append(1)
        elif kind == 4:
            names["colorsys"].mine = self.value()
        elif kind < 9:
            self.change(names.get(name), 0)

    def change(self, value: Any, depth: int) -> None:
        """Change something, or a part of it."""
        pick = self.random.randrange
        new = self.value(2)
        if isinstance(value, list | tuple) and value and pick(3) and depth < 5:
            self.change(value[pick(len(value))], depth + 1)
        elif isinstance(value, list):
            [lambda: value.append(new), value.clear, value.reverse][pick(3)]()
        elif isinstance(value, dict):
            value[pick(4)] = new
        elif isinstance(value, set):
            value ^= {pick(5)}
        elif isinstance(value, self.names["P"]):
            if pick(2):
                self.change(value.b, depth + 1)
            else:
                setattr(value, "x" if isinstance(value, self.names["Q"]) else "a", new)
        elif isinstance(value, self.names["R"]):
            value.v = new
        elif callable(value) and getattr(value, "__closure__", None):
            self.change_closure(value, depth, new)

    def change_closure(self, function: Any, depth: int, new: object) -> None:
        """Change what a function remembers."""
        if self.random.randrange(2):
            self.change(function.__closure__[0].cell_contents, depth + 1)
        else:
            function.__kwdefaults__["l"] = new


def told(tracker: Tracker) -> list[tuple[str, int]]:
    """Return what a tracker reports."""
    tracker.look()
    return [(each.name, each.kind) for each in tracker.report()]


@pytest.mark.parametrize("seed", range(6))
def test_random_changes_are_found_as_by_walks(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One tracker glances where it can, the other one never; they always agree."""
    world = World(seed)
    glancing, walking = Tracker(world.names), Tracker(world.names)
    monkeypatch.setattr(walking._calm, "settle", lambda now, buffers: None)
    glanced = 0
    for turn in range(150):
        for _ in range(world.random.choice([0, 0, 0, 1, 1, 3])):
            world.step()
        assert told(glancing) == told(walking), turn
        glanced += len(glancing._calm.names)
    assert glanced > 150 * 10, "most were glanced at"
    assert not walking._calm.names


def test_another_object_at_the_address_of_one_that_is_gone_is_told() -> None:
    """Where it has the same parts, but is not the same."""
    names: dict[str, Any] = {f"v{number}": [number] for number in range(20)}
    names["queue"] = deque([1], maxlen=5)
    tracker = Tracker(names)
    for _ in range(5):
        told(tracker)
    assert "queue" in tracker._calm.names
    before = id(names["queue"])
    others: list[Any] = []
    del names["queue"]
    while id(other := deque([1], maxlen=9)) != before and len(others) < 100:
        others.append(other)
    names["queue"] = other
    assert told(tracker) == [("queue", 2)]


def test_what_is_too_much_for_a_glance_is_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not keep the others from being glanced at."""
    monkeypatch.setattr(glance, "LARGEST", 1_000)
    names: dict[str, Any] = {f"v{number}": [number] for number in range(20)}
    names["big"] = [[number] for number in range(2_000)]
    tracker = Tracker(names)
    for _ in range(5):
        told(tracker)
    assert tracker._calm.names == {f"v{number}" for number in range(20)}
    names["big"][1_000].append(1)
    names["v7"].append(1)
    assert told(tracker) == [("big", 2), ("v7", 2)]


def test_what_takes_too_long_is_not_tried_after_each_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told each time, because nobody knows; and is compared again once it is another object, or after a while."""
    walked = []
    real = state_of

    def slow(value: Any, around: Any, deadline: float) -> Any:
        if isinstance(value, list) and len(value) == 3:
            walked.append(value)
            clock[0] += 5.0
            state = real(value, around, -1.0)
            state.unsure = "it took too long"
            return state
        return real(value, around, deadline)

    clock = [0.0]
    monkeypatch.setattr(tracker_module, "state_of", slow)
    monkeypatch.setattr(tracker_module, "_monotonic", lambda: clock[0])
    names: dict[str, Any] = {"x": [1, 2, 3], "y": [1]}
    tracker = Tracker(names)
    assert told(tracker) == [("x", 1), ("y", 1)]
    for turn in range(100):
        assert told(tracker) == [("x", 2)], turn
    assert len(walked) == 2
    names["x"] = [4, 5, 6]
    assert told(tracker) == [("x", 2)]
    assert len(walked) == 3
    names["x"] = [1]
    assert told(tracker) == [("x", 2)]
    assert told(tracker) == []
    assert not tracker._dear


def test_what_changes_often_is_not_glanced_at_for_longer_and_longer() -> None:
    """What it costs to take a glance must come in again."""
    names: dict[str, Any] = {f"v{number}": [number] for number in range(20)}
    tracker = Tracker(names)
    glances = 0
    for turn in range(300):
        if turn % 10 == 0:
            names["v3"].append(turn)
        told(tracker)
        glances += "v3" in tracker._calm.names
    assert 0 < glances < 30
    assert {f"v{number}" for number in range(20)} - {"v3"} <= tracker._calm.names


def test_what_is_remembered_does_not_grow() -> None:
    """However many names come and go."""
    names: dict[str, Any] = {}
    tracker = Tracker(names)
    for turn in range(2_000):
        names[f"v{turn}"] = [turn]
        names.pop(f"v{turn - 20}", None)
        told(tracker)
    calm = tracker._calm
    assert len(calm.names) <= 20
    assert len(calm._quiet) <= 20
    assert len(calm._needed) <= 600
    assert len(calm._glances) <= 20
    assert sum(each.size for each in calm._glances) <= 200
