"""Rules for what code defines: functions, classes and their parts.

An identical redefinition is no change: file, line numbers and the object itself are not looked at, nor what the globals
of a function hold. Functions and classes of modules are what they are called.
"""

from __future__ import annotations

import enum
import functools
import sys
import types
from typing import Any, Final

from sandbank_runner.interpreter.changes import atoms
from sandbank_runner.interpreter.changes.digests import digest
from sandbank_runner.interpreter.changes.limits import CODE_NESTING
from sandbank_runner.interpreter.changes.walk import PLAIN, SHARED, CannotCompare, Entry, Walk
from sandbank_runner.interpreter.reading.kinds import contents_of, derives, identity, mro_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

MAIN: Final = "__main__"
_NOT_STATE: Final = frozenset([
    "__dict__", "__weakref__", "_abc_impl", "__static_attributes__", "__firstlineno__", "__annotations_cache__",
    "__slotnames__",
])  # fmt: skip
"""Parts of a class that follow from others, or are caches."""
_NOT_STATE_OF_ENUMS: Final = _NOT_STATE | {"_value2member_map_"}
_OF_MODULES: Final = frozenset(["__name__", "__loader__", "__spec__", "__package__", "__builtins__"])
_DISPATCH_CACHES: Final = frozenset(["cache_token", "dispatch_cache"])
_functools = vars(functools)
_modules = sys.modules

qualname_of: Any = type.__dict__["__qualname__"].__get__
bases_of: Any = type.__dict__["__bases__"].__get__
property_parts: Any = [vars(property)[name].__get__ for name in ("fget", "fset", "fdel")]
_module_of: Any = type.__dict__["__module__"].__get__
namespace_of: Any = vars(types.ModuleType)["__dict__"].__get__


def module_of(kind: Any) -> str:
    """Return the module that a class says it is of; empty where it does not say."""
    try:
        found = _module_of(kind)
    except AttributeError:
        return ""
    return found if type(found) is str else ""


def class_name(kind: Any) -> tuple[str, str]:
    """Return module and qualified name."""
    return module_of(kind), qualname_of(kind)


def code_digest(walk: Walk, code: types.CodeType, depth: int = 0) -> bytes:
    """Return the digest of what code does, wherever it was written."""
    cache = walk.around.cache
    key = ("code", identity(code))
    known = cache.get(key)
    if known is not None:
        return known[0]  # type: ignore[no-any-return]
    if depth > CODE_NESTING:
        raise CannotCompare("functions are nested too deeply")
    found = digest(
        atoms.dumps([
            code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_flags,
            code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount, code.co_name, code.co_exceptiontable,
            [_constant(walk, each, depth) for each in code.co_consts],
        ])
    )  # fmt: skip
    cache[key] = found, code
    return found


def _constant(walk: Walk, value: Any, depth: int) -> Any:
    if type(value) is types.CodeType:
        return code_digest(walk, value, depth + 1)
    if type(value) is tuple:
        return [_constant(walk, each, depth) for each in value]
    if type(value) is frozenset:
        return sorted(atoms.dumps(_constant(walk, each, depth)) for each in value)
    if identity(type(value)) in atoms.KINDS:
        return value
    return repr(value)  # a slice, from Python 3.14 on: constants are no user code


