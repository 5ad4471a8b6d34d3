"""The graph of the session's variables: which of them share objects that could tell it, and who needs whose classes.

A walk from each variable. Objects that can change belong to the first variable that leads to them; another one that
leads there too shares it. A function or class of the session that a variable is bound to (a *definition*) is where a
walk from another variable ends: it is needed, not shared.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Final

from sandbank_runner.interpreter.checkpoints import preloaded
from sandbank_runner.interpreter.checkpoints.anchors import Anchors
from sandbank_runner.interpreter.checkpoints.edges import (
    ARRAY,
    ATOM,
    COLUMNS,
    DEFINITION,
    FROZEN,
    MEMORY,
    MODULE,
    OTHER,
    WEAK,
    Kinds,
)
from sandbank_runner.interpreter.reading.kinds import identity
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_Function = types.FunctionType
_LEAVES: Final = frozenset([ATOM, MODULE])
_FOREIGN: Final = frozenset([COLUMNS, WEAK, OTHER])
_MEMORIES: Final = frozenset([ARRAY, MEMORY])
_FEW: Final = 1000
_TEXTS: Final = (str, bytes)
_SINGLE: Final = frozenset([OTHER, COLUMNS])


class Graph:
    """What walks over variables have found. All of it by the identity of objects, which must not come and go."""

    def __init__(self, variables: Mapping[str, Any], anchors: Anchors) -> None:
        """Look at the variables, but walk from none of them yet."""
        self.anchors = anchors
        self.variables = variables
        self.definitions: dict[int, str] = {}
        """Names of functions and classes of the session."""
        self.uses: dict[str, set[str]] = {}
        """Names of definitions that a variable needs."""
        self.counts: dict[str, int] = {}
        """How many objects belong to a variable."""
        self.sizes: dict[str, int] = {}
        """How many bytes of text and memory a variable has, as far as that is quickly known."""
        self.foreign: set[str] = set()
        """Variables with objects whose pickling may run code of the user's or of libraries."""
        self.anchored: set[str] = set()
        """Variables with a container that is an anchor."""
        self.nameless: set[str] = set()
        """Variables that lead to a class no variable is bound to: of a change in that one no variable is told."""
        self.owners: dict[int, str] = {}
        """Whose an object that can change is."""
        self.looked_at: dict[int, int] = {}
        """How many objects look at the same memory, by its owner."""
        self._leaders = {name: name for name in variables}
        self._frozen: dict[int, str] = {}
        self._memories: dict[int, str] = {}
        self._weak: list[tuple[str, Any]] = []
        self._alive: list[list[Any]] = []
        """What was made for the walk: were it freed, another object could get its identity."""
        self._kinds = Kinds()
        self._everybodys: dict[int, Any] | None = None
        for name, value in variables.items():
            if self.is_definition(value):
                self.definitions.setdefault(identity(value), name)

    def walk_all(self) -> None:
        """Walk from all variables; then it is known who shares what."""
        for name in self.variables:
            if name not in self.uses:
                self.walk(name)
        for name, referent in self._weak:
            owner = self.owners.get(identity(referent))
            if owner is not None:
                self._join(name, owner)

    def refers_weakly(self, name: str) -> bool:
        """Tell whether a variable refers weakly to something that is not its own."""
        return any(each == name and self.owners.get(identity(other)) != name for each, other in self._weak)

    def is_definition(self, value: Any) -> bool:
        """Tell whether a value is a function or class that can only be saved by what it is made of."""
        return self._kinds.of(value) == DEFINITION and self.anchors.place_of(value) is None

    def components(self) -> list[list[str]]:
        """Return the variables by sharing: those in one list share objects, directly or through others."""
        found: dict[str, list[str]] = {}
        for name in self.variables:
            found.setdefault(self._find(name), []).append(name)
        return list(found.values())

    def walk(self, root: str) -> None:
        """Walk from one variable."""
        self.uses[root] = set()
        count = size = 0
        waiting = [self.variables[root]]
        kinds, container = self._kinds, self.anchors.container
        while waiting:
            part = waiting.pop()
            category = kinds.of(part)
            if category in _LEAVES:
                if count < _FEW and type(part) in _TEXTS:
                    size += len(part)
                continue
            if not self._enter(root, part, category, is_root=not count):
                continue
            if category in _MEMORIES:
                size += self._look_at(root, part)
            count += 1
            held = kinds.held_by(part, category)
            if category == ARRAY and held:
                self._alive.append(held)
            elif type(part) is _Function:
                held = [each for each in held if container(each) is None]
            waiting += held
            size += len(held)
        self.counts[root] = count
        self.sizes[root] = size

    def _enter(self, root: str, part: Any, category: int, *, is_root: bool) -> bool:
        """Tell whether to go on to what an object holds; take note of whose it is, or who needs it."""
        key = identity(part)
        if category == FROZEN:
            known = self._frozen.get(key)
            self._frozen[key] = root
            return known != root
        if self._is_elsewhere(root, part, key, category):
            return False
        if category in _FOREIGN:
            self.foreign.add(root)
            if category in _SINGLE and not is_root and self._is_everybodys(key):
                return False
        if category == DEFINITION and not is_root and type(part) is not _Function:
            self.nameless.add(root)
        owner = self.owners.get(key)
        if owner is not None:
            if owner != root:
                self._join(root, owner)
            return False
        self.owners[key] = root
        referent = self._kinds.referent_of(part) if category == WEAK else None
        if referent is not None:
            self._weak.append((root, referent))
        return True

    def _is_elsewhere(self, root: str, part: Any, key: int, category: int) -> bool:
        """Tell whether an object is only referred to: a module's or another variable's definition, an anchor."""
        anchors = self.anchors
        if category == DEFINITION:
            if anchors.place_of(part) is not None:
                return True
            definition = self.definitions.get(key, root)
            if definition != root:
                self.uses[root].add(definition)
            return definition != root
        if key in anchors.containers or (type(part) is dict and anchors.container(part) is not None):
            self.anchored.add(root)
            return True
        return key in anchors.streams

    def _look_at(self, root: str, part: Any) -> int:
        """Take note of who looks at which memory; return how much it is."""
        memory = self._kinds.memory_of(part)
        size = self._kinds.bytes_of(part)
        if type(memory) is bytes:
            return size
        key = identity(memory)
        self.looked_at[key] = self.looked_at.get(key, 0) + 1
        owner = self._memories.setdefault(key, root)
        if owner != root:
            self._join(root, owner)
        return size

    def _is_everybodys(self, key: int) -> bool:
        """Tell whether an object is what a module has by a name: it does not belong to who refers to it."""
        if self._everybodys is None:
            self._everybodys = preloaded.objects(self.anchors.names)
        return key in self._everybodys

    def _find(self, name: str) -> str:
        leaders = self._leaders
        while leaders[name] != name:
            leaders[name] = name = leaders[leaders[name]]
        return name

    def _join(self, one: str, other: str) -> None:
        self._leaders[self._find(one)] = self._find(other)
