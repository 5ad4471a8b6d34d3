"""Attributes as they lie in instances and classes, without asking anybody for them; and what kind of thing they are."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from sandbank_runner.interpreter.changes.instances import dictionary_of
from sandbank_runner.interpreter.reading.kinds import contents_of, genuine, identity, mro_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

MISSING: Final = object()
NAMES: Final = 100_000
"""Names of one object that are looked at."""

FUNCTION: Final = "function"
CLASS: Final = "class"
MODULE: Final = "module"
PROPERTY: Final = "property"
INSTANCE: Final = "instance"

_Function, _Method, _Module = types.FunctionType, types.MethodType, types.ModuleType
_module_names: Any = vars(types.ModuleType)["__dict__"].__get__
# fmt: off
_c_methods = (
    types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType,
)
_functions = (
    types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType, functools.partial,
    type(functools.lru_cache(len)), staticmethod, classmethod, functools.partialmethod, *_c_methods,
)
_properties = (
    property, functools.cached_property, types.GetSetDescriptorType, types.MemberDescriptorType,
    types.DynamicClassAttribute,
)
# fmt: on
_C_METHODS: Final = frozenset(map(identity, _c_methods))
_FUNCTIONS: Final = frozenset(map(identity, _functions))
_PROPERTIES: Final = frozenset(map(identity, _properties))


class Made:
    """Stands for an instance that there is none of: what a call would return, by the class that it names."""

    __slots__ = ("kind",)

    def __init__(self, kind: type) -> None:
        self.kind = kind


def is_class(value: object) -> bool:
    """Tell whether a value is truly a class."""
    return issubclass(type(value), type)


def kind_word(value: object) -> str:
    """Return what kind of thing a value is, in a word."""
    kind = type(value)
    if issubclass(kind, type):
        return CLASS
    if issubclass(kind, _Module):
        return MODULE
    if identity(kind) in _FUNCTIONS:
        return FUNCTION
    return FUNCTION if kind is genuine("numpy", "ufunc") else INSTANCE


def is_property(value: object) -> bool:
    """Tell whether what lies in a class computes a value when it is asked for one."""
    return any(identity(ancestor) in _PROPERTIES for ancestor in mro_of(type(value)))


def own(value: object) -> Any:
    """Return the dictionary, or view of one, of what an object holds by name itself; {} where that cannot be seen."""
    kind = type(value)
    if issubclass(kind, type):
        return contents_of(value)
    if issubclass(kind, _Module):
        found = _module_names(value)
    else:
        read = dictionary_of(kind)
        found = None if read is None else read(value)
    return found if type(found) is dict else {}


def lookup(value: object, name: str) -> Any:
    """Return what lies under a name in an object, its class or its ancestors, unbound; MISSING where nothing does."""
    kind = value.kind if type(value) is Made else type(value)
    if type(value) is not Made:
        if issubclass(kind, type):
            for ancestor in mro_of(value):
                found = contents_of(ancestor).get(name, MISSING)
                if found is not MISSING:
                    return found
        else:
            found = own(value).get(name, MISSING)
            if found is not MISSING:
                return found
    for ancestor in mro_of(kind):
        found = contents_of(ancestor).get(name, MISSING)
        if found is not MISSING:
            return found
    return MISSING


def bound(value: object, name: str) -> Any:
    """Return the attribute as it is got, where that takes no code of the user's; MISSING else.

    A function of an instance's class comes bound, also of an instance that there is none of.
    """
    found = lookup(value, name)
    kind = type(found)
    if found is MISSING or is_property(found):
        return MISSING
    if kind is staticmethod:
        return found.__func__
    if kind is classmethod:
        return _Method(found.__func__, value.kind if type(value) is Made else value)
    if not is_class(value) and type(value) is not Made and name in own(value):
        return found
    if kind is _Function:
        return found if is_class(value) else _Method(found, value)
    if identity(kind) in _C_METHODS and not is_class(value) and type(value) is not Made:
        return found.__get__(value, type(value))
    return found


def all_names(value: object) -> Iterator[Any]:
    """Yield the names of all attributes that can be seen without asking; some more than once."""
    kind = value.kind if type(value) is Made else type(value)
    if type(value) is not Made:
        yield from islice(own(value), NAMES)
        if issubclass(kind, _Module):
            return
    classes = mro_of(value) if issubclass(kind, type) else mro_of(kind)
    for ancestor in classes:
        yield from contents_of(ancestor)


def has_method(value: object, name: str) -> bool:
    """Tell whether a value's class defines a method."""
    return lookup(Made(type(value)), name) is not MISSING
