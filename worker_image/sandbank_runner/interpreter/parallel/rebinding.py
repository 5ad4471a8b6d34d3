"""Gives functions that an operation defined the session's globals, once it is merged.

A function's globals cannot be assigned to, and a copy of the function would be another one wherever it was put already:
in classes, closures, containers, registries. So the field is written in place, where CPython has it since 3.11 as the
first of a function object. What is read there of functions whose globals are known decides at import whether that
holds; where it does not, nothing is rebound, and the functions are named.

Found are they by counting: each holds a reference to the dictionary that it has as its globals. What the names of the
operation lead to is looked at first; only where that does not account for all, the whole heap is.
"""

from __future__ import annotations

import builtins
import ctypes
import gc
import sys
from itertools import compress, repeat
from operator import is_
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final

from sandbank_runner.interpreter.parallel import retained
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_get_referents, _get_referrers, _is_tracked = gc.get_referents, gc.get_referrers, gc.is_tracked
_getrefcount = sys.getrefcount
_module_of: Any = type.__dict__["__module__"].__get__
_cell = ctypes.c_void_p()
_cell_address: Final = ctypes.addressof(_cell)
_copy: Any = ctypes.memmove
"""Unlike ctypes' own pointers, this asks no audit hook of the user's."""
_increase, _decrease = ctypes.pythonapi.Py_IncRef, ctypes.pythonapi.Py_DecRef
for _function in (_increase, _decrease):
    _function.argtypes = [ctypes.py_object]
    _function.restype = None

_GLOBALS_OFFSET: Final = object.__basicsize__
_POINTER_BYTES: Final = ctypes.sizeof(ctypes.c_void_p)
_VISITS: Final = 5_000
"""Objects looked at, from what was bound on, before the whole heap is."""
_LARGE: Final = 1_000
"""Containers with more in them are not looked into on the way."""
_GENERATING: Final = 0x20 | 0x80 | 0x200
"""Code flags of generators, coroutines and asynchronous generators."""

Names = dict[str, Any]


def rebind(names: Names, home: Names, bound: Names, *, held: int = 0) -> list[str]:
    """Give ``home`` to every function that has ``names`` as its globals; return what could not be rebound.

    ``bound`` are the names that were bound to what may lead to such functions; ``held`` is how many references to
    ``names`` the caller has beside the argument. Nobody of ours may use ``names`` afterwards.
    """
    retained.sweep()
    missing = _references_to(names) - 1 - held
    if missing <= 0:
        return []
    search = _Search(names, home, bound)
    if len(search.functions) < missing:
        search.look_everywhere()
    if not LAYOUT_IS_KNOWN:
        return sorted({function.__qualname__ for function in search.functions.values()})
    suspended = search.suspended()
    functions = list(search.functions.values())
    search.functions.clear()
    left = retained.keep(names, functions, suspended, is_shared=search.is_shared)
    for function in functions:
        _set_globals(function, home)
    return left


def _references_to(names: Names) -> int:
    """Return how many references there are beside the argument."""
    return _getrefcount(names) - 2


class _Search:
    """Looks for an operation's functions, and for what is suspended in them."""

    def __init__(self, names: Names, home: Names, bound: Names) -> None:
        self.functions: dict[int, FunctionType] = {}
        self.is_shared = False
        """Somebody has the dictionary itself."""
        self._names = names
        self._references: dict[int, int] = {}
        """How many references to a function were seen."""
        self._suspended: list[tuple[str, object]] = []
        are_functions = map(is_, map(type, names.values()), repeat(FunctionType))
        for value in compress(names.values(), are_functions):
            self._count(value)
        self._follow(bound, {id(names), id(home), id(bound), id(sys.modules), id(vars(builtins))})

    def look_everywhere(self) -> None:
        """Find the functions that the names do not lead to."""
        for holder in _get_referrers(self._names):
            if type(holder) is FunctionType and holder.__globals__ is self._names:
                self.functions.setdefault(id(holder), holder)
            elif type(holder) in (dict, list, tuple, set):
                self.is_shared = True

    def suspended(self) -> list[tuple[str, object]]:
        """Return generators and coroutines that have begun in these functions, with the names that lead there."""
        found = list(self._suspended)
        known = {id(item) for _, item in found}
        unseen = [function for function in self.functions.values() if self._is_held_unseen(function)]
        if unseen:
            for holder in _get_referrers(*unseen):
                frame = retained.frame_of(holder)
                if frame is not None and frame.f_globals is self._names and id(holder) not in known:
                    found.append((frame.f_code.co_qualname, holder))
        return found

    def _is_held_unseen(self, function: FunctionType) -> bool:
        """Tell whether somebody unseen holds a function that can be suspended: what is suspended in it, perhaps."""
        # Seen from here it is held by the dictionary of functions, the loop that asks, the parameter and the argument.
        return bool(function.__code__.co_flags & _GENERATING) and (
            _getrefcount(function) - 4 > self._references.get(id(function), 0)
        )

    def _follow(self, bound: Names, passed: set[int]) -> None:
        names = self._names
        waiting = [(value, name) for name, value in bound.items()]
        visits = 0
        while waiting and visits < _VISITS:
            value, name = waiting.pop()
            visits += 1
            self._count(value)
            if id(value) in passed:
                continue
            passed.add(id(value))
            if type(value) is FunctionType and value.__globals__ is names:
                self.functions[id(value)] = value
            elif type(value) in retained.SUSPENDED:
                frame = retained.frame_of(value)
                if frame is not None and frame.f_globals is names:
                    self._suspended.append((name, value))
                continue
            elif not _leads_on(value, names):
                continue
            waiting += [(inner, name) for inner in _get_referents(value)]

    def _count(self, value: object) -> None:
        if type(value) is FunctionType:
            self._references[id(value)] = self._references.get(id(value), 0) + 1


def _leads_on(value: object, names: Names) -> bool:
    """Tell whether what an object holds may lead to functions of the operation."""
    kind = type(value)
    if kind is CodeType or kind is FrameType or issubclass(kind, ModuleType):
        return False
    if kind in (list, tuple, dict, set, frozenset):
        return len(value) <= _LARGE  # type: ignore[arg-type]
    if issubclass(kind, type):  # a class: one of the operation's
        return bool(_module_of(value) == names.get("__name__", "__main__"))
    if kind is FunctionType:
        return value.__closure__ is not None  # type: ignore[attr-defined]
    return _is_tracked(value)


def _set_globals(function: FunctionType, home: Names) -> None:
    """Write the field. The reference that it had to the old dictionary is given up."""
    old = function.__globals__
    _increase(home)
    _cell.value = id(home)
    _copy(id(function) + _GLOBALS_OFFSET, _cell_address, _POINTER_BYTES)
    _decrease(old)


def _layout_is_known() -> bool:
    """Tell whether a function's globals lie where they are expected."""
    if sys.implementation.name != "cpython" or hasattr(sys, "gettotalrefcount"):
        return False
    several: tuple[Names, Names] = ({}, {"__builtins__": {}})
    for names in several:
        function = FunctionType(_layout_is_known.__code__, names)
        _copy(_cell_address, id(function) + _GLOBALS_OFFSET, _POINTER_BYTES)
        if _cell.value != id(names):
            return False
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


LAYOUT_IS_KNOWN: Final = _layout_is_known()
