"""What the kernel tells of this process, read without telling the user's audit hooks, which may raise or hang.

The C library is called with the interpreter lock held: everything here is short.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from struct import Struct
from typing import Any

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.walls.system_calls import failure, library_function

seal(globals())

_read, _close = os.read, os.close
_READ_ONLY = os.O_RDONLY | os.O_CLOEXEC
_DIRECTORY = _READ_ONLY | os.O_DIRECTORY
_BLOCK = 1 << 16

_open: Any = library_function("open")
_getdents: Any = library_function("getdents64")
_open.argtypes = [ctypes.c_char_p, ctypes.c_int]
_getdents.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
_getdents.restype = ctypes.c_ssize_t
_memory = mmap.mmap(-1, _BLOCK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # of which little is ever used
_buffer: Any = (ctypes.c_char * _BLOCK).from_buffer(_memory)  # `string_at` would be told
_entry_length = Struct("=H").unpack_from
_LENGTH_AT, _NAME_AT = 16, 19  # in a directory entry


def contents(path: bytes) -> bytes:
    """Return what a file of ``/proc`` says. Raises OSError."""
    descriptor = opened(path)
    try:
        data = b""
        while block := _read(descriptor, _BLOCK):
            data += block
    finally:
        _close(descriptor)
    return data


def numbers_in(path: bytes) -> list[int]:
    """Return the entries of a directory that are numbers, the one it is read by left out. Raises OSError."""
    descriptor = opened(path, _DIRECTORY)
    found = []
    try:
        while (size := _getdents(descriptor, _buffer, _BLOCK)) > 0:
            data: bytes = _buffer[:size]
            at = 0
            while at < size:
                (length,) = _entry_length(data, at + _LENGTH_AT)
                name = data[at + _NAME_AT : at + length].split(b"\0", 1)[0]
                if name.isdigit():
                    found.append(int(name))
                at += length
    finally:
        _close(descriptor)
    if size < 0:
        raise failure()
    return [number for number in found if number != descriptor]


def opened(path: bytes, flags: int = _READ_ONLY) -> int:
    """Open a file for reading; return its descriptor, to be closed. Raises OSError."""
    descriptor: int = _open(path, flags)
    if descriptor < 0:
        raise failure()
    return descriptor
