"""Values that are what they are: of builtin types, immutable, holding nothing.

``marshal`` in version 2 writes them exactly: 1, 1.0 and True differ, so do 0.0 and -0.0, and of an order of sets or of
who shares what it knows nothing. Types are known by their identity: a metaclass of the user's may define ``__hash__``.
"""

from __future__ import annotations

import marshal
import sys
from collections.abc import Callable, Collection
from typing import Any, Final

from sandbank_runner.interpreter.changes.digests import digest, hasher
from sandbank_runner.interpreter.changes.limits import LONG_BYTES, SLICE
from sandbank_runner.interpreter.reading.kinds import identity
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_dumps = marshal.dumps
_VERSION: Final = 2
_SHORT_BITS: Final = 8 * LONG_BYTES
_str_sizeof, _bytes_len = str.__sizeof__, bytes.__len__

KINDS: Final = frozenset(map(identity, (int, float, str, bytes, bool, complex, type(None), type(...))))
_TEXTS: Final = frozenset(map(identity, (str, bytes)))
_INT: Final = identity(int)
_SIZED: Final = _TEXTS | {_INT}
_getsizeof = sys.getsizeof
_LARGE: Final = 1 << 20
_USUAL: Final = 200
"""Bytes of many atoms, each: more than that is copied only where it is not much altogether."""


def dumps(value: Any) -> bytes:
    """Return ``value``, of atoms and of builtin containers of them, in the canonical form."""
    return _dumps(value, _VERSION)


def all_short_atoms(values: Collection[Any]) -> bool:
    """Tell whether there are only atoms among ``values``, and none so long that copying them all would be dear."""
    kinds = frozenset(map(identity, map(type, values)))
    if not kinds <= KINDS:
        return False
    return kinds.isdisjoint(_SIZED) or sum(map(_getsizeof, values)) < _LARGE + _USUAL * len(values)


def all_atoms(values: Collection[Any]) -> bool:
    """Tell whether there are only atoms among ``values``; of a dict, among its keys."""
    return frozenset(map(identity, map(type, values))) <= KINDS


def is_short(value: Any, key: int) -> bool:
    """Tell whether an atom, of the type whose identity is ``key``, is small enough to be held."""
    if key in _TEXTS:
        return len(value) < LONG_BYTES
    return key != _INT or int.bit_length(value) < _SHORT_BITS


def token(value: Any, key: int, cache: dict[Any, Any]) -> Any:
    """Return what stands for an atom: itself, or its digest where it is long. ``cache`` remembers such digests."""
    if is_short(value, key):
        return value
    number = ("long", identity(value))
    known = cache.get(number)
    if known is None:  # with the value, so that no other comes to its place
        known = cache[number] = value, ["$", len(value) if key in _TEXTS else 0, digest(dumps(value))]
    return known[1]


def same(one: Any, other: Any) -> bool:
    """Tell whether two atoms are the same value of the same type; False where a user's audit hook forbids to look."""
    try:
        return one is other or (type(one) is type(other) and dumps(one) == dumps(other))
    except Exception:
        return False


def digest_of(make: Callable[[int, int], Any], count: int) -> bytes:
    """Return the digest of many atoms, of which ``make(begin, end)`` gives a part as a builtin container."""
    total = hasher()
    for begin in range(0, count, SLICE):
        total.update(dumps(make(begin, begin + SLICE)))
    return bytes(total.digest())


def digest_of_long(value: Any) -> bytes:
    """Return the digest of one atom."""
    return digest(dumps(value))
