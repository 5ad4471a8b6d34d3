"""Pickles groups, one variable after the other: one that cannot be saved never costs another."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sandbank_runner.interpreter.checkpoints.chunks import Chunk, Store, TooLarge
from sandbank_runner.interpreter.checkpoints.graph import Graph
from sandbank_runner.interpreter.checkpoints.patience import Watch
from sandbank_runner.interpreter.checkpoints.pickling import Unit
from sandbank_runner.interpreter.checkpoints.plan import Group
from sandbank_runner.interpreter.checkpoints.rules import NeedsFirst
from sandbank_runner.interpreter.checkpoints.unsavable import brief
from sandbank_runner.interpreter.reading.patience import TookTooLong
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_monotonic = time.monotonic
HUNG: Final = "saving it takes too long: its own code, or what it holds, does not come to an end"
SKIPPED: Final = "saving it hung or ended the process that saved it"
_LATE: Final = 3
"""So many failures in one group, and its other variables are tried one by one."""


@dataclass(slots=True)
class Saved:
    """What has become of one group."""

    group: Group
    chunks: list[Chunk] = field(default_factory=list)
    buffers: list[list[Chunk]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of each variable that is saved, in the order of the pickles; what is shared counts for the first."""
    lost: dict[str, str] = field(default_factory=dict)
    """Reasons of those that are not."""
    uses: set[str] = field(default_factory=set)
    begins: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Where a variable can be loaded from without those before it: the place in the pickles, and among the buffers."""


class Saver:
    """Pickles the groups of one graph. ``announce`` is told of the variable that it turns to, before its code runs."""

    def __init__(
        self,
        graph: Graph,
        store: Store,
        watch: Watch,
        announce: Callable[[str], None],
        skip: frozenset[str] = frozenset(),
        limit: int | None = None,
    ) -> None:
        self.lost: dict[str, str] = {}
        """All that could not be saved so far, and why."""
        self.saved: set[str] = set()
        """All that is done with, lost or not."""
        self._graph = graph
        self._store = store
        self._watch = watch
        self._announce = announce
        self._skip = skip
        self._limit = limit

    def save(self, group: Group) -> Saved:
        """Pickle a group. ``NeedsFirst`` where another one is to be saved before: it may then be asked again."""
        lost = {name: SKIPPED for name in group.names if name in self._skip}
        while True:
            names = [name for name in group.names if name not in lost]
            failed, saved = self._try(group, names)
            if failed is None:
                break
            lost.update(failed)
            if len(lost) >= _LATE:
                for name in names:
                    if name not in lost:
                        alone, _ = self._try(group, [name])
                        lost.update(alone or {})
        saved.lost = lost
        self.took(group, lost)
        return saved

    def took(self, group: Group, lost: dict[str, str]) -> None:
        """Take note of a group that is done with."""
        self.lost.update(lost)
        self.saved.update(group.names)

    def forbid(self, name: str) -> None:
        """Take a definition for lost that could only be saved after what needs it."""
        self.lost[name] = "it needs what needs it, in a way that shows only in the pickle"
        self.saved.add(name)

    def _try(self, group: Group, names: list[str]) -> tuple[dict[str, str] | None, Saved]:
        """Pickle some of a group's variables; return the one that stands in the way, with the reason, or None."""
        saved = Saved(group)
        if not names:
            return None, saved
        unit = Unit(self._graph, names, self.lost, self.saved, self._store, self._limit)
        try:
            return self._dump(unit, names, saved), saved
        finally:
            unit.let_go()

    def _dump(self, unit: Unit, names: list[str], saved: Saved) -> dict[str, str] | None:
        group = saved.group
        last = None
        for name in names:
            before = unit.bytes
            if last is None or (group.is_bundle and group.shares[name] != last):
                saved.begins[name] = unit.begin_anew()
            last = group.shares[name]
            if name in self._graph.foreign:
                self._announce(name)
            try:
                self._watch.call(unit.dump, self._graph.variables[name], progress=lambda: unit.bytes)
            except NeedsFirst:
                raise
            except TookTooLong:
                return {name: HUNG}
            except TooLarge:
                return {name: "it is larger than what was tried"}
            except BaseException as error:
                return {name: brief(error)}
            saved.sizes[name] = unit.bytes - before
        saved.chunks, saved.buffers, saved.uses = unit.close(), unit.buffers, unit.uses
        return None
