"""What pickles of checkpoints call when they are loaded. Names here are part of the format."""

from __future__ import annotations

import _abc  # type: ignore[import-not-found]
import functools
import marshal
import sys
import types
import typing
import weakref
from typing import Any, Final

from sandbank_runner.interpreter.reading.kinds import contents_of, mro_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_Function, _Cell, _Module = types.FunctionType, types.CellType, types.ModuleType
_new_type: Any = type.__new__
_set_on_type = type.__setattr__
_loads = marshal.loads
_abc_init: Any = vars(_abc)["_abc_init"]
_abc_register: Any = vars(_abc)["_abc_register"]
_NAMESPACES: Final = "__init_subclass__"


def make_code(data: bytes) -> types.CodeType:
    """Return a code object."""
    code: types.CodeType = _loads(data)
    return code


def make_cell() -> types.CellType:
    """Return an empty cell of a closure."""
    return _Cell()


def fill_cell(cell: types.CellType, contents: tuple[Any, ...]) -> None:
    """Give a cell its content, if it has one."""
    for content in contents:
        cell.cell_contents = content


def make_function(code: types.CodeType, names: dict[str, Any], name: str, cells: Any) -> types.FunctionType:
    """Return a function without defaults and attributes."""
    return _Function(code, names, name, None, cells)


def fill_function(
    function: types.FunctionType, state: tuple[dict[str, Any], dict[str, Any], list[Any]]
) -> None:
    """Give a function its attributes, and its closure's cells their contents."""
    own, attributes, cells = state
    for cell, contents in cells:
        fill_cell(cell, contents)
    for name, value in own.items():
        setattr(function, name, value)
    if attributes:
        function.__dict__.update(attributes)


def _nothing(*_: Any, **__: Any) -> None:
    """Stand for ``__init_subclass__``, which had its say when the class was first made."""


def make_class(
    meta: type, name: str, bases: tuple[type, ...], names: dict[str, Any], later: list[str]
) -> type:
    """Return a class that has no more than what cannot be given to it later. No code of the user's is called.

    ``names``, and behind them ``later``, are the attributes in their order.
    """
    muted: list[tuple[type, Any]] = []
    for base in bases:
        for ancestor in mro_of(base):
            contents = contents_of(ancestor)
            if (
                _NAMESPACES in contents
                and ancestor is not object
                and all(each is not ancestor for each, _ in muted)
            ):
                muted.append((ancestor, contents[_NAMESPACES]))
    for ancestor, _ in muted:
        _set_on_type(ancestor, _NAMESPACES, classmethod(_nothing))
    try:
        made: type = _new_type(meta, name, bases, names)
    finally:
        for ancestor, hook in muted:
            _set_on_type(ancestor, _NAMESPACES, hook)
    for each in later:
        _set_on_type(made, each, None)
    if _is_abstract(meta):
        _abc_init(made)
    return made


def make_closed_class(name: str, bases: tuple[type, ...], names: dict[str, Any]) -> Any:
    """Return a class whose metaclass, which it has from its bases, is C code that wants to see everything at once."""
    return types.new_class(name, bases, {}, lambda contents: contents.update(names))


def add_members(made: type, members: dict[str, Any]) -> None:
    """Give a class some of its attributes. Returns what a pickle does not need."""
    for name, value in members.items():
        _set_on_type(made, name, value)


def fill_class(made: type, state: tuple[Any, dict[str, Any], tuple[type, ...]]) -> None:
    """Give a class the rest of its attributes, and the classes registered with it."""
    _, members, registered = state
    add_members(made, members)
    if _is_abstract(type(made)):
        _abc_init(made)
        for each in registered:
            _abc_register(made, each)


def _is_abstract(meta: type) -> bool:
    abstract = sys.modules["abc"].__dict__["ABCMeta"]
    return any(ancestor is abstract for ancestor in mro_of(meta))


def make_member(kind: type, base: Any, arguments: tuple[Any, ...]) -> Any:
    """Return a member of an enumeration that is itself being made."""
    return base.__new__(kind, *arguments)


def member(kind: Any, name: str) -> Any:
    """Return a member of an enumeration."""
    return kind._member_map_[name]


def call(function: Any, *arguments: Any) -> Any:
    """Return what ``function`` returns."""
    return function(*arguments)


def make_module(name: str, documentation: str | None) -> types.ModuleType:
    """Return a module that no file stands behind."""
    return _Module(name, documentation)


def fill_module(module: types.ModuleType, names: dict[str, Any]) -> None:
    """Give it its names."""
    module.__dict__.update(names)


