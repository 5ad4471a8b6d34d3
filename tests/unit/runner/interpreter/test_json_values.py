"""Which values have JSON, and that it says exactly them."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbank_runner.interpreter.json_values import DEPTH, JSON_BYTES, json_of

ELIGIBLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), parts),
    max_leaves=30,
)


class _Text(str):
    __slots__ = ()


class _Number(IntEnum):
    ONE = 1


_CYCLE: list[Any] = []
_CYCLE.append(_CYCLE)
_CYCLIC_DICT: dict[str, Any] = {}
_CYCLIC_DICT["self"] = [_CYCLIC_DICT]
_WIDE: list[Any] = [0] * 10
for _ in range(12):
    _WIDE = [_WIDE] * 10


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


NOT_ELIGIBLE = [
    math.nan,
    math.inf,
    -math.inf,
    [math.nan],
    (1, 2),
    [(1,)],
    {1: 2},
    {"a": {2: 1}},
    {None: 1},
    {True: 1},
    b"bytes",
    {1, 2},
    1j,
    object(),
    _Text("x"),
    [_Text("x")],
    {_Text("x"): 1},
    _Number.ONE,
    OrderedDict(a=1),
    range(3),
    _CYCLE,
    _CYCLIC_DICT,
    _WIDE,
    _nested(DEPTH),
    _nested(200_000),
    "x" * (JSON_BYTES + 1),
    ["x" * (JSON_BYTES // 2)] * 3,
    [0] * JSON_BYTES,
    {str(number): None for number in range(JSON_BYTES // 8)},
    "\n" * (JSON_BYTES - 2),
    10**5000,
]


@given(ELIGIBLE)
def test_json_says_exactly_the_value(value: Any) -> None:
    """Decoded, it is the same value with the same types, bit for bit."""
    data = json_of(value)
    assert data is not None
    assert _exactly(json.loads(data), value)


@given(ELIGIBLE, st.sampled_from([math.nan, (1,), b"x", {1: 1}, object()]), st.data())
def test_one_part_that_is_not_eligible_spoils_the_whole(
    value: Any, part: object, data: st.DataObject
) -> None:
    """Wherever it is."""
    whole = data.draw(st.sampled_from([[value, part], {"a": value, "b": [part]}, [[[part]], value]]))
    assert json_of(whole) is None


@pytest.mark.parametrize("value", NOT_ELIGIBLE, ids=lambda value: type(value).__name__)
def test_what_json_cannot_say_exactly_has_none(value: object) -> None:
    """No subclass, no tuple, nothing infinite, cyclic, too deep or too large; told quickly and without failing."""
    assert json_of(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("\ud800", b'"\\\\ud800"'),
        (["a\udcff"], b'["a\\\\udcff"]'),
        ({"\ud800": {"a": "\ud800"}}, b'{"\\\\ud800":{"a":"\\\\ud800"}}'),
        ("ä\u2028", '"ä\u2028"'.encode()),
        ("\0", b'"\\u0000"'),
    ],
)
def test_text_that_utf8_cannot_carry_is_escaped(value: object, text: bytes) -> None:
    """It appears backslash-escaped in the value, and the JSON is valid UTF-8."""
    assert json_of(value) == text


def test_the_bounds_are_inclusive() -> None:
    """Just as deep and as large as allowed is allowed."""
    assert json_of(_nested(DEPTH - 1)) is not None
    assert json_of("x" * (JSON_BYTES - 2)) is not None


def _exactly(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_exactly, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(_exactly(left[key], right[key]) for key in left)
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return bool(left == right)
