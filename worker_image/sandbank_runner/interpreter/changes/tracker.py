"""Remembers the state of each variable, and compares."""

from __future__ import annotations

import builtins
import sys
import time
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Final, NamedTuple

from sandbank_runner.interpreter.changes import atoms, rules, sharing
from sandbank_runner.interpreter.changes.buffers import Memory
from sandbank_runner.interpreter.changes.limits import REPORT_SECONDS, VARIABLE_SECONDS
from sandbank_runner.interpreter.changes.states import State, equal, state_of, state_of_atom
from sandbank_runner.interpreter.changes.walk import Buffers, Entry
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
    """The states of one namespace's variables, as they were when they were last looked at."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._states: dict[str, State] = {}

    def compare(self) -> list[Difference]:
        """Return what is different from the last time, and remember it as it is now."""
        found, self._states = self._differences(self._states, _shown(self._names))
        return found

    def compare_some(self, names: Iterable[str]) -> list[Difference]:
        """Do the same for some names only: others are being changed at this moment."""
        wanted = frozenset(names)
        shown = {name: value for name, value in _shown(self._names).items() if name in wanted}
        before = {name: state for name, state in self._states.items() if name in wanted}
        found, after = self._differences(before, shown)
        rest = {name: state for name, state in self._states.items() if name not in wanted}
        self._states = {**rest, **after}
        return found

    def _differences(
        self, before: dict[str, State], now: dict[str, Any]
    ) -> tuple[list[Difference], dict[str, State]]:
        """Compare values with states from before; return the differences by name, and the states now."""
        around = Around(self._names, Memory())
        last = _monotonic() + REPORT_SECONDS
        after: dict[str, State] = {}
        found: list[Difference] = []
        alike: list[str] = []
        for name, value in now.items():
            old = before.get(name)
            key = identity(type(value))
            if key in atoms.KINDS:
                if old is not None and old.atom is value and not old.type_name:
                    after[name] = old
                    continue
                new = state_of_atom(value, key)
            else:
                new = state_of(value, around, min(_monotonic() + VARIABLE_SECONDS, last))
            after[name] = new
            if old is None:
                found.append(Difference(name, Kind.ADDED, None, new))
            elif not equal(old, new) or new.unsure or old.unsure:
                found.append(Difference(name, Kind.MODIFIED, old, new, _detail(new.unsure or old.unsure)))
            else:
                alike.append(name)
        found += [
            Difference(
                name,
                Kind.MODIFIED,
                before[name],
                after[name],
                _SHARING,
            )
            for name in sharing.changed(alike, before, after)
        ]
        found += [
            Difference(name, Kind.REMOVED, old, None) for name, old in before.items() if name not in after
        ]
        return sorted(found, key=_name), after


def _shown(names: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of a namespace: all but the interpreter's own names."""
    return {name: value for name, value in dict(names).items() if is_shown(name) and name not in _HIDDEN}


def _detail(why: str) -> str:
    return f"could not be compared: {why}" if why else ""


def _name(difference: Difference) -> str:
    return difference.name
