"""The memory of this process, read by address: what no attribute tells. Nothing of it tells audit hooks."""

from __future__ import annotations

import ctypes
from typing import Any, Final

from sandbank_runner.interpreter.reading.kinds import identity
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.walls.system_calls import library_function

seal(globals())

_BLOCK: Final = 4096
_WORDS: Final = _BLOCK // 8
_copy: Any = library_function("memcpy")
_copy.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
_copy.restype = None
_block: Any = (ctypes.c_char * _BLOCK)()
_words: Any = (ctypes.c_uint64 * _WORDS)()
_ROTATED: Final = 4
_ALL: Final = (1 << 64) - 1
_sizeof = object.__sizeof__


def address_of(value: Any) -> int:
    """Return where an object lies, as ``id`` does: its hash is the address, rotated."""
    number: int = identity(value) & _ALL
    return ((number << _ROTATED) | (number >> (64 - _ROTATED))) & _ALL


def word_at(address: int) -> int:
    """Return the eight bytes at an address that can be read."""
    _copy(_words, address, 8)
    return int(_words[0])


def bytes_at(address: int, size: int) -> bytes:
    """Return up to 4 KiB at an address that can be read."""
    _copy(_block, address, min(size, _BLOCK))
    found: bytes = _block.raw[: min(size, _BLOCK)]
    return found


_weaklist_at: Any = type.__dict__["__weakrefoffset__"].__get__
_dictionary_at: Any = type.__dict__["__dictoffset__"].__get__
_HEADER_BYTES: Final = 16
"""Reference count and type."""


_basic_size: Any = type.__dict__["__basicsize__"].__get__


def contents(value: Any, kind: Any, made_by: Any) -> bytes:
    """Return what C code keeps in an object: without reference count, weak references, dictionary.

    ``made_by`` is the type that C code made, of which ``kind`` may be a subclass in Python.
    """
    size = _sizeof(value) if kind is made_by else _basic_size(made_by)
    data = bytearray(bytes_at(address_of(value), size))
    for offset in (_weaklist_at(kind), _dictionary_at(kind)):
        if 0 < offset <= len(data) - 8:
            data[offset : offset + 8] = bytes(8)
    return bytes(data[_HEADER_BYTES:])
