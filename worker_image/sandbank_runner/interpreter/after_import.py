"""Calls a function when a module has been imported, so that nothing need be imported only to be adapted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from sandbank_runner.interpreter.sealed import seal

seal(globals())

Hook = Callable[[ModuleType], None]

_hooks: dict[str, Hook] = {}


def call(name: str, hook: Hook) -> None:
    """Call ``hook`` with module ``name`` right after its code has run, before anybody sees it."""
    _hooks[name] = hook
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


class _Finder:
    """First on ``sys.meta_path``; lets the others find, and wraps the loader of the modules in question."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        hook = _hooks.get(name)
        if hook is None:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if finder is self or find is None else find(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, spec, hook)  # type: ignore[assignment]
                return spec
        return None


class _Loader:
    """A loader that calls the hook, and leaves no trace of itself in the module."""

    def __init__(self, loader: Any, spec: ModuleSpec, hook: Hook) -> None:
        self._loader = loader
        self._spec = spec
        self._hook = hook

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _hooks.pop(module.__name__, None)
        self._hook(module)


_FINDER: Any = _Finder()
