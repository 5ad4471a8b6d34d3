"""Which operations' effects a checkpoint has, whatever the session went back to."""

from __future__ import annotations

import random

import pytest
from sandbank_server.sessions.log.coverage import Coverage


def test_a_checkpoint_has_what_ended_before_it() -> None:
    """By rank; the first that has an operation is its durable one."""
    coverage = Coverage()
    coverage.add("a", 2)
    coverage.add("b", 2)
    coverage.add("c", 5)
    assert [coverage.has("a", rank) for rank in range(4)] == [False, True, True, False]
    assert [coverage.first_with(rank) for rank in (1, 2, 3, 5, 6)] == ["a", "a", "c", "c", ""]
    assert coverage.line == ["a", "b", "c"]
    assert list(coverage.before("c")) == ["b", "a"]


def test_going_back_leaves_a_gap_that_later_checkpoints_have_too() -> None:
    """And going back to before it closes it, because nothing of it can come any more."""
    coverage = Coverage()
    coverage.add("a", 2)
    coverage.add("b", 4)
    coverage.go_back("a", 6)
    assert [coverage.has_now(rank) for rank in range(1, 8)] == [True, True, False, False, False, False, True]
    assert coverage.line == ["a"]
    coverage.add("c", 8)
    assert [rank for rank in range(1, 9) if coverage.has("c", rank)] == [1, 2, 7, 8]
    assert coverage.first_with(5) == ""
    # What had been left is a state that can be had again.
    coverage.go_back("b", 9)
    assert [rank for rank in range(1, 10) if coverage.has_now(rank)] == [1, 2, 3, 4]
    assert coverage.line == ["b"]


def test_of_another_sessions_checkpoint_nothing_is_known() -> None:
    """It has no effect of this session's operations; a reset is the same."""
    for checkpoint_id in ("foreign", ""):
        coverage = Coverage()
        coverage.add("a", 2)
        coverage.go_back(checkpoint_id, 3)
        assert not any(coverage.has_now(rank) for rank in range(1, 4))
        assert coverage.has_now(4)
        coverage.add("b", 4)
        assert [rank for rank in range(1, 5) if coverage.has("b", rank)] == [4]


@pytest.mark.parametrize("seed", range(50))
def test_any_history_says_what_a_model_says(seed: int) -> None:
    """The model keeps the set of effects of each state; ranks count the ends."""
    chance = random.Random(seed)
    coverage, newest = Coverage(), 0
    now: set[int] = set()
    saved: dict[str, set[int]] = {"foreign": set()}
    for step in range(60):
        match chance.choice(("end", "end", "end", "save", "back", "reset")):
            case "end":
                newest += 1
                now = now | {newest}
            case "save":
                saved[f"cp-{step}"] = now
                coverage.add(f"cp-{step}", max(now, default=0))
            case "back":
                name = chance.choice(sorted(saved))
                now = saved[name]
                coverage.go_back(name, newest)
            case "reset":
                now = set()
                coverage.go_back("", newest)
        assert {rank for rank in range(1, newest + 1) if coverage.has_now(rank)} == now
        for name, effects in saved.items():
            assert {rank for rank in range(1, newest + 1) if coverage.has(name, rank)} == effects
