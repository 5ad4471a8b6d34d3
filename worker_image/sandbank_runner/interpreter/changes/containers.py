"""Rules for builtin containers, by the methods of the builtin type: what a subclass says of itself is not asked."""

from __future__ import annotations

import gc
from collections import OrderedDict, defaultdict, deque
from itertools import islice
from types import CellType, MappingProxyType
from typing import Any, Final

from sandbank_runner.interpreter.changes import atoms, code, placing
from sandbank_runner.interpreter.changes.limits import LARGE
from sandbank_runner.interpreter.changes.walk import MUTABLE, PLAIN, SHARED, Entry, Place, Walk
from sandbank_runner.interpreter.reading.kinds import identity
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_referents = gc.get_referents
_maxlen_of: Any = deque.__dict__["maxlen"].__get__
_factory_of: Any = defaultdict.__dict__["default_factory"].__get__


def a_list(walk: Walk, value: Any, kind: Any) -> None:
    """Write a list down: its items, in one go where there are only atoms."""
    items = value if kind is list else list(list.__iter__(value))
    count = len(items)
    place = walk.place("L", placing.of_list, value) if count > LARGE and kind is list else None
    if place is not None and _is_kept(walk, place, count):
        return
    walk.spend(count)
    if not atoms.all_short_atoms(items):
        walk.tokens.append(("l", count))
        walk.stack.extend(items[::-1])
    elif count <= LARGE:
        walk.tokens.append(("L", items))
    else:
        _write_large(walk, "L", count, place, atoms.digest_of(lambda begin, end: items[begin:end], count))


def a_tuple(walk: Walk, value: Any, kind: Any) -> None:
    """Write a tuple down wherever it comes: whether it is one object or two equal ones does not matter."""
    items = value if kind is tuple else tuple(tuple.__iter__(value))
    count = len(items)
    place = walk.place("T", placing.of_tuple, value) if count > LARGE and kind is tuple else None
    if place is not None and _is_kept(walk, place, count):
        return
    walk.spend(count)
    if atoms.all_short_atoms(items):
        if count <= LARGE:
            walk.tokens.append(("T", items))
        else:
            _write_large(walk, "T", count, place, atoms.digest_of(lambda begin, end: items[begin:end], count))
    elif not walk.repeats(value):
        walk.tokens.append(("t", count))
        walk.stack.extend(items[::-1])


def _is_kept(walk: Walk, place: Place, count: int) -> bool:
    """Write down what was kept of a large container, if its table is untouched."""
    found = walk.around.buffers.table(place)
    if found is None:
        return False
    walk.tokens.append((place[0], count, found))
    return True


def _write_large(walk: Walk, sign: str, count: int, place: Place | None, found: bytes) -> None:
    """Write a large container of atoms down, by its digest."""
    walk.tokens.append((sign, count, found))
    if place is not None:
        walk.around.buffers.keep(place, found)


def a_dict(walk: Walk, value: Any, kind: Any) -> None:
    """Write a dict down, in its order."""
    count = dict.__len__(value)
    place = (
        walk.place("d", placing.of_dict, value)
        if count > LARGE and (kind is dict or kind is defaultdict)
        else None
    )
    if place is not None and _is_kept(walk, place, count):
        return
    write_items(walk, "d", list(dict.keys(value)), list(dict.values(value)), place)


def write_items(
    walk: Walk, sign: str, keys: list[Any], values: list[Any], place: Place | None = None
) -> None:
    """Write keys and values down that belong together; ``place`` is where both are."""
    count = len(keys)
    walk.spend(2 * count)
    if not atoms.all_short_atoms(keys):
        walk.tokens.append((sign, count, 0))
        walk.stack.extend(values[::-1])
        walk.stack.extend(keys[::-1])
    elif count <= LARGE:
        walk.tokens.append((sign, keys))
        if atoms.all_short_atoms(values):
            walk.tokens.append(values)
        else:
            walk.stack.extend(values[::-1])
    else:
        found = atoms.digest_of(lambda begin, end: keys[begin:end], count)
        if atoms.all_short_atoms(values):
            found += atoms.digest_of(lambda begin, end: values[begin:end], count)
            _write_large(walk, sign, count, place, found)
        else:
            walk.tokens.append((sign, count, found))
            walk.stack.extend(values[::-1])


