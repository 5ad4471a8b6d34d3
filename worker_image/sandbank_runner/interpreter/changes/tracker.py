"""Remembers the state of each variable, and compares."""

from __future__ import annotations

import builtins
import sys
import time
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, Final, NamedTuple

from sandbank_runner.interpreter.changes import atoms, code, rules, sharing
from sandbank_runner.interpreter.changes.buffers import Kept, Memory
from sandbank_runner.interpreter.changes.calm import Calm
from sandbank_runner.interpreter.changes.limits import (
    DEAR_LOOKS,
    DEAR_SECONDS,
    REPORT_SECONDS,
    VARIABLE_SECONDS,
)
from sandbank_runner.interpreter.changes.pages import Pages, is_alone
from sandbank_runner.interpreter.changes.pointers import Pointers
from sandbank_runner.interpreter.changes.states import (
    State,
    equal,
    indistinguishable,
    state_of,
    state_of_atom,
    state_unseen,
)
from sandbank_runner.interpreter.changes.walk import Buffers, Entry, Place
from sandbank_runner.interpreter.reading.kinds import identity
from sandbank_runner.interpreter.reading.reader import is_shown
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_monotonic = time.monotonic
_SHARING: Final = "it shares its parts with other variables than before"
_HIDDEN: Final = frozenset(["__warningregistry__"])


class Kind(IntEnum):
    """Of a change; the numbers are those of ``sandbank.v1.VariableChange.Kind``."""

    ADDED = 1
    MODIFIED = 2
    REMOVED = 3


class Difference(NamedTuple):
    """One name, before and after."""

    name: str
    kind: Kind
    before: State | None
    after: State | None
    detail: str = ""


def everybodys(names: dict[str, Any]) -> dict[int, int]:
    """Return the dictionaries that belong to no variable, with the number that stands for each."""
    return {
        identity(each): -number for number, each in enumerate((names, vars(builtins), sys.modules), start=1)
    }


class Around:
    """What the walks of one report share."""

    def __init__(
        self, names: dict[str, Any], buffers: Buffers, library: dict[int, tuple[Entry, Any]] | None = None
    ) -> None:
        """``library`` keeps the rules for types of modules, with the types, from one report to the next."""
        self.names = names
        self.everybodys = everybodys(names)
        self.entries: dict[int, Entry] = rules.fresh()
        self.cache: dict[Any, Any] = {}
        self.buffers = buffers
        self.entry_of: Callable[[Any], Entry] = rules.entry_of
        if library is not None:
            self.entries |= {key: entry for key, (entry, _) in library.items()}
            self.entry_of = lambda kind: _kept_entry(kind, library)


def _kept_entry(kind: Any, library: dict[int, tuple[Entry, Any]]) -> Entry:
    entry = rules.entry_of(kind)
    if code.module_of(kind) != code.MAIN and rules.is_of_module(kind):
        library[identity(kind)] = entry, kind
    return entry


