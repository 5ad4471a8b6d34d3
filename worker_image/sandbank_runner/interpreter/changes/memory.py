"""The memory of this process, read by address: what no attribute tells. Nothing of it tells audit hooks."""

from __future__ import annotations

import ctypes
import mmap
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


def contents(value: Any, kind: Any, made_by: Any, parts: list[Any]) -> bytes:
    """Return what C code keeps in an object: without reference count, weak references, dictionary.

    ``made_by`` is the type that C code made, of which ``kind`` may be a subclass in Python. Where it leads to one of
    ``parts``, which are looked at themselves, it says to which, not where that is.
    """
    size = _sizeof(value) if kind is made_by else _basic_size(made_by)
    data = bytearray(bytes_at(address_of(value), size))
    for offset in (_weaklist_at(kind), _dictionary_at(kind)):
        if 0 < offset <= len(data) - 8:
            data[offset : offset + 8] = bytes(8)
    if parts and len(data) % 8 == 0:
        numbers = {address_of(part): number for number, part in enumerate(parts)}
        words = memoryview(data).cast("Q")
        for at, word in enumerate(words):
            if word in numbers:
                words[at] = numbers[word]
        words.release()
    return bytes(data[_HEADER_BYTES:])


_new_reference: Any = library_function("Py_NewRef")
_new_reference.argtypes = [ctypes.c_void_p]
_new_reference.restype = ctypes.py_object
_advise: Any = library_function("madvise")
_advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_POPULATE_READ: Final = 22
_view_of: Any = library_function("PyMemoryView_FromMemory")
_view_of.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int]
_view_of.restype = ctypes.py_object
_READ: Final = 0x100
_BUFFER_WORD: Final = 5
"""Which word of a memory view says where its memory begins."""


def proxied(value: Any) -> Any:
    """Return what a weak proxy stands for; None: it is dead. To ask the proxy is to ask that."""
    return _new_reference(word_at(address_of(value) + _HEADER_BYTES))


def word_of(value: Any, number: int) -> int:
    """Return one of the words that come after an object's header."""
    return word_at(address_of(value) + _HEADER_BYTES + 8 * number)


def start_of_view(view: memoryview) -> int:
    """Return where the first element of a memory view is."""
    return word_of(view, _BUFFER_WORD)


def extent(address: int, shape: tuple[int, ...], strides: tuple[int, ...], item: int) -> tuple[int, int]:
    """Return begin and size of the memory that elements of ``item`` bytes are in, the first of them at ``address``."""
    if 0 in shape:
        return address, 0
    steps = [(count - 1) * stride for count, stride in zip(shape, strides, strict=True)]
    before = sum(step for step in steps if step < 0)
    return address + before, sum(step for step in steps if step > 0) - before + item


def view_of(address: int, size: int) -> memoryview:
    """Return memory that can be read, as long as it lives."""
    view: memoryview = _view_of(address, size, _READ)
    return view


def can_be_read(address: int, size: int) -> bool:
    """Tell whether reading mapped memory raises no signal, as it does behind the end of a file that was cut off.

    False too where the kernel has no way to tell.
    """
    begin = address & -mmap.PAGESIZE
    return bool(_advise(begin, address + size - begin, _POPULATE_READ) == 0)


_can_tell = can_be_read(address_of(None), 8)


def is_gone(address: int, size: int) -> bool:
    """Tell whether it is certain that reading memory ends the process. A kernel before 5.14 knows it of none.

    Only its end is tried: files are cut off there, and what is given back is so as a whole or from some place on.
    """
    return _can_tell and size > 0 and not can_be_read(address + size - 1, 1)
