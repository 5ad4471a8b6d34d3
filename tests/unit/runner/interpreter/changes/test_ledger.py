"""What is known of changes since a checkpoint."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from sandbank_runner.interpreter.changes.ledger import Ledger


class World:
    """Looks when it is asked to."""

    def __init__(self) -> None:
        self.unseen: Collection[str] | None = []
        self.settled = True
        self.forgotten = 0
        self.ledger = Ledger(self.look, lambda: self.settled, self.forget)

    def look(self) -> Collection[str] | None:
        found, self.unseen = self.unseen, [] if self.unseen is not None else None
        return found

    def forget(self) -> None:
        self.forgotten += 1

    def saved(self, checkpoint_id: str) -> None:
        """Make a durable checkpoint."""
        self.ledger.begin(checkpoint_id)
        self.ledger.ended(checkpoint_id, True)


@pytest.fixture
def world() -> World:
    """One that has a checkpoint."""
    made = World()
    made.saved("c1")
    return made


def test_before_the_first_checkpoint_nobody_knows():
    """The first one is a whole one."""
    world = World()
    assert (world.ledger.base, world.ledger.names()) == ("", None)
    world.ledger.note(["x"])
    assert world.ledger.names() is None


def test_names_add_up_until_a_checkpoint_is_durable(world: World):
    """And those that nobody has reported are looked for."""
    world.ledger.note(["x"])
    world.ledger.note(["y", "x"])
    world.unseen = ["z"]
    assert world.ledger.names() == {"x", "y", "z"}
    world.saved("c2")
    assert (world.ledger.base, world.ledger.names()) == ("c2", set())


def test_what_changes_while_it_is_written_belongs_to_the_next(world: World):
    """What changed before belongs to it as soon as it is durable."""
    world.ledger.note(["before"])
    world.ledger.begin("c2")
    world.ledger.note(["after"])
    assert world.ledger.names() == {"before", "after"}
    world.ledger.ended("c2", True)
    assert world.ledger.names() == {"after"}


def test_a_checkpoint_that_failed_gives_its_names_back(world: World):
    """The base stays."""
    world.ledger.note(["before"])
    world.ledger.begin("c2")
    world.ledger.note(["after"])
    world.ledger.ended("c2", False)
    assert (world.ledger.base, world.ledger.names()) == ("c1", {"before", "after"})


def test_an_end_that_never_came_is_counted_as_failed(world: World):
    """As in a snapshot that was taken while a checkpoint was written; a later one settles it."""
    world.ledger.note(["before"])
    world.ledger.begin("c2")
    world.ledger.note(["between"])
    world.ledger.begin("c3")
    world.ledger.note(["after"])
    assert world.ledger.names() == {"before", "between", "after"}
    world.ledger.ended("c3", True)
    assert (world.ledger.base, world.ledger.names()) == ("c3", {"after"})
    world.ledger.ended("c2", True)
    assert world.ledger.base == "c3"


def test_what_nobody_could_see_makes_the_next_one_whole(world: World):
    """Other threads ran, or a report failed."""
    world.unseen = None
    assert world.ledger.names() is None
    world.unseen = []
    world.saved("c2")
    assert world.ledger.names() == set()
    world.ledger.lose_count()
    world.ledger.note(["x"])
    assert world.ledger.names() is None


def test_what_other_threads_do_beside_the_fork_makes_the_one_after_it_whole(world: World):
    """It may be in the checkpoint, or not."""
    world.settled = False
    world.saved("c2")
    assert world.ledger.names() is None
    world.settled = True
    world.saved("c3")
    assert world.ledger.names() == set()


def test_after_a_restore_it_counts_from_there(world: World):
    """And nobody reports what was restored."""
    world.ledger.note(["x"])
    world.ledger.restored("c9")
    assert (world.ledger.base, world.ledger.names(), world.forgotten) == ("c9", set(), 1)
