"""Sees where an operation has changed an object that it shares with the session.

What is bound to a name is shared by all copies of the names: ``numbers.append(1)`` is there for everyone at once, and
is not undone. Seen is a change in the items of a list, dict, set, deque or bytearray that a name is bound to, where
all of them together have at most 20,000 items; of a larger one, a change of its length, and of the first and the last
items of a list. Not seen: what is deeper (a list in a list), attributes of objects, array elements, DataFrame columns,
what is changed back, and a change of a dict's order.

The price is a reference to each item, so that no other object can have come to its address.
"""

from __future__ import annotations

from collections import deque
from operator import is_
from typing import Any, Final

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_ITEMS: Final = 20_000
_SAMPLE: Final = 16
_KINDS = frozenset([list, dict, set, bytearray, deque])

_Print = tuple[object, tuple[Any, ...]]
"""What is compared by value (a size, a content, addresses), and the items."""


class Fingerprints:
    """What the containers of an operation's names held when it began."""

    __slots__ = ("_prints",)

    def __init__(self, names: dict[str, Any]) -> None:
        left = _ITEMS
        self._prints: list[tuple[str, Any, bool, _Print]] = []
        """Name, container, whether the print is of all that is in it, and the print."""
        if _KINDS.isdisjoint(map(type, names.values())):
            return
        for name, value in names.items():
            if type(value) in _KINDS:
                is_whole = len(value) <= left
                if is_whole:
                    left -= len(value)
                self._prints.append((name, value, is_whole, _print_of(value, is_whole=is_whole)))

    def forget(self) -> None:
        """Let go of the objects."""
        self._prints.clear()

    def changed(self) -> list[str]:
        """Return the names of containers that hold something else now."""
        return sorted(
            str(name)
            for name, value, is_whole, before in self._prints
            if not _is_same(before, _print_of(value, is_whole=is_whole))
        )


def _print_of(value: Any, *, is_whole: bool) -> _Print:
    kind = type(value)
    size = len(value)
    if kind is bytearray:
        return (bytes(value) if is_whole else size), ()
    if not is_whole:
        return size, ((*value[:_SAMPLE], *value[-_SAMPLE:]) if kind is list else ())
    if kind is dict:
        return size, (*value, *value.values())
    if kind is set:  # its order may change where it does not
        return frozenset(map(id, value)), tuple(value)
    return size, tuple(value)


def _is_same(before: _Print, now: _Print) -> bool:
    """Compare items by identity: an object's own comparison is user code."""
    if before[0] != now[0]:
        return False
    return type(before[0]) is frozenset or all(map(is_, before[1], now[1]))
