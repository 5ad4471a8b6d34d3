"""A glance at variables that have not changed for a while tells whether all their parts are where they were.

What a container holds is compared by address, many containers at a time and in C code throughout. That is proof because
no part can have been replaced by another at its address: what never changes is held, and what can change is looked into
itself, so that an equal one at the address of another is no change. A variable for which the proof fails is walked. A
glance never says that something has changed.

Groups are breadth first: the variables, what they hold, and so on. Each variable is looked at as if it were alone: what
two share is looked at twice, and both are found when it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain, compress, repeat
from operator import itemgetter
from typing import Any, Final

from sandbank_runner.interpreter.changes.imprints import CannotGlance, Evidence, Evident
from sandbank_runner.interpreter.changes.parts import Expansion, Kinds
from sandbank_runner.interpreter.changes.pointers import Pointers
from sandbank_runner.interpreter.changes.walk import Buffers
from sandbank_runner.interpreter.reading.kinds import identity
from sandbank_runner.interpreter.sealed import seal

seal(globals())

LARGEST: Final = 300_000
"""Addresses that are remembered of the variables of one glance; some 80 bytes each."""
_MISSING: Final = object()


class Group:
    """Objects at one depth that are expanded in the same way."""

    __slots__ = ("_pickers", "evidence", "held", "how", "inner", "owners", "parts", "sizes", "types")

    def __init__(self, how: Expansion | None) -> None:
        self.how = how
        """None: the variables themselves."""
        self.owners: list[int] = []
        """The variable of each object, as a number."""
        self.types = Pointers.of([])
        self.sizes: list[int] = []
        """How many parts each has."""
        self.parts = Pointers.of([])
        """All parts, one after the other."""
        self.held: Sequence[Any] = ()
        """What nothing else is sure to keep alive."""
        self.inner: dict[int, list[int]] = {}
        """Which of the parts are looked into, by the number of their group."""
        self.evidence: Evidence | None = None
        """Of what they are but for their parts."""
        self._pickers: dict[int, itemgetter[Any]] = {}

    def differing(self, objects: list[Any], buffers: Buffers) -> tuple[list[Any], set[int]]:
        """Return the parts, and the variables for which they are not what they were."""
        parts, sizes = objects, self.sizes
        if self.how is not None:
            kinds = list(map(type, objects))
            if not self.types.match(kinds):
                return [], self._owners_of(self.types, kinds, repeat(1))
            if self.evidence is not None:
                gone = self.evidence.differing(objects, buffers)
                if gone:
                    return [], gone
            try:
                parts, sizes = self.how(objects)
            except CannotGlance:
                return [], set(self.owners)
        if sizes != self.sizes:
            both = zip(self.owners, sizes, self.sizes, strict=True)
            return [], {owner for owner, now, before in both if now != before}
        if self.parts.match(parts):
            return parts, set()
        return [], self._owners_of(self.parts, parts, sizes)

    def picked(self, parts: list[Any]) -> Iterable[tuple[int, Iterable[Any]]]:
        """Return what is looked into, by the number of the group."""
        for target, places in self.inner.items():
            if len(places) == 1:
                yield target, (parts[places[0]],)
                continue
            picker = self._pickers.get(target)
            if picker is None:
                picker = self._pickers[target] = itemgetter(*places)
            yield target, picker(parts)

    def without(self, gone: set[int]) -> Group:
        """Return what is left without some variables."""
        stays = [owner not in gone for owner in self.owners]
        left = Group(self.how)
        left.owners = list(compress(self.owners, stays))
        left.sizes = list(compress(self.sizes, stays))
        left.types = _some(self.types, stays)
        stay = list(chain.from_iterable(map(repeat, stays, self.sizes)))
        left.parts = _some(self.parts, stay)
        left.held = self.held
        left.evidence = None if self.evidence is None else self.evidence.without(gone)
        before = [0, *accumulate(stay)]
        for target, places in self.inner.items():
            kept = [before[place] for place in places if stay[place]]
            if kept:
                left.inner[target] = kept
        return left

    def renumber(self, new: dict[int, int]) -> None:
        """Give the variables other numbers."""
        self.owners = [new[owner] for owner in self.owners]
        if self.evidence is not None:
            self.evidence.renumber(new)

    def _owners_of(self, before: Pointers, objects: list[Any], sizes: Iterable[int]) -> set[int]:
        now = Pointers.of(objects).addresses
        owners = chain.from_iterable(map(repeat, self.owners, sizes))
        both = zip(owners, now, before.addresses, strict=True)
        return {owner for owner, one, other in both if one != other}


def _some(pointers: Pointers, which: list[bool]) -> Pointers:
    return Pointers.made(compress(pointers.addresses, which))


class Glance:
    """What is remembered of some variables."""

    __slots__ = ("_values", "groups", "names")

    def __init__(self, names: Sequence[str], groups: list[Group]) -> None:
        self.names = names
        self.groups = groups
        self._values: itemgetter[Any] | None = itemgetter(*names) if len(names) > 1 else None

    @property
    def size(self) -> int:
        """How many addresses are remembered."""
        return sum(
            len(group.parts) + (0 if group.evidence is None else group.evidence.size) for group in self.groups
        )

    def sifted(self, names: Mapping[str, Any], buffers: Buffers) -> Glance:
        """Return what is left without the variables that may have changed."""
        left = self
        while left.names:
            gone = left._differing(names, buffers)
            if not gone:
                break
            left = left._without(gone)
        return left

    def without(self, names: set[str]) -> Glance:
        """Return what is left without some variables."""
        gone = {number for number, name in enumerate(self.names) if name in names}
        return self._without(gone) if gone else self

    def _differing(self, names: Mapping[str, Any], buffers: Buffers) -> set[int]:
        inputs: list[list[Any]] = [[] for _ in self.groups]
        try:
            inputs[0] = list(self._values(names)) if self._values is not None else [names[self.names[0]]]
        except KeyError:
            inputs[0] = [names.get(name, _MISSING) for name in self.names]
        for group, objects in zip(self.groups, inputs, strict=True):
            parts, gone = group.differing(objects, buffers)
            if gone:
                return gone
            for target, picked in group.picked(parts):
                inputs[target] += picked
        return set()

    def _without(self, gone: set[int]) -> Glance:
        new = dict(
            zip(
                (number for number in range(len(self.names)) if number not in gone),
                range(len(self.names)),
                strict=False,
            )
        )
        left = [group.without(gone) for group in self.groups]
        for group in left:
            group.renumber(new)
        return Glance([self.names[number] for number in new], left)


def take(
    names: Sequence[str],
    values: list[Any],
    everybodys: Iterable[int],
    session: dict[str, Any],
    buffers: Buffers,
) -> Glance:
    """Remember those of some variables that can be looked at so; ``everybodys``: what is looked into for none.

    Raises :class:`CannotGlance` where it is too much.
    """
    return _Taking(names, everybodys, session, buffers).taken(values)


class _Taking:
    """One glance in the making."""

    def __init__(
        self, names: Sequence[str], everybodys: Iterable[int], session: dict[str, Any], buffers: Buffers
    ) -> None:
        self._names = names
        self._buffers = buffers
        self._groups: list[Group] = []
        self._kinds = Kinds(session, buffers)
        self._seen = [set(everybodys) for _ in names]
        self._cannot: set[int] = set()
        self._room = LARGEST

    def taken(self, values: list[Any]) -> Glance:
        root = Group(None)
        root.owners = list(range(len(self._names)))
        root.sizes = [1] * len(values)
        self._groups.append(root)
        waiting = [values]
        number = 0
        while number < len(waiting):
            group = self._groups[number]
            parts = waiting[number]
            if group.how is not None:
                group.types = Pointers.of(list(map(type, parts)))
                if isinstance(group.how, Evident):
                    group.evidence = group.how.evidence(group.owners, parts, self._buffers)
                    self._room -= group.evidence.size
                parts, group.sizes = group.how(parts)
            self._fill(number, parts, waiting)
            number += 1
        found = Glance(self._names, self._groups)
        return found.without({self._names[number] for number in self._cannot})

    def _fill(self, number: int, parts: list[Any], waiting: list[list[Any]]) -> None:
        """Note the parts of a group, and which of them are to be looked into."""
        group = self._groups[number]
        group.parts = Pointers.of(parts)
        held: list[Any] = []
        targets: dict[Expansion, int] = {}
        owners = chain.from_iterable(map(repeat, group.owners, group.sizes))
        how_of, hold = self._kinds.how, held.append
        for place, (owner, part) in enumerate(zip(owners, parts, strict=True)):
            try:
                how = how_of(part)
            except CannotGlance:
                self._cannot.add(owner)
                continue
            if how is None:
                hold(part)
                continue
            key = identity(part)
            if key in self._seen[owner] or owner in self._cannot:
                continue
            self._seen[owner].add(key)
            target = targets.get(how)
            if target is None:
                target = targets[how] = len(self._groups)
                self._groups.append(Group(how))
                waiting.append([])
            group.inner.setdefault(target, []).append(place)
            self._groups[target].owners.append(owner)
            waiting[target].append(part)
        held += {identity(kind): kind for kind in map(type, waiting[number])}.values()
        group.held = held
        self._room -= len(parts)
        if self._room < 0:
            raise CannotGlance
