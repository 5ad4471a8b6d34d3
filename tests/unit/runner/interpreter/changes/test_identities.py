"""Reports remember where objects are, and hold none that could tell: what that keeps as it is, and what it costs."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sandbank_runner.interpreter.changes.tracker import Tracker

FILL = {f"z{number}": number for number in range(9)}


class Thing:
    """An instance."""

    def __init__(self) -> None:
        self.parts = [1]


MAKERS: dict[str, Callable[[], Any]] = {
    "a list": lambda: [1, [2]],
    "a dict": lambda: {"k": [1]},
    "a set": lambda: {1, "a"},
    "an instance": Thing,
    "an array": lambda: np.arange(5),
    "a large array": lambda: np.arange(50_000),
    "an array of objects": lambda: np.array(["a", 1000], dtype=object),
    "a view": lambda: np.zeros((3, 3))[:, 1],
    "a table": lambda: pd.DataFrame({"a": [1], "b": ["u"]}),
    "a column": lambda: pd.DataFrame({"a": [1], "b": ["u"]})["b"],
    "dates": lambda: pd.date_range("2024", periods=3),
}


def told(tracker: Tracker) -> list[tuple[str, int]]:
    """Return what a tracker reports."""
    tracker.look(alone=True)
    return [(each.name, each.kind) for each in tracker.report()]


def references(names: dict[str, Any]) -> int:
    """Count them where no assertion holds one more."""
    return sys.getrefcount(names["x"])


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_is_looked_at_is_not_held(make: Callable[[], Any]) -> None:
    """User code sees no more references than its own, and what it lets go of is gone at that moment."""
    names: dict[str, Any] = {"x": make(), **FILL}
    counts = [references(names)]
    tracker = Tracker(names)
    for _ in range(5):
        told(tracker)
        counts.append(references(names))
    assert counts == counts[:1] * 6
    assert "x" in tracker._calm.names
    if type(names["x"]).__weakrefoffset__:
        ended: list[Any] = []
        reference = weakref.ref(names["x"], ended.append)
        del names["x"]
        assert ended == [reference]


def bind_anew(names: dict[str, Any], make: Callable[[], Any], other: Any) -> None:
    """Bind ``a`` and ``b``, which share an object, to two others; the one of ``a`` comes to the place of the old."""
    others: list[Any] = []  # before: it could come to that place itself
    address = id(names["a"])
    del names["a"], names["b"]
    for _ in range(10_000):
        made = make()
        if id(made) == address:
            names["a"], names["b"] = made, other
            return
        others.append(made)
    pytest.fail("nothing has come to the address")


@pytest.mark.parametrize("make", [lambda: [1], lambda: {"k": [1]}, lambda: {1}], ids=["list", "dict", "set"])
def test_of_two_that_shared_one_is_told_if_an_equal_object_came_to_the_place_of_the_old(
    make: Callable[[], Any],
) -> None:
    """The limit. Both were bound anew, to two objects; of ``a`` that cannot be seen, and of ``b`` it is told."""
    names: dict[str, Any] = {"a": make()}
    names["b"] = names["a"]
    tracker = Tracker(names)
    assert told(tracker) == [("a", 1), ("b", 1)]
    bind_anew(names, make, make())
    assert told(tracker) == [("b", 2)]
    assert told(tracker) == []


def test_of_two_that_shared_both_are_told_if_the_old_one_is_still_there() -> None:
    """As a comparison of what was before says: each has another object, which it shares with nobody."""
    names: dict[str, Any] = {"a": [1]}
    names["b"] = before = names["a"]
    tracker = Tracker(names)
    told(tracker)
    names["a"], names["b"] = [1], [1]
    assert told(tracker) == [("a", 2), ("b", 2)]
    del before


def test_another_value_is_told_wherever_its_object_is() -> None:
    """The limit is one of who shares what, never of a value."""
    names: dict[str, Any] = {"a": [1]}
    names["b"] = names["a"]
    tracker = Tracker(names)
    told(tracker)
    bind_anew(names, lambda: [2], [1])
    assert told(tracker) == [("a", 2), ("b", 2)]
