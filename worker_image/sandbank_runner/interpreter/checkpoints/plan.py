"""Which variables are pickled together, and in which order they are loaded.

Variables that share objects are one group, and so are those whose definitions need each other. Small ones that share
nothing are put together by their names, so that a thousand numbers are not a thousand chunks.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

from sandbank_runner.interpreter.checkpoints.graph import Graph
from sandbank_runner.interpreter.sealed import seal

seal(globals())

BUNDLES: Final = 16
SMALL_OBJECTS: Final = 64
"""A variable of no more objects may be put into a bundle."""
_SMALL_BYTES: Final = 4096
_crc32 = zlib.crc32


@dataclass(frozen=True, slots=True)
class Group:
    """Variables that are pickled together; ``id`` is the same in the next checkpoint if they are."""

    id: str
    names: tuple[str, ...]
    uses: frozenset[str]
    """Definitions of other groups, as far as the walk has seen."""
    shares: dict[str, str]
    """By variable, what is equal for those that share objects."""

    @property
    def is_bundle(self) -> bool:
        """Its variables have nothing to do with each other."""
        return self.id.startswith("*")


def plan(graph: Graph) -> list[Group]:
    """Return all groups, each after those that it uses."""
    parts = _join_cycles(graph, graph.components())
    home = {name: number for number, part in enumerate(parts) for name in part}
    used = {name for uses in graph.uses.values() for name in uses}
    bundles: dict[str, list[list[str]]] = {}
    for part in parts:
        uses = any(home[name] != home[part[0]] for each in part for name in graph.uses[each])
        kind = _bundle(graph, part, uses, used)
        bundles.setdefault(kind or f"={min(part)}", []).append(part)
    groups = [_group(graph, key, members) for key, members in bundles.items()]
    return _ordered(groups)


def _bundle(graph: Graph, part: list[str], uses: bool, used: set[str]) -> str | None:
    """Return the bundle that a part belongs to.

    One that needs nobody may be needed, one that needs others may not: so bundles never need each other in a circle.
    """
    if len(part) > 1 or graph.sizes[part[0]] > _SMALL_BYTES or graph.counts[part[0]] > SMALL_OBJECTS:
        return None
    if uses and part[0] in used:
        return None
    number = _crc32(part[0].encode("utf-8")) % BUNDLES
    return f"*{int(uses)}.{number}"


def _group(graph: Graph, key: str, members: list[list[str]]) -> Group:
    shares = {name: min(part) for part in members for name in part}
    names = tuple(sorted(shares, key=lambda name: (shares[name], name)))
    uses = {name for each in names for name in graph.uses[each]}.difference(names)
    return Group(key, names, frozenset(uses), shares)


def _ordered(groups: list[Group]) -> list[Group]:
    home = {name: group for group in groups for name in group.names}
    found: dict[str, Group] = {}
    for group in groups:
        waiting = [group]
        while waiting:
            last = waiting[-1]
            needed = [home[name] for name in sorted(last.uses) if name in home and home[name].id not in found]
            if needed:
                waiting += needed
            else:
                found.setdefault(last.id, last)
                waiting.pop()
    return list(found.values())


def _join_cycles(graph: Graph, parts: list[list[str]]) -> list[list[str]]:
    """Put parts together that need each other's definitions (Tarjan's strongly connected components)."""
    home = {name: number for number, part in enumerate(parts) for name in part}
    edges = [sorted({home[name] for each in part for name in graph.uses[each]}) for part in parts]
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    on_stack: set[int] = set()
    stack: list[int] = []
    joined: list[list[str]] = []
    for start in range(len(parts)):
        if start in index:
            continue
        work = [(start, iter(edges[start]))]
        while work:
            at, rest = work[-1]
            if at not in index:
                index[at] = low[at] = len(index)
                stack.append(at)
                on_stack.add(at)
            following = next(rest, None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[at])
                if low[at] == index[at]:
                    joined.append(_pop(stack, on_stack, at, parts))
            elif following not in index:
                work.append((following, iter(edges[following])))
            elif following in on_stack:
                low[at] = min(low[at], index[following])
    return joined


def _pop(stack: list[int], on_stack: set[int], until: int, parts: list[list[str]]) -> list[str]:
    names: list[str] = []
    while True:
        number = stack.pop()
        on_stack.discard(number)
        names += parts[number]
        if number == until:
            return names
