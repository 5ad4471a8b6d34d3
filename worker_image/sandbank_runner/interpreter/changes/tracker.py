"""Remembers the state of each variable, and compares."""

from __future__ import annotations

import builtins
import sys
import time
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Final, NamedTuple

from sandbank_runner.interpreter.changes import atoms, rules, sharing
from sandbank_runner.interpreter.changes.buffers import Kept, Memory
from sandbank_runner.interpreter.changes.limits import REPORT_SECONDS, VARIABLE_SECONDS
from sandbank_runner.interpreter.changes.pages import Pages, is_alone
from sandbank_runner.interpreter.changes.states import State, equal, state_of, state_of_atom
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


class Around:
    """What the walks of one report share."""

    def __init__(self, names: dict[str, Any], buffers: Buffers) -> None:
        self.names = names
        self.everybodys = {
            identity(each): -number
            for number, each in enumerate((names, vars(builtins), sys.modules), start=1)
        }
        self.entries: dict[int, Entry] = rules.fresh()
        self.cache: dict[Any, Any] = {}
        self.buffers = buffers
        self.entry_of = rules.entry_of


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
        """Names whose state was taken anew since the last report, and those that are gone."""

    def look(self) -> set[str]:
        """Take the states of all variables; return the names that have changed since the last look."""
        return {each.name for each in self._look(_shown(self._names), self._seen)}

    def look_at(self, names: Iterable[str]) -> None:
        """Take the states of some variables: others are being changed at this moment."""
        wanted = frozenset(names)
        seen = self._seen
        self._look(
            {name: value for name, value in _shown(self._names).items() if name in wanted},
            {name: state for name, state in seen.items() if name in wanted},
        )
        self._seen = {**{name: state for name, state in seen.items() if name not in wanted}, **self._seen}

    def report(self) -> list[Difference]:
        """Return what is different from the last report, as far as it was looked at, by name."""
        touched, self._touched = self._touched, set()
        found = _differences(touched, self._told, self._seen)
        self._told = self._seen
        return found

    def _look(self, now: dict[str, Any], before: dict[str, State]) -> list[Difference]:
        alone = is_alone()
        pages = Pages(usable=self._was_alone)
        self._was_alone = alone
        memory = Memory(self._kept, pages, alone=alone)
        around = Around(self._names, memory)
        try:
            return self._compare(now, before, around)
        finally:
            pages.close()
            self._kept = memory.kept

    def _compare(self, now: dict[str, Any], before: dict[str, State], around: Around) -> list[Difference]:
        last = _monotonic() + REPORT_SECONDS
        after: dict[str, State] = {}
        touched = {name for name in before if name not in now}
        for name, value in now.items():
            old = before.get(name)
            key = identity(type(value))
            if key in atoms.KINDS:
                if old is not None and old.atom is value and not old.type_name:
                    after[name] = old
                    continue
                after[name] = state_of_atom(value, key)
            else:
                after[name] = state_of(value, around, min(_monotonic() + VARIABLE_SECONDS, last))
            touched.add(name)
        self._seen = after
        self._touched |= touched
        return _differences(touched, before, after)


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


def _shown(names: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of a namespace: all but the interpreter's own names."""
    return {name: value for name, value in dict(names).items() if is_shown(name) and name not in _HIDDEN}


def _detail(why: str) -> str:
    return f"could not be compared: {why}" if why else ""


def _name(difference: Difference) -> str:
    return difference.name
