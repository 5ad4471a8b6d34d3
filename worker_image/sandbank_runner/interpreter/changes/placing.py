"""Where builtin containers keep the table of what they hold: it is all of their state, where that is atoms.

The layout is CPython's, the same in all versions that are supported; one that looks otherwise has no tables.
"""

from __future__ import annotations

from typing import Any, Final

from sandbank_runner.interpreter.changes.memory import address_of, bytes_at, word_at
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_WORD: Final = 8
_LIST_ITEMS: Final = 24
_TUPLE_ITEMS: Final = 24
_DICT_KEYS: Final = 32
_DICT_VALUES: Final = 40
_KEYS_FORM: Final = 8
_KEYS_COUNT: Final = 24
_KEYS_INDEX: Final = 32
_SET_MASK: Final = 32
_SET_TABLE: Final = 40
_SET_ENTRY: Final = 16
_CHECKED_BYTES: Final = 256
Table = tuple[int, int]
"""Address and size in bytes."""


def of_list(value: list[Any]) -> Table:
    """Return where the items of a list are."""
    return word_at(address_of(value) + _LIST_ITEMS), len(value) * _WORD


def of_tuple(value: tuple[Any, ...]) -> Table:
    """Return where the items of a tuple are."""
    return address_of(value) + _TUPLE_ITEMS, len(value) * _WORD


def of_dict(value: dict[Any, Any]) -> Table | None:
    """Return where keys and values of a dict are; None where they are not together. No other thread may be there."""
    address = address_of(value)
    if word_at(address + _DICT_VALUES):
        return None
    keys = word_at(address + _DICT_KEYS)
    form = bytes_at(keys + _KEYS_FORM, 3)
    entry = 3 * _WORD if form[2] == 0 else 2 * _WORD  # of strings no hash
    return keys + _KEYS_INDEX + (1 << form[1]), word_at(keys + _KEYS_COUNT) * entry


def of_set(value: Any) -> Table:
    """Return where the elements of a set or frozenset are."""
    address = address_of(value)
    return word_at(address + _SET_TABLE), (word_at(address + _SET_MASK) + 1) * _SET_ENTRY


def _as_expected() -> bool:
    """Tell whether a few containers have their parts where they are looked for."""
    parts = [object(), object()]
    wanted = [address_of(part) for part in parts]
    items, numbered, named, both = (
        tuple(parts),
        dict(enumerate(parts)),
        dict(zip("ab", parts, strict=True)),
        {*parts},
    )
    return (
        _words(of_list(parts)) == wanted
        and _words(of_tuple(items)) == wanted
        and _words(of_dict(numbered))[2::3] == wanted
        and _words(of_dict(named))[1::2] == wanted
        and set(wanted) <= {*_words(of_set(both))}
    )


def _words(table: Table | None) -> list[int]:
    if table is None or table[1] > _CHECKED_BYTES:
        return []
    return [word_at(table[0] + at) for at in range(0, table[1], _WORD)]


ARE_KNOWN: Final = _as_expected()
