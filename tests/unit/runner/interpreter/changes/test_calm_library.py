"""What a glance tells of arrays and tables, against what walks see, in random programs; and what it could miss."""

from __future__ import annotations

import mmap
import random
import warnings
from array import array
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sandbank_runner.interpreter.changes.tracker import Tracker

COUNT = 40
_DTYPES = ("i8", "f4", "?", "c16", "M8[ns]", ">i4", "U3", "O", [("a", "i4"), ("b", "f8")], "m8[s]", "S2")
# ruff: noqa: PLW0108 - what is picked from must not be done yet
_CLASSES: list[Callable[[int], Any]] = [
    lambda n: pd.DataFrame({"a": range(n), "b": [str(each) for each in range(n)], "c": np.ones(n)}),
    lambda n: pd.DataFrame(np.arange(4.0 * n).reshape(n, 4), columns=list("abcd")),
    lambda n: pd.Series(range(n), index=pd.date_range("2024", periods=n), name="s"),
    lambda n: pd.Series(["x", "y"] * n, dtype="category"),
    lambda n: pd.array([1, None] * n, dtype="Int64"),
    lambda n: pd.date_range("2024", periods=n, tz="UTC"),
    lambda n: pd.MultiIndex.from_product([range(n), ["a", "b"]]),
    lambda n: pd.Series([f"{each}" for each in range(n)], dtype=object),
    lambda n: pd.Series([[each] for each in range(n)]),
    lambda n: pd.Index([f"{each}" for each in range(n)], name="i"),
    lambda n: pd.interval_range(0, n),
    lambda n: pd.array(["u", None, "v"] * n, dtype="string"),
    lambda n: pd.period_range("2024", periods=n, freq="M"),
    lambda n: pa.chunked_array([list(range(n)), [7]]),
    lambda n: pa.table({"a": list(range(n))}),
    lambda n: pd.RangeIndex(n),
    lambda n: pd.DataFrame({"t": pd.date_range("2024", periods=n, tz=UTC)}),
]


