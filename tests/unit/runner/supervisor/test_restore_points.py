"""Which states can be gone back to, and which snapshots need not be kept."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbank_runner.supervisor.restore_points import Mark, RestorePoint, RestorePoints, WayBack


def points(*states: int) -> RestorePoints:
    """Return restore points of these states."""
    made = RestorePoints()
    for number, state in enumerate(states):
        made.add(RestorePoint(number, Mark(state, f"o{state}", state), cast("Any", None)))
    return made


def states(found: Any) -> list[int]:
    """Return the states of restore points."""
    return [point.mark.state for point in found]


@pytest.mark.parametrize(
    ("way", "tried"),
    [
        (WayBack(limit=9), [7, 5, 2]),
        (WayBack(limit=6), [5, 2]),
        (WayBack(limit=5, exact=5), [5, 2]),
        (WayBack(limit=2, exact=7), [7, 2]),
        (WayBack(limit=2, exact=6), [2]),
        (WayBack(limit=1), []),
    ],
)
def test_the_best_way_back_is_tried_first(way: WayBack, tried: list[int]):
    """The exact state, then the newest that is not later than the limit, and so on back."""
    assert states(points(2, 5, 7).candidates(way)) == tried


def test_what_is_not_needed_may_go():
    """Kept: the newest, as many before it as history asks for, and the way back to each pinned state."""
    some = points(1, 3, 5, 7, 9)
    assert states(some.surplus(0, ())) == [1, 3, 5, 7]
    assert states(some.surplus(2, ())) == [1, 3]
    assert states(some.surplus(0, {3, 4, 9})) == [1, 5, 7]
    assert states(some.surplus(0, {0})) == [1, 3, 5, 7]
    assert states(some.surplus(9, ())) == []


def test_later_states_are_of_a_past_that_never_was():
    """After going back."""
    assert states(points(1, 3, 5).later_than(3)) == [5]


def test_one_that_is_gone_is_gone():
    """Removing it again says so."""
    some = points(1, 3)
    newest = some.newest
    assert newest is not None
    assert some.of_state(3) is newest
    assert some.remove(newest)
    assert not some.remove(newest)
    assert some.of_state(3) is None
    assert states(some) == [1]


@given(
    st.lists(st.integers(0, 50), unique=True, max_size=12).map(sorted),
    st.integers(0, 5),
    st.sets(st.integers(0, 50), max_size=3),
    st.integers(0, 50),
)
def test_letting_go_never_worsens_a_way_that_is_pinned(
    made: list[int], history: int, pinned: set[int], state: int
):
    """The best way back to a pinned state, and to the newest, is the same before and after."""
    some = points(*made)
    ways = [WayBack(limit=each) for each in (*pinned, 50)]
    before = [states(some.candidates(way))[:1] for way in ways]
    for point in some.surplus(history, pinned):
        some.remove(point)
    assert [states(some.candidates(way))[:1] for way in ways] == before
    assert len(some) <= 1 + history + len(pinned)
