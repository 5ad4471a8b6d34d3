"""Threads that an operation starts belong to it, until it ends.

Whatever starts a thread in Python comes by one of a few functions. While namespace operations run they are covered by
others that remember who called.
"""

from __future__ import annotations

import _thread
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from sandbank_runner.interpreter.parallel import current
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_enter, _leave = current.enter, current.leave
_find: Callable[[], Any] = current.namespace_operation
_STARTERS = ("start_new_thread", "start_new", "start_joinable_thread")


class ThreadStarts:
    """The functions that start threads."""

    __slots__ = ("_covered",)

    def __init__(self) -> None:
        self._covered: list[tuple[ModuleType, str, Any]] = []

    def cover(self) -> None:
        """Remember who starts a thread from now on."""
        threading = sys.modules.get("threading")
        places = [(_thread, name) for name in _STARTERS]
        if threading is not None:  # it has taken them when it was imported; otherwise it takes the covers
            places += [(threading, f"_{name}") for name in _STARTERS]
        for module, name in places:
            original = getattr(module, name, None)
            if original is not None:
                self._covered.append((module, name, original))
                setattr(module, name, _cover(original))

    def uncover(self) -> None:
        """No operation runs any more."""
        for module, name, original in self._covered:
            setattr(module, name, original)
        self._covered.clear()
        threading = sys.modules.get("threading")
        if threading is not None:
            for name in _STARTERS:  # imported meanwhile
                found = getattr(threading, f"_{name}", None)
                if type(found) is type(_cover) and hasattr(found, "__wrapped__"):
                    setattr(threading, f"_{name}", found.__wrapped__)


def _cover(original: Callable[..., Any]) -> Callable[..., Any]:
    def start(function: Any, *arguments: Any, **options: Any) -> Any:
        operation = _find()
        if operation is None or not callable(function):
            return original(function, *arguments, **options)
        if arguments and type(arguments[0]) is tuple:  # start_new_thread(function, args, kwargs)
            return original(_run, (operation, function, *arguments), **options)
        return original(lambda: _run(operation, function, ()), *arguments, **options)

    start.__wrapped__ = original  # type: ignore[attr-defined]
    start.__name__ = start.__qualname__ = original.__name__
    return start


def _run(operation: Any, function: Callable[..., Any], arguments: Any, options: Any = None) -> Any:
    _enter(operation)
    try:
        return function(*arguments, **(options or {}))
    finally:
        _leave()
