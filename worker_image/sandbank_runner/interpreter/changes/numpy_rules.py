"""Rules for NumPy's types. A view is what it shows, and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sandbank_runner.interpreter.changes import foreign, memory
from sandbank_runner.interpreter.changes.arrays import (
    PIECE_BYTES,
    PRICE,
    PRIVATE,
    check_mapped,
    digest_of_memory,
    memory_of,
)
from sandbank_runner.interpreter.changes.digests import digest, hasher
from sandbank_runner.interpreter.changes.limits import LONG_BYTES
from sandbank_runner.interpreter.changes.walk import GONE, MUTABLE, PLAIN, SHARED, CannotCompare, Entry, Walk
from sandbank_runner.interpreter.reading.kinds import derives, genuine, identity, mro_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_VIEWS: Final = 100
"""Views of views."""
HEADER_BYTES: Final = 68
"""What an array says of itself, from its beginning on: the rest are caches."""
_DATA_WORD, _SHAPE_WORD = 0, 2
"""Which word after the header of the object says where the elements are, and the shape."""


class NumpyRules:
    """The rules for NumPy's types, once it is imported."""

    def __init__(self, ndarray: Any) -> None:
        self.ndarray = ndarray
        self.dtype: Any = genuine("numpy", "dtype")
        self.generic: Any = genuine("numpy", "generic")
        self._bytes = self.dtype("u1")
        read = ndarray.__dict__
        self.shape_of, self.strides_of = read["shape"].__get__, read["strides"].__get__
        self.dtype_of, self._flags = read["dtype"].__get__, read["flags"].__get__
        self._base, self._flat = read["base"].__get__, read["flat"].__get__
        self._interface = read["__array_interface__"].__get__
        self.size_of, self.item_size_of = read["nbytes"].__get__, read["itemsize"].__get__
        self.layout_is_known = self._as_expected()
        """An array's first words say where its memory is."""

    def an_ndarray(self, walk: Walk, value: Any, kind: Any) -> None:
        """Write an array down."""
        dtype, flags, size = self.dtype_of(value), self._flags(value), self.size_of(value)
        owner, is_mapped = self.owner(value)
        offset = 0
        walk.mutable.append(identity(owner))  # of one that has its own memory too: the places match
        if owner is not value and type(owner) is self.ndarray:
            offset = self.address_of(value) - self.address_of(owner)
        walk.tokens.append(("ndarray", self.shape_of(value), self.strides_of(value), flags.writeable, offset))
        walk.stack.append(dtype)
        if dtype.hasobject:
            if is_mapped and derives(type(owner), self.ndarray):
                raise CannotCompare(GONE)
            parts = self.elements_of(value)
            walk.spend(len(parts))
            walk.keep.append(parts)
            walk.push(parts)
        elif size < LONG_BYTES and not is_mapped:
            walk.tokens.append(digest(self.ndarray.tobytes(value)))
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
        plain = value if type(value) is self.ndarray else self.ndarray.view(value, self.ndarray)
        address, extent = self.extent_of(value)
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
        return walk.around.buffers.digest(memoryview(flat.view(self._bytes)), self.address_of(value), size)

    def _pieces(self, walk: Walk, plain: Any, size: int) -> bytes:
        """Return the digest of an array whose elements lie apart, without a copy of all of them."""
        total = hasher()
        count = self.shape_of(plain)[0]
        step = max(1, PIECE_BYTES * count // size)
        for begin in range(0, count, step):
            walk.spend(PRICE)
            total.update(self.ndarray.tobytes(plain[begin : begin + step]))
        return bytes(total.digest())

    def elements_of(self, value: Any) -> list[Any]:
        """Return the elements of an array of objects."""
        return list(self._flat(value))

    def address_of(self, value: Any) -> int:
        """Return where the first element of an array is."""
        if self.layout_is_known:
            return memory.word_of(value, _DATA_WORD)
        return int(self._interface(value)["data"][0])

    def dimensions_of(self, value: Any) -> int:
        """Return where an array of a known layout keeps its shape, and its strides after that."""
        return memory.word_of(value, _SHAPE_WORD)

    def _as_expected(self) -> bool:
        """Tell whether an array has its parts where they are looked for."""
        whole: Any = self.ndarray((3, 4), self._bytes)
        part = whole[1:, 1::2]
        words = [memory.word_of(part, number) for number in range(HEADER_BYTES // 8 - 2)]
        shape = words[_SHAPE_WORD]
        numbers = (*self.shape_of(part), *self.strides_of(part))
        return (
            words[_DATA_WORD] == self._interface(part)["data"][0]
            and words[1] & 0xFFFFFFFF == len(self.shape_of(part))
            and [memory.word_at(shape + 8 * at) for at in range(4)] == [*numbers]
            and words[_SHAPE_WORD + 1] == shape + 8 * len(self.shape_of(part))
            and words[_SHAPE_WORD + 2] == memory.address_of(whole)
            and words[_SHAPE_WORD + 3] == memory.address_of(self.dtype_of(part))
        )

    def chain(self, value: Any) -> Iterator[Any]:
        """Yield an array and the objects whose memory it shows, one after the other, but for the plain ones."""
        while value is not None and type(value) not in PRIVATE:
            yield value
            if type(value) is not self.ndarray:
                return
            value = self._base(value)

    def owner(self, value: Any) -> tuple[Any, bool]:
        """Return whose memory an array shows, and whether others may write to it, or it may be gone."""
        owner = value
        for _ in range(_VIEWS):
            if derives(type(owner), self.ndarray):
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
        is_own = derives(type(owner), self.ndarray) or type(owner) in PRIVATE
        return owner, not (is_own and self._has(owner, value))

    def _has(self, owner: Any, value: Any) -> bool:
        """Tell whether an array shows memory that its owner has: one that was made smaller has given some back."""
        if owner is value:
            return True
        begin, size = self.extent_of(value)
        first, whole = self.extent_of(owner) if derives(type(owner), self.ndarray) else memory_of(owner)
        return not size or (first <= begin and begin + size <= first + whole)

    def extent_of(self, value: Any) -> tuple[int, int]:
        """Return begin and size of the memory that an array's elements are in."""
        return memory.extent(
            self.address_of(value), self.shape_of(value), self.strides_of(value), self.item_size_of(value)
        )


_numpy: list[NumpyRules] = []


def numpy_rules() -> NumpyRules | None:
    """Return the rules for NumPy's types; None: it is not imported."""
    ndarray = genuine("numpy", "ndarray")
    if ndarray is None:
        return None
    if not _numpy:
        _numpy.append(NumpyRules(ndarray))
    return _numpy[0]


def numpy_rule(kind: Any) -> Entry | None:
    """Return the rule for a type of NumPy's or one that extends it; None for others."""
    rules = numpy_rules()
    if rules is None:
        return None
    for ancestor in mro_of(kind):
        if ancestor is rules.ndarray:
            return rules.an_ndarray, MUTABLE
        if ancestor is genuine("numpy", "generic"):
            return rules.a_scalar, PLAIN
        if ancestor is genuine("numpy", "dtype"):
            return rules.a_dtype, SHARED
    return None
