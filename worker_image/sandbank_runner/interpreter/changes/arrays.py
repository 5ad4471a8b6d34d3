"""Rules for what lends its memory: bytearrays, memory views, arrays of the standard library and of NumPy.

A view is what it shows, and where: that it shares memory with another variable is part of the state of both.
"""

from __future__ import annotations

import mmap
import types
from array import array
from pickle import PickleBuffer
from typing import Any, Final

from sandbank_runner.interpreter.changes import foreign, memory
from sandbank_runner.interpreter.changes.code import class_name
from sandbank_runner.interpreter.changes.digests import digest, hasher
from sandbank_runner.interpreter.changes.instances import is_python
from sandbank_runner.interpreter.changes.limits import LONG_BYTES
from sandbank_runner.interpreter.changes.walk import MUTABLE, PLAIN, SHARED, CannotCompare, Entry, Rule, Walk
from sandbank_runner.interpreter.reading.kinds import contents_of, derives, genuine, identity, mro_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_name_of: Any = type.__dict__["__name__"].__get__
_PRIVATE: Final = (bytes, bytearray, array)
"""Whose memory only this process writes to."""
_PIECE_BYTES: Final = 1 << 22
_PRICE: Final = 16_000
"""Of so many bytes, in objects: the clock is looked at each time."""
_VIEWS: Final = 100
"""Views of views."""
_START: Final = 40
"""Where a bytearray says where its bytes begin."""


def a_bytearray(walk: Walk, value: Any, kind: Any) -> None:
    """Write a bytearray down."""
    size = bytearray.__len__(value)
    if kind is bytearray and size >= LONG_BYTES:
        address = memory.word_at(memory.address_of(value) + _START)
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
    if type(owner) not in _PRIVATE:
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
    size = kind.size.__get__(value)
    content = memoryview(value)
    if size >= LONG_BYTES:
        walk.tokens.append(
            ("arrow", size, walk.around.buffers.digest(content, kind.address.__get__(value), size))
        )
    else:
        walk.tokens.append(("arrow", size, digest(content)))


def a_c_value(walk: Walk, value: Any, kind: Any) -> None:
    """Write an instance of a ctypes class down, by its bytes."""
    walk.lost = walk.lost or "ctypes"
    if any("__buffer__" in contents_of(ancestor) for ancestor in mro_of(kind) if is_python(ancestor)):
        raise CannotCompare("its memory is lent by code of its own")
    content = bytes(memoryview(value))
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


def check_mapped(walk: Walk, address: int, size: int) -> None:
    """See to it that memory can be read behind which a file may lie: one that was cut off kills whoever reads."""
    for begin in range(0, size, _PIECE_BYTES):
        walk.spend(_PRICE)
        if not memory.can_be_read(address + begin, min(_PIECE_BYTES, size - begin)):
            raise CannotCompare("it shows a file that has become shorter, or the kernel cannot tell")


def digest_of_memory(walk: Walk, address: int, size: int) -> bytes:
    """Return the digest of memory, however much it is, in bounded time."""
    total = hasher()
    for begin in range(0, size, _PIECE_BYTES):
        walk.spend(_PRICE)
        total.update(memory.view_of(address + begin, min(_PIECE_BYTES, size - begin)))
    return bytes(total.digest())


