"""Rules for objects that C code made and that are no containers.

Three ways, each without code of the user's: what the type's own attributes tell; its reduction for pickle, where that
is C code too; its bare memory and what the collector knows it to hold. With the last, memory that such an object has
elsewhere stays unseen, and the walk is unsure.
"""

from __future__ import annotations

import datetime
import decimal
import gc
import io
import types
import weakref
from typing import Any, Final

from sandbank_runner.interpreter.changes import code, instances, memory
from sandbank_runner.interpreter.changes.walk import MUTABLE, PLAIN, SHARED, Entry, Walk
from sandbank_runner.interpreter.reading.kinds import contents_of, identity, mro_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_referents = gc.get_referents
_alive = weakref.ref.__call__
_PROTOCOL: Final = 5
_NOT_FOLLOWED: Final[frozenset[int]] = frozenset(
    map(identity, (types.ModuleType, types.FrameType, types.CodeType, types.TracebackType, type))
)
_COMPLETE: Final = frozenset([
    "_abc", "_ast", "_asyncio", "_contextvars", "_csv", "_ctypes", "_datetime", "_functools", "_io",
    "_operator", "_queue", "_random", "_sre", "_struct", "_thread", "_typing", "_weakref", "ast", "asyncio",
    "builtins", "collections", "contextvars", "datetime", "decimal", "functools", "io", "itertools",
    "operator", "random", "re", "select", "socket", "types", "typing", "weakref", "zoneinfo",
])  # fmt: skip
"""Modules whose objects keep their state in their own memory and in objects."""
_REDUCTIONS: Final = ("__reduce_ex__", "__reduce__", "__getstate__", "__getnewargs__", "__getnewargs_ex__")
_HASHES: Final = frozenset(["_hashlib", "_md5", "_sha1", "_sha2", "_sha3", "_sha256", "_sha512", "_blake2"])
_LOST: Final = frozenset(
    ["_thread", "_socket", "_io", "select", "_asyncio", "contextvars", "_sqlite3", "sqlite3"]
)
"""Modules whose objects, as a rule, have no pickle."""
_C_CODE: Final = frozenset(["method_descriptor", "wrapper_descriptor", "cython_function_or_method"])
_name_of: Any = type.__dict__["__name__"].__get__


def an_opaque(walk: Walk, value: Any, kind: Any) -> None:
    """Write an object down by its memory, and by the objects that it holds."""
    made_by = instances.solid_base(kind)
    module = code.module_of(made_by)
    parts = [part for part in _referents(value) if not _is_everybodys(walk, part)]
    walk.tokens.append(("opaque", code.class_name(kind), memory.contents(value, kind, made_by, parts)))
    if module.partition(".")[0] not in _COMPLETE:
        walk.unsure = walk.unsure or f"memory of a {code.qualname_of(kind)} that only its library knows"
    if module in _LOST or not _has_reduction(kind):
        walk.lost = walk.lost or code.qualname_of(kind)
    walk.push(parts)


def _is_everybodys(walk: Walk, part: Any) -> bool:
    return identity(type(part)) in _NOT_FOLLOWED or part is walk.around.names or code.is_class(type(part))


def a_reduced(walk: Walk, value: Any, kind: Any) -> None:
    """Write an object down by what its type gives to pickle; by its memory where that fails or is the session's."""
    if _is_patched(walk, kind):
        an_opaque(walk, value, kind)
        return
    try:
        parts = kind.__reduce_ex__(value, _PROTOCOL)
    except Exception:
        an_opaque(walk, value, kind)
        return
    write_reduction(walk, parts, kind)


def _is_patched(walk: Walk, kind: Any) -> bool:
    for ancestor in mro_of(kind):
        for name in _REDUCTIONS:
            part = contents_of(ancestor).get(name)
            if type(part) is types.FunctionType and part.__globals__ is walk.around.names:
                return True
    return False


def write_reduction(walk: Walk, parts: Any, kind: Any) -> None:
    """Write down what a reduction returned."""
    walk.keep.append(parts)
    if type(parts) is str:
        walk.tokens.append(("global", parts))
        return
    walk.tokens.append(("reduced", code.class_name(kind), len(parts), _callable_name(parts[0])))
    iterated = [None if part is None else list(part) for part in parts[3:]]
    walk.apart([*parts[1:3], *iterated])


def _callable_name(function: Any) -> Any:
    kind = type(function)
    if code.is_class(kind):
        return code.class_name(function)
    if kind is types.FunctionType or kind is types.BuiltinFunctionType:
        return function.__qualname__
    return ""


def can_reduce(kind: Any) -> bool:
    """Tell whether all that pickle would call on an instance of a class made by C code is C code too."""
    if _dictionary_at(kind):
        return False
    found = False
    for ancestor in mro_of(kind):
        for name in _REDUCTIONS:
            part = contents_of(ancestor).get(name)
            if part is not None and ancestor is not object:
                if _name_of(type(part)) not in _C_CODE:
                    return False
                found = True
    return found


_dictionary_at: Any = type.__dict__["__dictoffset__"].__get__


