"""What an object is to the walk, and what it holds, found without calling code of the user's."""

from __future__ import annotations

import _abc  # type: ignore[import-not-found]
import abc
import array
import gc
import mmap
import types
import weakref
from typing import Any, Final

from sandbank_runner.interpreter.reading.kinds import derives, genuine, identity
from sandbank_runner.interpreter.sealed import seal

seal(globals())

ATOM: Final = 0
"""Holds nothing and cannot change."""
FROZEN: Final = 1
"""Cannot change itself: several groups may hold equal ones."""
PLAIN: Final = 2
"""A builtin container."""
MODULE: Final = 3
DEFINITION: Final = 4
"""A function or a class."""
MEMORY: Final = 5
"""A buffer, or a view of one."""
ARRAY: Final = 6
"""The same, of NumPy."""
WEAK: Final = 7
"""A weak reference."""
COLUMNS: Final = 8
"""Of pandas, which copies on writing what several frames share: nobody can tell."""
OTHER: Final = 9
"""What has a class of the user's or of a library's."""

_get_referents = gc.get_referents
_type_module: Any = type.__dict__["__module__"].__get__
_Function, _Module, _Weak = types.FunctionType, types.ModuleType, weakref.ReferenceType
_viewed: Any = memoryview.__dict__["obj"].__get__
_referent: Any = _Weak.__call__
_dump: Any = vars(_abc)["_get_dump"]
_registry = type(abc.ABC.__dict__["_abc_impl"])
# fmt: off
_simple: dict[int, tuple[Any, ...]] = {
    ATOM: (
        int, float, complex, bool, str, bytes, range, type(None), type(...), type(NotImplemented), types.CodeType,
        _registry,
    ),
    FROZEN: (
        tuple, frozenset, slice, types.GenericAlias, types.BuiltinFunctionType, types.MethodType,
        types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType,
        types.MethodDescriptorType, types.ClassMethodDescriptorType, types.MethodWrapperType,
    ),
    PLAIN: (list, dict, set, types.CellType, types.MappingProxyType),
    MEMORY: (bytearray, array.array, memoryview, mmap.mmap),
    DEFINITION: (_Function,),
}
# fmt: on
_CATEGORIES: Final = {identity(kind): category for category, kinds in _simple.items() for kind in kinds}
"""By the identity of the type: a metaclass may have a say in ``==`` and ``hash``."""


class Kinds:
    """What objects are, by their types. Types must not come and go while one of these is used."""

    __slots__ = ("_array", "_categories")

    def __init__(self) -> None:
        self._categories = dict(_CATEGORIES)
        self._array = genuine("numpy", "ndarray")

    def of(self, value: Any) -> int:
        """Return what ``value`` is."""
        kind = type(value)
        key = identity(kind)
        category = self._categories.get(key)
        if category is None:
            category = self._categories[key] = self._look_at(kind)
        return category

    def _look_at(self, kind: Any) -> int:
        if issubclass(kind, type):
            return DEFINITION
        if issubclass(kind, _Module):
            return MODULE
        if derives(kind, _Weak) or kind is weakref.ProxyType or kind is weakref.CallableProxyType:
            return WEAK
        if self._array is not None and derives(kind, self._array):
            return ARRAY
        module = _type_module(kind) if type(kind) is type else None
        if type(module) is str and module.startswith("pandas."):
            return COLUMNS
        return OTHER

    def held_by(self, value: Any, category: int) -> list[Any]:
        """Return what ``value`` holds; what belongs to memory that it looks at is left to :meth:`memory_of`."""
        if category == ARRAY:
            return self._held_by_array(value)
        parts = _get_referents(value)
        if category == COLUMNS and self._array is not None:
            return self._held_by_columns(parts)
        if category == DEFINITION and type(value) is not _Function and type(value) is not type:
            return [*parts, *registered_with(value)]
        return [] if category == MEMORY else parts

    def memory_of(self, value: Any) -> Any:
        """Return the owner of the memory that a buffer, a view or an array looks at."""
        for _ in range(_DEPTH):
            if type(value) is memoryview:
                below = _owner(value)
            elif self._array is not None and derives(type(value), self._array):
                below = self._array.base.__get__(value)
            elif is_strided(value):
                below = value.base
            else:
                break
            if below is None:
                break
            value = below
        return value

    def bytes_of(self, value: Any) -> int:
        """Return the size of the memory that a buffer, a view or an array shows."""
        if self._array is not None and derives(type(value), self._array):
            size: int = self._array.nbytes.__get__(value)
            return size
        try:
            return memoryview(value).nbytes
        except (TypeError, ValueError):  # released, closed
            return 0

    def referent_of(self, value: Any) -> Any:
        """Return what a weak reference refers to, None where that is dead or it is a proxy."""
        return _referent(value) if derives(type(value), _Weak) else None

    def _held_by_array(self, value: Any) -> list[Any]:
        array_type = self._array
        parts = _get_referents(value) if type(value) is not array_type else []
        kind = array_type.dtype.__get__(value)
        if kind.hasobject:
            items = array_type.ravel(value).tolist()
            parts += items if kind.kind == "O" else [items]
        return parts

    def _held_by_columns(self, parts: list[Any]) -> list[Any]:
        found = []
        for part in parts:
            if not derives(type(part), self._array):
                found.append(part)
            elif self._array.dtype.__get__(part).hasobject:
                found += self._held_by_array(part)
        return found


_DEPTH: Final = 1000


def is_strided(value: Any) -> bool:
    """Tell whether a value is what NumPy's ``as_strided`` puts between a view and the array whose memory it shows."""
    kind = genuine("numpy.lib._stride_tricks_impl", "DummyArray")
    return kind is not None and type(value) is kind


def _owner(view: memoryview) -> Any:
    try:
        return _viewed(view)
    except ValueError:  # released
        return None


def registered_with(kind: Any) -> tuple[Any, ...]:
    """Return the classes that were registered with an abstract one."""
    if not derives(type(kind), abc.ABCMeta):
        return ()
    return tuple(each for each in [reference() for reference in _dump(kind)[0]] if each is not None)
