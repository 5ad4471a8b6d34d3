"""The checkpoint that this one is told as a difference to."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sandbank_runner.interpreter.checkpoints.frames import Broken, Connection
from sandbank_runner.interpreter.checkpoints.ledger import Ledger
from sandbank_runner.interpreter.checkpoints.plan import Group
from sandbank_runner.interpreter.sealed import seal

seal(globals())


class Base:
    """What is still known of it, and which names have changed since. Without one, everything is new."""

    def __init__(self, changed: Collection[str] | None, skip: Collection[str] = ()) -> None:
        self.skip = frozenset(skip)
        """Variables at which an earlier writer has hung."""
        self.digests = False
        """Digests are asked for."""
        self.files: dict[str, dict[str, Any]] = {}
        """Entries of files by path."""
        self._changed = None if changed is None else frozenset(changed)
        self._groups: dict[str, dict[str, Any]] = {}

    @staticmethod
    def hear(connection: Connection, ledger: Ledger) -> Base:
        """Listen to what the other side knows."""
        begin = connection.hear()
        if begin["type"] != "begin":
            raise Broken(f"unexpected {begin['type']}")
        known = begin.get("known") is True
        base = Base(ledger.names() if known else None, begin.get("skip") or ())
        base.digests = begin.get("digests") is True
        while known:
            header = connection.hear()
            kind = header["type"]
            if kind == "group":
                base._groups[header["id"]] = header
            elif kind == "file":
                base.files[header["path"]] = header
            elif kind == "known_ends":
                break
            else:
                raise Broken(f"unexpected {kind}")
        return base

    def uses_of(self, group: Group) -> frozenset[str]:
        """Return the definitions that a group needs if it is as it was; of one that is not, only itself can tell."""
        return frozenset(self._groups[group.id]["uses"]) if self._is_unchanged(group) else frozenset()

    def keeps(self, group: Group, lost: dict[str, str]) -> bool:
        """Tell whether a group is as it was. ``lost`` is what could not be saved so far."""
        if not self._is_unchanged(group):
            return False
        known = self._groups[group.id]
        return lost.keys().isdisjoint([*known["uses"], *group.uses]) or all(
            variable["fidelity"] != "EXACT" for variable in known["variables"]
        )

    def _is_unchanged(self, group: Group) -> bool:
        known = self._groups.get(group.id)
        changed = self._changed
        if known is None or changed is None or not changed.isdisjoint(group.names):
            return False
        variables = known["variables"]
        if [variable["name"] for variable in variables] != list(group.names):
            return False
        # What is made anew is as good as what it is made of.
        return changed.isdisjoint([*known["uses"], *group.uses]) and all(
            variable["fidelity"] != "RECOMPUTED" for variable in variables
        )

    def lost_in(self, group: str) -> dict[str, str]:
        """Return what could not be saved of a group, and why."""
        variables = self._groups[group]["variables"]
        return {each["name"]: each["reason"] for each in variables if each["fidelity"] != "EXACT"}