class NumpyRules:
    """The rules for NumPy's types, once it is imported."""

    def __init__(self, ndarray: Any) -> None:
        self._ndarray = ndarray
        self._bytes: Any = genuine("numpy", "dtype")("u1")
        read = ndarray.__dict__
        self._shape, self._strides = read["shape"].__get__, read["strides"].__get__
        self._dtype, self._flags = read["dtype"].__get__, read["flags"].__get__
        self._base, self._flat = read["base"].__get__, read["flat"].__get__
        self._interface = read["__array_interface__"].__get__
        self._size, self._item_size = read["nbytes"].__get__, read["itemsize"].__get__

    def an_ndarray(self, walk: Walk, value: Any, kind: Any) -> None:
        """Write an array down."""
        dtype, flags, size = self._dtype(value), self._flags(value), self._size(value)
        owner, is_mapped = self._owner(value)
        offset = 0
        walk.mutable.append(identity(owner))  # of one that has its own memory too: the places match
        if owner is not value and type(owner) is self._ndarray:
            offset = self._address(value) - self._address(owner)
        walk.tokens.append(("ndarray", self._shape(value), self._strides(value), flags.writeable, offset))
        walk.stack.append(dtype)
        if dtype.hasobject:
            parts = list(self._flat(value))
            walk.spend(len(parts))
            walk.keep.append(parts)
            walk.push(parts)
        elif size < LONG_BYTES and not is_mapped:
            walk.tokens.append(digest(self._ndarray.tobytes(value)))
        else:
            walk.tokens.append(self._digest(walk, value, flags, size, is_mapped=is_mapped))

    def a_scalar(self, walk: Walk, value: Any, kind: Any) -> None:
        """Write an array's element down."""
        generic: Any = genuine("numpy", "generic")
        dtype = generic.__dict__["dtype"].__get__(value)
        walk.stack.append(dtype)
        if dtype.hasobject:
            walk.stack.append(generic.item(value))
        else:
            walk.tokens.append(("scalar", generic.tobytes(value)))

    def a_dtype(self, walk: Walk, value: Any, kind: Any) -> None:
        """Write a dtype down."""
        dtype: Any = genuine("numpy", "dtype")
        if (
            dtype.__dict__["names"].__get__(value) is None
            and dtype.__dict__["subdtype"].__get__(value) is None
        ):
            walk.tokens.append(
                (
                    "dtype",
                    dtype.__dict__["str"].__get__(value),
                    dtype.__dict__["metadata"].__get__(value) is None,
                )
            )
        else:
            foreign.write_reduction(walk, dtype.__reduce__(value), dtype)

    def _digest(self, walk: Walk, value: Any, flags: Any, size: int, *, is_mapped: bool) -> bytes:
        plain = value if type(value) is self._ndarray else self._ndarray.view(value, self._ndarray)
        strides = self._strides(value)
        address, extent = memory.extent(
            self._address(value), self._shape(value), strides, self._item_size(value)
        )
        if is_mapped:
            check_mapped(walk, address, extent)
            return digest_of_memory(walk, address, extent)
        if flags.c_contiguous:
            flat = plain.reshape(-1)
        elif flags.f_contiguous:
            flat = plain.T.reshape(-1)
        elif (
            extent <= size
        ):  # it shows some of its memory more than once: there may be any number of such elements
            return digest_of_memory(walk, address, extent)
        else:
            return self._pieces(walk, plain, size)
        return walk.around.buffers.digest(memoryview(flat.view(self._bytes)), self._address(value), size)

    def _pieces(self, walk: Walk, plain: Any, size: int) -> bytes:
        """Return the digest of an array whose elements lie apart, without a copy of all of them."""
        total = hasher()
        count = self._shape(plain)[0]
        step = max(1, _PIECE_BYTES * count // size)
        for begin in range(0, count, step):
            walk.spend(_PRICE)
            total.update(self._ndarray.tobytes(plain[begin : begin + step]))
        return bytes(total.digest())

    def _address(self, value: Any) -> int:
        return int(self._interface(value)["data"][0])

    def _owner(self, value: Any) -> tuple[Any, bool]:
        """Return whose memory an array shows, and whether others may write to it."""
        owner = value
        for _ in range(_VIEWS):
            if derives(type(owner), self._ndarray):
                base = self._base(owner)
            elif type(owner) is memoryview:
                base = owner.obj
            else:
                break
            if base is None:
                break
            owner = base
        else:
            raise CannotCompare("views are nested too deeply")
        is_own = derives(type(owner), self._ndarray) or type(owner) in _PRIVATE
        return owner, not is_own


_numpy: list[NumpyRules] = []


def numpy_rule(kind: Any) -> Entry | None:
    """Return the rule for a type of NumPy's or one that extends it; None for others."""
    ndarray = genuine("numpy", "ndarray")
    if ndarray is None:
        return None
    if not _numpy:
        _numpy.append(NumpyRules(ndarray))
    rules = _numpy[0]
    for ancestor in mro_of(kind):
        if ancestor is ndarray:
            return rules.an_ndarray, MUTABLE
        if ancestor is genuine("numpy", "generic"):
            return rules.a_scalar, PLAIN
        if ancestor is genuine("numpy", "dtype"):
            return rules.a_dtype, SHARED
    return None


BASES: Final[tuple[tuple[Any, Rule], ...]] = ((bytearray, a_bytearray), (array, an_array))

ENTRIES: Final[tuple[tuple[Any, Entry], ...]] = (
    (bytearray, (a_bytearray, MUTABLE)),
    (array, (an_array, MUTABLE)),
    (memoryview, (a_view, MUTABLE)),
    (mmap.mmap, (a_mapping, MUTABLE)),
    (PickleBuffer, (a_buffer, PLAIN)),
)
