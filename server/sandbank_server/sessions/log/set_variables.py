"""The variables that were set through the API, by name, so that a recovery can list them when they are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable

NAMES_KEPT = 10_000
"""Names remembered, the newest."""


class SetVariables:
    """Names, oldest first, each with its number and the rank of the newest operation before it.

    A checkpoint has a value that was set when it has the effects of a later operation; else it is known by the number
    of those that were set when it was taken.
    """

    def __init__(self) -> None:
        self._names: dict[str, tuple[int, int]] = {}
        self._saved: dict[str, int] = {}
        self.newest = 0
        """The number of the newest."""

    def add(self, name: str, rank: int) -> None:
        """Remember one, set after the operation of a rank."""
        self.newest += 1
        self._names.pop(name, None)
        self._names[name] = self.newest, rank
        if len(self._names) > NAMES_KEPT:
            del self._names[next(iter(self._names))]

    def save(self, checkpoint_id: str, newest: int) -> None:
        """Note that a checkpoint has all up to a number."""
        self._saved[checkpoint_id] = max(newest, self._saved.get(checkpoint_id, 0))

    def missing_in(self, checkpoint_id: str, has: Callable[[str, int], bool]) -> list[str]:
        """Return those that a checkpoint does not have. ``has``: whether it has the effects of a rank."""
        saved = self._saved.get(checkpoint_id, 0)
        return [
            name
            for name, (number, rank) in self._names.items()
            if number > saved and not has(checkpoint_id, rank + 1)
        ]

    def forget(self, names: Iterable[str]) -> None:
        """They are no longer what was set."""
        for name in names:
            self._names.pop(name, None)

    def clear(self) -> None:
        """Forget all: they cannot be lost any more."""
        self._names.clear()