class World:
    """Arrays and tables, and things to do to them at random."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names: dict[str, Any] = {"__name__": "__main__"}
        for number in range(COUNT):
            self.names[f"v{number}"] = self.value()

    def value(self) -> Any:
        """Return something new, or something that shares memory with what is there."""
        pick = self.random.randrange
        kind = pick(12)
        if kind < 4:
            return self.array()
        if kind < 7:
            return _CLASSES[pick(len(_CLASSES))](1 + pick(5))
        other = self.names.get(f"v{pick(COUNT)}")
        if kind == 7:
            return other
        if kind == 8:
            return [self.array(), {"k": other}]
        return self.view(other)

    def array(self) -> Any:
        """Return a new array."""
        pick = self.random.randrange
        kind = pick(8)
        if kind == 0:
            return np.frombuffer(bytearray(range(16)), "i4")
        if kind == 1:
            return np.array(pick(5), "f8")
        if kind == 2:
            return np.arange(20_000) * (1 + pick(2))
        if kind == 3:
            return np.asarray(array("d", [pick(3), 1]))
        dtype = _DTYPES[pick(len(_DTYPES))]
        made = np.zeros((pick(3), 1 + pick(4)), dtype, order="F" if pick(2) else "C")
        if dtype == "O":
            made[...] = [pick(3)] if pick(2) else 0
        return made

    def view(self, other: Any) -> Any:
        """Return something that shares memory with another."""
        pick = self.random.randrange
        if isinstance(other, np.ndarray):
            return [lambda: other.T, lambda: other[::2] if other.ndim else other[...], lambda: other[...],
                    lambda: np.ma.asarray(other)][pick(4)]()  # fmt: skip
        if isinstance(other, pd.DataFrame) and len(other.columns):
            return [lambda: other.iloc[:, 0], lambda: other[:], lambda: other.values, lambda: other.copy()][
                pick(4)
            ]()
        if isinstance(other, pd.Series | pd.Index):
            return [
                lambda: other[:2],
                lambda: other.to_numpy(),
                lambda: other.copy(),
                lambda: other[::-1],
            ][pick(4)]()
        return np.float64(pick(3))

    def step(self) -> None:
        """Do something."""
        pick, names = self.random.randrange, self.names
        name = f"v{pick(COUNT)}"
        kind = pick(10)
        try:
            if kind == 0:
                names[name] = self.value()
            elif kind == 1:
                names.pop(name, None)
            elif kind == 2:
                names[name] = self.view(names.get(f"v{pick(COUNT)}"))
            else:
                self.change(names.get(name))
        except (ValueError, TypeError, IndexError, KeyError, AttributeError, NotImplementedError):
            pass

    def change(self, value: Any) -> None:
        """Change something, read it, or put something equal in its place."""
        pick = self.random.randrange
        if isinstance(value, list):
            self.change(value[0])
        elif isinstance(value, np.ndarray):
            self.change_array(value)
        elif isinstance(value, pd.DataFrame):
            self.change_table(value)
        elif isinstance(value, pd.Series):
            [lambda: value.iloc.__setitem__(0, value.iloc[-1]), lambda: setattr(value, "name", "t"),
             value.describe, lambda: value.attrs.update(k=pick(3)),
             lambda: setattr(value.index, "name", f"i{pick(3)}")][pick(5)]()  # fmt: skip
        elif isinstance(value, pd.Index):
            [
                lambda: setattr(value, "name", f"n{pick(3)}"),
                lambda: value.get_loc(value[0]),
                lambda: value.is_unique,
            ][pick(3)]()
        elif isinstance(value, pd.api.extensions.ExtensionArray):
            value[0] = value[-1]

    def change_array(self, value: Any) -> None:
        """Change an array."""
        pick = self.random.randrange
        flat = value.reshape(-1)
        [lambda: value.__setitem__(..., pick(3)), lambda: flat.__setitem__(pick(4), 1), lambda: value.resize((1, 3)),
         lambda: setattr(value, "shape", (-1, 1)), lambda: setattr(value, "dtype", f"V{value.itemsize}"),
         lambda: setattr(value.flags, "writeable", bool(pick(2))), value.sum, value.tobytes,
         lambda: value.sort(), lambda: value.byteswap(inplace=True), lambda: flat.__setitem__(0, "z"),
         lambda: memoryview(value)][pick(12)]()  # fmt: skip

    def change_table(self, value: Any) -> None:
        """Change a table."""
        pick = self.random.randrange
        [lambda: value.iloc.__setitem__((0, 0), pick(3)), lambda: value.__setitem__("new", pick(3)), value.describe,
         lambda: value.pop(value.columns[0]), lambda: value.attrs.update(k=[pick(3)]), lambda: value["a"].sum(),
         lambda: setattr(value.columns, "name", f"c{pick(2)}"), lambda: value.groupby(value.columns[0]).sum(),
         lambda: setattr(value.flags, "allows_duplicate_labels", bool(pick(2))),
         lambda: value.__setitem__("a", value["a"].tolist())][pick(10)]()  # fmt: skip


def told(tracker: Tracker) -> list[tuple[str, int, bool]]:
    """Return what a tracker reports, and what it is not sure of."""
    tracker.look(alone=True)
    return [(each.name, each.kind, bool(each.detail)) for each in tracker.report()]


def never(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    """Have a tracker walk all, each time."""
    monkeypatch.setattr(tracker._calm, "settle", lambda now, buffers: None)
    return tracker


def play(seed: int, turns: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Play; return how many variables were glanced at, in all turns."""
    world = World(seed)
    glancing, walking = Tracker(world.names), never(Tracker(world.names), monkeypatch)
    glanced = 0
    for turn in range(turns):
        for _ in range(world.random.choice([0, 0, 0, 1, 1, 3])):
            world.step()
        assert told(glancing) == told(walking), turn
        glanced += len(glancing._calm.names)
    return glanced


