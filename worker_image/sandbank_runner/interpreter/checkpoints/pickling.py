"""The pickler of checkpoints, and one group while it is pickled.

Several values are dumped one after the other by one pickler: they share its memo, so what they share is written once.
"""

from __future__ import annotations

import _pickle
from collections.abc import Container, Iterable
from typing import Any, Final

from sandbank_runner.interpreter.checkpoints.anchors import Anchors
from sandbank_runner.interpreter.checkpoints.arrays import SMALL_BYTES
from sandbank_runner.interpreter.checkpoints.chunks import Chunk, Sink, Store, TooLarge
from sandbank_runner.interpreter.checkpoints.graph import Graph
from sandbank_runner.interpreter.checkpoints.rules import PROTOCOL, Rules
from sandbank_runner.interpreter.sealed import seal

seal(globals())

DEPTH: Final = 10_000
"""The recursion limit under which is pickled."""


class Unit:
    """What the pickles of one group share, and what has come of them.

    ``names`` are the variables in it; ``lost`` and ``saved`` are what was done before, the former with reasons.
    ``limit`` bounds the bytes.
    """

    def __init__(
        self,
        graph: Graph,
        names: Iterable[str],
        lost: dict[str, str],
        saved: Container[str],
        store: Store,
        limit: int | None = None,
    ) -> None:
        self.sink = Sink(store)
        self.buffers: list[list[Chunk]] = []
        self.buffer_bytes = 0
        self._limit = limit
        self._store = store
        self._rules = Rules(graph, frozenset(names), lost, saved, self._add_buffer)
        anchored = any(name in graph.anchored for name in names)
        self._pickler = (_AnchoringPickler if anchored else _Pickler)(self, graph.anchors)

    @property
    def uses(self) -> set[str]:
        """Definitions of other groups that were referred to."""
        return self._rules.uses

    @property
    def bytes(self) -> int:
        """How much has come of it so far."""
        return self.sink.bytes + self.buffer_bytes

    def dump(self, value: Any) -> None:
        """Pickle one more value. Raises whatever stands in the way; nothing can be dumped after that."""
        self._pickler.dump(value)

    def begin_anew(self) -> tuple[int, int]:
        """Share nothing with what was dumped before; return how many bytes of pickles and buffers that was."""
        self._pickler.clear_memo()
        self._rules.begin_anew()
        return self.sink.bytes, len(self.buffers)

    def let_go(self) -> None:
        """Give everything up: it holds itself, and where no collector is about, it would stay."""
        self._pickler.clear_memo()
        del self._pickler, self._rules

    def close(self) -> list[Chunk]:
        """Return the chunks of all pickles."""
        return self.sink.close()

    def write(self, data: Any) -> int:
        """Take a piece of a pickle."""
        length = self.sink.write(data)
        self._check()
        return length

    def _add_buffer(self, view: memoryview) -> None:
        self.buffer_bytes += view.nbytes
        self._check()
        self.buffers.append(self._store.add_buffer(view))

    def _check(self) -> None:
        if self._limit is not None and self.bytes > self._limit:
            raise TooLarge

    def take_out_of_band(self, buffer: Any) -> bool:
        """Take a buffer of a library's own pickle; True where it is too small for that."""
        view = buffer.raw()
        if view.nbytes < SMALL_BYTES:
            return True
        self._add_buffer(view)
        return False

    def reduce(self, value: Any) -> Any:
        """Say how a value is pickled; NotImplemented: as usual."""
        return self._rules.reduce(value)


class _Pickler(_pickle.Pickler):
    """Asks the rules about everything but builtin containers and atoms."""

    def __init__(self, unit: Unit, anchors: Anchors) -> None:
        super().__init__(unit, PROTOCOL, buffer_callback=unit.take_out_of_band)
        self.reducer_override = unit.reduce  # type: ignore[method-assign]
        self._container = anchors.container


class _AnchoringPickler(_Pickler):
    """Looks at containers too: some of them belong to the process."""

    def persistent_id(self, value: Any) -> Any:
        """Name a container that every process has."""
        return self._container(value)
