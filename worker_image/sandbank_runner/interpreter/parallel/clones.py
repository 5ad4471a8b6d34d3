"""The session's functions as an operation sees them: with its own copy of the names as their globals.

A function finds its globals through itself, so one that was defined in the session would read and write the session's
names, whoever calls it. The copy of the names therefore holds clones of those that are bound to names, and of those
that they hold in closures (what decorators make), in ``functools.partial`` and behind ``functools.lru_cache``. A clone
shares defaults, annotations and attributes with its original; a cache begins empty. Not reached are the methods of
classes, and functions in containers: see :mod:`sandbank_runner.interpreter.parallel.unbound`. Beside them it holds a
``time.sleep`` that can be interrupted.
"""

from __future__ import annotations

import functools
from itertools import compress
from types import BuiltinFunctionType, CellType, FunctionType
from typing import Any

from sandbank_runner.interpreter.parallel import sleeping
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_partial = functools.partial
_lru_cache = functools.lru_cache
_Cached: Any = functools._lru_cache_wrapper  # noqa: SLF001 - the type has no public name
_KINDS = frozenset([FunctionType, _partial, _Cached])


class Clones:
    """The clones of one operation."""

    __slots__ = ("_clones", "_home", "_names", "_originals")

    def __init__(self, home: dict[str, Any], names: dict[str, Any]) -> None:
        """Put clones into ``names`` for what has ``home`` as its globals."""
        self._home = home
        self._names = names
        self._clones: dict[int, Any] = {}
        self._originals: dict[int, Any] = {}
        """By the address of the clone, which ``_clones`` keeps alive; and so the original is."""
        self._originals[id(sleeping.sleep)] = sleeping.original
        kinds = set(map(type, names.values()))
        if not _KINDS.isdisjoint(kinds):
            for name, value in [pair for pair in names.items() if type(pair[1]) in _KINDS]:
                names[name] = self._cloned(value)
        if BuiltinFunctionType in kinds:
            for name in [name for name, value in names.items() if value is sleeping.original]:
                names[name] = sleeping.sleep

    def __len__(self) -> int:
        return len(self._originals)

    def original(self, value: Any) -> Any:
        """Return what ``value`` is a clone of, or itself."""
        return self._originals.get(id(value), value)

    def drop(self) -> None:
        """Take out of the names the clones that are still there, and forget all."""
        originals, names = self._originals, self._names
        for name in list(compress(names, map(originals.__contains__, map(id, names.values())))):
            del names[name]
        self._clones.clear()
        originals.clear()
        self._names = {}

    def _cloned(self, value: Any) -> Any:
        """Return a clone of ``value`` where it needs one."""
        known = self._clones.get(id(value))
        if known is not None:
            return known
        kind = type(value)
        if kind is FunctionType:
            return self._function(value)
        if kind is _partial:
            inner = self._inner(value.func)
            return value if inner is value.func else self._keep(value, self._rebuilt(value, inner))
        if kind is _Cached:
            inner = self._inner(getattr(value, "__wrapped__", None))
            if inner is getattr(value, "__wrapped__", None):
                return value
            return self._keep(value, _lru_cache(**value.cache_parameters())(inner))
        return value

    def _inner(self, value: Any) -> Any:
        return self._cloned(value) if type(value) in _KINDS else value

    def _function(self, function: FunctionType) -> FunctionType:
        is_ours = function.__globals__ is self._home
        cells = function.__closure__
        if not is_ours and (cells is None or not self._needs(function, set())):
            return function
        copies = None if cells is None else [self._cell(cell) for cell in cells]
        clone = FunctionType(
            function.__code__,
            self._names if is_ours else function.__globals__,
            function.__name__,
            function.__defaults__,
            None if copies is None else tuple(copies),
        )
        clone.__qualname__, clone.__module__ = function.__qualname__, function.__module__
        clone.__kwdefaults__, clone.__annotations__ = function.__kwdefaults__, function.__annotations__
        clone.__doc__, clone.__dict__ = function.__doc__, function.__dict__
        if parameters := getattr(function, "__type_params__", ()):
            setattr(clone, "__type_params__", parameters)  # noqa: B010 - from Python 3.12 on
        self._keep(function, clone)
        for cell, copy in zip(cells or (), copies or (), strict=True):
            if copy is not cell:  # now: a function may be in its own closure
                copy.cell_contents = self._cloned(cell.cell_contents)
        return clone

    def _needs(self, function: FunctionType, seen: set[int]) -> bool:
        """Tell whether a function of another module holds one of the session's in its closure."""
        if id(function) in seen:
            return False
        seen.add(id(function))
        for cell in function.__closure__ or ():
            held: Any = _content(cell)
            while type(held) in (_partial, _Cached):
                held = held.func if type(held) is _partial else getattr(held, "__wrapped__", None)
            if type(held) is FunctionType and (held.__globals__ is self._home or self._needs(held, seen)):
                return True
        return False

    def _cell(self, cell: CellType) -> CellType:
        return CellType() if type(_content(cell)) in _KINDS else cell

    def _rebuilt(self, value: Any, inner: Any) -> Any:
        rebuilt = _partial(inner, *value.args, **value.keywords)
        rebuilt.__dict__.update(value.__dict__)
        return rebuilt

    def _keep(self, original: Any, clone: Any) -> Any:
        self._clones[id(original)] = clone
        self._originals[id(clone)] = original
        return clone


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return None