def an_ordered_dict(walk: Walk, value: Any, _kind: Any) -> None:
    """Write an OrderedDict down, in the order that it keeps beside that of the dict."""
    keys, values = list(dict.keys(value)), list(dict.values(value))
    if atoms.all_short_atoms(keys):  # an iterator that goes by the order looks each key up
        found = dict(zip(map(identity, keys), values, strict=True))
        keys = list(OrderedDict.__iter__(value))
        values = [found[identity(key)] for key in keys]
    else:
        walk.unsure = "an OrderedDict's order, which cannot be seen without hashing its keys"
    write_items(walk, "od", keys, values)


def a_default_dict(walk: Walk, value: Any, kind: Any) -> None:
    """Write a defaultdict down, with its factory."""
    walk.stack.append(_factory_of(value))
    a_dict(walk, value, kind)


def a_set(walk: Walk, value: Any, kind: Any) -> None:
    """Write a set or frozenset down; its order is no part of it."""
    base: Any = set if issubclass(kind, set) else frozenset
    count = base.__len__(value)
    walk.tokens.append(("s", base is set, count))
    place = walk.place("S", placing.of_set, value) if count > LARGE else None
    if place is not None and _is_kept(walk, place, count):
        return
    walk.spend(4 * count)
    parts = list(base.__iter__(value))
    if atoms.all_short_atoms(parts):
        found = sorted(map(atoms.dumps, parts))
        if count <= LARGE:
            walk.tokens.append(found)
        else:
            _write_large(walk, "S", count, place, atoms.digest_of(lambda begin, end: found[begin:end], count))
    else:
        walk.unordered(parts)


def a_deque(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a deque down."""
    items = list(deque.__iter__(value))
    walk.spend(len(items))
    walk.tokens.append(("q", _maxlen_of(value), len(items)))
    walk.stack.extend(items[::-1])


def a_proxy(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a read-only view of a mapping down: of the items where that is a dict."""
    walk.tokens.append("proxy")
    walk.push(islice(_referents(value), 1))


def a_cell(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a closure's variable down."""
    try:
        content = value.cell_contents
    except ValueError:
        walk.tokens.append("empty cell")
        return
    walk.tokens.append("cell")
    if not code.is_class(type(content)):  # such as methods that call super() have
        walk.mutable.append(identity(value))
    walk.stack.append(content)


def a_slice(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a slice down."""
    walk.tokens.append("slice")
    walk.push((value.start, value.stop, value.step))


def a_range(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a range down."""
    walk.tokens.append(("range", value.start, value.stop, value.step))


def not_implemented(walk: Walk, _value: Any, _kind: Any) -> None:
    """Write ``NotImplemented`` down."""
    walk.tokens.append("NotImplemented")


BASES: Final[tuple[tuple[Any, Entry], ...]] = (
    (list, (a_list, MUTABLE)),
    (OrderedDict, (an_ordered_dict, MUTABLE)),
    (defaultdict, (a_default_dict, MUTABLE)),
    (dict, (a_dict, MUTABLE)),
    (set, (a_set, MUTABLE)),
    (frozenset, (a_set, PLAIN)),
    (tuple, (a_tuple, PLAIN)),
    (deque, (a_deque, MUTABLE)),
)
"""What user classes derive from, the more special ones first."""

ENTRIES: Final[tuple[tuple[Any, Entry], ...]] = (
    *BASES,
    (CellType, (a_cell, SHARED)),
    (slice, (a_slice, PLAIN)),
    (range, (a_range, PLAIN)),
    (MappingProxyType, (a_proxy, SHARED)),
    (type(NotImplemented), (not_implemented, PLAIN)),
)
