"""The walk over the graph that one name leads to, written down as tokens whose digest is the variable's state.

Two graphs have the same tokens where a deep comparison finds no difference: the same types and values, the same order
of dicts, and the same mutable object wherever there was one. What immutable objects share is nobody's business. The
walk has its own stack, so it goes as deep as the graph. It calls nothing of the user's; rules for types say how
(:mod:`rules`).
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final, Protocol

from sandbank_runner.interpreter.changes import atoms
from sandbank_runner.interpreter.changes.digests import digest
from sandbank_runner.interpreter.changes.limits import CHECK_EVERY, NESTING, NODES, REPEATS
from sandbank_runner.interpreter.reading.kinds import identity
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_monotonic = time.monotonic

MUTABLE: Final = 0
"""Who shares an object of this type is part of the state, within a variable and between two."""
SHARED: Final = 1
"""Written once in a variable, but who shares it does not matter: functions, classes, immutable values of libraries."""
PLAIN: Final = 2
"""Written wherever it comes: tuples."""

GONE: Final = "it shows memory that was given back, or a file that has become shorter"
"""To look at it would end the process."""

Rule = Callable[["Walk", Any, Any], None]
Entry = tuple[Rule, int]
Place = tuple[str, int, int]
"""Of memory: a sign that says what is there, address and size."""


class CannotCompare(Exception):
    """The state cannot be had, or not at a bounded price; the message says why."""


class Buffers(Protocol):
    """Who digests memory."""

    def digest(self, memory: Any, address: int, size: int) -> bytes:
        """Return the digest of ``memory``, contiguous bytes at an address."""

    has_tables: bool
    """Tables of containers can be looked for: nobody else is there to change them meanwhile."""

    def table(self, place: Place) -> bytes | None:
        """Return what was kept of a table that leads to atoms only, where it is known to be as it was."""

    def keep(self, place: Place, found: bytes) -> None:
        """Remember what stands for a table."""


class Surroundings(Protocol):
    """What all walks of one report share."""

    names: dict[str, Any]
    """The session's."""
    everybodys: dict[int, int]
    """Dictionaries that belong to no variable, by identity, with the negative number that stands for each."""
    entries: dict[int, Entry]
    """Rules by the identity of the type, for types that live as long as the report."""
    cache: dict[Any, Any]
    """What rules remember of types and code."""
    buffers: Buffers

    def entry_of(self, kind: Any) -> Entry:
        """Return the rule for a type."""


class Walk:
    """One walk. Raises :class:`CannotCompare`; afterwards ``mutable``, ``unsure`` and ``lost`` are known too."""

    __slots__ = (
        "_deadline",
        "_depth",
        "_left",
        "_memo",
        "_pause",
        "_repeats",
        "around",
        "keep",
        "lost",
        "mutable",
        "stack",
        "tokens",
        "unsure",
    )  # fmt: skip

    def __init__(self, around: Surroundings, deadline: float) -> None:
        self.around = around
        self.tokens: list[Any] = []
        self.stack: list[Any] = []
        self.mutable = array("q")
        """Identities of the mutable objects, in the order in which they come: who shares them is compared."""
        self.keep: list[Any] = []
        """Objects that only the walk has made: none may come to the address of one that was seen."""
        self.unsure = ""
        """Why equal tokens do not mean that nothing changed."""
        self.lost = ""
        """What has no pickle."""
        self._memo: dict[int, int] = dict(around.everybodys)
        self._left = NODES
        self._pause = CHECK_EVERY
        self._repeats = REPEATS
        self._depth = 0
        self._deadline = deadline

    def digest_of(self, root: Any) -> bytes:
        """Return the digest of what ``root`` leads to."""
        self.stack.append(root)
        self._go()
        return self._sealed(self.tokens)

    def push(self, parts: Iterable[Any]) -> None:
        """Go on with ``parts``, which come in this order before anything else."""
        self.stack.extend([*parts][::-1])

    def place(self, sign: str, find: Callable[[Any], tuple[int, int] | None], value: Any) -> Place | None:
        """Return where the table of a container is; None where that cannot be used."""
        if not self.around.buffers.has_tables:
            return None
        found = find(value)
        return None if found is None else (sign, *found)

    def repeats(self, value: Any) -> bool:
        """Tell whether to take an immutable container for shared: it came before, and writing it out got too dear."""
        number = identity(value)
        position = self._memo.get(number)
        if position is None:
            self._memo[number] = len(self._memo)
            return False
        self._repeats -= 1
        if self._repeats > 0:
            return False
        self.tokens.append(("^", position))
        return True

    def unordered(self, parts: Iterable[Any]) -> None:
        """Write parts down whose order does not matter: each by itself, sorted by what they are."""
        self._depth += 1
        if self._depth > NESTING:
            raise CannotCompare("sets are nested too deeply")
        memo, mutable, tokens, stack = self._memo, self.mutable, self.tokens, self.stack
        found: list[tuple[bytes, list[int], array[int]]] = []
        base = len(memo)
        for part in parts:
            self.tokens, self.stack, self.mutable = [], [part], array("q")
            self._go()
            new = [*islice(reversed(memo), len(memo) - base)][::-1]
            found.append((self._sealed(self.tokens), new, self.mutable))
            for number in new:
                del memo[number]
        self.tokens, self.stack, self.mutable = tokens, stack, mutable
        self._depth -= 1
        found.sort(key=_first)
        for _, new, own in found:
            mutable.extend(own)
            for number in new:
                memo.setdefault(number, len(memo))
        tokens.append([each for each, _, _ in found])

    def apart(self, parts: list[Any]) -> None:
        """Write parts down now that were made for the purpose: nobody shares them."""
        self._depth += 1
        if self._depth > NESTING:
            raise CannotCompare("it is nested too deeply")
        self.keep.append(parts)
        mutable, stack = self.mutable, self.stack
        self.mutable, self.stack = array("q"), parts[::-1]
        self._go()
        self.mutable, self.stack = mutable, stack
        self._depth -= 1

    def spend(self, count: int) -> None:
        """Take the price of ``count`` parts that are not visited one by one from what the walk may cost."""
        self._left -= count // 8
        self._pause -= count // 8
        self._check()

    def _go(self) -> None:
        stack, memo = self.stack, self._memo
        append, pop = self.tokens.append, stack.pop
        kinds, cache = atoms.KINDS, self.around.cache
        entries, entry_of = self.around.entries, self.around.entry_of
        while stack:
            value = pop()
            kind = type(value)
            key = identity(kind)
            if key in kinds:
                append(atoms.token(value, key, cache))
                continue
            entry = entries.get(key)
            if entry is None:
                entry = entries[key] = entry_of(kind)
            rule, sharing = entry
            if sharing != PLAIN:
                number = identity(value)
                position = memo.get(number)
                if position is not None:
                    append(("^", position))
                    continue
                memo[number] = len(memo)
                if sharing == MUTABLE:
                    self.mutable.append(number)
            self._left -= 1
            self._pause -= 1
            if self._pause < 0 or self._left < 0:
                self._check()
            rule(self, value, kind)

    def _check(self) -> None:
        if self._left < 0:
            raise CannotCompare("it holds too many objects")
        if self._pause < 0:
            self._pause = CHECK_EVERY
            if _monotonic() > self._deadline:
                raise CannotCompare("it took too long")

    @staticmethod
    def _sealed(tokens: list[Any]) -> bytes:
        return digest(atoms.dumps(tokens))


def _first(found: tuple[bytes, list[int], array[int]]) -> bytes:
    return found[0]
