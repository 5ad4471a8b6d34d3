"""What a checkpoint would do with a variable, found out by trying: for readers, which run user code all the same."""

from __future__ import annotations

import _pickle
import sys
import warnings
from collections.abc import Mapping
from typing import Any, Final

from sandbank_runner.interpreter.checkpoints.anchors import Anchors
from sandbank_runner.interpreter.checkpoints.chunks import Chunk, Store, TooLarge
from sandbank_runner.interpreter.checkpoints.graph import Graph
from sandbank_runner.interpreter.checkpoints.pickling import DEPTH, Unit
from sandbank_runner.interpreter.checkpoints.rules import PROTOCOL
from sandbank_runner.interpreter.checkpoints.unsavable import brief
from sandbank_runner.interpreter.reading.patience import TookTooLong
from sandbank_runner.interpreter.sealed import seal

seal(globals())

BYTES: Final = 256 * 1024 * 1024
"""What is pickled of one variable; arrays and their like do not count."""
TOO_LARGE: Final = f"saving it was not tried to its end: it has more than {BYTES >> 20} MiB"
NO_MEMORY: Final = "saving it was not tried to its end: that takes more memory than a read has"
_getlimit, _setlimit = sys.getrecursionlimit, sys.setrecursionlimit


class _Nothing(Store):
    """Keeps nothing, and names nothing."""

    def add(self, parts: list[Any], length: int) -> Chunk:
        return "", length

    def add_buffer(self, view: memoryview) -> list[Chunk]:
        return []


class _NotPlain(Exception):
    """There is more in a value than builtin containers and atoms."""


class _Counter:
    """Takes a pickle, and keeps nothing of it."""

    def __init__(self) -> None:
        self._bytes = 0

    def write(self, data: Any) -> int:
        """Count a piece."""
        self._bytes += len(data)
        if self._bytes > BYTES:
            raise TooLarge
        return len(data)


class _PlainPickler(_pickle.Pickler):
    """Pickles plain data in no time; of anything else it knows at once that it is none."""

    def reducer_override(self, _value: Any) -> Any:
        """Refuse: it is asked about nothing that is plain."""
        raise _NotPlain


class _All:
    def __contains__(self, _: object) -> bool:
        return True


class Attempts:
    """Attempts on the variables of one namespace. For a process that does nothing else."""

    def __init__(self, names: dict[str, Any], variables: Mapping[str, Any]) -> None:
        self._names = names
        self._variables = variables
        self._known: Graph | None = None
        self._lost: dict[str, str] = {}
        """Definitions that cannot be saved, and why."""
        self._tried: set[str] = set()
        self._plain: set[str] = set()
        self._exhausted = False

    def runs_code(self, name: str) -> bool:
        """Tell whether the attempt may run code of the user's. Itself it runs none."""
        if self._is_plain(name) or self._exhausted:
            return False
        try:
            return self._leads_to_code(name)
        except MemoryError:
            self._give_up()
            return False

    def reason(self, name: str) -> str:
        """Return why a variable cannot be saved; "" where it can."""
        if name in self._plain:
            return ""
        if self._exhausted:
            return NO_MEMORY
        try:
            return self._try(name)
        except MemoryError:
            self._give_up()
            return NO_MEMORY

    def _give_up(self) -> None:
        """What is known of the graph takes too much memory: whoever reads on needs that."""
        self._exhausted, self._known = True, None

    def _leads_to_code(self, name: str) -> bool:
        graph = self._graph()
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            each = waiting.pop()
            if each in seen:
                continue
            seen.add(each)
            if each not in graph.uses:
                graph.walk(each)
            if each in graph.foreign:
                return True
            waiting += graph.uses[each]
        return False

    def _try(self, name: str) -> str:
        graph = self._graph()
        self._tried.add(name)
        if name not in graph.uses:
            graph.walk(name)
        for needed in sorted(graph.uses[name] - self._tried):
            self._try(needed)
        names = [name]
        if graph.refers_weakly(name):
            graph.walk_all()
            names = next(part for part in graph.components() if name in part)
        unit = Unit(graph, names, self._lost, _All(), _Nothing(), BYTES)
        try:
            reason = self._dump(unit, graph.variables[name])
        finally:
            unit.let_go()
        if reason:
            self._lost[name] = reason
        return reason

    def _is_plain(self, name: str) -> bool:
        """Tell whether a variable is plain data, which can be saved."""
        self._allow_depth()
        try:
            _PlainPickler(_Counter(), PROTOCOL).dump(self._variables[name])
        except TookTooLong:
            raise
        except BaseException:
            return False
        self._plain.add(name)
        return True

    def _dump(self, unit: Unit, value: Any) -> str:
        try:
            unit.dump(value)
        except (TookTooLong, MemoryError):  # a checkpoint's writer has more of both
            raise
        except TooLarge:
            return TOO_LARGE
        except BaseException as error:
            return brief(error)
        return ""

    def _allow_depth(self) -> None:
        if _getlimit() < DEPTH:
            _setlimit(DEPTH)

    def _graph(self) -> Graph:
        if self._known is None:
            warnings.simplefilter("ignore")
            self._allow_depth()
            self._known = Graph(self._variables, Anchors(self._names))
        return self._known