class Tracker:
    """The states of one namespace's variables, as they were when they were last looked at, and when last reported."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._seen: dict[str, State] = {}
        self._told: dict[str, State] = {}
        self._kept: dict[Place, Kept | bytes] = {}
        self._was_alone = False
        """There was one thread at the last look, so what was seen then is what the next operation begins with."""
        self._touched: set[str] = set()
        """Names whose state was another since the last report, and those that are gone."""
        self._dear: dict[str, tuple[int, int]] = {}
        """What took too long to compare: which object it was, and for how many looks it is not looked at."""
        self._library: dict[int, tuple[Entry, Any]] = {}
        self._calm = Calm(everybodys(names), names)
        self._order: list[Any] = []
        """All names, the interpreter's own too, as they were at the last look."""
        self._layout = Pointers.of(self._order)
        self._visible: set[str] = set()
        self._gone: set[str] = set()
        """Names that were deleted since the last look, and perhaps bound again."""

    def look(self, *, alone: bool | None = None) -> set[str]:
        """Take the states of all variables; return the names that have changed since the last look.

        ``alone``: whether there is no other thread, for who knows it already.
        """
        return {each.name for each in self._look(None, is_alone() if alone is None else alone)}

    def look_at(self, names: Iterable[str]) -> None:
        """Take the states of some variables: others are being changed at this moment."""
        self._look(frozenset(names), is_alone())

    def report(self) -> list[Difference]:
        """Return what is different from the last report, as far as it was looked at, by name."""
        touched, self._touched = self._touched, set()
        found = _differences(touched, self._told, self._seen)
        self._told = self._seen
        return found

    def _look(self, only: frozenset[str] | None, alone: bool) -> list[Difference]:
        pages = Pages(usable=self._was_alone and bool(self._kept))
        self._was_alone = alone
        memory = Memory(self._kept, pages, alone=alone)
        try:
            now = dict(self._names)
            visible = self._visible_names(now)
            before = self._seen
            if only is None:
                names = visible - self._calm.still(now, memory)
                gone = [name for name in self._gone if name in before and name not in visible]
                self._gone.clear()
            else:
                names = visible & only
                gone = [name for name in only if name in before and name not in visible]
                self._calm.evict(only)
            return self._compare(names, gone, now, Around(self._names, memory, self._library))
        finally:
            pages.close()
            self._kept = memory.kept

    def _visible_names(self, now: dict[str, Any]) -> set[str]:
        """Return the variables of a namespace: all but the interpreter's own names."""
        order = list(now)
        if not self._layout.match(order):
            self._order, self._layout = order, Pointers.of(order)
            self._visible = {name for name in order if is_shown(name) and name not in _HIDDEN}
            self._gone.update(self._seen.keys() - self._visible)
        return self._visible

    def _compare(
        self, names: Iterable[str], gone: list[str], now: dict[str, Any], around: Around
    ) -> list[Difference]:
        last = _monotonic() + REPORT_SECONDS
        before = self._seen
        changed: dict[str, State] = {}
        quiet = []
        for name in names:
            old, value = before.get(name), now[name]
            key = identity(type(value))
            if key in atoms.KINDS:
                if old is not None and old.atom is value and not old.type_name:
                    quiet.append(name)
                    continue
                new = state_of_atom(value, key)
            else:
                new = self._state_of(name, value, old, around, last)
            if old is not None and indistinguishable(old, new):
                quiet.append(name)
            else:
                changed[name] = new
        if changed or gone:
            self._seen = {**before, **changed}
            for name in gone:
                del self._seen[name]
                self._dear.pop(name, None)
            self._touched.update(changed, gone)
        self._calm.note(quiet, [*changed, *gone])
        self._calm.settle(now, around.buffers)
        return _differences([*changed, *gone], before, self._seen)

    def _state_of(self, name: str, value: Any, old: State | None, around: Around, last: float) -> State:
        number, looks = self._dear.get(name, (0, 0))
        if looks and old is not None and old.unsure and number == identity(value):
            self._dear[name] = number, looks - 1
            return state_unseen(value, old)
        began = _monotonic()
        new = state_of(value, around, min(began + VARIABLE_SECONDS, last))
        if new.unsure and _monotonic() - began > DEAR_SECONDS:
            self._dear[name] = identity(value), DEAR_LOOKS
        else:
            self._dear.pop(name, None)
        return new


def _differences(names: Iterable[str], before: dict[str, State], after: dict[str, State]) -> list[Difference]:
    found: list[Difference] = []
    alike: list[str] = []
    for name in names:
        old, new = before.get(name), after.get(name)
        if new is None:
            if old is not None:
                found.append(Difference(name, Kind.REMOVED, old, None))
        elif old is None:
            found.append(Difference(name, Kind.ADDED, None, new))
        elif old is not new:
            unsure = new.unsure or old.unsure
            if unsure or not equal(old, new):
                found.append(Difference(name, Kind.MODIFIED, old, new, _detail(unsure)))
            else:
                alike.append(name)
    found += [
        Difference(name, Kind.MODIFIED, before[name], after[name], _SHARING)
        for name in sharing.changed(alike, before, after)
    ]
    return sorted(found, key=_name)


def _detail(why: str) -> str:
    return f"could not be compared: {why}" if why else ""


def _name(difference: Difference) -> str:
    return difference.name