def _has_reduction(kind: Any) -> bool:
    return any(
        "__reduce__" in contents_of(ancestor) or "__reduce_ex__" in contents_of(ancestor)
        for ancestor in mro_of(kind)[:-1]
    )


def a_weak_reference(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a weak reference down: what it leads to, or that it is dead."""
    target = _alive(value)
    walk.tokens.append(("weak", target is not None))
    walk.lost = walk.lost or "weakref"
    if target is not None:
        walk.stack.append(target)


def a_generator(walk: Walk, value: Any, kind: Any) -> None:
    """Write a generator or coroutine down: where it stands, and its variables."""
    prefix = {types.GeneratorType: "gi", types.CoroutineType: "cr"}.get(kind, "ag")
    frame = getattr(value, f"{prefix}_frame")
    running = getattr(value, f"{prefix}_code")
    walk.lost = walk.lost or code.qualname_of(kind)
    walk.tokens.append((
        "generator", code.qualname_of(kind), code.code_digest(walk, running), None if frame is None else frame.f_lasti,
    ))  # fmt: skip
    walk.push(
        part for part in _own_parts(value, running)
        if not _is_everybodys(walk, part) and not _is_of_the_loop(part)
    )  # fmt: skip


def _own_parts(value: Any, running: types.CodeType) -> list[Any]:
    """Return what a generator holds: what comes after its function. Before it comes what a debugger has looked at."""
    parts = _referents(value)
    for number, part in enumerate(parts):
        if type(part) is types.FunctionType and part.__code__ is running:
            return parts[number + 1 :]
    return parts


def _is_of_the_loop(part: Any) -> bool:
    """Tell whether something is what an event loop has asynchronous generators call at their end."""
    return type(part) is types.MethodType and _name_in(part.__func__) == "_asyncgen_finalizer_hook"


def _name_in(function: Any) -> str:
    return function.__code__.co_name if type(function) is types.FunctionType else ""


def a_proxy(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a weak proxy down: what it stands for."""
    target = memory.proxied(value)
    walk.tokens.append(("proxy", target is not None))
    walk.lost = walk.lost or "weakref"
    if target is not None:
        walk.stack.append(target)


def a_moment(walk: Walk, value: Any, kind: Any) -> None:
    """Write a date or time down."""
    if issubclass(kind, datetime.datetime):  # whose own reduction asks no subclass
        write_reduction(walk, datetime.datetime.__reduce_ex__(value, _PROTOCOL), datetime.datetime)
    elif issubclass(kind, datetime.time):
        write_reduction(walk, datetime.time.__reduce_ex__(value, _PROTOCOL), datetime.time)
    else:
        walk.tokens.append(("date", datetime.date.toordinal(value)))


def a_duration(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a timedelta down."""
    parts = datetime.timedelta.__dict__
    walk.tokens.append(
        ("timedelta", *(parts[name].__get__(value) for name in ("days", "seconds", "microseconds")))
    )


def a_decimal(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a Decimal down."""
    sign, digits, exponent = decimal.Decimal.as_tuple(value)
    walk.tokens.append(("decimal", sign, digits, exponent))


def a_stream(walk: Walk, value: Any, kind: Any) -> None:
    """Write a file in memory down."""
    base: Any = io.BytesIO if issubclass(kind, io.BytesIO) else io.StringIO
    try:
        content, position = base.getvalue(value), base.tell(value)
    except ValueError:
        walk.tokens.append("closed")
        return
    walk.tokens.append(("stream", base is io.BytesIO, position))
    walk.stack.append(content)


def a_hash(walk: Walk, value: Any, kind: Any) -> None:
    """Write a hash object down."""
    walk.lost = walk.lost or code.qualname_of(kind)
    walk.tokens.append(
        ("hash", value.name, value.copy().hexdigest(*((16,) if "shake" in value.name else ())))
    )


def entry_of(kind: Any) -> Entry:
    """Return the rule for a type made by C code that has none of its own."""
    module = code.module_of(kind)
    if module in _HASHES:
        return a_hash, MUTABLE
    if can_reduce(kind) and module.partition(".")[0] not in _COMPLETE:
        return a_reduced, MUTABLE
    return an_opaque, MUTABLE


BASES: Final[tuple[tuple[Any, Entry], ...]] = (
    (datetime.datetime, (a_moment, PLAIN)),
    (datetime.date, (a_moment, PLAIN)),
    (datetime.time, (a_moment, PLAIN)),
    (datetime.timedelta, (a_duration, PLAIN)),
    (decimal.Decimal, (a_decimal, PLAIN)),
    (io.BytesIO, (a_stream, MUTABLE)),
    (io.StringIO, (a_stream, MUTABLE)),
    (weakref.ref, (a_weak_reference, SHARED)),
)
"""What classes in Python extend, too."""

ENTRIES: Final[tuple[tuple[Any, Entry], ...]] = (
    *BASES,
    (types.GeneratorType, (a_generator, MUTABLE)),
    (types.CoroutineType, (a_generator, MUTABLE)),
    (types.AsyncGeneratorType, (a_generator, MUTABLE)),
    (weakref.ProxyType, (a_proxy, PLAIN)),
    (weakref.CallableProxyType, (a_proxy, PLAIN)),
)
