"""Rules for what lends its memory: bytearrays, memory views, arrays of the standard library.

A view is what it shows, and where: that it shares memory with another variable is part of the state of both.
"""

from __future__ import annotations

import mmap
import types
from array import array
from pickle import PickleBuffer
from typing import Any, Final

from sandbank_runner.interpreter.changes import memory
from sandbank_runner.interpreter.changes.code import class_name
from sandbank_runner.interpreter.changes.digests import digest, hasher
from sandbank_runner.interpreter.changes.instances import is_python
from sandbank_runner.interpreter.changes.limits import LONG_BYTES
from sandbank_runner.interpreter.changes.walk import GONE, MUTABLE, PLAIN, CannotCompare, Entry, Rule, Walk
from sandbank_runner.interpreter.reading.kinds import contents_of, identity, mro_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_name_of: Any = type.__dict__["__name__"].__get__
PRIVATE: Final = (bytes, bytearray, array)
"""Whose memory only this process writes to."""
PIECE_BYTES: Final = 1 << 22
PRICE: Final = 16_000
"""Of so many bytes, in objects: the clock is looked at each time."""
_START: Final = 40
"""Where a bytearray says where its bytes begin."""
_BYTES: Final = 32
"""Where bytes begin."""


def memory_of(value: Any) -> tuple[int, int]:
    """Return begin and size of the memory that one of ``PRIVATE`` has."""
    if type(value) is bytes:
        return memory.address_of(value) + _BYTES, bytes.__len__(value)
    if type(value) is bytearray:
        return memory.word_at(memory.address_of(value) + _START), bytearray.__len__(value)
    address, count = array.buffer_info(value)
    return address, count * array.__dict__["itemsize"].__get__(value)


def a_bytearray(walk: Walk, value: Any, kind: Any) -> None:
    """Write a bytearray down."""
    size = bytearray.__len__(value)
    if kind is bytearray and size >= LONG_BYTES:
        address, _ = memory_of(value)
        found = walk.around.buffers.digest(value, address, size)
    else:
        found = digest(bytearray.__getitem__(value, slice(None)))
    walk.tokens.append(("bytearray", size, found))


def an_array(walk: Walk, value: Any, kind: Any) -> None:
    """Write an ``array.array`` down."""
    address, count = array.buffer_info(value)
    size = count * array.__dict__["itemsize"].__get__(value)
    if kind is array and size >= LONG_BYTES:
        found = walk.around.buffers.digest(memoryview(value).cast("B"), address, size)
    else:
        found = digest(array.tobytes(value))
    walk.tokens.append(("array", array.__dict__["typecode"].__get__(value), count, found))


def a_view(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a memory view down."""
    try:
        shape, strides, owner = value.shape, value.strides, value.obj
    except ValueError:
        walk.tokens.append("released")
        return
    address, size = memory.extent(memory.start_of_view(value), shape, strides, value.itemsize)
    if type(owner) not in PRIVATE:
        check_mapped(walk, address, size)
    found = digest(value if value.c_contiguous else value.tobytes())
    walk.tokens.append(("view", value.format, shape, strides, value.readonly, found))
    walk.mutable.append(identity(owner))
    walk.lost = walk.lost or "memoryview"


def a_buffer(walk: Walk, value: Any, _kind: Any) -> None:
    """Write what pickle takes out of band down."""
    with value.raw() as view:
        walk.tokens.append(("buffer", len(view), digest(view)))


def an_arrow_buffer(walk: Walk, value: Any, kind: Any) -> None:
    """Write a buffer of Arrow's down."""
    size, address = kind.size.__get__(value), kind.address.__get__(value)
    check_there(address, size)
    content = memoryview(value)
    if size >= LONG_BYTES:
        walk.tokens.append(("arrow", size, walk.around.buffers.digest(content, address, size)))
    else:
        walk.tokens.append(("arrow", size, digest(content)))


def a_c_value(walk: Walk, value: Any, kind: Any) -> None:
    """Write an instance of a ctypes class down, by its bytes."""
    walk.lost = walk.lost or "ctypes"
    if any("__buffer__" in contents_of(ancestor) for ancestor in mro_of(kind) if is_python(ancestor)):
        raise CannotCompare("its memory is lent by code of its own")
    view = memoryview(value)
    check_there(memory.start_of_view(view), view.nbytes)
    content = bytes(view)
    walk.tokens.append(("ctypes", class_name(kind), digest(content)))
    parts = [_attribute(value, kind, name) for name in ("_objects", "_b_base_")]
    if (
        all(part is None for part in parts)
        and any(content)
        and any(_name_of(ancestor) == "_Pointer" for ancestor in mro_of(kind))
    ):
        walk.unsure = "memory behind a pointer"
    walk.push(parts)


def _attribute(value: Any, kind: Any, name: str) -> Any:
    """Return what C code keeps under a name, None where it keeps nothing."""
    for ancestor in mro_of(kind):
        found = contents_of(ancestor).get(name)
        if type(found) is types.MemberDescriptorType and not is_python(ancestor):
            return found.__get__(value)
    return None


def a_mapping(walk: Walk, value: Any, _kind: Any) -> None:
    """Write an ``mmap`` down: others may write to it, so all of it is read, each time."""
    walk.lost = walk.lost or "mmap"
    try:
        size = mmap.mmap.__len__(value)
        position = mmap.mmap.tell(value)
    except ValueError:
        walk.tokens.append("closed")
        return
    if memory.word_of(value, 1) != size:
        raise CannotCompare("nobody knows where it is")
    address = memory.word_of(value, 0)
    check_mapped(walk, address, size)
    walk.tokens.append(("mmap", size, position, digest_of_memory(walk, address, size)))


def check_there(address: int, size: int) -> None:
    """See to it that memory is there of which others say where it is."""
    if memory.is_gone(address, size):
        raise CannotCompare(GONE)


def check_mapped(walk: Walk, address: int, size: int) -> None:
    """See to it that memory can be read behind which a file may lie: one that was cut off kills whoever reads."""
    for begin in range(0, size, PIECE_BYTES):
        walk.spend(PRICE)
        if not memory.can_be_read(address + begin, min(PIECE_BYTES, size - begin)):
            raise CannotCompare(f"{GONE}; or the kernel cannot tell")


def digest_of_memory(walk: Walk, address: int, size: int) -> bytes:
    """Return the digest of memory, however much it is, in bounded time."""
    total = hasher()
    for begin in range(0, size, PIECE_BYTES):
        walk.spend(PRICE)
        total.update(memory.view_of(address + begin, min(PIECE_BYTES, size - begin)))
    return bytes(total.digest())


BASES: Final[tuple[tuple[Any, Rule], ...]] = ((bytearray, a_bytearray), (array, an_array))

ENTRIES: Final[tuple[tuple[Any, Entry], ...]] = (
    (bytearray, (a_bytearray, MUTABLE)),
    (array, (an_array, MUTABLE)),
    (memoryview, (a_view, MUTABLE)),
    (mmap.mmap, (a_mapping, MUTABLE)),
    (PickleBuffer, (a_buffer, PLAIN)),
)
