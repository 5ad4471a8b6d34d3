"""The memory that a value accounts for: its object graph, shared parts once, buffers of arrays and tables included.

Found by ``gc.get_referents`` and by rules for a few types; nothing of the user's is called. Not followed: modules,
classes and the globals of functions, which belong to everybody, and what C code keeps where nobody can list it. The
walk is bounded; of a larger graph the figure is a lower bound.
"""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from sandbank_runner.interpreter.reading.kinds import contents_of, derives, genuine, identity, mro_of, read
from sandbank_runner.interpreter.sealed import seal

seal(globals())

OBJECTS = 100_000
"""Objects visited for one variable: some 50 ms."""

_HUGE_BYTES = 8 * OBJECTS
_HAVE_GC = 1 << 14
_GC_HEADER_BYTES = 16

_get_referents = gc.get_referents
_flags_of: Any = type.__dict__["__flags__"].__get__
_module_contents: Any = types.ModuleType.__dict__
_namespace_of = _module_contents["__dict__"].__get__
_c_method = types.MethodDescriptorType
_modules = sys.modules

_CONTAINERS: tuple[Any, ...] = (list, dict, tuple, set, frozenset)
_ARROW = ("Table", "RecordBatch", "Array", "ChunkedArray")
# fmt: off
_atoms = (
    int, float, complex, bool, str, bytes, bytearray, range, type(None), type(...), type(NotImplemented),
    types.CodeType,
)
# fmt: on
_ATOMS = frozenset(map(identity, _atoms))
"""Types whose instances hold nothing to follow; by identity, for a type may have a hash of the user's."""


class Sizes:
    """Measures the variables of one namespace, whose dictionary belongs to none of them."""

    __slots__ = ("_everybodys",)

    def __init__(self, names: dict[str, Any]) -> None:
        self._everybodys = {identity(names), identity(_modules)}
        for module in list(_modules.values()):
            if issubclass(type(module), types.ModuleType):
                self._everybodys.add(identity(_namespace_of(module)))

    def of(self, value: object, room: int = OBJECTS) -> int:
        """Return the size of ``value`` in bytes; beyond ``room`` objects a lower bound."""
        seen = set(self._everybodys)
        seen.add(identity(value))
        size = _own_size(value)
        # Iterators, not lists: of a container with millions of parts only those are touched that count.
        stack = [iter(_parts(value))]
        while stack and room > 0:
            for part in stack[-1]:
                if identity(part) in seen:
                    continue
                kind = type(part)
                if issubclass(kind, (type, types.ModuleType)):
                    continue
                seen.add(identity(part))
                size += _own_size(part)
                room -= 1
                if identity(kind) not in _ATOMS:
                    stack.append(iter(_parts(part)))
                    break
                if room <= 0:
                    break
            else:
                stack.pop()
        return size


def _parts(value: Any) -> Iterable[Any]:
    """Return what ``value`` holds."""
    kind = type(value)
    if identity(kind) in _ATOMS:
        return ()
    for base in _CONTAINERS:
        # get_referents() makes a list of all at once: too much of what is huge.
        if kind is base or (issubclass(kind, base) and base.__sizeof__(value) > _HUGE_BYTES):
            return chain.from_iterable(dict.items(value)) if base is dict else _iterate(base, value)
    if kind is types.FunctionType:
        return _function_parts(value)
    array = genuine("numpy", "ndarray")
    if array is not None and derives(kind, array):
        return _array_parts(array, value)
    return _get_referents(value)


def _iterate(base: Any, value: Any) -> Iterator[Any]:
    found: Iterator[Any] = base.__iter__(value)
    return islice(found, OBJECTS)


def _own_size(value: Any) -> int:
    """Return the size of the object itself, as the first class that says it in C does."""
    kind = type(value)
    size = _GC_HEADER_BYTES if _flags_of(kind) & _HAVE_GC else 0
    for ancestor in mro_of(kind):
        method = contents_of(ancestor).get("__sizeof__")
        if type(method) is _c_method:
            size += method(value)
            break
    if "pyarrow" in _modules:
        for name in _ARROW:
            arrow = genuine("pyarrow", name)
            if arrow is not None and derives(kind, arrow):
                size += read(arrow, "nbytes", value)  # of a slice, what it shows
                break
    return size


def _function_parts(function: types.FunctionType) -> list[Any]:
    """Return all but the globals."""
    return [
        function.__code__,
        function.__defaults__,
        function.__kwdefaults__,
        *(function.__closure__ or ()),
        function.__dict__,
    ]


def _array_parts(array: Any, value: Any) -> Iterable[Any]:
    """Return what an array holds beside a buffer of its own: the owner of the buffer, attributes, objects."""
    parts: list[Any] = [array.base.__get__(value)]
    if type(value) is not array:
        parts += _get_referents(value)
    if array.dtype.__get__(value).hasobject:
        return chain(parts, array.flat.__get__(value))
    return parts
