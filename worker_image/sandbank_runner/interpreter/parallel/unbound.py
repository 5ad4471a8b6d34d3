"""Names what saw the session's names where the operation's own were meant.

The methods of classes that the session defined earlier, its functions in containers, its bound methods and its started
generators have the session's names as their globals, and cannot be given others for the time of one operation. It
matters where the operation changed a name that they read, or where they wrote one. So they are looked for only then,
and only among those that the operation may have come to: by a name that its code, or a function of the session that it
names, mentions.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

from sandbank_runner.interpreter.parallel.retained import frame_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_get_instructions = dis.get_instructions
_partial, _cached_property = functools.partial, functools.cached_property
_Cached: Any = functools._lru_cache_wrapper  # noqa: SLF001 - the type has no public name
_vars_of: Any = type.__dict__["__dict__"].__get__
_mro_of: Any = type.__dict__["__mro__"].__get__
_GLOBAL_ACCESS = frozenset(
    ["LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME", "STORE_NAME", "DELETE_NAME"]
)
_ATOMS = frozenset([int, float, complex, bool, str, bytes, type(None), range, FunctionType, ModuleType])
"""Values of these types, and the session's functions, which have clones, lead to nothing."""
_CONTAINERS = (list, tuple, dict, set)
_LARGE: Final = 1_000
_DEPTH: Final = 8

Names = dict[str, Any]


def find(code: list[CodeType], names: Names, home: Names, interesting: set[str]) -> list[str]:
    """Return what of the session reads or writes one of the ``interesting`` names as the session's.

    ``code`` is the operation's; ``names`` are the session's names as it saw them; ``home`` has the session's functions
    as its own.
    """
    if not interesting or not code:
        return []
    named = mentioned(code, names)
    found = set()
    for name, value in [pair for pair in names.items() if type(pair[1]) not in _ATOMS]:
        for label, function_code, attribute in _candidates(name, value, home, named):
            if attribute in named and uses(function_code, interesting):
                found.add(label)
    return sorted(found)


def uses(code: CodeType, interesting: set[str]) -> bool:
    """Tell whether ``code``, or code within it, has one of the names as a global one."""
    for part in _with_inner(code):
        if not interesting.isdisjoint(part.co_names) and any(
            step.opname in _GLOBAL_ACCESS and step.argval in interesting for step in _get_instructions(part)
        ):
            return True
    return False


def mentioned(code: list[CodeType], names: Names) -> set[str]:
    """Return the names and attributes that an operation's code mentions, and those of the functions that it names."""
    found: set[str] = set()
    waiting = [part for whole in code for part in _with_inner(whole)]
    seen: set[int] = set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        for name in part.co_names:
            if name in found:
                continue
            found.add(name)
            function = _function_of(names.get(name))
            if function is not None:
                waiting += _with_inner(function.__code__)
    return found


def _candidates(
    name: str, value: Any, home: Names, mentioned: set[str]
) -> Iterator[tuple[str, CodeType, str]]:
    """Yield (how to call it, its code, the name that must be mentioned for it to count)."""
    kind = type(value)
    if issubclass(kind, type):
        if name in mentioned or _is_session_class(value, home):
            yield from _methods(value, home, name)
    elif (frame := frame_of(value)) is not None:
        if frame.f_globals is home:
            yield name, frame.f_code, name
    elif kind is MethodType or kind in _CONTAINERS:
        for function in _held_functions(value):
            if function.__globals__ is home:
                label = function.__qualname__ if kind is MethodType else f"{name}: {function.__qualname__}"
                yield label, function.__code__, name
    elif name in mentioned:
        yield from _methods(kind, home, name)


def _held_functions(value: Any) -> Iterator[FunctionType]:
    """Yield the function of a bound method, or those that are items of a container."""
    if type(value) is MethodType:
        items = [value.__func__]
    elif len(value) > _LARGE:
        items = []
    else:
        items = list(value.values() if type(value) is dict else value)
    for item in items:
        function = _function_of(item)
        if function is not None:
            yield function


def _is_session_class(value: Any, home: Names) -> bool:
    return any(
        (function := _function_of(member)) is not None and function.__globals__ is home
        for member in list(_vars_of(value).values())
    )


def _methods(value: Any, home: Names, via: str) -> Iterator[tuple[str, CodeType, str]]:
    """Yield a class's methods; special ones, which nobody mentions, count where what leads to the class is."""
    for base in _mro_of(value):
        for name, member in list(_vars_of(base).items()):
            for function in _functions_of(member):
                if function.__globals__ is home:
                    is_special = name.startswith("__") and name.endswith("__")
                    yield function.__qualname__, function.__code__, via if is_special else name


def _functions_of(member: Any) -> Iterator[FunctionType]:
    parts = (member.fget, member.fset, member.fdel) if type(member) is property else (member,)
    for part in parts:
        function = _function_of(part)
        if function is not None:
            yield function


def _function_of(value: Any) -> FunctionType | None:
    """Return the function in a method, a partial, a cache or a decorated function, the innermost."""
    for _ in range(_DEPTH):
        kind = type(value)
        if kind is FunctionType:
            inner = value.__dict__.get("__wrapped__")
            if type(inner) is not FunctionType:
                return value  # type: ignore[no-any-return]
            value = inner
        elif kind in (staticmethod, classmethod, MethodType):
            value = value.__func__
        elif kind is _partial or kind is _cached_property:
            value = value.func
        elif kind is _Cached:
            value = value.__wrapped__
        else:
            return None
    return None


def _with_inner(code: CodeType) -> list[CodeType]:
    """Return ``code`` and the code of functions within it."""
    found = [code]
    for part in found:
        found += [constant for constant in part.co_consts if type(constant) is CodeType]
    return found
