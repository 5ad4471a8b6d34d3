"""Where objects lie, remembered without holding them, and compared as memory: all of them at once."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable
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
_pack = struct.pack
_WORD: Final = 8
_ITEMS: Final = 24
"""Where a list says where its items are."""
_START: Final = 40
"""Where a bytearray says where its bytes begin."""


class Pointers:
    """The addresses of some objects. Of making one no audit hook is told, as it would be of an array."""

    __slots__ = ("_at", "_size", "_words")

    def __init__(self, words: bytearray) -> None:
        """``words`` is not changed any more."""
        self._words = words
        self._size = len(words)
        self._at = word_at(address_of(words) + _START)

    @classmethod
    def of(cls, objects: list[Any]) -> Pointers:
        """Return where the items of a list lie."""
        return cls.copied(word_at(address_of(objects) + _ITEMS), _WORD * len(objects))

    @classmethod
    def copied(cls, address: int, size: int) -> Pointers:
        """Return what a piece of memory holds."""
        words = bytearray(size)
        if size:
            _copy(word_at(address_of(words) + _START), address, size)
        return cls(words)

    @classmethod
    def made(cls, addresses: Iterable[int]) -> Pointers:
        """Return given addresses."""
        numbers = [*addresses]
        return cls(bytearray(_pack(f"{len(numbers)}Q", *numbers)))

    @property
    def addresses(self) -> memoryview:
        """All of them, as numbers."""
        return memoryview(self._words).cast("Q")

    def __len__(self) -> int:
        return self._size // _WORD

    def match(self, objects: list[Any]) -> bool:
        """Tell whether the items of a list lie there."""
        size = _WORD * len(objects)
        if size != self._size or not size:
            return size == self._size
        return not _compare(self._at, word_at(address_of(objects) + _ITEMS), size)

    def are_at(self, address: int, size: int) -> bool:
        """Tell whether a piece of memory holds these."""
        return size == self._size and (not size or not _compare(self._at, address, size))
