"""What a listing tells of each variable, and of which variables."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.reading.harness import LIST, Reading, listing
from tests.unit.runner.interpreter.snapshots.harness import Timeline

DESCRIBED = {
    "1": {"type_name": "int", "preview": "1", "length": None},
    "10 ** 5000": {"preview": "<int of 16610 bits>"},
    "None": {"type_name": "NoneType", "preview": "None"},
    "'text'": {"type_name": "str", "preview": "'text'", "length": 4},
    "'x' * 10 ** 8": {"preview": "'" + "x" * 198 + "…", "length": 10**8},
    "b'x' * 300": {"preview": "b'" + "x" * 197 + "…", "length": 300},
    "[1, 'a', (2,), {3: {4}}, [], (), set(), frozenset([5])]": {
        "preview": "[1, 'a', (2,), {3: {4}}, [], (), set(), frozenset({5})]",
        "length": 8,
    },
    "list(range(10 ** 6))": {"preview": str(list(range(99)))[:199] + "…", "length": 10**6},
    "dict.fromkeys(range(10 ** 6))": {"length": 10**6},
    "range(3)": {"type_name": "range", "preview": "range(0, 3)", "length": 3},
    "__import__('collections').deque([1])": {
        "type_name": "collections.deque",
        "preview": "deque([1])",
        "length": 1,
    },
    "__import__('collections').Counter('aab')": {
        "type_name": "collections.Counter",
        "preview": "Counter({'a': 2, 'b': 1})",
        "length": 2,
    },
    "type('Sub', (list,), {'__len__': lambda self: 99})([1])": {"preview": "[1]", "length": 1},
    "type('Own', (), {'__len__': lambda self: 99, '__repr__': lambda self: 'own'})()": {
        "type_name": "__main__.Own",
        "preview": "own",
        "length": None,
    },
    "[type('Own', (), {'__repr__': lambda self: 'own'})()]": {"preview": "[own]"},
    "int": {"type_name": "type", "preview": "<class 'int'>"},
    "len": {"type_name": "builtin_function_or_method", "preview": "<built-in function len>"},
}

LIBRARIES = {
    "numpy.zeros((3, 4))": {"type_name": "numpy.ndarray", "shape": [3, 4], "dtype": "float64", "length": 3},
    "numpy.array(5, dtype='int8')": {"shape": [], "dtype": "int8", "length": None},
    "numpy.float32(1)": {"type_name": "numpy.float32", "shape": [], "dtype": ""},
    "pandas.DataFrame({'a': [1, 2], 'b': [3., 4.]})": {"shape": [2, 2], "dtype": "", "length": 2},
    "pandas.Series([1, 2, 3])": {"shape": [3], "dtype": "int64", "length": 3},
    "pandas.Index(['a', 'b'])": {"shape": [2], "length": 2},
}


@pytest.mark.parametrize(("expression", "expected"), DESCRIBED.items(), ids=str)
def test_a_value_is_described(interpreter: Interpreter, expression: str, expected: dict[str, Any]):
    """Type, length and the beginning of its repr."""
    interpreter.ok(f"v = {expression}")
    item = listing(interpreter).items["v"]
    assert {key: item[key] for key in expected} == expected
    assert len(item["preview"]) <= 200


@pytest.mark.parametrize(("expression", "expected"), LIBRARIES.items(), ids=str)
def test_arrays_and_tables_are_described(rich: Interpreter, expression: str, expected: dict[str, Any]):
    """Shape and element type where they have one."""
    rich.ok(f"import numpy, pandas\nv = {expression}")
    item = listing(rich).items["v"]
    assert {key: item[key] for key in expected} == expected


def test_a_preview_is_the_beginning_of_the_repr(interpreter: Interpreter):
    """Of builtin types it is written part by part, and reads as Python itself would write it."""
    values = [
        "[[1, [2, [3]]], {'a': [{}]}]",
        "{'k': (1, 'two', 3.0, None, True)}",
        "[1.5, -0.0, 1j, b'x', ...]",
        "'it\\'s'",
    ]
    interpreter.ok("\n".join(f"v{n} = {text}" for n, text in enumerate(values)) + "\nv9 = []; v9.append(v9)")
    items = listing(interpreter).items
    for number, text in enumerate(values):
        assert items[f"v{number}"]["preview"] == repr(eval(text))
    assert items["v9"]["preview"] == "[[...]]"


def test_names_are_sorted_and_chosen(interpreter: Interpreter):
    """By prefix, after a name, at most so many; private ones only if asked for, the interpreter's own never."""
    interpreter.ok("b = a = ab = _p = __dunder__ = 1\n7")
    interpreter.ok("'a last value'")
    assert list(listing(interpreter).items) == ["a", "ab", "b"]
    assert list(listing(interpreter, prefix="a").items) == ["a", "ab"]
    assert list(listing(interpreter, after="a").items) == ["ab", "b"]
    assert list(listing(interpreter, private=True).items) == ["__dunder__", "_p", "a", "ab", "b"]
    first = listing(interpreter, limit=2)
    assert (list(first.items), first.last["more"]) == (["a", "ab"], True)
    assert listing(interpreter, limit=3).last["more"] is False


