"""Which variables have not changed for a while, so that a glance at them is enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sandbank_runner.interpreter.changes.glance import Glance, take
from sandbank_runner.interpreter.changes.walk import Buffers
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_LOOKS: Final = 2
"""For how many looks in a row a variable must not have changed; twice as many after each glance that was too little."""
_MOST_LOOKS: Final = 64
_TOGETHER: Final = 250
"""Variables in one glance: when one of them changes, the others are put together anew."""
_FEW: Final = 8
"""Variables that are worth a glance of their own at once; fewer wait for others."""
_WAIT: Final = 4
"""Looks."""
_SMALL: Final = 25
_ROOM: Final = 600_000
"""Addresses that are remembered in all."""
_GLANCES: Final = 8
"""Small glances that are put together."""


class Calm:
    """The variables of one namespace that a glance is enough for."""

    def __init__(self, everybodys: Iterable[int], session: dict[str, Any]) -> None:
        self.names: set[str] = set()
        self._everybodys = frozenset(everybodys)
        self._session = session
        self._glances: list[Glance] = []
        self._quiet: dict[str, int] = {}
        """In how many looks in a row each that is walked has not changed."""
        self._needed: dict[str, int] = {}
        """How many it takes, of those for which that is not the usual number."""
        self._ready: list[str] = []
        self._waited = 0

    def still(self, now: Mapping[str, Any], buffers: Buffers) -> set[str]:
        """Return the names of the variables that have certainly not changed. Raises nothing."""
        glances = self._glances
        for number, glance in enumerate(glances):
            try:
                left = glance.sifted(now, buffers)
            except Exception:  # another thread is changing what it looks at
                left = glance.without(set(glance.names))
            if left is not glance:
                glances[number] = left
                self._lose({*glance.names}.difference(left.names))
        return self.names

    def evict(self, names: Iterable[str]) -> None:
        """Have these walked next time."""
        gone = self.names.intersection(names)
        if gone:
            self._glances = [glance.without(gone) for glance in self._glances]
            self._lose(gone)

    def note(self, quiet: Iterable[str], touched: Iterable[str]) -> None:
        """Take note of what the variables that were walked turned out to be."""
        for name in touched:
            self._quiet.pop(name, None)
        for name in quiet:
            count = self._quiet[name] = self._quiet.get(name, 0) + 1
            more = count - self._needed.get(name, _LOOKS)
            if more >= 0 and not more % _MOST_LOOKS:  # it may have been too much, or threads were in the way
                self._ready.append(name)

    def settle(self, now: Mapping[str, Any], buffers: Buffers) -> None:
        """Have glances at those that have become calm from the next look on."""
        if not self._ready:
            return
        self._waited += 1
        if len(self._ready) < _FEW and self._waited < _WAIT:
            return
        self._waited = 0
        small = [glance for glance in self._glances if len(glance.names) < _SMALL]
        if len(small) >= _GLANCES:
            self._glances = [glance for glance in self._glances if len(glance.names) >= _SMALL]
            self._ready += [name for glance in small for name in glance.names]
        ready = [name for name in dict.fromkeys(self._ready) if name in self._quiet or name in self.names]
        self._ready = []
        self.names.difference_update(ready)
        for begin in range(0, len(ready), _TOGETHER):
            self._take(ready[begin : begin + _TOGETHER], now, buffers)

    def _take(self, names: list[str], now: Mapping[str, Any], buffers: Buffers) -> None:
        try:
            glance = take(names, [now[name] for name in names], self._everybodys, self._session, buffers)
        except Exception:  # it is too much, another thread is changing it, a user's audit hook forbids it
            if len(names) > 1:
                for name in names:
                    self._take([name], now, buffers)
            return
        if glance.names and glance.size + sum(each.size for each in self._glances) < _ROOM:
            self._glances.append(glance)
            self.names.update(glance.names)
            for name in glance.names:
                self._quiet.pop(name, None)

    def _lose(self, names: set[str]) -> None:
        self.names -= names
        for name in names:
            self._needed[name] = min(2 * self._needed.get(name, _LOOKS), _MOST_LOOKS)
        if len(self._needed) > 2 * len(self._quiet) + _TOGETHER:
            self._needed = {name: looks for name, looks in self._needed.items() if name in self._quiet}
        self._glances = [glance for glance in self._glances if glance.names]
