"""What every process of a template has of its own, and what a saved object refers to instead of holding it.

The session's namespace, modules and their dictionaries, classes and functions that can be imported.
"""

from __future__ import annotations

import os
import sys
import types
from typing import Any, Final

from sandbank_runner.interpreter.reading.kinds import contents_of, identity
from sandbank_runner.interpreter.sealed import seal

seal(globals())

MAIN: Final = "__main__"
_modules = sys.modules
_Module, _Function = types.ModuleType, types.FunctionType
_module_names: Any = vars(types.ModuleType)["__dict__"].__get__
_type_module: Any = type.__dict__["__module__"].__get__
_type_qualname: Any = type.__dict__["__qualname__"].__get__
_flags_of: Any = type.__dict__["__flags__"].__get__
_HEAP_TYPE: Final = 1 << 9


def _unnamed_types() -> dict[int, str]:
    """Return the builtin types that say they are in ``builtins`` and are not, by identity: a name in ``types``."""
    import _collections_abc
    import builtins

    found: dict[int, str] = {}
    # By their keys in sys.modules: _collections_abc calls itself collections.abc, which has fewer names.
    for module, names in (("types", vars(types)), ("_collections_abc", vars(_collections_abc))):
        for name, value in names.items():
            if type(value) is not type or value.__module__ != "builtins":
                continue
            if vars(builtins).get(value.__qualname__) is not value:
                found.setdefault(identity(value), f"{module}:{name}")
    return found


_UNNAMED: Final = _unnamed_types()
_STREAMS: Final = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
_ENVIRONMENTS: Final = ("environ", "environb")
Place = tuple[str, str]
"""A module, and what is wanted of it: a dotted name, or "" for its dictionary."""


class Anchors:
    """The anchors of one session, as they are at this moment."""

    __slots__ = ("_namespaces", "_places", "containers", "names", "stream_kinds", "streams")

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self.containers: dict[int, Place] = {identity(names): (MAIN, "")}
        """Dictionaries and lists but those of modules, by identity."""
        self._namespaces: dict[int, Place] | None = None
        self.containers[identity(_modules)] = ("sys", "modules")
        for name in ("path", "argv", "meta_path", "path_hooks", "path_importer_cache"):
            value = sys.__dict__.get(name)
            if value is not None:
                self.containers.setdefault(identity(value), ("sys", name))
        self.streams: dict[int, Place] = {}
        """Single objects that the process has, by identity."""
        for name in _STREAMS:
            value = sys.__dict__.get(name)
            if value is not None:
                self.streams.setdefault(identity(value), ("sys", name))
        for name in _ENVIRONMENTS:
            value = os.__dict__.get(name)
            if value is not None:
                self.streams.setdefault(identity(value), ("os", name))
        self.stream_kinds: set[int] = {
            *(identity(type(sys.__dict__.get(name))) for name in _STREAMS),
            *(identity(type(os.__dict__.get(name))) for name in _ENVIRONMENTS),
        }
        """Their types, by identity."""
        self._places: dict[int, Place | None] = {}

    def container(self, value: Any) -> Place | None:
        """Return the place of a container that the process has of its own, None for any other.

        Of all modules only the one that is meant is looked at: a fork pays for every page that it touches.
        """
        place = self.containers.get(identity(value))
        if place is not None or type(value) is not dict or _first_key(value) != "__name__":
            return place
        name = value["__name__"]
        module = _modules.get(name) if type(name) is str else None
        if issubclass(type(module), _Module) and _module_names(module) is value:
            return name, ""
        if self._namespaces is None:
            self._namespaces = {
                identity(_module_names(module)): (name, "")
                for name, module in list(_modules.items())
                if type(name) is str and issubclass(type(module), _Module)
            }
        return self._namespaces.get(identity(value))

    def place_of(self, value: Any) -> Place | None:
        """Return where a class or function can be imported from, None where it cannot be."""
        key = identity(value)
        if key in self._places:
            return self._places[key]
        place = self._places[key] = self._find(value)
        return place

    def _find(self, value: Any) -> Place | None:
        if issubclass(type(value), type):
            unnamed = _UNNAMED.get(identity(value))
            if unnamed is not None:
                module, _, name = unnamed.partition(":")
                return module, name
            module, name = _class_names(value)
        else:
            module, name = value.__module__, value.__qualname__
        if type(module) is not str or type(name) is not str or module == MAIN or "<locals>" in name:
            return None
        found: Any = _modules.get(module)
        for part in name.split("."):
            found = _member(found, part)
        return (module, name) if found is value else None


def _first_key(value: dict[Any, Any]) -> str:
    """Return the first key, which in a module's dictionary is its name's; nobody's ``__eq__`` is asked."""
    for key in value:
        return key if type(key) is str else ""
    return ""


def _class_names(kind: Any) -> tuple[Any, Any]:
    try:
        return _type_module(kind), _type_qualname(kind)
    except AttributeError:
        return None, None


def _member(holder: Any, name: str) -> Any:
    """Return what a module or class itself has by a name; nobody's ``__getattr__`` is asked."""
    kind = type(holder)
    if issubclass(kind, _Module):
        return _module_names(holder).get(name)
    if issubclass(kind, type):
        found = contents_of(holder).get(name)
        kind = type(found)
        return found.__func__ if kind is staticmethod or kind is classmethod else found
    return None


def is_heap_type(kind: Any) -> bool:
    """Tell whether a class was made at run time, not by C code for the process."""
    return bool(_flags_of(kind) & _HEAP_TYPE)