def test_ten_thousand_variables_come_in_pages(interpreter: Interpreter):
    """All of them, each once."""
    interpreter.ok("globals().update({f'v{n:05}': [n] for n in range(10_000)})")
    names: list[str] = []
    while True:
        page = listing(interpreter, prefix="v", after=names[-1] if names else "", limit=1000)
        names += page.items
        if not page.last["more"]:
            break
    assert names == [f"v{n:05}" for n in range(10_000)]


SIZES = {
    "[1000]": sys.getsizeof([1000]) + sys.getsizeof(1000),
    "[[]] * 1000": sys.getsizeof([[]] * 1000) + sys.getsizeof([]),
    "bytearray(10 ** 6)": sys.getsizeof(bytearray(10**6)),
}
AT_LEAST = {
    "[bytes(1000) for _ in range(1000)]": (10**6, 11 * 10**5),
    "numpy.zeros(10 ** 6)": (8 * 10**6, 81 * 10**5),
    "numpy.zeros(10 ** 6)[::2]": (8 * 10**6, 81 * 10**5),
    "[numpy.zeros(10 ** 6)[n:] for n in range(1)] * 3": (8 * 10**6, 81 * 10**5),
    "pandas.DataFrame({'a': numpy.zeros(10 ** 6), 'b': numpy.ones(10 ** 6)})": (16 * 10**6, 17 * 10**6),
    "(lambda a: [a[:10], a[10:], a])(numpy.zeros(10 ** 6))": (8 * 10**6, 81 * 10**5),
    "numpy.array([bytes(1000) for _ in range(1000)], dtype=object)": (10**6, 11 * 10**5),
    "type('K', (), {})()": (1, 10**4),
    "numpy": (1, 10**4),
    "(lambda a: lambda: a)(bytes(10 ** 6))": (10**6, 11 * 10**5),
    "memoryview(bytes(10 ** 6))": (10**6, 11 * 10**5),
    "list(range(10 ** 6))": (8 * 10**6, 36 * 10**6),
}


@pytest.mark.parametrize(("expression", "size"), SIZES.items(), ids=str)
def test_the_size_is_that_of_all_parts(interpreter: Interpreter, expression: str, size: int):
    """Shared parts count once."""
    interpreter.ok(f"v = {expression}")
    assert listing(interpreter).items["v"]["size_bytes"] == size


@pytest.mark.parametrize(("expression", "bounds"), AT_LEAST.items(), ids=str)
def test_the_size_includes_buffers(rich: Interpreter, expression: str, bounds: tuple[int, int]):
    """Buffers of arrays and tables once, also where only a view of them is held; modules and globals not at all."""
    rich.ok(f"import numpy, pandas\nbig = bytes(10 ** 7)\nv = {expression}")
    assert bounds[0] <= listing(rich).items["v"]["size_bytes"] <= bounds[1]


def test_a_sleeping_snapshot_can_be_read(timeline: Timeline):
    """It shows the state that it was made of, sleeps on, and can be woken after it."""
    timeline.ok("n = [1]")
    sleeper = timeline.snapshot()
    timeline.ok("n.append(2)")
    for _ in range(2):
        seen = Reading(timeline.interpreter, LIST, sleeper).finish()
        assert seen.items["n"]["preview"] == "[1]"
    assert listing(timeline.interpreter).items["n"]["preview"] == "[1, 2]"
    timeline.rollback(sleeper)
    assert listing(timeline.interpreter).items["n"]["preview"] == "[1]"


def test_a_preview_is_as_long_as_was_asked_for(interpreter: Interpreter):
    """An ellipsis takes the place of the last character, whoever wrote the text."""
    interpreter.ok(
        "class K:\n    def __repr__(self): return 'k' * 5000\na = list(range(1000))\nk = K()\ns = 'ü' * 1000"
    )
    for characters in (1, 10, 2000):
        for name, text in (("a", repr(list(range(1000)))), ("k", "k" * 5000), ("s", repr("ü" * 1000))):
            preview = listing(interpreter, characters=characters).items[name]["preview"]
            assert preview == (text if len(text) <= characters else text[: characters - 1] + "…")
