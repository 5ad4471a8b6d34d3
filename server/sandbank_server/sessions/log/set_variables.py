"""The variables that were set through the API, by name, so that a recovery can list them when they are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sandbank_server.sessions.bell import Bell

NAMES_KEPT = 10_000
"""Names remembered, the newest."""

GAPS_KEPT = 64
"""Ways back remembered, the newest: only an answer that was on its way meanwhile asks for them."""

UNRANKED = -1
"""Rank of what was set after an operation whose end was not known yet."""


@dataclass(frozen=True, slots=True)
class _Set:
    """``number`` counts all; ``rank``: of the newest operation before it; ``state``: the sandbox's number of it.

    ``state`` is 0 where the sandbox does not say, and for what came with the state that a sandbox began with.
    """

    number: int
    rank: int
    state: int


@dataclass(frozen=True, slots=True)
class GoneSets:
    """Variables that were set and went with an interpreter: although nobody asked for that, or because somebody did."""

    lost: Sequence[str] = ()
    taken_back: Sequence[str] = ()


NO_SETS = GoneSets()


class SetVariables:
    """Names, oldest first.

    A checkpoint has a value that was set when it is of that state or a later one; where the sandbox numbers no states,
    when it has the effects of a later operation, or was taken when so many had been set.
    """

    def __init__(self) -> None:
        self._names: dict[str, _Set] = {}
        self._saved: dict[str, int] = {}
        self._saved_state = 0, ""
        """The newest state of this sandbox that a checkpoint has, and that."""
        self._gaps: list[tuple[int, int]] = []
        self._in_transaction: dict[str, _Set] = {}
        self.newest = 0
        """The number of the newest."""
        self.last_lost: list[str] = []
        """Those of the newest loss."""
        self.changed = Bell()
        """Rings when some are durable by now, or are gone."""

    # Coming.

    def add(self, name: str, rank: int, state: int = 0) -> int:
        """Remember one, set after the operation of a rank; return its number."""
        self.newest += 1
        self._names.pop(name, None)
        self._names[name] = _Set(self.newest, rank, state)
        saved_state, saved_in = self._saved_state
        if 0 < state <= saved_state:  # the checkpoint was quicker than the answer
            self._saved[saved_in] = max(self.newest, self._saved.get(saved_in, 0))
        if len(self._names) > NAMES_KEPT:
            del self._names[next(iter(self._names))]
        return self.newest

    def add_in_transaction(self, name: str, rank: int, state: int = 0) -> None:
        """Remember one of the open transaction until that ends: then :meth:`end_transaction`."""
        self._in_transaction.pop(name, None)
        if len(self._in_transaction) < NAMES_KEPT:
            self._in_transaction[name] = _Set(0, rank, state)

    def end_transaction(self, *, committed: bool) -> None:
        """What was set in it counts from now on, or never was."""
        were_set, self._in_transaction = self._in_transaction, {}
        if committed:
            for name, each in were_set.items():
                self.add(name, each.rank, each.state)

    # Saved.

    def save(self, checkpoint_id: str, newest: int, state: int = 0) -> None:
        """Note that a checkpoint has all up to a number; of a ``state``: all of that state and earlier ones."""
        if state:
            later = (each.number for each in self._names.values() if each.state > state)
            newest = min(later, default=self.newest + 1) - 1
            self._saved_state = max(self._saved_state, (state, checkpoint_id))
        self._saved[checkpoint_id] = max(newest, self._saved.get(checkpoint_id, 0))
        self.changed.ring()

    def missing_in(self, checkpoint_id: str, has: Callable[[str, int], bool]) -> list[str]:
        """Return those that a checkpoint does not have. ``has``: whether it has the effects of a rank."""
        saved = self._saved.get(checkpoint_id, 0)
        return [
            name
            for name, each in self._names.items()
            if each.number > saved
            and (each.state or each.rank == UNRANKED or not has(checkpoint_id, each.rank + 1))
        ]

    def is_there(self, name: str, number: int) -> bool:
        """Whether a variable, or one that was set to its name since, is not known to be gone."""
        each = self._names.get(name)
        return each is not None and each.number >= number

    # Going.

    def after(self, state: int) -> list[str]:
        """Return those that go when the interpreter is in an earlier state of this sandbox."""
        return [name for name, each in self._names.items() if each.state > state]

    def after_rank(self, rank: int) -> list[str]:
        """Return those that may go with it where the sandbox does not number its states: after an operation's end."""
        return [name for name, each in self._names.items() if each.rank >= rank or each.rank == UNRANKED]

    def leave_out(self, state: int, newest: int) -> None:
        """States above one, up to the newest, are no more. In the open transaction nothing is told of that."""
        self._gaps = [*self._gaps[1 - GAPS_KEPT :], (state, newest)]
        self._in_transaction = {
            name: each for name, each in self._in_transaction.items() if each.state <= state
        }

    def is_left_out(self, state: int) -> bool:
        """Whether a state is no more."""
        return any(low < state <= high for low, high in self._gaps)

    def move(self) -> None:
        """Another sandbox has the state, and counts anew."""
        self._names = {name: _Set(each.number, each.rank, 0) for name, each in self._names.items()}
        self._saved_state = 0, ""
        self._gaps.clear()
        self._in_transaction.clear()

    def forget(self, names: Iterable[str]) -> None:
        """They are no longer what was set."""
        for name in names:
            self._names.pop(name, None)
        self.changed.ring()

    def clear(self) -> None:
        """Forget all: they cannot be lost any more."""
        self.forget(tuple(self._names))