def a_code(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a code object down."""
    walk.tokens.append(("code", code_digest(walk, value)))


def a_function(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a function down: what it does, what it remembers."""
    own = value.__globals__ is walk.around.names
    module = value.__module__
    walk.tokens.append((
        "f", own, code_digest(walk, value.__code__), value.__name__, value.__qualname__,
        module if type(module) is str else None,
    ))  # fmt: skip
    closure, attributes = value.__closure__, value.__dict__
    if not own and closure is None:
        return
    if value.__globals__ is _functools:  # what a singledispatch has looked up
        named = zip(value.__code__.co_freevars, closure, strict=False)
        closure = tuple(cell for name, cell in named if name not in _DISPATCH_CACHES)
        attributes = {name: part for name, part in attributes.items() if name != "_clear_cache"}
        walk.keep.append(attributes)
    walk.push((
        value.__doc__, value.__defaults__, value.__kwdefaults__, closure, value.__annotations__ or None,
        attributes or None,
    ))  # fmt: skip


def a_method(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a bound method down."""
    walk.tokens.append("method")
    walk.push((value.__self__, value.__func__))


def a_builtin(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a function in C down, or a method of an object."""
    owner = value.__self__
    walk.tokens.append(("builtin", value.__name__, value.__qualname__))
    walk.stack.append(None if type(owner) is types.ModuleType else owner)


def a_method_wrapper(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a special method in C of an object down."""
    walk.tokens.append(("wrapper", value.__name__))
    walk.stack.append(value.__self__)


def a_descriptor(walk: Walk, value: Any, kind: Any) -> None:
    """Write a part of a class down that C code made."""
    walk.tokens.append((qualname_of(kind), value.__name__, class_name(value.__objclass__)))


def a_property(walk: Walk, value: Any, kind: Any) -> None:
    """Write a property down."""
    walk.tokens.append(("property", class_name(kind)))
    walk.push(read(value) for read in property_parts)


def a_wrapped_function(walk: Walk, value: Any, kind: Any) -> None:
    """Write a ``staticmethod`` or ``classmethod`` down."""
    walk.tokens.append(qualname_of(kind))
    walk.stack.append(kind.__dict__["__func__"].__get__(value))


def a_cached_function(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a function with an ``lru_cache`` down, without what the cache holds."""
    contents = value.__dict__
    wrapped = dict.get(contents, "__wrapped__") if type(contents) is dict else None
    walk.tokens.append("lru_cache")
    walk.stack.append(wrapped)


def a_partial(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a ``functools.partial`` down."""
    parts = functools.partial.__dict__
    walk.tokens.append("partial")
    walk.push((
        parts["func"].__get__(value), parts["args"].__get__(value), parts["keywords"].__get__(value),
        parts["__dict__"].__get__(value) or None,
    ))  # fmt: skip


def a_module(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a module down: its name. What is in it belongs to everybody, but for what the session has put there."""
    contents = namespace_of(value)
    name = contents.get("__name__")
    walk.tokens.append(("module", name if type(name) is str else None))
    if contents is walk.around.names:
        return
    found = parts_of_module(walk.around.names, value)
    if found is None:
        walk.unsure = walk.unsure or "a module with names that are no text"
        return
    walk.tokens.append([key for key, _ in found])
    walk.push(part for _, part in found)


def parts_of_module(session: dict[str, Any], value: Any) -> list[tuple[str, Any]] | None:
    """Return what of a module belongs to the session, whose names are given; None: it cannot be told."""
    contents = namespace_of(value)
    if contents is session:
        return []
    if not _plain(contents):
        return None
    name = contents.get("__name__")
    if type(name) is str and _modules.get(name) is value:
        return [(key, part) for key, part in [*contents.items()] if _is_sessions(session, key, part)]
    return [
        (key, part) for key, part in [*contents.items()] if key not in _OF_MODULES
    ]  # the session has made it


def _is_sessions(session: dict[str, Any], name: Any, part: Any) -> bool:
    """Tell whether an attribute of a module can be taken to be the session's, and no cache of the module's."""
    kind = type(part)
    if identity(kind) in atoms.KINDS:
        return type(name) is str and not name.startswith("_")
    if kind is types.FunctionType:
        return part.__globals__ is session
    return module_of(part if is_class(kind) else kind) == MAIN


def a_class(walk: Walk, value: Any, kind: Any) -> None:
    """Write a class down: of the session, with what is in it; of a module, its name."""
    walk.tokens.append(("class", class_name(value), class_name(kind)))
    if module_of(value) != MAIN:
        return
    contents = contents_of(value)
    skip = _NOT_STATE_OF_ENUMS if derives(kind, enum.EnumMeta) else _NOT_STATE
    if not _plain(contents):
        walk.unsure = walk.unsure or "a class with names that are no text"
        return
    parts = [(name, part) for name, part in contents.items() if name not in skip]
    walk.tokens.append([class_name(base) for base in bases_of(value)])
    walk.tokens.append([name for name, _ in parts])
    walk.push(part for _, part in parts)


def _plain(contents: Any) -> bool:
    return all(type(name) is str for name in contents)


def is_class(kind: Any) -> bool:
    """Tell whether instances of ``kind`` are classes."""
    return any(ancestor is type for ancestor in mro_of(kind))


ENTRIES: Final[tuple[tuple[Any, Entry], ...]] = (
    (types.CodeType, (a_code, PLAIN)),
    (types.FunctionType, (a_function, SHARED)),
    (types.MethodType, (a_method, PLAIN)),
    (types.BuiltinFunctionType, (a_builtin, PLAIN)),
    (types.MethodWrapperType, (a_method_wrapper, PLAIN)),
    (types.WrapperDescriptorType, (a_descriptor, PLAIN)),
    (types.MethodDescriptorType, (a_descriptor, PLAIN)),
    (types.ClassMethodDescriptorType, (a_descriptor, PLAIN)),
    (types.GetSetDescriptorType, (a_descriptor, PLAIN)),
    (types.MemberDescriptorType, (a_descriptor, PLAIN)),
    (property, (a_property, SHARED)),
    (staticmethod, (a_wrapped_function, SHARED)),
    (classmethod, (a_wrapped_function, SHARED)),
    (functools._lru_cache_wrapper, (a_cached_function, SHARED)),  # noqa: SLF001
    (functools.partial, (a_partial, SHARED)),
    (types.ModuleType, (a_module, PLAIN)),
    (type, (a_class, SHARED)),
)
