"""What is known of a value by its type, without calling code of the user's.

Everything is looked up on the types that define it (``list.__len__``, the genuine ``pandas.DataFrame``), never on the
value: a subclass that lies about its length, or whose attributes kill, is not asked. Types are compared by identity:
a metaclass may have a say in their ``==`` and ``hash``.
"""

from __future__ import annotations

import sys
import types
from collections import deque
from typing import Any, NamedTuple

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.text import sendable

seal(globals())

NAME_CHARACTERS = 250
_DTYPE_CHARACTERS = 200
_DIMENSIONS = 64

mro_of: Any = type.__dict__["__mro__"].__get__
contents_of: Any = type.__dict__["__dict__"].__get__
_qualname_of: Any = type.__dict__["__qualname__"].__get__
_module_of: Any = type.__dict__["__module__"].__get__
identity: Any = object.__hash__
"""As good as ``id``, which tells the audit hooks of the user's."""
_modules = sys.modules
_SIZED: tuple[Any, ...] = (list, dict, tuple, str, bytes, bytearray, set, frozenset, range, deque)
"""Their length is theirs, whatever a subclass says."""
_C_SLOT = types.WrapperDescriptorType
"""A slot that C code fills."""
_TABLES = (
    ("pandas", "DataFrame"),
    ("pandas", "Series"),
    ("pandas", "Index"),
    ("pyarrow", "Table"),
    ("pyarrow", "RecordBatch"),
    ("pyarrow", "Array"),
    ("pyarrow", "ChunkedArray"),
    ("polars", "DataFrame"),
    ("polars", "Series"),
)
_WITH_COLUMNS = ("DataFrame", "Table", "RecordBatch")
_ARROW_COLUMNS = ("Array", "ChunkedArray")


class Facts(NamedTuple):
    """Extent and element type of a value."""

    shape: tuple[int, ...] = ()
    dtype: str = ""
    length: int | None = None


_NOTHING = Facts()


def type_name(value: object) -> str:
    """Return the qualified name of the type of ``value``; of builtins without the module."""
    kind = type(value)
    name = sendable(_qualname_of(kind))
    try:
        module = _module_of(kind)
    except AttributeError:
        module = None
    if type(module) is str and module != "builtins":
        name = f"{sendable(module)}.{name}"
    return name[:NAME_CHARACTERS]


def genuine(module: str, name: str) -> Any:
    """Return a class of a module that has been imported, None where there is none."""
    found = _modules.get(module)
    kind = types.ModuleType.__getattribute__(found, "__dict__").get(name) if _is_module(found) else None
    return kind if isinstance(kind, type) else None


def derives(kind: type, base: type) -> bool:
    """Tell whether ``kind`` is ``base`` or a subclass, by its true ancestry."""
    return any(ancestor is base for ancestor in mro_of(kind))


def facts(value: object) -> Facts:
    """Return what is known of ``value``. Of a table it runs its library's Python code, which may be changed."""
    kind = type(value)
    for base in _SIZED:
        if issubclass(kind, base):
            return Facts(length=base.__len__(value))
    array = genuine("numpy", "ndarray")
    if array is not None and derives(kind, array):
        shape = _extent(array.shape.__get__(value))
        return Facts(shape, _dtype_name(array.dtype.__get__(value)), shape[0] if shape else None)
    for module, name in _TABLES:
        table = genuine(module, name)
        if table is not None and derives(kind, table):
            return _table(name, table, value)
    for ancestor in mro_of(kind):
        slot = contents_of(ancestor).get("__len__")
        if slot is not None:
            return Facts(length=_natural(slot(value))) if type(slot) is _C_SLOT else _NOTHING
    return _NOTHING


def read(base: Any, name: str, value: object) -> Any:
    """Read an attribute of ``value`` as the first class of ``base`` and its ancestors that defines it does."""
    for ancestor in mro_of(base):
        attribute = contents_of(ancestor).get(name)
        if attribute is not None:
            return attribute.__get__(value, type(value))
    return None


def _table(name: str, base: Any, value: Any) -> Facts:
    if name in _WITH_COLUMNS:
        shape = _extent(read(base, "shape", value))
        return Facts(shape, "", shape[0] if shape else None)
    length = _natural(base.__len__(value))
    kind = read(base, "type" if name in _ARROW_COLUMNS else "dtype", value)
    return Facts(() if length is None else (length,), _dtype_name(kind), length)


def _is_module(found: object) -> bool:
    return issubclass(type(found), types.ModuleType)


def _dtype_name(kind: Any) -> str:
    return sendable(str(kind))[:_DTYPE_CHARACTERS]


def _extent(shape: Any) -> tuple[int, ...]:
    if type(shape) is not tuple or not all(type(part) is int and part >= 0 for part in shape):
        return ()
    return shape[:_DIMENSIONS]


def _natural(number: Any) -> int | None:
    return number if type(number) is int and number >= 0 else None
