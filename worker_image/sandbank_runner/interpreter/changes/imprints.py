"""What the memory of objects made by C code held, to be compared where it is: a few pieces of each.

The pieces are in stages: what an earlier one holds tells that the later ones are where they were, and can be read.
Large pieces are left to those who know what the kernel knows of them (:mod:`buffers`). An imprint is for when no other
thread is there, which could move memory that is being read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from sandbank_runner.interpreter.changes import memory
from sandbank_runner.interpreter.changes.digests import digest
from sandbank_runner.interpreter.changes.limits import LONG_BYTES
from sandbank_runner.interpreter.changes.walk import Buffers
from sandbank_runner.interpreter.sealed import seal

seal(globals())

PIECE_WORDS: Final = 6
"""What it costs to remember a piece, in addresses."""


class CannotGlance(Exception):
    """An object is none whose parts say it all."""


class Evidence(Protocol):
    """Tells of the objects of some variables, which are told by numbers, whether they are what they were."""

    size: int
    """What it costs to remember it, in addresses."""

    def differing(self, objects: list[Any], buffers: Buffers) -> set[int]:
        """Return the variables whose objects are not, or cannot be looked at now."""

    def without(self, gone: set[int]) -> Evidence:
        """Return what is left without some variables."""

    def renumber(self, new: dict[int, int]) -> None:
        """Give the variables other numbers."""


class Evident:
    """Looks into objects that are more than their parts."""

    def __call__(self, found: list[Any]) -> tuple[list[Any], list[int]]:
        """Return the parts of some objects, one after the other, and how many each has."""
        raise NotImplementedError

    def evidence(self, owners: list[int], found: list[Any], buffers: Buffers) -> Evidence:
        """Remember what else some objects are. Raises :class:`CannotGlance`."""
        raise NotImplementedError


class Chosen:
    """Looks into some objects of a type, not into all."""

    def takes(self, value: Any) -> bool:
        """Tell whether an object is looked into; else it never changes. Raises :class:`CannotGlance`."""
        raise NotImplementedError


class Piece(NamedTuple):
    """Of memory."""

    stage: int
    address: int
    size: int


class Made(NamedTuple):
    """What an object is made of."""

    pieces: list[Piece]
    held: Sequence[Any] = ()


class _Stage(NamedTuple):
    owners: list[int]
    views: list[memoryview]
    found: list[bytes]

    def differing(self) -> set[int]:
        now = list(map(digest, self.views))
        if now == self.found:
            return set()
        both = zip(self.owners, now, self.found, strict=True)
        return {owner for owner, one, other in both if one != other}


class Imprint:
    """Is evidence where all that an object is can be read from memory that it leads to."""

    __slots__ = ("_held", "_large", "_owners", "_stages", "size")

    def __init__(self, owners: list[int]) -> None:
        self._owners = owners
        self._stages: dict[int, _Stage] = {}
        self._large: list[tuple[int, memoryview, int, bytes]] = []
        self._held: list[Any] = []
        """What never changes, and is to stay at its address."""
        self.size = 0

    @classmethod
    def of(cls, owners: list[int], made: list[Made], buffers: Buffers) -> Imprint:
        """Remember what the memory of objects holds now. Raises :class:`CannotGlance`."""
        if not buffers.has_tables:
            raise CannotGlance
        found = cls(owners)
        for owner, (pieces, held) in zip(owners, made, strict=True):
            found._held += held
            for stage, address, size in pieces:
                if size:
                    found._add(owner, stage, address, size, buffers)
        found.size = PIECE_WORDS * found._count() + len(found._held)
        return found

    def _add(self, owner: int, stage: int, address: int, size: int, buffers: Buffers) -> None:
        view = memory.view_of(address, size)
        if size >= LONG_BYTES:
            self._large.append((owner, view, address, buffers.digest(view, address, size)))
            return
        kept = self._stages.setdefault(stage, _Stage([], [], []))
        kept.owners.append(owner)
        kept.views.append(view)
        kept.found.append(digest(view))

    def _count(self) -> int:
        return sum(len(stage.owners) for stage in self._stages.values()) + len(self._large)

    def differing(self, objects: list[Any], buffers: Buffers) -> set[int]:
        """Return the variables whose memory is not what it was, or cannot be looked at now."""
        if not buffers.has_tables:
            return set(self._owners)
        for _, stage in sorted(self._stages.items()):
            gone = stage.differing()
            if gone:
                return gone
        return {
            owner
            for owner, view, address, found in self._large
            if buffers.digest(view, address, view.nbytes) != found
        }

    def without(self, gone: set[int]) -> Imprint:
        """Return what is left without some variables."""
        left = Imprint([owner for owner in self._owners if owner not in gone])
        left._held, left.size = self._held, self.size
        left._large = [each for each in self._large if each[0] not in gone]
        for number, stage in self._stages.items():
            stay = [each for each in zip(*stage, strict=True) if each[0] not in gone]
            if stay:
                left._stages[number] = _Stage(*map(list, zip(*stay, strict=True)))
        return left

    def renumber(self, new: dict[int, int]) -> None:
        """Give the variables other numbers."""
        self._owners = _renumbered(self._owners, new)
        self._large = [(new[owner], view, address, found) for owner, view, address, found in self._large]
        self._stages = {
            number: stage._replace(owners=_renumbered(stage.owners, new))
            for number, stage in self._stages.items()
        }


def _renumbered(owners: Iterable[int], new: dict[int, int]) -> list[int]:
    return [new[owner] for owner in owners]


class Contents:
    """Is evidence where an object must be asked for what it holds."""

    __slots__ = ("_found", "_owners", "_read", "size")

    def __init__(
        self, owners: list[int], found: list[Any], read: Callable[[Any, Buffers], list[Any]]
    ) -> None:
        """``found`` is what ``read`` has returned of each object."""
        self._owners, self._found, self._read = owners, found, read
        self.size = PIECE_WORDS * len(owners)

    def differing(self, objects: list[Any], buffers: Buffers) -> set[int]:
        """Return the variables whose objects hold something else."""
        read = self._read
        both = zip(self._owners, objects, self._found, strict=True)
        return {owner for owner, value, found in both if read(value, buffers) != found}

    def without(self, gone: set[int]) -> Contents:
        """Return what is left without some variables."""
        stay = [each for each in zip(self._owners, self._found, strict=True) if each[0] not in gone]
        return Contents([owner for owner, _ in stay], [found for _, found in stay], self._read)

    def renumber(self, new: dict[int, int]) -> None:
        """Give the variables other numbers."""
        self._owners = _renumbered(self._owners, new)