def bound(value: Any, name: str) -> Any:
    """Return an attribute."""
    return getattr(value, name)


def make_property(parts: tuple[Any, Any, Any, Any]) -> property:
    """Return a property."""
    return property(*parts)


def make_cached(function: Any, arguments: tuple[Any, ...], kind: str) -> Any:
    """Return an ``lru_cache`` of a function, empty, or a ``cached_property``."""
    if kind == "property":
        return functools.cached_property(function)
    return functools.lru_cache(*arguments)(function)


def make_view(
    owner: Any, offset: int, length: int, form: str, shape: tuple[int, ...], readonly: bool
) -> memoryview:
    """Return a view of a part of a buffer."""
    view = memoryview(owner).cast("B")[offset : offset + length]
    if form != "B" or len(shape) != 1:
        view = view.cast(form, shape) if form != "B" else view.cast("B", shape)  # type: ignore[call-overload]
    return view.toreadonly() if readonly else view


def make_array_view(owner: Any, kind: Any, shape: Any, strides: Any, offset: int, writable: bool) -> Any:
    """Return an array that looks at memory of another one, or of a buffer."""
    import numpy

    if isinstance(owner, numpy.ndarray) and not owner.flags.c_contiguous:
        owner = owner.T
    array = numpy.ndarray(shape, kind, owner, offset, strides)
    if not writable:
        array.flags.writeable = False
    return array


def make_array(shape: Any, kind: Any, order: Any, source: Any, writable: bool) -> Any:
    """Return an array that owns its memory, filled with ``source``: bytes, or what fills a buffer in place."""
    import numpy

    array: Any = numpy.empty(shape, kind, order)
    flat = memoryview(array.reshape(-1, order="A").view(numpy.uint8)) if array.nbytes else memoryview(b"")
    if isinstance(source, bytes):
        if source:
            flat[:] = source
    else:
        source(flat)
    if not writable:
        array.flags.writeable = False
    return array


def make_array_of_class(plain: Any, kind: Any) -> Any:
    """Return an array of a class that extends NumPy's, looking at the memory of a plain one."""
    import numpy

    return numpy.ndarray.view(plain, kind)


def fill_array_of_class(array: Any, attributes: dict[str, Any]) -> None:
    """Give it its attributes."""
    if attributes:
        array.__dict__.update(attributes)


def weak(referent: Any) -> Any:
    """Return a weak reference."""
    return weakref.ref(referent)


def fill_weak(container: Any, items: Any) -> None:
    """Give a weak container its items and its remarks about them."""
    items, attributes = items
    if isinstance(container, weakref.WeakSet):
        for item in items:
            container.add(item)
    else:
        for key, value in items:
            container[key] = value
    container.__dict__.update(attributes)


def fill_error(error: BaseException, state: tuple[Any, ...]) -> None:
    """Give an exception what led to it."""
    cause, context, suppress, attributes = state
    error.__dict__.update(attributes)
    error.__cause__, error.__context__ = cause, context
    error.__suppress_context__ = suppress


def make_error(kind: Any, arguments: tuple[Any, ...]) -> Any:
    """Return an exception without asking its ``__init__``."""
    return kind.__new__(kind, *arguments)


def make_type_variable(
    kind: str, name: str, module: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Return a type variable, a parameter specification or a new type."""
    made = getattr(typing, kind)(name, *arguments, **options)
    made.__module__ = module
    return made


def imported(name: str) -> types.ModuleType:
    """Return a module."""
    raise NotImplementedError


def main_module() -> types.ModuleType:
    """Return the session's ``__main__``."""
    raise NotImplementedError


def place(module: str, name: str) -> Any:
    """Return what a module has, the session's or an imported one; its dictionary for no name.

    This and what follows is done by the loader's own functions.
    """
    raise NotImplementedError


def definition(name: str) -> Any:
    """Return a function or class that was restored before."""
    raise NotImplementedError


def next_buffer() -> Any:
    """Return what fills memory with the next buffer."""
    raise NotImplementedError


ALLOWED: Final = {
    function.__name__: function
    for function in (
        make_code, make_cell, fill_cell, make_function, fill_function, make_class, make_closed_class, add_members,
        fill_class, make_member, member, call, make_module, fill_module, bound, make_property, make_cached, make_view,
        make_array_view, make_array, make_array_of_class, fill_array_of_class, weak, fill_weak, fill_error,
        make_type_variable, make_error, imported, main_module, place, definition, next_buffer,
    )
}  # fmt: skip
"""What a pickle may name in this module, by the name."""