@pytest.mark.parametrize("seed", range(4))
def test_random_changes_are_found_as_by_walks(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One tracker glances where it can, the other one never; they always agree."""
    assert play(seed, 60, monkeypatch) > 60 * COUNT // 4, "many were glanced at"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 300))
def test_random_changes_are_found_as_by_walks_for_long(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, many times."""
    play(seed, 150, monkeypatch)


FILL = {f"z{number}": number for number in range(9)}
LENT = bytearray(16)


def calmed(*values: Any) -> tuple[Tracker, dict[str, Any]]:
    """Return a tracker that has seen values, ``x0``, ``x1`` and so on, for a while."""
    names = {f"x{number}": value for number, value in enumerate(values)} | FILL
    tracker = Tracker(names)
    for _ in range(5):
        told(tracker)
    return tracker, names


GLANCED: dict[str, Callable[[], Any]] = {
    "numbers": lambda: np.arange(5),
    "many numbers": lambda: np.arange(50_000),
    "no numbers": lambda: np.zeros((0, 3)),
    "one number": lambda: np.array(1.5),
    "a number": lambda: np.float64(1.5),
    "a column of a matrix": lambda: np.zeros((5, 5))[:, 1],
    "backwards": lambda: np.arange(5)[::-1],
    "in Fortran's order": lambda: np.zeros((3, 4), order="F"),
    "numbers elsewhere": lambda: np.asarray(np.arange(5).data.obj)[1:],
    "texts": lambda: np.array(["a", "bc"]),
    "objects": lambda: np.array(["a", None, 1.5], dtype=object),
    "moments": lambda: np.zeros(3, "M8[ns]"),
    "other byte order": lambda: np.zeros(3, ">i4"),
    "a table": lambda: pd.DataFrame({"a": [1], "b": ["u"], "c": [1.5]}),
    "a table with dates": lambda: pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2024", periods=2)),
    "a zone": lambda: pd.Series(pd.date_range("2024", periods=2, tz="Europe/Berlin")),
    "categories": lambda: pd.Series(["a", "b"], dtype="category"),
    "numbers with gaps": lambda: pd.Series([1, None], dtype="Int64"),
    "several levels": lambda: pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_product([[1], ["a", "b"]])
    ),
    "a column": lambda: pd.DataFrame({"a": [1, 2], "b": [1.5, 2.5]})["a"],
    "tables in a list": lambda: [pd.DataFrame({"a": [1]}), {"k": np.arange(3)}],
}


@pytest.mark.parametrize("make", GLANCED.values(), ids=GLANCED)
def test_what_is_usual_is_glanced_at(make: Callable[[], Any]) -> None:
    """Or it would cost each operation a walk."""
    tracker, _ = calmed(make())
    assert "x0" in tracker._calm.names
    assert told(tracker) == []
    assert "x0" in tracker._calm.names


def _lent() -> Any:
    LENT[:] = bytes(16)
    return pa.chunked_array([pa.Array.from_buffers(pa.int64(), 2, [None, pa.py_buffer(LENT)])])


def _shape(value: Any) -> None:
    value.shape = (3, 2)


def _other_order(value: Any) -> None:
    value.dtype.__setstate__((3, "<", None, None, None, -1, -1, 0))


def _named(value: Any) -> None:
    """Give it the dtype with a field that has come to the place of its own."""
    place = id(value.dtype)
    value.dtype = "f8"
    others = []
    while id(dtype := np.dtype([("a", "f8")])) != place and len(others) < 100:
        others.append(dtype)
    value.dtype = dtype


def _parts(value: Any) -> None:
    value.dtype.__setstate__((4, "|", None, ("a",), {"a": (np.dtype("f8"), 0)}, 8, 1, 16, {}))


