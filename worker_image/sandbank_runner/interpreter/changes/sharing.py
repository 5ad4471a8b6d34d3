"""Which variables share mutable objects.

A new alias, or one that is gone, counts for the name whose object is another one now, and not for the names that the
object had before. So it is looked for only where a name leads to the same value by other objects than before.

Objects are told by their addresses, and are not held: an equal one that came to the place of another is taken for it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping

from sandbank_runner.interpreter.changes.states import State
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_Places = dict[int, frozenset[tuple[str, int]]]


def changed(names: Iterable[str], before: Mapping[str, State], after: Mapping[str, State]) -> list[str]:
    """Return those of ``names``, each with equal states, that share their objects with others than before."""
    moved = [name for name in names if before[name].mutable != after[name].mutable]
    if not moved:
        return []
    old = _places(before, {number for name in moved for number in before[name].mutable})
    new = _places(after, {number for name in moved for number in after[name].mutable})
    return [
        name
        for name in moved
        if any(
            one != other and _others(old[one], name) != _others(new[other], name)
            for one, other in zip(before[name].mutable, after[name].mutable, strict=False)
        )
    ]


def _places(states: Mapping[str, State], wanted: set[int]) -> _Places:
    found: dict[int, list[tuple[str, int]]] = {number: [] for number in wanted}
    for name, state in states.items():
        numbers: array[int] = state.mutable
        if not wanted.isdisjoint(numbers):
            for position, number in enumerate(numbers):
                if number in wanted:
                    found[number].append((name, position))
    return {number: frozenset(places) for number, places in found.items()}


def _others(places: frozenset[tuple[str, int]], name: str) -> frozenset[tuple[str, int]]:
    return frozenset(place for place in places if place[0] != name)
