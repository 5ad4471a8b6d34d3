"""Users of sandboxes: four each, never two sandboxes' at once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbank_server.runtimes.base import LaunchFailed
from sandbank_server.runtimes.docker.users import SandboxUsers, UserRange


def users_from(first: int = 1000, count: int = 16, seed: int = 0) -> UserRange:
    """Return a range."""
    return UserRange(first, count, random.Random(seed))


@given(st.integers(0, 100), st.lists(st.booleans(), max_size=60))
def test_living_sandboxes_share_no_user(seed: int, steps: list[bool]) -> None:
    """Whatever comes and goes, those that live have users of their own, in the range."""
    users = users_from(count=40, seed=seed)
    living: dict[str, SandboxUsers] = {}
    for number, arrives in enumerate(steps):
        if arrives and len(living) < 10:
            living[str(number)] = users.take(str(number))
        elif living:
            gone = next(iter(living))
            del living[gone]
            users.release(gone)
        given_out = [uid for each in living.values() for uid in each]
        assert len(given_out) == len(set(given_out))
        assert all(1000 <= uid < 1040 for uid in given_out)


def test_adopted_and_foreign_users_are_not_given_out() -> None:
    """What an earlier control plane or another installation gave out is taken, aligned with ours or not."""
    users = users_from(count=16)
    users.adopt("old", SandboxUsers(1004, 1005, 1006, 1007))
    users.note_others([SandboxUsers(1009, 1010, 1011, 1012)])
    assert users.take("new") == (1000, 1001, 1002, 1003)
    with pytest.raises(LaunchFailed, match="in use"):
        users.take("one too many")
    users.note_others([])
    assert users.take("then") in {(1008, 1009, 1010, 1011), (1012, 1013, 1014, 1015)}


def test_freed_users_rest() -> None:
    """A freed group is given again only after the others had their turn."""
    users = users_from(count=16)
    first = users.take("a")
    users.release("a")
    users.release("a")
    following = [users.take(name) for name in "bcd"]
    assert first not in following
    assert users.take("e") == first


@pytest.mark.parametrize(("first", "count"), [(0, 100), (1000, 3), (2**31 - 8, 100), (-5, 8)])
def test_unusable_ranges_are_refused(first: int, count: int) -> None:
    """Root is in no range, and a range has room for one sandbox at least."""
    with pytest.raises(ValueError, match="range"):
        users_from(first, count)


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "1,2,3,x", "1,2,3,-4", "1,2,3,99999999999", "1,2,3,"]
)
def test_broken_labels_are_no_users(text: str) -> None:
    """A label that does not hold four users gives none."""
    assert SandboxUsers.parse(text) is None


def test_label_tells_users_again() -> None:
    """What is written is read back."""
    users = SandboxUsers(1, 2, 3, 4)
    assert SandboxUsers.parse(str(users)) == users