def _steps(value: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy would rather not have it done
        value.strides = (24,)


MISSED: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "an element": (lambda: np.zeros(5), lambda value: value.__setitem__(2, 1)),
    "an element of many": (lambda: np.zeros(50_000), lambda value: value.__setitem__(20_000, 1)),
    "a shape of the same size": (lambda: np.zeros((2, 3)), _shape),
    "steps from element to element": (lambda: np.arange(40)[:20:2], _steps),
    "whether it can be written to": (lambda: np.zeros(3), lambda value: value.setflags(write=False)),
    "the byte order of a type": (lambda: np.ones(2, np.dtype(">i8").newbyteorder("=").newbyteorder(">")), _other_order),
    "a type with a field at the place of one without": (lambda: np.zeros(3, np.dtype("V8")), _named),
    "a type that is given a field": (lambda: np.zeros(3, np.dtype("V8")), _parts),
    "memory lent to Arrow": (_lent, lambda _: LENT.__setitem__(0, 1)),
    "a number of the same value": (
        lambda: np.array([1000.5, None], dtype=object), lambda value: value.__setitem__(1, 0)),
    "a cell": (lambda: pd.DataFrame({"a": [1, 2]}), lambda value: value.loc.__setitem__((1, "a"), 3)),
    "a cell of text": (lambda: pd.DataFrame({"a": ["u"]}), lambda value: value.loc.__setitem__((0, "a"), "v")),
    "an element through its buffer": (lambda: np.zeros(3), lambda value: memoryview(value).cast("B").__setitem__(7, 1)),
    "an element between views": (lambda: np.zeros((3, 3))[:, 1], lambda value: value.base.fill(1)),
}  # fmt: skip


@pytest.mark.parametrize(("make", "change"), MISSED.values(), ids=MISSED)
def test_what_a_glance_must_not_miss(make: Callable[[], Any], change: Callable[[Any], None]) -> None:
    """Changes in place, at the same address."""
    tracker, names = calmed(make())
    assert "x0" in tracker._calm.names
    change(names["x0"])
    assert told(tracker) == [("x0", 2, False)]


def test_what_lies_between_the_elements_is_no_change() -> None:
    """A glance sees it, but a walk does not."""
    whole = np.zeros((3, 3))
    tracker, _ = calmed(whole[:, 1])
    whole[:, 0] = 7
    assert told(tracker) == []


@pytest.mark.parametrize(
    "make", [lambda n: np.full(4, n), lambda n: pa.chunked_array([[n]]), lambda n: np.zeros(4, f"M8[{n}s]")]
)
def test_another_one_at_the_same_address_is_told(make: Callable[[int], Any]) -> None:
    """Whatever has come to its place is looked at, not what was there."""
    tracker, names = calmed(make(1))
    before = id(names["x0"])
    others: list[Any] = []
    del names["x0"]
    while id(other := make(2)) != before and len(others) < 100:
        others.append(other)
    names["x0"] = other
    assert told(tracker) == [("x0", 2, False)]


def test_beside_other_threads_memory_is_not_glanced_at() -> None:
    """They could move it while it is read: all is walked, and glanced at again once they are gone for a while."""
    tracker, names = calmed(np.arange(5), [1])
    names["x0"][1] = 7
    tracker.look(alone=False)
    assert [each.name for each in tracker.report()] == ["x0"]
    for _ in range(5):
        tracker.look(alone=False)
    assert "x0" not in tracker._calm.names
    assert "x1" in tracker._calm.names
    for _ in range(100):
        told(tracker)
    assert "x0" in tracker._calm.names


def test_what_others_may_write_to_is_walked(tmp_path: Path) -> None:
    """Mappings; and what holds objects that change without a trace in it."""
    shared = mmap.mmap(-1, 4096)
    mapped = np.memmap(tmp_path / "numbers", "u1", "w+", shape=(8,))
    tracker, names = calmed(
        np.frombuffer(shared, "u1"), mapped, np.asarray(mapped), np.array([[1], None], dtype=object)
    )
    assert tracker._calm.names == set(FILL)
    shared[3] = 1
    names["x1"][4] = 5
    names["x3"][0].append(2)
    assert [name for name, _, _ in told(tracker)] == ["x0", "x1", "x2", "x3"]
