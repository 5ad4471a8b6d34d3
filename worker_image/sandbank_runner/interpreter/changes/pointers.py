"""Where objects lie, remembered without holding them, and compared as memory: all of them at once."""

from __future__ import annotations

import ctypes
from array import array
from typing import Any, Final

from sandbank_runner.interpreter.changes.memory import address_of, word_at
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.walls.system_calls import library_function

seal(globals())

_copy: Any = library_function("memcpy")
_copy.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
_copy.restype = None
_compare: Any = library_function("memcmp")
_compare.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
_WORD: Final = 8
_ITEMS: Final = 24
"""Where a list says where its items are."""


class Pointers:
    """The addresses of some objects."""

    __slots__ = ("_at", "_size", "addresses")

    def __init__(self, addresses: array[int]) -> None:
        """``addresses`` is not changed any more."""
        self.addresses = addresses
        self._at, count = addresses.buffer_info()
        self._size = _WORD * count

    @classmethod
    def of(cls, objects: list[Any]) -> Pointers:
        """Return where the items of a list lie."""
        return cls.copied(word_at(address_of(objects) + _ITEMS), _WORD * len(objects))

    @classmethod
    def copied(cls, address: int, size: int) -> Pointers:
        """Return what a piece of memory holds."""
        words = array("Q", bytes(size))
        if size:
            _copy(words.buffer_info()[0], address, size)
        return cls(words)

    def match(self, objects: list[Any]) -> bool:
        """Tell whether the items of a list lie there."""
        size = _WORD * len(objects)
        if size != self._size or not size:
            return size == self._size
        return not _compare(self._at, word_at(address_of(objects) + _ITEMS), size)

    def are_at(self, address: int, size: int) -> bool:
        """Tell whether a piece of memory holds these."""
        return size == self._size and (not size or not _compare(self._at, address, size))
