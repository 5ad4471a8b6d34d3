"""Copies of the session's names, and what becomes of them.

An operation begins with a copy of the dictionary, and with a second one that stays as it was. The second is what it is
compared with at its end, by identity: it holds every object, so that no other can have come to its address. Names that
another operation has changed since then, by a merge, are known by the number of that merge; names that were changed in
any other way, by functions that run on the session's own names, show as other objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, compress, repeat
from operator import is_, is_not
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final

from sandbank_runner.interpreter.namespace import Namespace
from sandbank_runner.interpreter.parallel.clones import Clones
from sandbank_runner.interpreter.sealed import seal

seal(globals())

Names = dict[str, Any]

_MISSING: Final = object()
_ANNOTATIONS: Final = "__annotations__"
_NEVER_MERGED: Final = frozenset(["__builtins__", _ANNOTATIONS])
NEVER_IN_CONFLICT: Final = frozenset([*_NEVER_MERGED, "_", "_dh", "_exit_code", "__warningregistry__"])
"""What the interpreter and IPython bind in passing: the newest counts."""
_IMPORTED: Final = (ModuleType, type, FunctionType, BuiltinFunctionType)
"""Two operations may bind the same object of these kinds: nobody computes one from the name's old value. It is not so
with values: 1 is one object, and two that count to it have lost a step."""


@dataclass(slots=True)
class Branch:
    """The names of one operation."""

    names: Names
    """Where its code runs."""
    base: Names
    """What they were when it began, as the session has them."""
    began: int
    """The number of the newest merge that they include."""
    clones: Clones

    def let_go(self) -> None:
        """Let go of what was bound; what the names were at first stays known."""
        self.clones.drop()
        self.names = {}

    def forget(self) -> None:
        """Let go of that too."""
        self.let_go()
        self.base = {}


@dataclass(slots=True)
class Changes:
    """What an operation did to its names."""

    bound: Names = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    annotations: Names = field(default_factory=dict)

    def touched(self) -> set[str]:
        """Return the names that were bound or deleted."""
        return {*self.bound, *self.deleted}


class Ledger:
    """The session's names, and which merge changed them last."""

    __slots__ = ("_changed_at", "_known", "_merges", "_namespace")

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._merges = 0
        self._changed_at: dict[str, int] = {}
        self._known: Names | None = None
        """What the session's names are when nobody but us writes to them; None while none runs."""

    @property
    def names(self) -> Names:
        """The session's own."""
        return self._namespace.names

    def branch(self) -> Branch:
        """Return names for an operation."""
        names = self._namespace.names
        if self._known is None:
            self._known = dict(names)
        base, own = dict(names), dict(names)
        if type(annotations := own.get(_ANNOTATIONS)) is dict:
            own[_ANNOTATIONS] = dict(annotations)
        return Branch(own, base, self._merges, Clones(names, own))

    def written_elsewhere(self) -> set[str]:
        """Return names that somebody wrote to the session directly since the last look, and count that as a merge."""
        names, known = self._namespace.names, self._known
        if known is None or (
            len(names) == len(known)
            and all(map(is_, names, known))
            and all(map(is_, names.values(), known.values()))
        ):
            return set()
        found = {name for name, value in names.items() if known.get(name, _MISSING) is not value}
        found.update(name for name in known if name not in names)
        self._known = dict(names)
        found -= NEVER_IN_CONFLICT
        self._count(found)
        return found

    def conflicts(self, branch: Branch, changes: Changes) -> list[str]:
        """Return the names among ``changes`` that another operation has changed since this one began."""
        names, base = self._namespace.names, branch.base
        found = []
        for name in changes.touched():
            if name in NEVER_IN_CONFLICT:
                continue
            now = names.get(name, _MISSING)
            if now is base.get(name, _MISSING) and self._changed_at.get(name, 0) <= branch.began:
                continue
            if now is not _MISSING and now is changes.bound.get(name) and isinstance(now, _IMPORTED):
                continue
            found.append(str(name))
        return sorted(found)

    def merge(self, changes: Changes) -> None:
        """Make the changes the session's. What they replace is still held by the branch: no code of the user's runs."""
        names = self._namespace.names
        _write(changes, names)
        if self._known is not None:  # in the same order: so it can be compared fast
            _write(changes, self._known)
        if changes.annotations:
            known = names.setdefault(_ANNOTATIONS, {})
            if type(known) is dict:
                known.update(changes.annotations)
            if self._known is not None:
                self._known[_ANNOTATIONS] = known
        self._count(changes.touched())

    def rest(self) -> None:
        """No operation runs any more: from here on anybody may write to the names."""
        self._known = None
        self._changed_at.clear()

    def keep_last(self, value: object) -> None:
        """Bind ``_`` to the value of an operation's last expression."""
        self._namespace.keep_last(value)
        if self._known is not None:
            self._known["_"] = value

    def _count(self, touched: set[str]) -> None:
        self._merges += 1
        self._changed_at.update(dict.fromkeys(touched, self._merges))


def changes_of(branch: Branch) -> Changes:
    """Return what an operation did to its names, with the session's functions in the place of their clones."""
    names, base, clones = branch.names, branch.base, branch.clones
    changes = Changes()
    # As a rule there are the same names in the same order, and new ones after them.
    is_grown = len(names) >= len(base) and all(map(is_, names, base))
    were: Iterable[Any] = (
        chain(base.values(), repeat(_MISSING)) if is_grown else (base.get(name, _MISSING) for name in names)
    )
    for name in list(compress(names, map(is_not, names.values(), were))):
        value = clones.original(names[name])
        if name not in _NEVER_MERGED and base.get(name, _MISSING) is not value:
            changes.bound[name] = value
    if not is_grown:
        changes.deleted = [name for name in base if name not in names and name not in _NEVER_MERGED]
    annotations, before = names.get(_ANNOTATIONS), base.get(_ANNOTATIONS)
    if type(annotations) is dict:
        known = before if type(before) is dict else {}
        changes.annotations = {
            name: value for name, value in annotations.items() if known.get(name, _MISSING) is not value
        }
    return changes


def _write(changes: Changes, names: Names) -> None:
    names.update(changes.bound)
    for name in changes.deleted:
        names.pop(name, None)
