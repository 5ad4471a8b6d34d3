"""Rules for pandas: what a table is, without what it has looked up and keeps for the next time."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from sandbank_runner.interpreter.changes import instances
from sandbank_runner.interpreter.changes.digests import digest
from sandbank_runner.interpreter.changes.walk import PLAIN, Entry, Rule, Walk
from sandbank_runner.interpreter.reading.kinds import contents_of, derives, genuine, mro_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_TABLES: Final = ("DataFrame", "Series", "Index")
_NOT_STATE: Final = frozenset([
    "_cache", "_cacher", "_engine", "_flags", "_id", "_is_copy", "_item_cache", "_no_setting_name", "_references",
])  # fmt: skip
_PARTS: Final = (
    ("pandas._libs.internals", "BlockManager", ("axes", "blocks")),
    ("pandas._libs.internals", "Block", ("ndim", "_mgr_locs", "values")),
    ("pandas._libs.arrays", "NDArrayBacked", ("_dtype", "_ndarray")),
)
"""What objects made by C code consist of; the rest are caches."""


def pandas_rule(kind: Any) -> Entry | None:
    """Return the rule for a type of pandas or one that extends it, where the usual ones would not do."""
    if genuine("pandas", "DataFrame") is None:
        return None
    placement = genuine("pandas._libs.internals", "BlockPlacement")
    if kind is placement:
        return a_placement, PLAIN
    found = parts_of(kind)
    if found is not None:
        return instances.entry_of(kind, _parts_rule(found.read), found.skip)
    for name in ("Timestamp", "Timedelta"):
        base = genuine("pandas", name)
        if base is not None and derives(kind, base) and None not in _numbers_of(base):
            return instances.entry_of(kind, _a_moment(base))[0], PLAIN
    return None


class Parts(NamedTuple):
    """What instances of a class consist of."""

    read: Callable[[Any], list[Any]]
    """Returns what is not in the dictionary."""
    skip: frozenset[str] = frozenset()
    """What in the dictionary is no state."""


def parts_of(kind: Any) -> Parts | None:
    """Return what a table, an index or one of their parts consists of; None for others."""
    for module, name, parts in _PARTS:
        base = genuine(module, name)
        if base is not None and derives(kind, base):
            return Parts(_reader(base, parts))
    for name in _TABLES:
        base = genuine("pandas", name)
        if base is not None and derives(kind, base):
            return Parts(_flags_reader(kind), _NOT_STATE)
    return None


def a_placement(walk: Walk, value: Any, kind: Any) -> None:
    """Write down which columns a block holds."""
    walk.tokens.append(digest(contents_of(kind)["as_array"].__get__(value).tobytes()))


def _parts_rule(read: Callable[[Any], list[Any]]) -> Rule:
    def a_whole(walk: Walk, value: Any, _kind: Any) -> None:
        walk.push(read(value))

    return a_whole


def _reader(base: Any, names: tuple[str, ...]) -> Callable[[Any], list[Any]]:
    readers = [contents_of(base)[name].__get__ for name in names]
    return lambda value: [read(value) for read in readers]


def read_of(kind: Any, name: str) -> Any:
    """Return what reads an attribute that C code has given a class; None: there is none."""
    for ancestor in mro_of(kind):
        found = contents_of(ancestor).get(name)
        if found is not None:
            return found.__get__
    return None


def _numbers_of(base: Any) -> list[Any]:
    return [read_of(base, name) for name in ("_value", "_creso")]


def _a_moment(base: Any) -> Rule:
    readers = _numbers_of(base)
    if derives(base, datetime.datetime):
        readers += [datetime.datetime.__dict__[name].__get__ for name in ("tzinfo", "fold")]

    def a_moment(walk: Walk, value: Any, _kind: Any) -> None:
        walk.push([read(value) for read in readers])

    return a_moment


def _flags_reader(kind: Any) -> Callable[[Any], list[Any]]:
    read = instances.dictionary_of(kind)

    def flags_of(value: Any) -> list[Any]:
        flags = read(value).get("_flags") if read is not None else None
        own = None if flags is None else instances.dictionary_of(type(flags))
        return [None if own is None else own(flags).get("_allows_duplicate_labels")]

    return flags_of
