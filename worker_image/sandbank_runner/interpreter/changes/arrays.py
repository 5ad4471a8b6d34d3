"""Rules for what lends its memory: bytearrays, memory views, arrays of the standard library and of NumPy.

A view is what it shows, and where: that it shares memory with another variable is part of the state of both.
"""

from __future__ import annotations

import mmap
from array import array
from pickle import PickleBuffer
from typing import Any, Final

from sandbank_runner.interpreter.changes import foreign, memory
from sandbank_runner.interpreter.changes.code import class_name
from sandbank_runner.interpreter.changes.digests import digest
from sandbank_runner.interpreter.changes.instances import is_python
from sandbank_runner.interpreter.changes.limits import LONG_BYTES
from sandbank_runner.interpreter.changes.walk import MUTABLE, PLAIN, SHARED, CannotCompare, Entry, Rule, Walk
from sandbank_runner.interpreter.reading.kinds import contents_of, derives, genuine, identity, mro_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

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
        shape = (value.format, value.shape, value.strides, value.readonly)
        found = digest(value if value.c_contiguous else value.tobytes())
        owner = value.obj
    except ValueError:
        walk.tokens.append("released")
        return
    walk.tokens.append(("view", *shape, found))
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
    walk.tokens.append(("ctypes", class_name(kind), digest(bytes(memoryview(value)))))


def a_mapping(walk: Walk, value: Any, kind: Any) -> None:
    """Write an ``mmap`` down: others may write to it, so all of it is read, each time."""
    walk.lost = walk.lost or "mmap"
    try:
        size = mmap.mmap.__len__(value)
        walk.tokens.append(("mmap", size, digest(memoryview(value) if kind is mmap.mmap else b"")))
    except ValueError:
        walk.tokens.append("closed")


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
        self._size = read["nbytes"].__get__

    def an_ndarray(self, walk: Walk, value: Any, kind: Any) -> None:
        """Write an array down."""
        dtype, flags, size = self._dtype(value), self._flags(value), self._size(value)
        owner, is_mapped = self._owner(value)
        offset = 0
        if owner is not value:
            walk.mutable.append(identity(owner))
            if type(owner) is self._ndarray:
                offset = self._address(value) - self._address(owner)
        walk.tokens.append(("ndarray", self._shape(value), self._strides(value), flags.writeable, offset))
        walk.stack.append(dtype)
        if dtype.hasobject:
            parts = list(self._flat(value))
            walk.spend(len(parts))
            walk.keep.append(parts)
            walk.push(parts)
        elif size < LONG_BYTES:
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
        if flags.c_contiguous:
            flat = plain.reshape(-1)
        elif flags.f_contiguous:
            flat = plain.T.reshape(-1)
        else:
            return digest(plain.tobytes())
        content = memoryview(flat.view(self._bytes))
        if is_mapped:
            return digest(content)
        return walk.around.buffers.digest(content, self._address(value), size)

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
        is_own = derives(type(owner), self._ndarray) or type(owner) in (bytes, bytearray, array)
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
