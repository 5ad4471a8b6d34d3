"""The groups of a checkpoint as they are told: each after those that it needs, kept from the base or saved anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbank_runner.interpreter.checkpoints.base import Base
from sandbank_runner.interpreter.checkpoints.frames import Connection
from sandbank_runner.interpreter.checkpoints.graph import Graph
from sandbank_runner.interpreter.checkpoints.plan import Group, plan
from sandbank_runner.interpreter.checkpoints.rules import NeedsFirst
from sandbank_runner.interpreter.checkpoints.saving import Saved, Saver
from sandbank_runner.interpreter.checkpoints.verifying import digests
from sandbank_runner.interpreter.reading.kinds import type_name
from sandbank_runner.interpreter.sealed import seal

seal(globals())

EXACT: Final = "EXACT"
LOST: Final = "LOST"
RECOMPUTED: Final = "RECOMPUTED"


class Groups:
    """All groups of one checkpoint."""

    def __init__(
        self,
        connection: Connection,
        graph: Graph,
        base: Base,
        saver: Saver,
        recomputable: Mapping[str, int],
    ) -> None:
        """``recomputable``: what code that is known makes anew, with the number of the operation."""
        self._connection = connection
        self._graph = graph
        self._base = base
        self._saver = saver
        self._groups = plan(graph)
        self._homes = {name: group for group in self._groups for name in group.names}
        self._begun: set[str] = set()
        self._recomputable = recomputable

    def say_all(self) -> None:
        """Save and tell all of them."""
        for group in self._groups:
            self._say(group)

    def _say(self, group: Group) -> None:
        """Tell one, and before it what it needs; what that is, may show only while it is pickled."""
        if group.id in self._begun:
            return
        self._begun.add(group.id)
        base, saver = self._base, self._saver
        for name in sorted(group.uses | base.uses_of(group)):
            if name in self._homes:
                self._say(self._homes[name])
        if self._graph.nameless.isdisjoint(group.names) and base.keeps(group, saver.lost):
            saver.took(group, base.lost_in(group.id))
            self._connection.say("group", id=group.id, kept=True)
            return
        known = digests(self._graph.anchors.names, group.names) if base.digests else {}
        while True:
            try:
                saved = saver.save(group)
            except NeedsFirst as needed:
                self._say_first(str(needed))
            else:
                break
        if known and saved.lost:  # who shares what with them is not to be compared: they will not be there
            kept = [name for name in group.names if name not in saved.lost]
            known = digests(self._graph.anchors.names, kept)
        self._tell(group, saved, known)

    def _say_first(self, name: str) -> None:
        self._say(self._homes[name])
        if name not in self._saver.saved:  # it is being saved itself
            self._saver.forbid(name)

    def _fidelity(self, name: str, saved: Saved) -> dict[str, str]:
        if name not in saved.lost:
            return {"fidelity": EXACT, "reason": ""}
        number = self._recomputable.get(name)
        if number is None:
            return {"fidelity": LOST, "reason": saved.lost[name]}
        return {"fidelity": RECOMPUTED, "reason": f"made anew by running the code of <cell {number}> again"}

    def _tell(self, group: Group, saved: Saved, known: dict[str, str]) -> None:
        graph = self._graph
        self._connection.say(
            "group",
            id=group.id,
            variables=[
                {
                    "name": name,
                    "type": type_name(graph.variables[name]),
                    "size": saved.sizes.get(name, 0),
                    **self._fidelity(name, saved),
                    "digest": known.get(name, ""),
                    "shares": group.shares[name],
                    "begins": saved.begins.get(name),
                }
                for name in group.names
            ],
            uses=sorted(saved.uses | {name for name in group.uses if name in self._saver.saved}),
            pickle=saved.chunks,
            buffers=saved.buffers,
        )
