"""Stands in for parts of the standard library that others import and the supervisor has no use for.

``dataclasses`` and ``asyncio`` import them for what is hardly ever called: parsers of Python, child processes,
calendars, TLS. Together they take 2 MB. Whoever asks a stand-in for more than it has gets the module itself, imported
then.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import FrameType, GeneratorType, ModuleType
from typing import Any, Final

_COROUTINE: Final = 0x80
"""What the compiler sets in the flags of a coroutine function."""


class StandIn(ModuleType):
    """A module by this name that has some of its contents already."""

    def __init__(self, name: str, contents: Mapping[str, Any]) -> None:
        super().__init__(name)
        self.__dict__.update(contents)

    def __getattr__(self, name: str) -> Any:
        """Return what the module itself has. Dunder names are asked for by those who look at all modules: no."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_itself(self.__name__), name)


def import_itself(name: str) -> ModuleType:
    """Return a module, which is stood in for no longer."""
    if isinstance(sys.modules.get(name), StandIn):
        del sys.modules[name]
    return import_module(name)


def _get_annotations(owner: type) -> dict[str, Any]:
    """Return a copy of a class's own annotations, as they are."""
    return dict(owner.__dict__.get("__annotations__", {}))  # noqa: RUF063 - this is in its place


def _is_coroutine_function(function: Callable[..., object]) -> bool:
    code = getattr(function, "__code__", None)  # a method has that of its function
    return code is not None and bool(code.co_flags & _COROUTINE)


def _is_generator(value: object) -> bool:
    return isinstance(value, GeneratorType)


def _extract_stack(f: FrameType | None = None, limit: int | None = None) -> Any:
    """Do what the function itself does; asyncio looks it up at its import, and calls it to debug."""
    return import_itself("traceback").extract_stack(f or sys._getframe(1), limit)  # noqa: SLF001 - the caller


_CONTENTS: Final[dict[str, dict[str, Any]]] = {
    "asyncio.sslproto": {},
    "calendar": {},
    "inspect": {
        "get_annotations": _get_annotations,
        "iscoroutinefunction": _is_coroutine_function,
        "isgenerator": _is_generator,
    },
    "subprocess": {"DEVNULL": -3, "PIPE": -1, "STDOUT": -2},
    "traceback": {"extract_stack": _extract_stack},
}
NAMES: Final = frozenset(_CONTENTS)


def install() -> None:
    """Put the stand-ins in the place of what is not imported yet. To be called before anything else is."""
    for name, contents in _CONTENTS.items():
        sys.modules.setdefault(name, StandIn(name, contents))
