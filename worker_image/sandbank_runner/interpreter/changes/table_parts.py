"""What a glance looks into of tables, of columns of Arrow's, and of instances of library classes; as the rules do."""

from __future__ import annotations

import gc
import pathlib
from typing import Any, Final

from sandbank_runner.interpreter.changes import instances, memory, tables
from sandbank_runner.interpreter.changes.digests import digest
from sandbank_runner.interpreter.changes.imprints import (
    CannotGlance,
    Chosen,
    Contents,
    Evidence,
    Evident,
    Imprint,
    Made,
    Piece,
)
from sandbank_runner.interpreter.changes.limits import LONG_BYTES
from sandbank_runner.interpreter.changes.walk import Buffers
from sandbank_runner.interpreter.reading.kinds import contents_of, derives, genuine
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_referents = gc.get_referents
_basic_size: Any = type.__dict__["__basicsize__"].__get__
_dictionary_at: Any = type.__dict__["__dictoffset__"].__get__
_weaklist_at: Any = type.__dict__["__weakrefoffset__"].__get__
_HEADER_BYTES: Final = 16
_MISSING: Final = object()
_ARROW: Final = (
    "string", "large_string", "binary", "large_binary", "bool", "int", "uint", "float", "double", "date", "time",
    "duration",
)  # fmt: skip
"""What the names of Arrow's types begin with whose values are in their buffers."""


class Columns(Evident, Chosen):
    """Looks into columns of Arrow's: those themselves never change, but the memory that was lent to them may."""

    def __init__(self, kind: Any) -> None:
        read = contents_of(kind)
        self._chunks_of, self._type_of = read["chunks"].__get__, read["type"].__get__

    def __call__(self, found: list[Any]) -> tuple[list[Any], list[int]]:
        """Return no parts: a column is what it holds."""
        return [], [0] * len(found)

    def takes(self, value: Any) -> bool:
        """Tell whether the values of a column are in its buffers. Raises :class:`CannotGlance`."""
        if not str(self._type_of(value)).startswith(_ARROW):
            raise CannotGlance
        return True

    def evidence(self, owners: list[int], found: list[Any], buffers: Buffers) -> Evidence:
        """Remember what columns hold."""
        return Contents(owners, [self._content_of(each, buffers) for each in found], self._content_of)

    def _content_of(self, value: Any, buffers: Buffers) -> list[Any]:
        parts: list[Any] = [str(self._type_of(value))]
        for chunk in self._chunks_of(value):
            parts += chunk.offset, len(chunk)
            for buffer in chunk.buffers():
                if buffer is None:
                    parts.append(None)
                    continue
                content, size = memoryview(buffer), buffer.size
                if memory.is_gone(buffer.address, size):
                    raise CannotGlance
                parts.append(
                    digest(content) if size < LONG_BYTES else buffers.digest(content, buffer.address, size)
                )
        return parts


class Solids(Evident):
    """Looks into objects made by C code whose state is in their own memory and in what the collector knows of them."""

    def __init__(self, kind: Any) -> None:
        if _dictionary_at(kind) or instances.solid_base(kind) is not kind:
            raise CannotGlance
        size, gap = _basic_size(kind), _weaklist_at(kind)
        self._ranges = [(_HEADER_BYTES, gap), (gap + 8, size)] if 0 < gap < size else [(_HEADER_BYTES, size)]

    def __call__(self, found: list[Any]) -> tuple[list[Any], list[int]]:
        """Return what the collector knows objects to hold."""
        parts = [_referents(each) for each in found]
        return [part for each in parts for part in each], list(map(len, parts))

    def evidence(self, owners: list[int], found: list[Any], buffers: Buffers) -> Evidence:
        """Remember their memory."""
        return Imprint.of(owners, [self._made_of(each) for each in found], buffers)

    def _made_of(self, value: Any) -> Made:
        address = memory.address_of(value)
        return Made([Piece(0, address + begin, end - begin) for begin, end in self._ranges])


def placements(found: list[Any]) -> tuple[list[Any], list[int]]:
    """Return the places of columns in a table."""
    placement: Any = genuine("pandas._libs.internals", "BlockPlacement")
    return list(map(contents_of(placement)["as_array"].__get__, found)), [1] * len(found)


def instances_of(kind: Any) -> Any:
    """Return what looks into instances of a class of a library, or one of the session that extends it."""
    shape = tables.parts_of(kind)
    if shape is None:
        base = instances.solid_base(kind)
        if derives(kind, pathlib.PurePath) or not (base is object or base is list):
            raise CannotGlance
        shape = tables.Parts(_nothing_of if base is object else _items_of)
    return _Whole(kind, shape)


class _Whole:
    """Looks into slots, dictionary and what C code keeps in an instance."""

    def __init__(self, kind: Any, shape: tables.Parts) -> None:
        self._skip = instances.skipped(kind, shape.skip)
        self._dictionary_of, self._rest_of = instances.dictionary_of(kind), shape.read
        self._slots = [slot.__get__ for name, slot in instances.slots_of(kind) if name not in shape.skip]

    def __call__(self, found: list[Any]) -> tuple[list[Any], list[int]]:
        rest_of, sizes = self._rest_of, []
        parts: list[Any] = []
        for each in found:
            before = len(parts)
            for slot in self._slots:
                try:
                    parts.append(slot(each))
                except AttributeError:
                    parts.append(_MISSING)
            if self._dictionary_of is not None:
                self._add(self._dictionary_of(each), parts)
            parts += rest_of(each)
            sizes.append(len(parts) - before)
        return parts, sizes

    def _add(self, state: Any, parts: list[Any]) -> None:
        if type(state) is not dict:
            raise CannotGlance
        if self._skip.isdisjoint(state):
            parts += state
            parts += state.values()
            return
        for name, part in state.items():
            if name not in self._skip:
                parts += name, part


def _nothing_of(_value: Any) -> list[Any]:
    return []


_items_of: Any = list.__iter__
